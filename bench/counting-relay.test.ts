import { expect, test } from 'vitest';
import { meanRate, mostWithin } from './counting-relay.ts';

const passed = [0, 10, 20, 150, 160, 500].map((atMs) => ({ atMs, byteCount: 100 }));

test('the mean is of what passed between two moments', () => {
  expect(meanRate(passed, 0, 1_000)).toBe(600);
  expect(meanRate(passed, 100, 200)).toBe(2_000);
});

test('the fullest window is found wherever it begins', () => {
  expect(mostWithin(passed, 0, 1_000, 100)).toBe(300);
  expect(mostWithin(passed, 15, 1_000, 141)).toBe(300);
  expect(mostWithin(passed, 400, 1_000, 100)).toBe(100);
});
