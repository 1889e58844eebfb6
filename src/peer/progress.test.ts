import { expect, test } from 'vitest';
import { ProgressMeter } from './progress.ts';

function createMeter(total: number, resumedBytes = 0) {
  const clock = { nowMs: 0 };
  return { clock, meter: new ProgressMeter('a.bin', total, resumedBytes, () => clock.nowMs) };
}

const WHY = { bottleneck: 'source', reasons: { choked: 2 } } as const;

test('what was there from an earlier run counts as had, but not as speed', () => {
  const { meter } = createMeter(1_000, 400);
  expect(meter.now(2, null, WHY)).toEqual({
    name: 'a.bin',
    bytes: 400,
    total: 1_000,
    bytesPerSecond: 0,
    peers: 2,
    etaSeconds: null,
    stalled: null,
    ...WHY,
  });
});

test('a steady rate is measured, and the rest is told in seconds', () => {
  const { clock, meter } = createMeter(100_000_000);
  for (clock.nowMs = 0; clock.nowMs < 5_000; clock.nowMs += 100) meter.gained(1_000_000);
  const { bytes, bytesPerSecond, etaSeconds } = meter.now(1, null, WHY);
  expect(bytes).toBe(50_000_000);
  expect(bytesPerSecond).toBeGreaterThan(8_000_000);
  expect(bytesPerSecond).toBeLessThan(12_000_000);
  expect(etaSeconds).toBe(Math.ceil(50_000_000 / bytesPerSecond));
  expect(meter.seconds).toBe(5);
});

test('at the end nothing is left to wait for', () => {
  const { meter } = createMeter(10);
  meter.gained(10);
  expect(meter.now(0, null, WHY)).toMatchObject({ bytes: 10, etaSeconds: 0 });
  expect(createMeter(0).meter.now(0, null, WHY).etaSeconds).toBe(0);
});

test('a chunk that was lost again is not had, and the reason of a stall is passed on', () => {
  const { meter } = createMeter(10);
  meter.gained(8);
  meter.lost(4);
  expect(meter.now(0, 'no-source', WHY)).toMatchObject({ bytes: 4, stalled: 'no-source' });
});
