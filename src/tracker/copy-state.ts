/** What is known of the copies of one content that volunteers keep, and which of it is news. */
import type { Bitfield } from '../content/bitfield.ts';
import type { DueNode } from './due-queue.ts';
import type { EventType } from './event-log.ts';
import type { ContentRecord, Holding, PeerRecord } from './records.ts';
import type { ReplicaPlan } from './replica-plan.ts';

/** Space that a peer offers for copies of what others share. */
export interface VolunteerOffer {
  /** In all. Less than `usedBytes`: it wants to be rid of some. */
  readonly offeredBytes: number;
  /** Of the chunks that it keeps as replicas. */
  readonly usedBytes: number;
  /** It did not do what it was ordered to, and is ordered nothing for a while. */
  readonly isPaused: boolean;
}

interface Held {
  readonly holding: Holding;
  chunkCount: number;
}

export class CopyState {
  /** Copies of every chunk that there are to be. */
  goal = 0;
  /** By the last plan: copies that count of the rarest chunk, chunks with too few, and those of them that nobody has room for. */
  reached = 0;
  missing: number;
  unplaced = 0;
  /** When somebody who keeps some of it has come or gone last. */
  changedAtMs: number;
  /** Volunteers that have some of it. */
  readonly holders = new Map<PeerRecord, Held>();
  /** What those had that are away, by their key. */
  readonly away = new Map<string, Bitfield | null>();
  /** Volunteers that have orders about it. */
  readonly ordered = new Set<PeerRecord>();
  trim: DueNode<ContentRecord> | undefined;
  /** Chunks that were missing when it was counted last; undefined: it is not among the totals. See replica-totals.ts. */
  countedMissing: number | undefined;
  /** Restored from the store: that it has its copies is no news. */
  #isSilent: boolean;
  #wasReached = false;

  constructor(chunkCount: number, nowMs: number, isSilent: boolean) {
    this.missing = chunkCount;
    this.changedAtMs = nowMs;
    this.#isSilent = isSilent;
  }

  /** A volunteer has some of it. Says whether it has more than before. */
  held(holding: Holding, nowMs: number): boolean {
    const { peer, chunks, content } = holding;
    const chunkCount = chunks?.count ?? content.chunkCount;
    const known = this.holders.get(peer);
    this.away.delete(peer.key);
    if (known?.holding !== holding) {
      this.holders.set(peer, { holding, chunkCount });
      this.changedAtMs = nowMs;
      return chunkCount > 0;
    }
    const grew = chunkCount > known.chunkCount;
    known.chunkCount = chunkCount;
    return grew;
  }

  /** A volunteer has none of it any more. Says whether it had. */
  ended(peer: PeerRecord, nowMs: number): boolean {
    if (!this.holders.delete(peer)) return false;
    this.changedAtMs = nowMs;
    return true;
  }

  /** Takes in a plan; says what of it is worth an event. */
  learn({
    reached,
    missing,
    unplaced,
  }: ReplicaPlan): Extract<EventType, 'replicated' | 'under-replicated'> | undefined {
    const wasUnplaced = this.unplaced > 0;
    const { goal } = this;
    this.reached = Math.min(reached, goal);
    this.missing = missing;
    this.unplaced = unplaced;
    const isReached = goal > 0 && missing === 0;
    const wasReached = this.#wasReached;
    const isSilent = this.#isSilent;
    this.#wasReached = isReached;
    this.#isSilent = false;
    if (goal === 0) return undefined;
    if (isReached) return wasReached || isSilent ? undefined : 'replicated';
    // what was only just asked for is on its way, unless nobody has room for it
    return wasReached || isSilent || (unplaced > 0 && !wasUnplaced) ? 'under-replicated' : undefined;
  }
}
