/**
 * Why chunks do not move, in the words people are shown: every missing chunk either has bytes coming or has one reason. Pure
 * classification of what the download knows; no clock, no state, and for the counts no walk over the chunks.
 */

/**
 * `no-source`: no neighbour has it. `choked`: neighbours have it and none has given us a credit for it yet. `pipeline-full`: as
 * many chunks are on their way as our side takes at a time. `requested`: asked for, waiting for its turn at the source.
 * `slow-source`: its source delivers little or has gone silent, or everybody who has it did. `hashing`: here, its digest is
 * being computed. `disk`: being written, or the disk takes nothing. `rate-limit`: the download limit.
 */
export const CHUNK_REASONS = [
  'no-source',
  'choked',
  'pipeline-full',
  'requested',
  'slow-source',
  'hashing',
  'disk',
  'rate-limit',
] as const;
export type ChunkReason = (typeof CHUNK_REASONS)[number];
export type ReasonCounts = Readonly<Partial<Record<ChunkReason, number>>>;

/** What is known of the chunks that are still to be asked for. */
export interface WaitingFacts {
  /** Writing has failed and is to be tried again. */
  readonly isDiskPaused: boolean;
  /** No more is taken until fewer chunks wait for their digest or the disk. */
  readonly isCheckingFull: boolean;
  readonly hashingCount: number;
  readonly writingCount: number;
  /** The download limit has just refused a grant. */
  readonly isRateLimited: boolean;
  /** Neighbours that have something we miss; of those, how many we told to wait, and how many are snubbed. */
  readonly ableCount: number;
  readonly toldToWaitCount: number;
  readonly snubbedCount: number;
}

/** What is known of a chunk that was asked for. */
export interface RequestFacts {
  readonly state: 'open' | 'hashing' | 'writing';
  readonly receivedBytes: number;
  readonly silentMs: number;
  /** Of this request so far, and of a usual source; undefined where nothing is known. */
  readonly bytesPerSecond: number | undefined;
  readonly usualBytesPerSecond: number | undefined;
}

/** A request without a byte for this long, or at less than this share of the usual rate, has a slow source. */
const SILENT_MS = 1_000;
const SLOW_SHARE = 0.25;

/** Why chunks that somebody has are not asked for. */
export function waitingReason(facts: WaitingFacts): ChunkReason {
  if (facts.isDiskPaused) return 'disk';
  if (facts.isCheckingFull) return facts.writingCount > facts.hashingCount ? 'disk' : 'hashing';
  if (facts.isRateLimited) return 'rate-limit';
  if (facts.ableCount > 0 && facts.snubbedCount === facts.ableCount) return 'slow-source';
  return facts.toldToWaitCount > 0 ? 'pipeline-full' : 'choked';
}

/** Why a chunk that was asked for does not move; null: its bytes are coming. */
export function requestReason(facts: RequestFacts): ChunkReason | null {
  if (facts.state !== 'open') return facts.state === 'writing' ? 'disk' : 'hashing';
  if (facts.receivedBytes === 0) return 'requested';
  if (facts.silentMs >= SILENT_MS) return 'slow-source';
  const { bytesPerSecond, usualBytesPerSecond } = facts;
  if (bytesPerSecond === undefined || usualBytesPerSecond === undefined) return null;
  return bytesPerSecond < usualBytesPerSecond * SLOW_SHARE ? 'slow-source' : null;
}

/** How many chunks do not move for each reason; those whose bytes are coming are not in it. */
export function countReasons(
  waiting: { readonly sourcelessCount: number; readonly otherCount: number; readonly reason: ChunkReason },
  requests: Iterable<ChunkReason | null>,
): ReasonCounts {
  const counts: Partial<Record<ChunkReason, number>> = {};
  const add = (reason: ChunkReason, count: number): void => {
    if (count > 0) counts[reason] = (counts[reason] ?? 0) + count;
  };
  add('no-source', waiting.sourcelessCount);
  add(waiting.reason, waiting.otherCount);
  for (const reason of requests) if (reason !== null) add(reason, 1);
  return counts;
}
