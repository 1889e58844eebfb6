import { describe, expect, it } from 'vitest';
import { DialPlan } from './dial-plan.ts';
import type { Candidate } from './facts.ts';
import { createRandom } from './random.ts';

const candidate = (key: string): Candidate => ({ key, addresses: [`${key}:1`], dialect: 'native', complete: true });
const anybody = (): boolean => true;

describe('DialPlan', () => {
  it('hands out every candidate once, and those that are allowed only', () => {
    const plan = new DialPlan(createRandom(1));
    plan.learn([candidate('a'), candidate('b'), candidate('c')], true, 0);
    const first = [plan.next(0, ({ key }) => key !== 'b'), plan.next(0, ({ key }) => key !== 'b')].map(
      (one) => one?.key,
    );
    expect(new Set(first)).toEqual(new Set(['a', 'c']));
    expect(plan.next(0, ({ key }) => key !== 'b')).toBeUndefined();
    expect(plan.next(0, anybody)?.key).toBe('b');
    expect(plan.diallingCount).toBe(3);
  });

  it('waits twice as long after every failure, gives up after eight, and forgives when the tracker lists the peer again', () => {
    const plan = new DialPlan(createRandom(1));
    plan.learn([candidate('a')], true, 0);
    let nowMs = 0;
    for (let failure = 0; failure < 8; failure++) {
      expect(plan.next(nowMs, anybody)?.key).toBe('a');
      plan.failed('a', nowMs);
      const waitMs = Math.min(60_000, 1_000 * 2 ** failure);
      expect(plan.next(nowMs + waitMs * 0.49, anybody)).toBeUndefined();
      if (failure < 7) {
        expect(plan.nextReadyAtMs()).toBeGreaterThanOrEqual(nowMs + waitMs * 0.5);
        expect(plan.nextReadyAtMs()).toBeLessThanOrEqual(nowMs + waitMs * 1.5);
        nowMs = plan.nextReadyAtMs();
      }
    }
    expect(plan.nextReadyAtMs()).toBe(Number.POSITIVE_INFINITY);
    expect(plan.hopefulCount).toBe(0);
    plan.learn([candidate('a')], false, nowMs);
    expect(plan.hopefulCount).toBe(0);
    plan.learn([candidate('a')], true, nowMs);
    expect(plan.next(nowMs, anybody)?.key).toBe('a');
  });

  it('does not punish a normal end', () => {
    const plan = new DialPlan(createRandom(1));
    plan.learn([candidate('a')], true, 0);
    plan.next(0, anybody);
    plan.linked('a');
    expect(plan.next(1, anybody)).toBeUndefined();
    plan.ended('a', 10, 2_000);
    expect(plan.next(2_009, anybody)).toBeUndefined();
    expect(plan.next(2_010, anybody)?.key).toBe('a');
  });

  it('keeps a bounded number of candidates', () => {
    const plan = new DialPlan(createRandom(1));
    plan.learn(
      Array.from({ length: 600 }, (_, index) => candidate(`p${index}`)),
      false,
      0,
    );
    expect(plan.hopefulCount).toBe(500);
  });
});
