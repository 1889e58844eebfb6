/**
 * What a transfer waits for most: looked at now and then, by what holds things up at that moment, and answered by what did so for
 * most of the last moments.
 *
 * A receiver sees the far end of a path and not its middle. It knows its own disk, digests and limit; that its own link is too slow
 * (`link-down`) it infers when the sources share a bottleneck (shared-link.ts). Whatever else it waits for is the sources' (`source`):
 * their uplinks, their limits, their other receivers, or that there are none. With a single source its uplink and our downlink look
 * the same.
 */
import { BOTTLENECK_HALF_LIFE_MS } from '../limits.ts';
import { DecayingSum } from './estimators.ts';
import type { WaitingFacts } from './chunk-reasons.ts';

export const BOTTLENECKS = ['disk', 'hash', 'link-up', 'link-down', 'source', 'rate-limit'] as const;
export type Bottleneck = (typeof BOTTLENECKS)[number];

/** A moment of a download. */
export interface DownloadFacts extends WaitingFacts {
  /** All sources that have something for us are at it, and what one gains another loses. */
  readonly isLinkShared: boolean;
}

/** What holds a download up at this moment. */
export function downloadBottleneck(facts: DownloadFacts): Bottleneck {
  if (facts.isDiskPaused) return 'disk';
  if (facts.isCheckingFull) return facts.writingCount > facts.hashingCount ? 'disk' : 'hash';
  if (facts.isRateLimited) return 'rate-limit';
  return facts.isLinkShared ? 'link-down' : 'source';
}

/** A moment of a node that serves a content. */
export interface UploadFacts {
  /** Sends that wait for their chunk to be read. */
  readonly readingCount: number;
  /** Sends that have bytes ready. */
  readonly sendingCount: number;
  /** Bytes are ready and only the limit holds them back. */
  readonly isHeldByLimit: boolean;
}

/** What holds an upload up at this moment; null: nobody wants more than is being sent. */
export function uploadBottleneck(facts: UploadFacts): Bottleneck | null {
  if (facts.readingCount + facts.sendingCount === 0) return null;
  if (facts.readingCount > facts.sendingCount) return 'disk';
  return facts.isHeldByLimit ? 'rate-limit' : 'link-up';
}

/** Remembers moments, the older the fainter. */
export class BottleneckMeter {
  readonly #weights = new Map<Bottleneck, DecayingSum>();

  add(nowMs: number, cause: Bottleneck): void {
    const weight = this.#weights.get(cause) ?? new DecayingSum(BOTTLENECK_HALF_LIFE_MS);
    this.#weights.set(cause, weight);
    weight.add(nowMs, 1);
  }

  /** What was seen most of late; null before anything was. */
  at(nowMs: number): Bottleneck | null {
    let most: Bottleneck | null = null;
    let weightMost = 0;
    for (const [cause, sum] of this.#weights) {
      const weight = sum.at(nowMs);
      if (weight <= weightMost) continue;
      most = cause;
      weightMost = weight;
    }
    return most;
  }
}
