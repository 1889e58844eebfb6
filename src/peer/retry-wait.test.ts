import fc from 'fast-check';
import { expect, test } from 'vitest';
import * as limits from '../limits.ts';
import { retryWaitMs } from './retry-wait.ts';

test('waits double from the least to the most', () => {
  const waits = [1, 2, 3, 4, 5, 6, 7].map((failures) =>
    retryWaitMs({ failures, random: () => 1, minMs: 500, maxMs: 15_000 }),
  );
  expect(waits).toEqual([500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000]);
});

test('half of the wait is drawn', () => {
  expect(retryWaitMs({ failures: 3, random: () => 0, minMs: 500 })).toBe(1_000);
});

test('stays within its bounds for any number of failures', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: -1, max: 1e9 }),
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      (failures, drawn) => {
        const waitMs = retryWaitMs({ failures, random: () => drawn });
        expect(waitMs).toBeGreaterThanOrEqual(limits.TRACKER_RETRY_MIN_MS / 2);
        expect(waitMs).toBeLessThanOrEqual(limits.TRACKER_RETRY_MAX_MS);
      },
    ),
  );
});
