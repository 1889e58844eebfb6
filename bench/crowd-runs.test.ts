import { expect, test } from 'vitest';
import { fluidBoundSeconds } from './crowd-runs.ts';

test('with equal links the fluid bound is the time in which the source sends the file once, however many leech', () => {
  for (const leecherCount of [1, 8, 1000]) expect(fluidBoundSeconds(100e6, leecherCount, 10e6)).toBe(10);
});
