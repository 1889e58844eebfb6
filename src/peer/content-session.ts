/**
 * One content on one node: carries out what the swarm policy asks (sends, reads, digests, writes, dials) and tells it what came
 * of it. One writer: facts are taken in one at a time, in order, and nothing here awaits between reading and changing state.
 */
import { ACCUSED_CHUNKS_MAX, DISK_RETRY_MS } from '../limits.ts';
import type { Bitfield } from '../content/bitfield.ts';
import { chunkBytes, type ChunkLayout } from '../content/chunk-layout.ts';
import { ShoalError } from '../errors.ts';
import { uploadBottleneck, type Bottleneck } from '../swarm/bottleneck.ts';
import type { ReasonCounts } from '../swarm/chunk-reasons.ts';
import type { DownLimit } from '../swarm/down-limit.ts';
import type { Candidate, CloseReason, LinkId, StallReason, SwarmAction, SwarmFact } from '../swarm/facts.ts';
import type { IncomingFragment } from '../swarm/requests.ts';
import { Swarm, type NeighbourView } from '../swarm/swarm.ts';
import type { SharedBytes } from '../storage/chunk-workers.ts';
import type { ChunkReasonRange } from './api.ts';
import type { ChunkBuffers } from './chunk-buffers.ts';
import { IncomingChunks } from './incoming-chunks.ts';
import type { NodeCounters } from './node-metrics.ts';
import type { LinkEvents, PeerLink } from './peer-link.ts';
import type { Uploader } from './uploader.ts';

/** Where a session's chunks are. Reads fill `into` with exactly the chunk's bytes. */
export interface ChunkStore {
  read(chunkIndex: number, into: Uint8Array): Promise<void>;
  /** Fills `into` with bytes of a chunk from `offset` within it on, if that takes no waiting; false: `read` has to. */
  readAtOnce?(chunkIndex: number, offset: number, into: Uint8Array): boolean;
  /** Absent for contents that are complete and only served. */
  write?(chunkIndex: number, bytes: SharedBytes): Promise<void>;
}

export interface Verdict {
  /** Whether the chunk is what it should be. */
  readonly ok: boolean;
  /** Somebody needs the bytes until this resolves; undefined: nobody does. */
  readonly kept?: Promise<void> | undefined;
}

export type Ban = Extract<SwarmAction, { type: 'banned' }>;
export type Conviction = Omit<Extract<SwarmFact, { type: 'convicted' }>, 'type'>;

export interface SessionEvents {
  /** Connect to this candidate and call `linked` or `dialFailed`. */
  dial(candidate: Candidate): void;
  /** Find out whether this peer answers at this address, and call `probed`. */
  probe?(link: LinkId, address: string, key: string): void;
  needPeers(): void;
  gained?(chunkIndex: number, source: SourceCount): void;
  complete?(): void;
  banned?(ban: Ban): void;
  /** A peer says that what it had from us is wrong: these chunks went to it last. */
  accused?(chunkIndexes: readonly number[]): void;
  /** A chunk of ours could not be read back, or a verified one not written. */
  diskProblem?(error: ShoalError, chunkIndex: number): void;
}

export interface SessionOptions {
  readonly layout: ChunkLayout;
  readonly ownKey: string;
  readonly have: Bitfield;
  /** What is to be fetched; default every chunk. */
  readonly wanted?: Bitfield | undefined;
  readonly store: ChunkStore;
  readonly verify: (chunkIndex: number, bytes: SharedBytes) => Promise<Verdict>;
  /** For what is received. */
  readonly buffers: ChunkBuffers<SharedBytes>;
  readonly uploader: Uploader;
  /** Of the node, for all its contents. */
  readonly counters?: NodeCounters | undefined;
  readonly clock: () => number;
  readonly seed: number;
  readonly order: 'rarest' | 'in-order';
  readonly single: boolean;
  /** False: nothing is served (contents that cannot be verified chunk by chunk). */
  readonly upload: boolean;
  /** Whether peers may be told of each other. Default true. */
  readonly peerExchange?: boolean;
  readonly upBytesPerSecond: number;
  readonly downBytesPerSecond: number;
  /** The limit in `downBytesPerSecond`, shared with other contents; undefined: it is for this one alone. */
  readonly downLimit?: DownLimit;
  readonly events: SessionEvents;
}

/** What one source has given, for the closing report. */
export interface SourceCount {
  readonly key: string;
  readonly address: string;
  bytes: number;
  chunks: number;
  rttMs: number | null;
  firstByteAtMs: number;
  lastByteAtMs: number;
}

interface OpenLink {
  readonly id: LinkId;
  readonly link: PeerLink;
  readonly source: SourceCount;
  /** Chunks that went to it last, the newest last. */
  readonly sentChunks: number[];
}

export class ContentSession {
  readonly layout: ChunkLayout;
  readonly swarm: Swarm;
  readonly #options: SessionOptions;
  readonly #links = new Map<LinkId, OpenLink>();
  readonly #incoming: IncomingChunks;
  readonly #sources = new Map<string, SourceCount>();
  readonly #facts: SwarmFact[] = [];
  #running = false;
  #closed = false;
  #nextLink = 1;
  #timer: NodeJS.Timeout | undefined;
  #timerAtMs = Number.POSITIVE_INFINITY;
  #store: ChunkStore;
  #receivedBytes = 0;
  #lastProgressAtMs: number;
  #lastDiskError: ShoalError | undefined;
  #lastRefusal: ShoalError | undefined;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.layout = options.layout;
    this.#incoming = new IncomingChunks(options.buffers, options.clock);
    this.#store = options.store;
    const nowMs = options.clock();
    this.#lastProgressAtMs = nowMs;
    this.swarm = new Swarm(
      {
        ownKey: options.ownKey,
        size: options.layout.size,
        chunkSize: options.layout.chunkSize,
        have: options.have,
        wanted: options.wanted,
        seed: options.seed,
        order: options.order,
        single: options.single,
        upload: options.upload,
        peerExchange: options.peerExchange ?? true,
        upBytesPerSecond: options.upBytesPerSecond,
        downBytesPerSecond: options.downBytesPerSecond,
        ...(options.downLimit === undefined ? {} : { downLimit: options.downLimit }),
      },
      nowMs,
    );
  }

  get linkCount(): number {
    return this.#links.size;
  }

  /** Bytes that arrived in this session, wasted ones included. */
  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  get sentBytes(): number {
    return this.swarm.sentBytes;
  }

  /** When the last byte came, or a chunk was gained. */
  get lastProgressAtMs(): number {
    return this.#lastProgressAtMs;
  }

  /** What every source has given so far, most bytes first. */
  get sources(): readonly SourceCount[] {
    return [...this.#sources.values()].filter((one) => one.chunks > 0).toSorted((a, b) => b.bytes - a.bytes);
  }

  get neighbours(): NeighbourView[] {
    return this.swarm.neighbours();
  }

  /** Why nothing moves; null while something does. */
  stallReason(): StallReason | null {
    return this.swarm.stallReason(this.#options.clock());
  }

  /** What it waits for most: its download, or, when it has everything, what it sends. Null: nothing is wanted, or not known yet. */
  bottleneck(): Bottleneck | null {
    if (this.swarm.isComplete) return uploadBottleneck(this.#options.uploader.facts(this));
    return this.swarm.bottleneck(this.#options.clock());
  }

  /** How many chunks do not move, by reason. */
  reasons(): ReasonCounts {
    return this.swarm.reasons(this.#options.clock());
  }

  /** Missing chunks in ranges of one reason (null: their bytes are coming), at most so many ranges. */
  chunkReasons(rangesMax: number): ChunkReasonRange[] {
    const nowMs = this.#options.clock();
    const ranges: ChunkReasonRange[] = [];
    for (let chunk = this.swarm.have.firstMissing(0); chunk >= 0; chunk = this.swarm.have.firstMissing(chunk + 1)) {
      const reason = this.swarm.reasonOf(chunk, nowMs);
      const last = ranges.at(-1);
      if (last !== undefined && last.last === chunk - 1 && last.reason === reason) last.last = chunk;
      else if (ranges.length === rangesMax) break;
      else ranges.push({ first: chunk, last: chunk, reason });
    }
    return ranges;
  }

  /** Why a source did not let us in, where one said so. */
  get lastRefusal(): ShoalError | undefined {
    return this.#lastRefusal;
  }

  get lastDiskError(): ShoalError | undefined {
    return this.#lastDiskError;
  }

  /** From now on chunks are read from elsewhere (the file has got its final name). */
  useStore(store: ChunkStore): void {
    this.#store = store;
  }

  /** Reads wait for this, and then use the store of that moment. */
  holdReads(until: Promise<void>): void {
    const before = this.#store;
    const held: ChunkStore = {
      read: async (chunkIndex, into) => {
        await until;
        await (this.#store === held ? before : this.#store).read(chunkIndex, into);
      },
    };
    this.#store = held;
  }

  learn(candidates: readonly Candidate[], listed: boolean): void {
    this.#post({ type: 'candidates', candidates, listed });
  }

  /** @param refusal what the source said, if it was that it does not let us in. */
  dialFailed(key: string, refusal?: ShoalError): void {
    this.#lastRefusal = refusal ?? this.#lastRefusal;
    this.#post({ type: 'dial-failed', key });
  }

  probed(link: LinkId, ok: boolean): void {
    this.#post({ type: 'probed', link, ok });
  }

  setPeerExchange(enabled: boolean): void {
    this.#post({ type: 'peer-exchange', enabled });
  }

  /** These chunks are wanted as well; `complete` comes when all that is wanted is there, unless it was already. */
  want(chunks: Bitfield): void {
    this.#post({ type: 'want', chunks });
  }

  setSeedRank(rank: number, count: number): void {
    this.#post({ type: 'seed-rank', rank, count });
  }

  setLimits(upBytesPerSecond: number, downBytesPerSecond: number): void {
    this.#post({ type: 'limits', upBytesPerSecond, downBytesPerSecond });
  }

  /** A peer was found to lie before it was linked: it is banned as if it had been. */
  convicted(conviction: Conviction): void {
    this.#post({ type: 'convicted', ...conviction });
  }

  /** This chunk made room for others: it is neither served nor fetched any more. */
  drop(chunkIndex: number): void {
    this.#post({ type: 'chunk-dropped', chunkIndex });
  }

  chunkLost(chunkIndex: number): void {
    this.#post({ type: 'chunk-lost', chunkIndex });
  }

  /** Takes part of a connection whose handshake is done; the owner reports to the events returned. */
  linked(link: PeerLink, how: { outbound: boolean; dialledKey?: string | undefined }): LinkEvents {
    const id = this.#nextLink++;
    const open: OpenLink = { id, link, source: this.#sourceOf(link), sentChunks: [] };
    this.#links.set(id, open);
    if (this.#closed) {
      link.close('leaving', 'closing');
      this.#links.delete(id);
    }
    this.#post({
      type: 'linked',
      link: id,
      key: link.key,
      address: link.address,
      outbound: how.outbound,
      dialledKey: how.dialledKey,
      listensAt: link.listensAt,
      paces: link.paces ?? false,
    });
    return {
      message: (message) => this.#post({ type: 'message', link: id, message }),
      fragment: (fragment) => this.#fragment(open, fragment),
      fragmentEnd: (fragment) => this.#fragmentEnd(open, fragment),
      writable: () => this.#options.uploader.pump(),
      rtt: (rttMs) => {
        open.source.rttMs = rttMs;
        this.#post({ type: 'rtt', link: id, rttMs });
      },
      closed: (misbehaved, reason) => {
        this.#incoming.endFragment(id);
        if (!this.#links.delete(id)) return;
        this.#dropLink(open);
        if (reason === 'integrity' && open.sentChunks.length > 0) this.#options.events.accused?.(open.sentChunks);
        this.#post({ type: 'unlinked', link: id, misbehaved, reason });
      },
    };
  }

  /** Says goodbye to all and stops. Digests and writes under way finish first. */
  async close(reason: CloseReason = 'leaving', text = 'leaving'): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#timer);
    for (const open of this.#links.values()) {
      this.#options.uploader.drop(open.link);
      open.link.close(reason, text);
    }
    this.#links.clear();
    await Promise.allSettled(this.#pendingWork);
    this.#incoming.releaseAll();
  }

  readonly #pendingWork = new Set<Promise<void>>();

  // ---- facts in, actions out -----------------------------------------------------------------------------------------------

  /** Facts that come up while actions are carried out wait their turn. */
  #post(fact: SwarmFact): void {
    if (this.#closed && fact.type !== 'written') return;
    this.#facts.push(fact);
    if (this.#running) return;
    this.#running = true;
    try {
      for (let next = this.#facts.shift(); next !== undefined; next = this.#facts.shift()) {
        for (const action of this.swarm.step(this.#options.clock(), next)) this.#act(action);
      }
    } finally {
      this.#running = false;
    }
    this.#schedule();
  }

  #schedule(): void {
    const dueAtMs = this.#closed ? Number.POSITIVE_INFINITY : this.swarm.nextDeadline();
    // a timer that fires early is only set once more; moving it with every fragment would cost more
    if (dueAtMs >= this.#timerAtMs) return;
    clearTimeout(this.#timer);
    this.#timerAtMs = dueAtMs;
    this.#timer = setTimeout(
      () => {
        this.#timerAtMs = Number.POSITIVE_INFINITY;
        if (this.swarm.nextDeadline() <= this.#options.clock()) this.#post({ type: 'tick' });
        else this.#schedule();
      },
      Math.max(1, Math.ceil(dueAtMs - this.#options.clock())),
    );
  }

  #act(action: SwarmAction): void {
    const { events } = this.#options;
    switch (action.type) {
      case 'send':
        this.#links.get(action.link)?.link.send(action.message);
        return;
      case 'close': {
        const open = this.#links.get(action.link);
        if (open === undefined) return;
        this.#links.delete(action.link);
        this.#dropLink(open);
        open.link.close(action.reason, action.text);
        return;
      }
      case 'start-send':
        this.#startSend(action.link, action.requestId, action.chunkIndex);
        return;
      case 'pace': {
        const open = this.#links.get(action.link);
        if (open !== undefined) this.#options.uploader.pace(open.link, action.bytesPerSecond);
        return;
      }
      case 'stop-send': {
        const open = this.#links.get(action.link);
        if (open !== undefined) this.#options.uploader.stop(open.link, action.requestId);
        return;
      }
      case 'verify':
        this.#work(this.#verify(action.link, action.requestId, action.chunkIndex));
        return;
      case 'write':
        this.#work(this.#write(action.link, action.requestId, action.chunkIndex));
        return;
      case 'discard':
        this.#incoming.release(requestKey(action.link, action.requestId));
        return;
      case 'gained':
        this.#gained(action.chunkIndex, action.link, action.byteCount);
        return;
      case 'dial':
        events.dial(action.candidate);
        return;
      case 'probe':
        if (events.probe === undefined) this.#post({ type: 'probed', link: action.link, ok: false });
        else events.probe(action.link, action.address, action.key);
        return;
      case 'need-peers':
        events.needPeers();
        return;
      case 'complete':
        events.complete?.();
        return;
      case 'banned':
        if (this.#options.counters !== undefined) this.#options.counters.bans[action.offence]++;
        events.banned?.(action);
    }
  }

  #work(work: Promise<void>): void {
    this.#pendingWork.add(work);
    void work.finally(() => this.#pendingWork.delete(work));
  }

  // ---- receiving -----------------------------------------------------------------------------------------------------------

  #fragment(open: OpenLink, fragment: IncomingFragment): Uint8Array | undefined {
    if (!this.#links.has(open.id)) return undefined;
    if (this.swarm.admitFragment(this.#options.clock(), open.id, fragment) === 'skip') return undefined;
    const key = requestKey(open.id, fragment.requestId);
    const buffer = this.#incoming.beginFragment(open.id, key, this.layout.chunkSize);
    return buffer.subarray(fragment.offset, fragment.offset + fragment.byteCount);
  }

  #fragmentEnd(open: OpenLink, fragment: IncomingFragment): void {
    this.#incoming.endFragment(open.id);
    const nowMs = this.#options.clock();
    this.#receivedBytes += fragment.byteCount;
    this.#lastProgressAtMs = nowMs;
    if (Number.isNaN(open.source.firstByteAtMs)) open.source.firstByteAtMs = nowMs;
    open.source.lastByteAtMs = nowMs;
    this.#post({ type: 'fragment', link: open.id, requestId: fragment.requestId, byteCount: fragment.byteCount });
  }

  async #verify(link: LinkId, requestId: number, chunkIndex: number): Promise<void> {
    const key = requestKey(link, requestId);
    const byteCount = chunkBytes(this.layout, chunkIndex);
    const startedAtMs = this.#options.clock();
    const verdict = await this.#incoming.verify(key, (buffer) =>
      this.#options.verify(chunkIndex, buffer.subarray(0, byteCount)),
    );
    if (verdict === undefined) throw new ShoalError('bug', `chunk ${chunkIndex} is to be verified but has no bytes`);
    const { counters, clock } = this.#options;
    if (counters !== undefined) {
      counters.hashSeconds.observe((clock() - startedAtMs) / 1000);
      if (verdict.ok) counters.chunksVerified++;
      else counters.chunksRejected++;
    }
    this.#post({ type: 'verified', link, requestId, ok: verdict.ok });
  }

  async #write(link: LinkId, requestId: number, chunkIndex: number): Promise<void> {
    const key = requestKey(link, requestId);
    const buffer = this.#incoming.get(key);
    if (buffer === undefined || this.#store.write === undefined)
      throw new ShoalError('bug', `chunk ${chunkIndex} is to be written but cannot be`);
    const { counters, clock } = this.#options;
    const startedAtMs = clock();
    const byteCount = chunkBytes(this.layout, chunkIndex);
    let ok = true;
    try {
      await this.#store.write(chunkIndex, buffer.subarray(0, byteCount));
    } catch (error) {
      ok = false;
      this.#lastDiskError = ShoalError.from(error);
      this.#options.events.diskProblem?.(this.#lastDiskError, chunkIndex);
      setTimeout(() => this.#post({ type: 'disk-ready' }), DISK_RETRY_MS).unref();
    }
    const nowMs = clock();
    counters?.writeSeconds.observe((nowMs - startedAtMs) / 1000);
    if (counters !== undefined && !ok) counters.writesFailed++;
    else if (counters !== undefined) {
      counters.keptBytes += byteCount;
      counters.chunkSeconds.observe((nowMs - this.#incoming.begunAtMs(key, nowMs)) / 1000);
    }
    this.#incoming.release(key);
    this.#post({ type: 'written', link, requestId, ok });
  }

  #gained(chunkIndex: number, link: LinkId, byteCount: number): void {
    const source = this.#linkSources.get(link);
    this.#lastProgressAtMs = this.#options.clock();
    if (source === undefined) return;
    source.bytes += byteCount;
    source.chunks++;
    this.#options.events.gained?.(chunkIndex, source);
  }

  // ---- sending -------------------------------------------------------------------------------------------------------------

  #startSend(link: LinkId, requestId: number, chunkIndex: number): void {
    const open = this.#links.get(link);
    if (open === undefined) return;
    open.sentChunks.push(chunkIndex);
    if (open.sentChunks.length > ACCUSED_CHUNKS_MAX) open.sentChunks.shift();
    this.#options.uploader.start({
      link: open.link,
      content: this,
      requestId,
      chunkIndex,
      byteCount: chunkBytes(this.layout, chunkIndex),
      bufferBytes: this.layout.chunkSize,
      read: (into) => this.#store.read(chunkIndex, into),
      readAtOnce: (offset, into) => this.#store.readAtOnce?.(chunkIndex, offset, into) ?? false,
      sent: (byteCount, last) => this.#post({ type: 'sent', link, requestId, byteCount, last }),
      ended: (why, cause) => {
        if (why === 'unreadable') this.#options.events.diskProblem?.(ShoalError.from(cause), chunkIndex);
        this.#post({ type: 'send-ended', link, requestId, why });
        if (why === 'unreadable') this.#post({ type: 'chunk-lost', chunkIndex });
      },
    });
  }

  // ---- links ---------------------------------------------------------------------------------------------------------------

  /** Sources by link, kept when the link has gone: its last chunk may still be on its way to the disk. */
  readonly #linkSources = new Map<LinkId, SourceCount>();

  #sourceOf(link: PeerLink): SourceCount {
    const known = this.#sources.get(link.key);
    const source = known ?? {
      key: link.key,
      address: link.address,
      bytes: 0,
      chunks: 0,
      rttMs: null,
      firstByteAtMs: Number.NaN,
      lastByteAtMs: Number.NaN,
    };
    this.#sources.set(link.key, source);
    this.#linkSources.set(this.#nextLink - 1, source);
    return source;
  }

  /** The swarm discards the requests of an ended link itself; here only sends are to be stopped. */
  #dropLink(open: OpenLink): void {
    this.#options.uploader.drop(open.link);
  }
}

/** One number for a link and a request id of 16 bits. */
function requestKey(link: LinkId, requestId: number): number {
  return link * 0x10000 + requestId;
}
