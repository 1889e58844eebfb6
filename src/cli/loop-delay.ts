/** How long the main thread kept others waiting: for benchmarks, which ask for it with `SHOAL_LOOP_DELAY=1`. */
import { monitorEventLoopDelay } from 'node:perf_hooks';

export interface LoopDelay {
  /** In milliseconds beyond the time that was due. */
  readonly maxMs: number;
  readonly p99Ms: number;
}

/** The finest the system's timers can do. */
const RESOLUTION_MS = 1;

/** From now until the function returned is called; undefined when nobody asks. */
export function watchLoopDelay(env: NodeJS.ProcessEnv): (() => LoopDelay) | undefined {
  if (env['SHOAL_LOOP_DELAY'] !== '1') return undefined;
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  histogram.enable();
  return () => {
    histogram.disable();
    const beyond = (nanoseconds: number): number => Math.max(0, Math.round(nanoseconds / 1e4) / 100 - RESOLUTION_MS);
    return { maxMs: beyond(histogram.max), p99Ms: beyond(histogram.percentile(99)) };
  };
}
