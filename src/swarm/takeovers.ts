/**
 * Which request is taken from the queue it waits in to a source that can begin sooner. A chunk is chosen late, but a request that waits at a busy
 * uploader binds it all the same, and at the start of a crowd, when there are few chunks, everything that an idle uploader has is often bound like
 * that. Only what has not begun to come is moved, so nothing is received twice.
 */
import { TAKEOVER_GAIN_MIN_MS } from '../limits.ts';
import type { SwarmContext } from './context.ts';
import type { Neighbour, Request } from './neighbour.ts';
import type { RequestLedger } from './requests.ts';

/**
 * The request that gains most when this neighbour, whose grant says that it begins in `etaMs`, sends its chunk instead; undefined when none gains
 * TAKEOVER_GAIN_MIN_MS.
 */
export function requestToTakeOver(
  { neighbours, roundTrips }: Pick<SwarmContext, 'neighbours' | 'roundTrips'>,
  ledger: RequestLedger,
  neighbour: Neighbour,
  etaMs: number,
  nowMs: number,
): Request | undefined {
  const pathMs = ({ rttFloorMs }: Neighbour): number => rttFloorMs ?? roundTrips.medianMs;
  let latest: Request | undefined;
  let latestMs = nowMs + etaMs + pathMs(neighbour) + TAKEOVER_GAIN_MIN_MS;
  for (const [chunkIndex, [request, second]] of ledger.chunks()) {
    if (request?.state !== 'open' || request.receivedBytes > 0 || second !== undefined) continue;
    const source = neighbours.get(request.link);
    if (source === undefined || source === neighbour || !neighbour.theirs.has(chunkIndex)) continue;
    const expectedMs = request.requestedAtMs + request.etaMs + pathMs(source);
    if (expectedMs <= latestMs) continue;
    latestMs = expectedMs;
    latest = request;
  }
  return latest;
}
