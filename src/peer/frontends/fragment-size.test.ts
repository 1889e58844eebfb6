import { expect, test } from 'vitest';
import { FRAGMENT_BYTES_MAX, LARGE_FRAGMENT_BYTES_MAX } from '../../limits.ts';
import { FEATURE_LARGE_FRAGMENTS, FEATURE_PACE } from '../../wire/frame.ts';
import { fragmentBytesMax } from './fragment-size.ts';

test('large fragments go to peers that said they take them, over links that take writes at once', () => {
  expect(fragmentBytesMax(FEATURE_LARGE_FRAGMENTS | FEATURE_PACE, true)).toBe(LARGE_FRAGMENT_BYTES_MAX);
  expect(fragmentBytesMax(FEATURE_LARGE_FRAGMENTS | FEATURE_PACE, false)).toBe(FRAGMENT_BYTES_MAX);
  expect(fragmentBytesMax(FEATURE_PACE, true)).toBe(FRAGMENT_BYTES_MAX);
});
