/**
 * The open sessions of a node, one a content: made when somebody asks for a shared file or when a download begins, dialling for
 * them, and closed when they have been alone for a while.
 */
import { randomInt } from 'node:crypto';
import { Bitfield } from '../content/bitfield.ts';
import type { ChunkLayout } from '../content/chunk-layout.ts';
import type { ContentId } from '../content/digest.ts';
import type { Manifest } from '../content/manifest.ts';
import { ShoalError } from '../errors.ts';
import { SESSION_IDLE_MS } from '../limits.ts';
import { parseAddress } from '../net/address.ts';
import type { PeerTls } from '../net/peer-tls.ts';
import type { SharedBytes } from '../storage/chunk-workers.ts';
import type { Candidate, LinkId } from '../swarm/facts.ts';
import { DownLimit } from '../swarm/down-limit.ts';
import type { ChunkBuffers } from './chunk-buffers.ts';
import { ContentSession, type ChunkStore, type SessionEvents, type SessionOptions } from './content-session.ts';
import type { NodeCounters } from './node-metrics.ts';
import { RangeSource } from './range-source.ts';
import type { Uploader } from './uploader.ts';

/**
 * `served`: a shared file or replica, closed when it has been alone for a while; `fetching`: a download; `kept`: fetched and still
 * served; `replica`: chunks that a volunteer fetches.
 */
export type SessionKind = 'served' | 'fetching' | 'kept' | 'replica';

export interface OpenSession {
  readonly name: string;
  readonly manifest: Manifest | undefined;
  readonly session: ContentSession;
  kind: SessionKind;
}

export interface SessionPlan {
  readonly name: string;
  /** Undefined: an entry without one; it is fetched from range sources only and not served. */
  readonly manifest: Manifest | undefined;
  readonly kind: SessionKind;
  readonly layout: ChunkLayout;
  readonly have: Bitfield;
  /** What is to be fetched; default every chunk. */
  readonly wanted?: Bitfield | undefined;
  readonly store: ChunkStore;
  readonly verify: SessionOptions['verify'];
  readonly order: 'rarest' | 'in-order';
  readonly single: boolean;
  readonly events: Omit<SessionEvents, 'dial' | 'probe'>;
}

/** Of a content that is whole here: nothing is fetched. */
export interface WholePlan {
  readonly name: string;
  readonly manifest: Manifest;
  readonly kind: SessionKind;
  readonly store: ChunkStore;
  /** What is heard of those that it is served to. */
  readonly events?: Pick<SessionEvents, 'diskProblem' | 'accused'> | undefined;
}

export interface SessionsOptions {
  /** Our peer id, 32 hex digits. */
  readonly ownKey: string;
  readonly buffers: ChunkBuffers<SharedBytes>;
  readonly uploader: Uploader;
  readonly counters: NodeCounters;
  readonly clock: () => number;
  /** Of the node, over all contents; Infinity: none. */
  readonly downBytesPerSecond: number;
  /** Of an encrypted swarm. */
  readonly tls?: PeerTls | undefined;
  /** Connects natively and joins the session; rejects when no address answers. */
  readonly dialNative: (
    session: ContentSession,
    contentId: ContentId,
    candidate: Candidate,
    signal: AbortSignal,
  ) => Promise<void>;
  /** Whether this very peer answers at this address. */
  readonly probe: (contentId: ContentId, address: string, key: string, signal: AbortSignal) => Promise<boolean>;
}

export class Sessions {
  readonly #options: SessionsOptions;
  readonly #open = new Map<string, OpenSession>();
  readonly #idleSinceMs = new Map<string, number>();
  readonly #abort = new AbortController();
  readonly #sweeper: NodeJS.Timeout;
  #peerExchange = true;
  readonly #downLimit: DownLimit;
  /** Bytes of sessions that are closed. */
  readonly past = { up: 0, down: 0, wasted: 0 };

  constructor(options: SessionsOptions) {
    this.#options = options;
    this.#downLimit = new DownLimit(options.downBytesPerSecond, options.clock());
    this.#sweeper = setInterval(() => this.#sweep(), SESSION_IDLE_MS / 4).unref();
  }

  get(contentId: ContentId): OpenSession | undefined {
    return this.#open.get(contentId);
  }

  all(): IterableIterator<OpenSession> {
    return this.#open.values();
  }

  /** Throws `conflict` when the content has a session already. */
  open(plan: SessionPlan): ContentSession {
    const key = keyOf(plan);
    if (this.#abort.signal.aborted) throw new ShoalError('cancelled', 'the node is closing');
    if (this.#open.has(key)) throw new ShoalError('conflict', `this node is busy with ${plan.name} already`);
    const { ownKey, buffers, uploader, counters, clock } = this.#options;
    const { layout, have, wanted, store, verify, order, single, events, manifest } = plan;
    const session: ContentSession = new ContentSession({
      ownKey,
      buffers,
      uploader,
      counters,
      clock,
      upBytesPerSecond: uploader.limit,
      downBytesPerSecond: this.downLimit,
      downLimit: this.#downLimit,
      layout,
      have,
      wanted,
      store,
      verify,
      order,
      single,
      upload: manifest !== undefined,
      seed: randomInt(0x1_0000_0000),
      peerExchange: this.#peerExchange,
      events: {
        ...events,
        dial: (candidate) => void this.#dial(session, plan, candidate),
        probe: (link, address, peerKey) => void this.#probe(session, plan, link, address, peerKey),
      },
    });
    this.#open.set(key, { name: plan.name, manifest, session, kind: plan.kind });
    return session;
  }

  /** Serves a content that is whole here. Throws `conflict` when it has a session already. */
  openWhole({ events, ...plan }: WholePlan): ContentSession {
    return this.open({
      ...plan,
      layout: plan.manifest,
      have: Bitfield.full(plan.manifest.chunkCount),
      verify: () => Promise.resolve({ ok: true }),
      order: 'rarest',
      single: false,
      events: { ...events, needPeers: () => undefined },
    });
  }

  /** Closes the session of a content, if it is of one of these kinds. */
  async close(plan: Pick<SessionPlan, 'name' | 'manifest'>, kinds: readonly SessionKind[]): Promise<void> {
    const key = keyOf(plan);
    const open = this.#open.get(key);
    if (open === undefined || !kinds.includes(open.kind)) return;
    this.#open.delete(key);
    this.#idleSinceMs.delete(key);
    this.past.up += open.session.sentBytes;
    this.past.down += open.session.receivedBytes;
    this.past.wasted += open.session.swarm.wastedBytes;
    await open.session.close();
  }

  async closeAll(): Promise<void> {
    this.#abort.abort();
    clearInterval(this.#sweeper);
    await Promise.all(
      [...this.#open.values()].map((open) => this.close(open, ['served', 'fetching', 'kept', 'replica'])),
    );
  }

  /** Bytes a second, over all contents; Infinity: none. */
  get downLimit(): number {
    return this.#downLimit.bytesPerSecond;
  }

  setDownLimit(bytesPerSecond: number): void {
    this.#downLimit.setRate(bytesPerSecond, this.#options.clock());
  }

  /** The limits of the node are others now: the sessions plan with them. */
  limitsChanged(): void {
    for (const { session } of this.#open.values()) session.setLimits(this.#options.uploader.limit, this.downLimit);
  }

  /** By the tracker's word; holds for sessions to come too. */
  setPeerExchange(enabled: boolean): void {
    if (enabled === this.#peerExchange) return;
    this.#peerExchange = enabled;
    for (const { session } of this.#open.values()) session.setPeerExchange(enabled);
  }

  async #probe(
    session: ContentSession,
    { manifest }: SessionPlan,
    link: LinkId,
    address: string,
    key: string,
  ): Promise<void> {
    const ok =
      manifest !== undefined && (await this.#options.probe(manifest.contentId, address, key, this.#abort.signal));
    session.probed(link, ok);
  }

  async #dial(session: ContentSession, plan: SessionPlan, candidate: Candidate): Promise<void> {
    const { manifest } = plan;
    try {
      if (candidate.dialect === 'native' && manifest !== undefined) {
        await this.#options.dialNative(session, manifest.contentId, candidate, this.#abort.signal);
      } else this.#useRange(session, plan, candidate);
    } catch (thrown) {
      const error = ShoalError.from(thrown);
      if (error.code === 'not-allowed') session.dialFailed(candidate.key, error);
      // whoever was named by hand may speak only the range dialect
      else if (candidate.dialect === 'native' && candidate.rangeName !== undefined)
        this.#useRange(session, plan, candidate);
      else session.dialFailed(candidate.key);
    }
  }

  #useRange(session: ContentSession, plan: SessionPlan, candidate: Candidate): void {
    const { host, port } = parseAddress(candidate.addresses[0] ?? '');
    const { tls } = this.#options;
    const source = new RangeSource({ host, port, tls, name: candidate.rangeName ?? plan.name, layout: plan.layout });
    source.start(session.linked(source, { outbound: true, dialledKey: candidate.key }));
  }

  #sweep(): void {
    const nowMs = this.#options.clock();
    for (const [key, open] of this.#open) {
      if (open.kind !== 'served' || open.session.linkCount > 0) this.#idleSinceMs.delete(key);
      else if (!this.#idleSinceMs.has(key)) this.#idleSinceMs.set(key, nowMs);
      else if (nowMs - (this.#idleSinceMs.get(key) ?? nowMs) >= SESSION_IDLE_MS) void this.close(open, ['served']);
    }
  }
}

function keyOf({ manifest, name }: Pick<SessionPlan, 'name' | 'manifest'>): string {
  return manifest?.contentId ?? `without a manifest: ${name}`;
}
