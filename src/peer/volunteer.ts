/**
 * A node that keeps copies of what others share: does what the tracker orders with its renewals, within the space that was offered and
 * the space that the disk has. Fetches the chunks it is ordered and no others, a few contents at a time, verifies and keeps them in its
 * data directory, serves and announces them, and has them again after a restart.
 *
 * All orders of one answer together are what is to be fetched now. A drop is carried out when the answer after says it again: what the
 * tracker saw a moment ago may not be so any more. A content that the tracker does not know (any more) is an *orphan*: kept as long as
 * there is room, told again now and then, and the first to go when an order needs the room.
 */
import { Bitfield } from '../content/bitfield.ts';
import { chunkBytes } from '../content/chunk-layout.ts';
import type { ContentId } from '../content/digest.ts';
import type { Manifest } from '../content/manifest.ts';
import { ShoalError } from '../errors.ts';
import {
  DISK_RESERVE_BYTES,
  RELOCATE_MS,
  REPLICA_FETCHES_MAX,
  REPLICA_ORDER_CHUNKS_MAX,
  REPLICA_ORDER_CONTENTS_MAX,
  REPLICA_ORPHAN_RETRY_MS,
} from '../limits.ts';
import { ReplicaStore, type StoredReplica } from '../storage/replica-store.ts';
import type { Announcer } from './announcer.ts';
import type { VolunteerOptions, VolunteerStatus } from './api.ts';
import type { Ban, ChunkStore, ContentSession, SessionEvents } from './content-session.ts';
import { findContent, type FindHost } from './find-content.ts';
import type { ReplicaOrder, VolunteerOffer } from './tracker-client.ts';
import { candidatesOf } from './transfer.ts';

export interface VolunteerHost extends FindHost {
  readonly announcer: Pick<Announcer, 'put' | 'drop' | 'touch'>;
  readonly signal: AbortSignal;
  writeChunk(descriptor: number, bytes: Uint8Array, position: number): Promise<void>;
  /** Whether this node has the content for other reasons: shared, or as a download. */
  isBusyWith(contentId: ContentId): boolean;
  /** The session of a replica that is open; undefined: none is. */
  session(contentId: ContentId): ContentSession | undefined;
  /** Opens one that serves `have` and fetches `wanted` besides. */
  open(plan: ReplicaSessionPlan): ContentSession;
  /** Nothing more is fetched in it: it is closed when nobody uses it. */
  settle(contentId: ContentId): void;
  close(replica: { readonly name: string; readonly manifest: Manifest }): Promise<void>;
  report(contentId: ContentId, ban: Ban): void;
}

export interface ReplicaSessionPlan {
  readonly name: string;
  readonly manifest: Manifest;
  readonly have: Bitfield;
  readonly wanted: Bitfield;
  readonly store: ChunkStore;
  readonly events: Omit<SessionEvents, 'dial' | 'probe'>;
}

interface Kept {
  readonly name: string;
  readonly stored: StoredReplica;
  /** Ordered, and not there yet. */
  wanted: Bitfield;
  /** What the last answer said may go. */
  drops: ReadonlySet<number>;
  isOrphan: boolean;
  /** Its session fetches. */
  isFetching: boolean;
}

export class Volunteer {
  readonly #host: VolunteerHost;
  readonly #options: VolunteerOptions;
  readonly #store: ReplicaStore;
  readonly #kept = new Map<ContentId, Kept>();
  /** Ordered contents whose manifest is being looked for. */
  readonly #finding = new Set<ContentId>();
  /** What the last answer ordered to fetch. */
  #orders: readonly ReplicaOrder[] = [];
  #diskFreeBytes = Number.POSITIVE_INFINITY;
  readonly #work = new Set<Promise<void>>();
  #last: Promise<void> = Promise.resolve();
  readonly #retry: NodeJS.Timeout;
  readonly #relocate: NodeJS.Timeout;

  static async open(host: VolunteerHost, folder: string, options: VolunteerOptions): Promise<Volunteer> {
    const store = await ReplicaStore.open(folder, (descriptor, bytes, position) =>
      host.writeChunk(descriptor, bytes, position),
    );
    const volunteer = new Volunteer(host, options, store);
    await volunteer.#lookAtDisk();
    return volunteer;
  }

  private constructor(host: VolunteerHost, options: VolunteerOptions, store: ReplicaStore) {
    this.#host = host;
    this.#options = options;
    this.#store = store;
    for (const stored of store.all()) this.#keep(stored, stored.manifest.contentId);
    this.#retry = setInterval(() => this.#tellOrphans(), REPLICA_ORPHAN_RETRY_MS).unref();
    this.#relocate = setInterval(() => this.#relocateAll(), RELOCATE_MS).unref();
  }

  /** What the tracker is told. A disk that has less room than was offered makes the offer smaller, not the volunteer unwilling. */
  offer(): VolunteerOffer {
    const usedBytes = this.#bytesOf((one) => !one.isOrphan);
    const { offeredBytes } = this.#options;
    const room = this.#diskFreeBytes - DISK_RESERVE_BYTES + this.#bytesOf((one) => one.isOrphan);
    const possible = usedBytes + Math.max(0, room);
    return { offeredBytes: Math.floor(Math.min(offeredBytes, possible)), usedBytes };
  }

  status(): VolunteerStatus {
    const { offeredBytes, usedBytes } = this.offer();
    return { offeredBytes, usedBytes, contents: this.#kept.size };
  }

  /** The orders of a renewal. */
  ordered(orders: readonly ReplicaOrder[]): void {
    const bounded = orders.slice(0, REPLICA_ORDER_CONTENTS_MAX);
    const chunks = bounded.reduce((sum, { hold }) => sum + hold.length, 0);
    // an answer at its bound does not say all: what it leaves out goes on
    const isAll = bounded.length < REPLICA_ORDER_CONTENTS_MAX && chunks < REPLICA_ORDER_CHUNKS_MAX;
    this.#orders = bounded;
    // one answer after the other
    this.#last = this.#last.then(() => this.#do(this.#carryOut(bounded, isAll)));
  }

  /** The tracker does not have these contents. */
  unknown(contentIds: readonly ContentId[]): void {
    for (const contentId of contentIds) {
      const one = this.#kept.get(contentId);
      if (one === undefined || one.isOrphan || this.#host.isBusyWith(contentId)) continue;
      one.isOrphan = true;
      this.#host.announcer.drop(contentId);
    }
  }

  /** A content that this node had for other reasons is only a replica again. */
  announceAgain(contentId: ContentId): void {
    const one = this.#kept.get(contentId);
    if (one !== undefined) this.#announce(one);
  }

  /** The session of what is kept; made if need be. */
  sessionOf(contentId: ContentId): ContentSession | undefined {
    const one = this.#kept.get(contentId);
    if (one === undefined || one.stored.have.count === 0) return undefined;
    const session = this.#open(one, one.stored.have.clone());
    this.#host.settle(contentId);
    return session;
  }

  async close(): Promise<void> {
    clearInterval(this.#retry);
    clearInterval(this.#relocate);
    await this.#last;
    await Promise.allSettled(this.#work);
  }

  // ---- orders --------------------------------------------------------------------------------------------------------------

  async #carryOut(orders: readonly ReplicaOrder[], isAll: boolean): Promise<void> {
    await this.#lookAtDisk();
    const named = new Map(orders.map((order) => [order.contentId, order]));
    for (const [contentId, one] of this.#kept) {
      const order = named.get(contentId);
      this.#want(one, order?.hold ?? [], isAll);
      await this.#drop(one, order?.drop ?? []);
    }
    for (const { contentId, hold } of orders) if (hold.length > 0 && !this.#kept.has(contentId)) this.#find(contentId);
    this.#fetchNext();
  }

  /** What is to be fetched of it from now on: as far as it fits. */
  #want(one: Kept, hold: readonly number[], isAll: boolean): void {
    const { stored } = one;
    const { chunkCount } = stored.manifest;
    const wanted = isAll ? new Bitfield(chunkCount) : one.wanted.clone();
    let room = this.#room() + (isAll ? this.#wantedBytes(one) : 0);
    for (const chunk of hold) {
      if (chunk >= chunkCount || stored.have.has(chunk) || wanted.has(chunk)) continue;
      const byteCount = chunkBytes(stored.manifest, chunk);
      if (byteCount > room) continue;
      room -= byteCount;
      wanted.add(chunk);
    }
    if (one.isOrphan && wanted.count > 0) {
      one.isOrphan = false;
      this.#announce(one);
    }
    const withdrawn = [...one.wanted].some((chunk) => !wanted.has(chunk) && !stored.have.has(chunk));
    one.wanted = wanted;
    if (!one.isFetching) return;
    // what is under way in a session cannot be taken back singly, and hardly ever is
    if (withdrawn) this.#endFetch(one);
    else this.#host.session(stored.manifest.contentId)?.want(wanted);
  }

  async #drop(one: Kept, drops: readonly number[]): Promise<void> {
    const { stored } = one;
    const before = one.drops;
    one.drops = new Set(drops);
    const confirmed = drops.filter((chunk) => before.has(chunk) && chunk < stored.manifest.chunkCount);
    if (confirmed.length === 0) return;
    const { contentId } = stored.manifest;
    let dropped = 0;
    for (const chunk of confirmed) {
      if (!stored.have.has(chunk)) continue;
      dropped++;
      // neighbours hear of it before it is gone
      this.#host.session(contentId)?.drop(chunk);
      await stored.drop(chunk);
    }
    if (dropped > 0) this.#options.onDropped?.({ name: one.name, content: contentId, chunks: dropped });
    if (stored.have.count === 0 && one.wanted.count === 0) await this.#remove(one);
    this.#host.announcer.touch();
  }

  #find(contentId: ContentId): void {
    if (this.#finding.has(contentId) || this.#host.isBusyWith(contentId)) return;
    if (this.#finding.size >= REPLICA_FETCHES_MAX) return; // the order comes again
    this.#finding.add(contentId);
    void this.#do(this.#begin(contentId).finally(() => this.#finding.delete(contentId)));
  }

  async #begin(contentId: ContentId): Promise<void> {
    const { wanted } = await findContent(this.#host, { what: contentId }, this.#host.signal);
    if (wanted.manifest === undefined) return;
    const order = this.#orders.find((one) => one.contentId === contentId);
    if (order === undefined) return;
    const one = this.#keep(await this.#store.begin(wanted.manifest), wanted.name);
    this.#want(one, order.hold, true);
    this.#fetchNext();
  }

  // ---- fetching ------------------------------------------------------------------------------------------------------------

  #fetchNext(): void {
    let fetching = 0;
    for (const one of this.#kept.values()) {
      // a download of its own may have taken its place
      if (one.isFetching) one.isFetching = this.#host.session(one.stored.manifest.contentId) !== undefined;
      if (one.isFetching) fetching++;
    }
    const next = this.#orders.map(({ contentId }) => this.#kept.get(contentId)).filter((one) => one !== undefined);
    for (const one of next) {
      if (fetching >= REPLICA_FETCHES_MAX) return;
      const { contentId } = one.stored.manifest;
      if (one.isFetching || this.#isDone(one) || this.#host.isBusyWith(contentId)) continue;
      fetching++;
      one.isFetching = true;
      const open = this.#host.session(contentId);
      if (open === undefined) this.#open(one, this.#everything(one));
      else open.want(this.#everything(one));
      this.#learnSources(one);
    }
  }

  #everything({ stored, wanted }: Kept): Bitfield {
    const all = stored.have.clone();
    for (const chunk of wanted) all.add(chunk);
    return all;
  }

  #isDone({ stored, wanted }: Kept): boolean {
    for (const chunk of wanted) if (!stored.have.has(chunk)) return false;
    return true;
  }

  #open(one: Kept, wanted: Bitfield): ContentSession {
    const { stored, name } = one;
    const { manifest } = stored;
    const { contentId } = manifest;
    return this.#host.open({
      name,
      manifest,
      have: stored.have.clone(),
      wanted,
      store: {
        read: (chunkIndex, into) => stored.read(chunkIndex, into),
        write: (chunkIndex, bytes) => this.#write(one, chunkIndex, bytes),
      },
      events: {
        needPeers: () => {
          if (one.isFetching) this.#learnSources(one);
        },
        gained: () => this.#gained(one),
        banned: (ban) => this.#host.report(contentId, ban),
        diskProblem: (_error, chunkIndex) => {
          if (stored.have.has(chunkIndex)) void this.#do(this.#check(one, [chunkIndex]));
        },
        accused: (chunkIndexes) => void this.#do(this.#check(one, chunkIndexes)),
      },
    });
  }

  async #write({ stored }: Kept, chunkIndex: number, bytes: Uint8Array): Promise<void> {
    const byteCount = chunkBytes(stored.manifest, chunkIndex);
    await this.#makeRoom(byteCount);
    if (this.#diskFreeBytes - byteCount < DISK_RESERVE_BYTES)
      throw new ShoalError('no-space', `the disk has no room for chunk ${chunkIndex} of ${stored.manifest.contentId}`);
    await stored.write(chunkIndex, bytes);
  }

  #gained(one: Kept): void {
    if (!one.isFetching || !this.#isDone(one)) return;
    const { stored, name } = one;
    const { contentId, chunkCount } = stored.manifest;
    this.#endFetch(one);
    this.#options.onKept?.({
      name,
      content: contentId,
      chunks: stored.have.count,
      of: chunkCount,
      bytes: stored.byteCount,
    });
    // the tracker hears of it now, and has the next orders
    this.#host.announcer.touch();
    this.#fetchNext();
  }

  #endFetch(one: Kept): void {
    one.isFetching = false;
    if (this.#isDone(one)) this.#host.settle(one.stored.manifest.contentId);
    else void this.#do(this.#host.close({ name: one.name, manifest: one.stored.manifest }));
  }

  #relocateAll(): void {
    for (const one of this.#kept.values()) if (one.isFetching) this.#learnSources(one);
  }

  #learnSources(one: Kept): void {
    void this.#do(this.#locate(one.stored.manifest.contentId));
  }

  async #locate(contentId: ContentId): Promise<void> {
    const { tracker, peerId, signal } = this.#host;
    const { sources } = await tracker.locate({ what: { contentId }, peerId }, signal);
    this.#host.session(contentId)?.learn(candidatesOf(sources, true), true);
  }

  // ---- what is kept --------------------------------------------------------------------------------------------------------

  #keep(stored: StoredReplica, name: string): Kept {
    const { contentId, chunkCount } = stored.manifest;
    const known = this.#kept.get(contentId);
    if (known !== undefined) return known;
    const one: Kept = {
      ...{ name, stored, wanted: new Bitfield(chunkCount), drops: new Set<number>() },
      ...{ isOrphan: false, isFetching: false },
    };
    this.#kept.set(contentId, one);
    this.#announce(one);
    return one;
  }

  #announce({ stored, isOrphan }: Kept): void {
    const { manifest, have } = stored;
    if (isOrphan || this.#host.isBusyWith(manifest.contentId)) return;
    this.#host.announcer.put({
      manifest,
      names: NO_NAMES,
      isReplica: true,
      have: () => have,
      links: () => this.#host.session(manifest.contentId)?.linkCount ?? 0,
    });
  }

  /** Chunks that somebody says are wrong, or that could not be read: what is, goes, and the tracker hears of it. */
  async #check(one: Kept, chunkIndexes: readonly number[]): Promise<void> {
    for (const chunk of new Set(chunkIndexes)) {
      if (!one.stored.have.has(chunk) || (await one.stored.isGood(chunk))) continue;
      this.#host.session(one.stored.manifest.contentId)?.drop(chunk);
      await one.stored.drop(chunk);
      this.#host.announcer.touch();
    }
  }

  async #remove(one: Kept): Promise<void> {
    const { manifest } = one.stored;
    this.#kept.delete(manifest.contentId);
    if (!this.#host.isBusyWith(manifest.contentId)) {
      this.#host.announcer.drop(manifest.contentId);
      await this.#host.close({ name: one.name, manifest });
    }
    await this.#store.remove(manifest.contentId);
  }

  /** Orphans give way, on the disk and of what was offered. */
  async #makeRoom(byteCount: number): Promise<void> {
    await this.#lookAtDisk();
    const fits = (): boolean =>
      this.#diskFreeBytes - byteCount >= DISK_RESERVE_BYTES &&
      this.#bytesOf(() => true) + byteCount <= this.#options.offeredBytes;
    for (const one of [...this.#kept.values()]) {
      if (fits()) return;
      if (!one.isOrphan) continue;
      await this.#remove(one);
      await this.#lookAtDisk();
    }
  }

  #tellOrphans(): void {
    for (const one of this.#kept.values()) {
      if (!one.isOrphan) continue;
      one.isOrphan = false;
      this.#announce(one);
    }
  }

  // ---- room ----------------------------------------------------------------------------------------------------------------

  /** Bytes that may be ordered besides all that is kept and wanted. Orphans give way. */
  #room(): number {
    let wanted = 0;
    for (const one of this.#kept.values()) wanted += this.#wantedBytes(one);
    return this.#options.offeredBytes - this.#bytesOf((one) => !one.isOrphan) - wanted;
  }

  #wantedBytes({ stored, wanted }: Kept): number {
    let bytes = 0;
    for (const chunk of wanted) if (!stored.have.has(chunk)) bytes += chunkBytes(stored.manifest, chunk);
    return bytes;
  }

  #bytesOf(matches: (one: Kept) => boolean): number {
    let bytes = 0;
    for (const one of this.#kept.values()) if (matches(one)) bytes += one.stored.byteCount;
    return bytes;
  }

  async #lookAtDisk(): Promise<void> {
    this.#diskFreeBytes = await this.#store.freeBytes();
  }

  /** Work that nobody waits for but `close`. What fails is tried again with later orders; why is said once it is known to whom. */
  #do(work: Promise<void>): Promise<void> {
    const settled = work
      .catch((error: unknown) => {
        const problem = ShoalError.from(error);
        if (!this.#host.signal.aborted) this.#options.onProblem?.(problem.message);
      })
      .finally(() => this.#work.delete(settled));
    this.#work.add(settled);
    return settled;
  }
}

const NO_NAMES: ReadonlySet<string> = new Set();
