/** Speed from a count that only grows, for the bars whose source does not tell one. */

const WINDOW_MS = 2_000;
const SAMPLES_MAX = 64;

/** Answers bytes a second over the last two seconds, each time the count is given. */
export function createRateEstimate(now: () => number): (byteCount: number) => number {
  const samples: { readonly atMs: number; readonly byteCount: number }[] = [];
  return (byteCount) => {
    const atMs = now();
    samples.push({ atMs, byteCount });
    while (samples.length > SAMPLES_MAX || (samples.length > 2 && atMs - (samples[1]?.atMs ?? atMs) >= WINDOW_MS))
      samples.shift();
    const first = samples[0];
    if (first === undefined || atMs <= first.atMs) return 0;
    return Math.max(0, ((byteCount - first.byteCount) / (atMs - first.atMs)) * 1000);
  };
}
