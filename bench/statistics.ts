/** What is said of a handful of measured values: the middle, and how far the others lie. No means: one disturbed run would move them. */
import { ShoalError } from '../src/errors.ts';

export interface Summary {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly count: number;
}

/** The middle value; of an even number of values the mean of the two in the middle. Throws `usage` for none or for what is not finite. */
export function median(values: readonly number[]): number {
  return summarize(values).median;
}

export function summarize(values: readonly number[]): Summary {
  if (values.length === 0) throw new ShoalError('usage', 'there is no median of nothing: give at least one run');
  const unusable = values.find((value) => !Number.isFinite(value));
  if (unusable !== undefined) throw new ShoalError('usage', `${unusable} cannot be one of the measured values`);
  const sorted = values.toSorted((a, b) => a - b);
  const at = (index: number): number => sorted[index] ?? Number.NaN;
  const half = Math.floor(sorted.length / 2);
  return {
    median: sorted.length % 2 === 1 ? at(half) : (at(half - 1) + at(half)) / 2,
    min: at(0),
    max: at(sorted.length - 1),
    count: sorted.length,
  };
}

/** `2.31 (2.20-2.58)`; one value alone has no range. */
export function summaryText({ median, min, max, count }: Summary, digits: number): string {
  const middle = median.toFixed(digits);
  return count === 1 ? middle : `${middle} (${min.toFixed(digits)}-${max.toFixed(digits)})`;
}
