import { describe, expect, it } from 'vitest';
import * as limits from '../limits.ts';
import { Liveness } from './liveness.ts';

describe('Liveness', () => {
  it('asks for one ping after silence and for none while that is under way', () => {
    const liveness = new Liveness(0);
    expect(liveness.check(limits.IDLE_PING_MS - 1, true)).toEqual({ type: 'fine' });
    expect(liveness.check(limits.IDLE_PING_MS, false)).toEqual({ type: 'fine' });
    expect(liveness.check(limits.IDLE_PING_MS, true)).toEqual({ type: 'ping', token: 1 });
    expect(liveness.check(limits.IDLE_PING_MS + 1, true)).toEqual({ type: 'fine' });
    expect(liveness.startPing(limits.IDLE_PING_MS + 2)).toBeUndefined();
  });

  it('samples more often while fragments flow', () => {
    const liveness = new Liveness(0);
    liveness.onBytes(limits.RTT_SAMPLE_MS);
    expect(liveness.check(limits.RTT_SAMPLE_MS, true)).toEqual({ type: 'fine' });
    liveness.onFragment();
    expect(liveness.check(limits.RTT_SAMPLE_MS, true)).toEqual({ type: 'ping', token: 1 });
  });

  it('smooths the round-trip time and takes off what the other side held', () => {
    const liveness = new Liveness(0);
    expect(liveness.rttMs).toBeUndefined();
    liveness.startPing(100);
    expect(liveness.onPong(1, 10_000, 130)).toBe(20);
    liveness.startPing(200);
    expect(liveness.onPong(2, 0, 300)).toBe(20 + 80 / 8);
    liveness.startPing(400);
    expect(liveness.onPong(3, 999_999, 401)).toBeCloseTo(30 - 30 / 8);
  });

  it('takes a pong that nobody asked for as a violation', () => {
    const liveness = new Liveness(0);
    expect(() => liveness.onPong(0, 0, 1)).toThrow(expect.objectContaining({ code: 'protocol' }));
    liveness.startPing(0);
    expect(() => liveness.onPong(7, 0, 1)).toThrow('the token 7');
    liveness.onPong(1, 0, 1);
    expect(() => liveness.onPong(1, 0, 1)).toThrow(expect.objectContaining({ code: 'protocol' }));
  });

  it('gives up after silence', () => {
    const liveness = new Liveness(0);
    expect(liveness.check(limits.IDLE_CLOSE_MS - 1, false).type).toBe('fine');
    expect(liveness.check(limits.IDLE_CLOSE_MS, false)).toEqual({ type: 'dead', why: 'no byte came for 45 s' });
  });

  it('gives up on one frame that is not whole in time, not on many that are', () => {
    const liveness = new Liveness(0);
    for (let frame = 0, nowMs = 0; frame < 100; frame++, nowMs += 1000) {
      liveness.onBytes(nowMs);
      liveness.onDecoded(true, frame, nowMs);
      expect(liveness.check(nowMs, false).type).toBe('fine');
    }
    liveness.onBytes(109_000);
    liveness.onDecoded(true, 99, 109_000);
    expect(liveness.check(109_000, false)).toEqual({ type: 'dead', why: 'a frame was not whole after 10 s' });
    liveness.onDecoded(false, 100, 109_000);
    expect(liveness.check(109_000, false).type).toBe('fine');
  });

  it('gives up on a side that takes no byte, though it goes on talking', () => {
    const liveness = new Liveness(0);
    liveness.onWriteStuck(1000);
    liveness.onWriteStuck(40_000);
    liveness.onBytes(46_000);
    expect(liveness.check(45_999, false).type).toBe('fine');
    expect(liveness.check(46_000, false)).toEqual({ type: 'dead', why: 'the other side took no byte for 45 s' });
    liveness.onWriteProgress(true, 46_000);
    expect(liveness.check(46_000, false).type).toBe('fine');
  });
});
