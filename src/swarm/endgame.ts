/**
 * The end-game by expected completion time: when nothing is left to request, a chunk that crawls towards us is asked of a faster
 * holder too. One decision, no state: numbers in, at most one better source out.
 */
import {
  ENDGAME_GAIN_MIN_MS,
  ENDGAME_GAIN_MIN_SHARE,
  SOURCE_RATE_UNKNOWN_BYTES_PER_SECOND,
  UNPROVEN_SOURCE_DOUBT_MS,
} from '../limits.ts';
import { median } from './estimators.ts';
import type { Neighbour, Request } from './neighbour.ts';

/** Milliseconds from now until an open request will be whole at its source's usual rate. */
export function remainingMs(neighbour: Neighbour, request: Request, medianRate: number, nowMs: number): number {
  const rate = measuredRate(neighbour, request, nowMs) ?? medianRate;
  const waitMs =
    request.receivedBytes === 0 ? Math.max(0, (neighbour.grantWaitMs.value ?? 0) - (nowMs - request.requestedAtMs)) : 0;
  const silentMs = nowMs - request.lastByteAtMs;
  const doubtMs = neighbour.receivedBytes === 0 ? UNPROVEN_SOURCE_DOUBT_MS : 0;
  return (
    doubtMs + waitMs + ((request.byteCount - request.receivedBytes) * 1000) / rate + (silentMs > 500 ? silentMs : 0)
  );
}

/** Milliseconds from now until a new request for `byteCount` bytes at this neighbour would be whole. */
export function expectedMs(neighbour: Neighbour, byteCount: number, medianRate: number): number {
  const queuedBytes = [...neighbour.requests.values()].reduce(
    (sum, one) => sum + (one.state === 'open' ? one.byteCount - one.receivedBytes : 0),
    0,
  );
  const rate = neighbour.rate.value ?? medianRate;
  const doubtMs = neighbour.receivedBytes === 0 ? UNPROVEN_SOURCE_DOUBT_MS : 0;
  return (
    doubtMs +
    1.5 * (neighbour.rttMs ?? 50) +
    (neighbour.grantWaitMs.value ?? 0) +
    ((byteCount + queuedBytes) * 1000) / rate
  );
}

export function medianRateOf(neighbours: Iterable<Neighbour>): number {
  const rates: number[] = [];
  for (const neighbour of neighbours) if (neighbour.rate.value !== undefined) rates.push(neighbour.rate.value);
  return median(rates, SOURCE_RATE_UNKNOWN_BYTES_PER_SECOND);
}

/** Whether asking `other` too is worth it. */
export function isWorthASecondSource(oldMs: number, newMs: number): boolean {
  return newMs < oldMs - Math.max(ENDGAME_GAIN_MIN_MS, oldMs * ENDGAME_GAIN_MIN_SHARE);
}

/** The lower of the neighbour's usual rate and what this request shows of it so far. */
function measuredRate(neighbour: Neighbour, request: Request, nowMs: number): number | undefined {
  const usual = neighbour.rate.value;
  if (request.receivedBytes === 0) return usual;
  const seen = (request.receivedBytes * 1000) / Math.max(1, nowMs - request.firstByteAtMs);
  if (usual === undefined) return nowMs - request.firstByteAtMs > 200 ? Math.max(seen, 1) : undefined;
  return Math.max(1, Math.min(usual, seen));
}
