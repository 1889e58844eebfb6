/**
 * The pace of progress events: never two within PROGRESS_MIN_INTERVAL_MS, never a silence longer than PROGRESS_MAX_INTERVAL_MS while
 * the transfer runs, and the last one tells how it ended. Knows nothing of what progress looks like.
 */
import { PROGRESS_MAX_INTERVAL_MS, PROGRESS_MIN_INTERVAL_MS } from '../limits.ts';

export interface Clock {
  now(): number;
  /** Runs `task` once, later; answers how to take it back. */
  after(delayMs: number, task: () => void): () => void;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  after(delayMs, task) {
    const timer = setTimeout(task, delayMs);
    return () => clearTimeout(timer);
  },
};

export interface ProgressPace<T> {
  offer(value: T): void;
  /** Ends the pace; `last`, when given, is emitted whatever came before. */
  close(last?: T): void;
}

/** A little above the minimum: the last event comes whenever the transfer ends, and still no second has more than it may have. */
const EMIT_AFTER_MS = PROGRESS_MIN_INTERVAL_MS + 15;
/** A little below the maximum: timers are late, never early. */
const REPEAT_AFTER_MS = PROGRESS_MAX_INTERVAL_MS - 100;

export function createProgressPace<T>(emit: (value: T) => void, clock: Clock = systemClock): ProgressPace<T> {
  let latest: { readonly value: T } | undefined;
  let emittedAtMs = Number.NEGATIVE_INFINITY;
  let cancel: (() => void) | undefined;
  let waiting = false;

  const flush = (): void => {
    cancel?.();
    if (latest === undefined) return;
    waiting = false;
    emittedAtMs = clock.now();
    cancel = clock.after(REPEAT_AFTER_MS, flush);
    emit(latest.value);
  };
  return {
    offer(value) {
      latest = { value };
      if (waiting) return;
      const sinceMs = clock.now() - emittedAtMs;
      if (sinceMs >= EMIT_AFTER_MS) {
        flush();
        return;
      }
      cancel?.();
      waiting = true;
      cancel = clock.after(EMIT_AFTER_MS - sinceMs, flush);
    },
    close(last) {
      cancel?.();
      latest = undefined;
      if (last !== undefined) emit(last);
    },
  };
}
