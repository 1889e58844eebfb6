import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ShoalError } from '../src/errors.ts';
import { median, summarize, summaryText } from './statistics.ts';

const measured = fc.array(fc.double({ min: 0, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 20 });

describe('summarize', () => {
  test('takes the middle of an odd number and the mean of the two in the middle of an even one', () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 3, 2])).toBe(2.5);
    expect(median([7])).toBe(7);
  });

  test('sorts as numbers, not as text', () => {
    expect(summarize([10, 9, 100])).toEqual({ median: 10, min: 9, max: 100, count: 3 });
  });

  test('leaves the values it was given in their order', () => {
    const values = [3, 1, 2];
    summarize(values);
    expect(values).toEqual([3, 1, 2]);
  });

  test('does not depend on the order of the runs, and lies between the extremes', () => {
    fc.assert(
      fc.property(measured, (values) => {
        const summary = summarize(values);
        expect(summarize(values.toReversed())).toEqual(summary);
        expect(summary.median).toBeGreaterThanOrEqual(summary.min);
        expect(summary.median).toBeLessThanOrEqual(summary.max);
      }),
    );
  });

  test('is not moved by one disturbed run out of five', () => {
    expect(median([2, 2.1, 2.2, 2.3, 60])).toBe(2.2);
  });

  test('refuses no values, and values that are none', () => {
    expect(() => summarize([])).toThrow(ShoalError);
    expect(() => summarize([1, Number.NaN])).toThrow('NaN');
  });
});

test('a summary is written with its range, a single run without', () => {
  expect(summaryText(summarize([2, 1, 3]), 2)).toBe('2.00 (1.00-3.00)');
  expect(summaryText(summarize([2]), 1)).toBe('2.0');
});
