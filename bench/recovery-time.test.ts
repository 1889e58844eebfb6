import { expect, test } from 'vitest';
import { recoveryOf } from './recovery-time.ts';

/** 100 bytes every 100 ms, but for a gap. */
function arrivals(gapFromMs: number, gapToMs: number): { atMs: number; bytes: number }[] {
  let bytes = 0;
  return Array.from({ length: 150 }, (_, index) => {
    const atMs = index * 100;
    if (atMs <= gapFromMs || atMs > gapToMs) bytes += 100;
    return { atMs, bytes };
  });
}

const options = { faultAtMs: 5_000, beforeMs: 3_000, afterMs: 8_000 };

test('a transfer that does not notice has lost nothing', () => {
  const { secondsToFullSpeed, secondsLost, bytesPerSecondBefore } = recoveryOf(arrivals(0, 0), options);
  expect(bytesPerSecondBefore).toBeCloseTo(1000, 5);
  expect(secondsToFullSpeed).toBe(0);
  expect(secondsLost).toBeCloseTo(0, 5);
});

test('a gap counts from the fault, and as lost time', () => {
  const { secondsToFullSpeed, secondsLost } = recoveryOf(arrivals(5_000, 7_000), options);
  expect(secondsToFullSpeed).toBeCloseTo(1.9, 1);
  expect(secondsLost).toBeCloseTo(2, 1);
});

test('a transfer that never comes back is an error, not a figure', () => {
  expect(() => recoveryOf(arrivals(5_000, 100_000), options)).toThrow(/did not come back/u);
});
