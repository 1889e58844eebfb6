/** How long to wait before the next attempt: doubled each time up to a limit, with jitter so that a crowd does not come back at once. Pure. */
import * as limits from '../limits.ts';

export interface RetryWaitOptions {
  /** Attempts that have failed in a row, from 1. */
  readonly failures: number;
  /** From 0 to below 1. */
  readonly random: () => number;
  readonly minMs?: number;
  readonly maxMs?: number;
}

/** Half of the wait is certain, half is drawn: from 50 % to 100 % of `min * 2^(failures - 1)`, at most `max`. */
export function retryWaitMs(options: RetryWaitOptions): number {
  const { failures, random, minMs = limits.TRACKER_RETRY_MIN_MS, maxMs = limits.TRACKER_RETRY_MAX_MS } = options;
  // beyond 2^30 the limit has long been reached, and the power would lose its meaning
  const doubled = minMs * 2 ** Math.min(Math.max(failures, 1) - 1, 30);
  const wholeMs = Math.min(doubled, maxMs);
  return Math.round(wholeMs / 2 + (wholeMs / 2) * random());
}
