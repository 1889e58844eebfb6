/**
 * Which online peer has which chunks of which content: the one place where a peer joins, changes in and leaves a swarm, so that the
 * peer's list, the content's swarm, the idle queue and the events never disagree. Counts them against the limit.
 */
import { Bitfield } from '../content/bitfield.ts';
import { ShoalError } from '../errors.ts';
import * as limits from '../limits.ts';
import { formatAddress } from './addresses.ts';
import type { Catalogue } from './catalogue.ts';
import { ContentSwarm } from './content-swarm.ts';
import type { EventLog } from './event-log.ts';
import type { ContentRecord, Holding, PeerRecord } from './records.ts';
import { SwarmHealth } from './swarm-health.ts';

/** Whoever has to know of every change. */
export interface HoldingWatcher {
  holdingChanged(holding: Holding): void;
  holdingEnded(holding: Holding): void;
}

export class Holdings {
  readonly #catalogue: Catalogue;
  readonly #events: EventLog;
  readonly #max: number;
  readonly #watcher: HoldingWatcher | undefined;
  /** Of all contents. */
  readonly health = new SwarmHealth();
  #count = 0;
  /** Larger than the version of every swarm that has ended. */
  #pastVersion = 0;

  constructor(catalogue: Catalogue, events: EventLog, max = limits.TRACKER_HOLDINGS_MAX, watcher?: HoldingWatcher) {
    this.#watcher = watcher;
    this.#catalogue = catalogue;
    this.#events = events;
    this.#max = max;
  }

  /** (peer, content) pairs. */
  get count(): number {
    return this.#count;
  }

  /** Throws `limit` when these contents would not fit beside what the peer has already. Ask before changing anything. */
  checkRoom(peer: PeerRecord | undefined, contents: Iterable<ContentRecord | undefined>): void {
    let more = 0;
    for (const content of contents) if (content === undefined || peer?.holdings.has(content) !== true) more++;
    if (more === 0 || this.#count + more <= this.#max) return;
    throw new ShoalError(
      'limit',
      `this tracker holds ${this.#count} chunk maps and cannot take ${more} more: try again later`,
    );
  }

  /** Says what a peer has of a content (null: all), in place of what was known. */
  put(
    peer: PeerRecord,
    content: ContentRecord,
    chunks: Bitfield | null,
    { rangeName = '', isReplica = false }: Partial<Pick<Holding, 'rangeName' | 'isReplica'>> = {},
  ): Holding {
    const had = chunks === null || chunks.isFull ? null : chunks;
    const known = peer.holdings.get(content);
    if (known === undefined) return this.#begin(peer, content, had, rangeName, isReplica);
    known.rangeName = rangeName;
    const grew = known.chunks !== null && had === null;
    content.swarm?.replace(known, had, isReplica);
    this.health.changed(content);
    this.#watcher?.holdingChanged(known);
    if (grew) this.announceComplete(known);
    else this.#noteQuarters(known);
    return known;
  }

  /** Adds and removes chunks; the indexes must be in range. */
  change(holding: Holding, gained: readonly number[], lost: readonly number[]): void {
    const wasPartial = holding.chunks !== null;
    holding.content.swarm?.change(holding, gained, lost);
    this.health.changed(holding.content);
    this.#watcher?.holdingChanged(holding);
    if (holding.chunks !== null) this.#noteQuarters(holding);
    else if (wasPartial) this.announceComplete(holding);
  }

  end(holding: Holding, nowMs: number): void {
    const { peer, content } = holding;
    if (!peer.holdings.delete(content)) return;
    this.#count--;
    this.#watcher?.holdingEnded(holding);
    content.swarm?.leave(holding);
    if (content.swarm?.memberCount === 0) {
      this.#pastVersion = Math.max(this.#pastVersion, content.swarm.version + 1);
      content.swarm = undefined;
      this.#catalogue.setIdle(content, nowMs);
    }
    this.health.changed(content);
  }

  endAllOf(peer: PeerRecord, nowMs: number): void {
    for (const holding of peer.holdings.values()) this.end(holding, nowMs);
    peer.newsRound = undefined;
  }

  endAllIn(content: ContentRecord, nowMs: number): void {
    for (const holding of [...(content.swarm?.complete ?? []), ...(content.swarm?.partial ?? [])])
      this.end(holding, nowMs);
  }

  /** Tells those who watch that a peer has got the last chunk of a content. */
  announceComplete(holding: Holding): void {
    this.#events.append('content-complete', {
      ...this.#describe(holding),
      seeders: holding.content.swarm?.complete.length ?? 0,
    });
  }

  #begin(
    peer: PeerRecord,
    content: ContentRecord,
    chunks: Bitfield | null,
    rangeName: string,
    isReplica: boolean,
  ): Holding {
    this.checkRoom(peer, [content]);
    const holding: Holding = {
      ...{ peer, content, chunks, rangeName, isReplica },
      ...{ position: 0, joinedVersion: 0, links: 0, toldVersion: -1, quarters: 0 },
    };
    holding.quarters = quartersOf(holding);
    peer.holdings.set(content, holding);
    this.#count++;
    if (content.swarm === undefined) {
      content.swarm = new ContentSwarm(content.chunkCount, this.#pastVersion);
      this.#catalogue.setIdle(content, undefined);
    }
    content.swarm.join(holding);
    this.health.changed(content);
    this.#watcher?.holdingChanged(holding);
    return holding;
  }

  #noteQuarters(holding: Holding): void {
    const quarters = quartersOf(holding);
    if (quarters <= holding.quarters) return;
    holding.quarters = quarters;
    this.#events.append('milestone', { ...this.#describe(holding), percent: quarters * 25 });
  }

  #describe({ peer, content, isReplica }: Holding): Record<string, unknown> {
    return {
      name: content.entries.at(-1)?.name ?? '',
      content: content.contentId,
      peer: peer.peerId,
      address: peer.addresses[0] === undefined ? '' : formatAddress(peer.addresses[0]),
      replica: isReplica,
    };
  }
}

function quartersOf({ chunks, content }: Holding): number {
  return chunks === null || content.chunkCount === 0 ? 4 : Math.floor((chunks.count * 4) / content.chunkCount);
}
