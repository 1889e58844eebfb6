import { describe, expect, it } from 'vitest';
import { UP_FEEDBACK_MS } from '../limits.ts';
import type { SwarmContext } from './context.ts';
import type { Send } from './neighbour.ts';
import { UploadSlots } from './upload-slots.ts';

const KiB = 1024;
const CHUNK = 256 * KiB;
const ROUND_TRIP_MS = 40;

function slotsOf(): UploadSlots {
  const context = {
    options: { upBytesPerSecond: Number.POSITIVE_INFINITY },
    layout: { chunkSize: CHUNK },
    roundTrips: { medianMs: ROUND_TRIP_MS },
  };
  return new UploadSlots(context as unknown as SwarmContext, 0);
}

function sendOf(requestId: number, isPaced = false): Send {
  return { link: 1, requestId, chunkIndex: requestId, isPaced, state: 'active', progressAtMs: 0 };
}

/** Lets a send move at 2.5 MB/s; answers when it ended. */
function move(slots: UploadSlots, send: Send, fromMs: number, ms: number): number {
  for (let atMs = fromMs; atMs < fromMs + ms; atMs += 25) {
    slots.moved(send, 62_500, atMs);
    slots.tick(atMs, false);
  }
  return fromMs + ms;
}

describe('the slots of an uplink', () => {
  it('are one while the oldest send moves, on a path without slow start', () => {
    const slots = slotsOf();
    const send = sendOf(0);
    slots.started(send, 0);
    const nowMs = move(slots, send, 0, 3_000);
    expect(slots.shape(nowMs)).toMatchObject({ slots: 1, pipeline: 2 });
    expect(slots.shape(nowMs).chunkMs).toBeCloseTo(CHUNK / 2_500, 0);
  });

  it('are one more as soon as nothing has moved for longer than the path explains, and one less when that was of no use', () => {
    const slots = slotsOf();
    const [first, second] = [sendOf(0), sendOf(1)];
    slots.started(first, 0);
    let nowMs = move(slots, first, 0, 2_000);
    expect(slots.shape(nowMs).slots).toBe(1);
    while (slots.shape(nowMs).slots < 2 && nowMs < 2_100) slots.tick(++nowMs, true);
    expect(slots.shape(nowMs).slots).toBe(2);
    slots.started(second, nowMs);
    nowMs = move(slots, first, nowMs, 3 * UP_FEEDBACK_MS);
    expect(slots.shape(nowMs).slots).toBe(1);
  });

  it('are more when the uplink stands idle while credits are taken, and not when most come back', () => {
    const [taken, declined] = [true, false].map((isTaken) => {
      const slots = slotsOf();
      const send = sendOf(0);
      let nowMs = 0;
      for (let turn = 0; turn < 40; turn++) {
        slots.started(send, nowMs);
        nowMs = move(slots, send, nowMs, 100);
        slots.ended(send, nowMs);
        slots.answered(isTaken);
        slots.watchIdle(true, nowMs);
        nowMs += 50;
        slots.watchIdle(false, nowMs);
        slots.tick(nowMs, true);
      }
      return slots.shape(nowMs).slots;
    });
    expect(taken).toBeGreaterThan(1);
    expect(declined).toBe(1);
  });

  it('do not take what receivers with a pace are sent for what the uplink can give', () => {
    const slots = slotsOf();
    const [paced, free] = [sendOf(0, true), sendOf(1)];
    const before = slots.shape(0).chunkMs;
    for (let atMs = 0; atMs < 10_000; atMs += 100) slots.moved(paced, 1_000, atMs);
    expect(slots.shape(10_000).chunkMs).toBe(before);
    slots.started(free, 10_000);
    const nowMs = move(slots, free, 10_000, 2_000);
    const fast = slots.shape(nowMs).chunkMs;
    slots.ended(free, nowMs);
    for (let atMs = nowMs; atMs < nowMs + 60_000; atMs += 100) slots.moved(paced, 1_000, atMs);
    expect(slots.shape(nowMs + 60_000).chunkMs).toBeCloseTo(fast, 0);
  });
});
