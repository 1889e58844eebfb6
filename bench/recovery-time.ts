/** How long a transfer was slower than before something happened, from what had arrived when. Pure. */
import { ShoalError } from '../src/errors.ts';

export interface Arrived {
  readonly atMs: number;
  /** In all, until then. */
  readonly bytes: number;
}

export interface Recovery {
  readonly bytesPerSecondBefore: number;
  /** From the fault to the beginning of the first stretch of STRETCH_MS at nine tenths of the speed before. */
  readonly secondsToFullSpeed: number;
  /** What is missing of the bytes that the speed before would have brought, in seconds of that speed. */
  readonly secondsLost: number;
}

const STRETCH_MS = 1_000;
const STEP_MS = 50;
const FULL = 0.9;

/** Throws `stalled` when full speed does not come back within `afterMs`. */
export function recoveryOf(
  arrived: readonly Arrived[],
  { faultAtMs, beforeMs, afterMs }: { readonly faultAtMs: number; readonly beforeMs: number; readonly afterMs: number },
): Recovery {
  const at = (ms: number): number => bytesAt(arrived, ms);
  const before = ((at(faultAtMs) - at(faultAtMs - beforeMs)) * 1000) / beforeMs;
  const endMs = faultAtMs + afterMs;
  let backAtMs = faultAtMs;
  while (((at(backAtMs + STRETCH_MS) - at(backAtMs)) * 1000) / STRETCH_MS < FULL * before) {
    backAtMs += STEP_MS;
    if (backAtMs + STRETCH_MS > endMs)
      throw new ShoalError('stalled', `full speed did not come back within ${afterMs / 1000} s`);
  }
  return {
    bytesPerSecondBefore: before,
    secondsToFullSpeed: (backAtMs - faultAtMs) / 1000,
    secondsLost: afterMs / 1000 - (at(endMs) - at(faultAtMs)) / before,
  };
}

/** Between two reports bytes are taken to come evenly. */
function bytesAt(arrived: readonly Arrived[], ms: number): number {
  const after = arrived.findIndex(({ atMs }) => atMs >= ms);
  const next = arrived[after];
  const last = after < 0 ? arrived.at(-1) : arrived[after - 1];
  if (next === undefined || last === undefined) return last?.bytes ?? next?.bytes ?? 0;
  return last.bytes + ((next.bytes - last.bytes) * (ms - last.atMs)) / (next.atMs - last.atMs);
}
