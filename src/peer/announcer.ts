/**
 * Keeps the tracker's picture of this node true: registers, publishes, reports gained chunks with every renewal, and registers
 * again by itself when the tracker forgets us or comes back. One loop, woken by changes and by time; callers only say what is
 * the case. Transfers never wait for it.
 */
import { Bitfield } from '../content/bitfield.ts';
import type { ContentId } from '../content/digest.ts';
import type { Manifest } from '../content/manifest.ts';
import type { Dialect } from '../contract/dialects.ts';
import type { Reachability } from '../contract/reachability.ts';
import { ShoalError } from '../errors.ts';
import { LEAVE_TIMEOUT_MS, RENEW_MS, REPORTS_PER_CALL_MAX, TRACKER_LOST_WAIT_MS } from '../limits.ts';
import { VERSION } from '../version.ts';
import { retryWaitMs } from './retry-wait.ts';
import type {
  HoldingChangeReport,
  HoldingReport,
  PeerReport,
  Publication,
  ReplicaOrder,
  SwarmNews,
  TrackerAddress,
  TrackerClient,
  VolunteerOffer,
} from './tracker-client.ts';

/** What the announcer needs of a tracker client. */
export type AnnounceClient = Pick<
  TrackerClient,
  'register' | 'renew' | 'publish' | 'registerChunks' | 'reportPeers' | 'leave'
>;

/** A content this node takes part in; the announcer reads it whenever it speaks to the tracker. */
export interface AnnouncedContent {
  readonly manifest: Manifest;
  /** Names under which this node publishes it; none for contents it only fetches. */
  readonly names: ReadonlySet<string>;
  /** Copies that volunteers are to keep of it; undefined: as it was asked for before. */
  readonly replicas?: number | undefined;
  /** It is kept because the tracker ordered it, and for no other reason. */
  readonly isReplica?: boolean;
  have(): Bitfield;
  links(): number;
}

export interface AnnouncerOptions {
  readonly client: AnnounceClient;
  /** 32 hex digits. */
  readonly peerId: string;
  readonly addresses: () => readonly TrackerAddress[];
  /** What this node speaks on its port. */
  readonly dialects: readonly Dialect[];
  readonly random: () => number;
  readonly onNews: (news: SwarmNews) => void;
  /** The tracker says whether peers may tell each other of peers. */
  readonly onPeerExchange?: (allowed: boolean) => void;
  /** What the tracker has found at the addresses it was told; called when that changes. */
  readonly onReachability?: (reachability: Reachability, addresses: readonly TrackerAddress[]) => void;
  readonly onState?: (state: 'connected' | 'away', cause: ShoalError | undefined) => void;
  readonly onPublishProblem?: (name: string, problem: string) => void;
  /** What this node offers as a volunteer; undefined: nothing. */
  readonly offer?: () => VolunteerOffer | undefined;
  /** What the tracker orders a volunteer, with every renewal. */
  readonly onOrders?: (orders: readonly ReplicaOrder[]) => void;
  /** The tracker does not have these contents, and this node has no name to publish them under. */
  readonly onUnknown?: (contentIds: readonly ContentId[]) => void;
}

/** A manifest up to this size is published without asking first whether the tracker has the content. */
const MANIFEST_UNASKED_BYTES_MAX = 1_024;

interface Tracked {
  content: AnnouncedContent;
  /** What the tracker was told last; undefined: nothing yet. Of thousands of small files it is all of each, which takes no bitfield. */
  told: Bitfield | 'all' | undefined;
  readonly publishedNames: Set<string>;
}

export class Announcer {
  readonly #options: AnnouncerOptions;
  readonly #contents = new Map<ContentId, Tracked>();
  readonly #dropped = new Set<ContentId>();
  /** Not told yet. */
  #reports: PeerReport[] = [];
  readonly #abort = new AbortController();
  readonly #idleWaiters: { resolve: () => void; reject: (error: ShoalError) => void }[] = [];
  #registered = false;
  /** A registration has gone out and was not answered: the tracker may have us. */
  #registering = false;
  /** Where we are, as the tracker was told last, and what it found there. */
  #told: readonly TrackerAddress[] = [];
  #reachability: Reachability = 'unknown';
  #state: 'connected' | 'away' = 'away';
  #renewMs = RENEW_MS;
  /** Something has been said that no round has taken up yet. */
  #dirty = true;
  /** A round is under way: what it has taken up is not known to be at the tracker yet. */
  #speaking = false;
  #wake: (() => void) | undefined;
  #loop: Promise<void> | undefined;
  #lastProblem: ShoalError | undefined;
  #lostAtMs = Number.NEGATIVE_INFINITY;
  #lostTimer: NodeJS.Timeout | undefined;

  constructor(options: AnnouncerOptions) {
    this.#options = options;
  }

  get state(): 'connected' | 'away' {
    return this.#state;
  }

  start(): void {
    this.#loop ??= this.#run();
  }

  /** Adds a content, or another name of one. */
  put(content: AnnouncedContent): void {
    const { contentId } = content.manifest;
    this.#dropped.delete(contentId);
    const tracked = this.#contents.get(contentId);
    if (tracked === undefined) this.#contents.set(contentId, { content, told: undefined, publishedNames: new Set() });
    else {
      // why we have it is told again with all that we have of it
      if ((tracked.content.isReplica ?? false) !== (content.isReplica ?? false)) tracked.told = undefined;
      tracked.content = content;
    }
    this.#touch();
  }

  drop(contentId: ContentId): void {
    if (!this.#contents.delete(contentId)) return;
    this.#dropped.add(contentId);
    this.#touch();
  }

  /** Something worth telling at once has happened (a content is complete now). */
  touch(): void {
    this.#touch();
  }

  /**
   * The tracker may be gone: it is called soon, at a random moment, so that another one has us in time. Not again before a renewal would
   * have come: what closes idle connections between us, as some proxies do, is not to be called all the time.
   */
  lost(): void {
    const nowMs = performance.now();
    if (!this.#registered || nowMs - this.#lostAtMs < this.#renewMs || this.#abort.signal.aborted) return;
    this.#lostAtMs = nowMs;
    this.#lostTimer = setTimeout(() => this.#touch(), TRACKER_LOST_WAIT_MS * this.#options.random());
  }

  /** A peer has lied to us: the tracker hears of it with the next call, which is now. While it is away only the newest are kept. */
  report(report: PeerReport): void {
    this.#reports = [...this.#reports, report].slice(-REPORTS_PER_CALL_MAX);
    this.#touch();
  }

  /** Resolves when the tracker knows everything said so far; rejects when it cannot be reached or refuses us. */
  settled(): Promise<void> {
    if (!this.#dirty && !this.#speaking && this.#registered) return Promise.resolve();
    return new Promise((resolve, reject) => this.#idleWaiters.push({ resolve, reject }));
  }

  /** Leaves the tracker, within a moment, and ends the loop. */
  async close(): Promise<void> {
    this.#abort.abort();
    clearTimeout(this.#lostTimer);
    this.#wake?.();
    await this.#loop;
    for (const waiter of this.#idleWaiters.splice(0)) waiter.reject(new ShoalError('cancelled', 'the node is closing'));
    if (!this.#registered && !this.#registering) return;
    const signal = AbortSignal.timeout(LEAVE_TIMEOUT_MS);
    try {
      await this.#tellReports(signal);
      await this.#options.client.leave(this.#options.peerId, signal);
    } catch {
      // the lease runs out by itself; there is nobody left to tell
    }
  }

  #touch(): void {
    this.#dirty = true;
    this.#wake?.();
  }

  async #run(): Promise<void> {
    const { signal } = this.#abort;
    let failures = 0;
    while (!signal.aborted) {
      let waitMs: number;
      try {
        await this.#speak();
        failures = 0;
        this.#setState('connected', undefined);
        waitMs = this.#renewMs * (0.8 + 0.4 * this.#options.random());
      } catch (error) {
        if (signal.aborted) return;
        this.#registering = false;
        this.#lastProblem = ShoalError.from(error);
        this.#setState('away', this.#lastProblem);
        // a tracker that restarted between two calls of a round takes the next round
        const isRefusal = this.#lastProblem.code !== 'unknown-peer';
        if (isRefusal) for (const waiter of this.#idleWaiters.splice(0)) waiter.reject(this.#lastProblem);
        waitMs = retryWaitMs({ failures: ++failures, random: this.#options.random });
        // while the tracker is away, news can wait for the next attempt
        await this.#sleep(waitMs, true);
        continue;
      }
      if (!this.#dirty) {
        for (const waiter of this.#idleWaiters.splice(0)) waiter.resolve();
        await this.#sleep(waitMs, false);
      }
    }
  }

  /** One round: register if need be, else tell what has changed. */
  async #speak(): Promise<void> {
    this.#dirty = false;
    this.#speaking = true;
    try {
      if (this.#registered) await this.#renew();
      if (!this.#registered) await this.#register();
      await this.#publishNames();
      await this.#tellReports(this.#abort.signal);
    } finally {
      this.#speaking = false;
    }
  }

  async #tellReports(signal: AbortSignal): Promise<void> {
    const reports = this.#reports;
    if (reports.length === 0) return;
    try {
      this.#registered = await this.#options.client.reportPeers(this.#options.peerId, reports, signal);
      if (this.#registered) this.#reports = this.#reports.filter((one) => !reports.includes(one));
      else this.#dirty = true;
    } catch (error) {
      if (signal.aborted) throw error;
      // it has just taken other calls: this one it does not know (it is older), or it is going. Neither is worth another try
      this.#reports = [];
    }
  }

  async #register(): Promise<void> {
    const { client, peerId } = this.#options;
    const holdings: HoldingReport[] = [];
    for (const tracked of this.#contents.values()) {
      tracked.publishedNames.clear();
      tracked.told = undefined;
      if (!publishingSaysIt(tracked)) holdings.push(holdingOf(tracked));
    }
    this.#dropped.clear();
    const addresses = this.#options.addresses();
    this.#registering = true;
    const { renewMs, unknownContentIds, peerExchange, reachability, observedHost } = await client.register(
      {
        peerId,
        addresses,
        dialects: this.#options.dialects,
        agent: `shoal/${VERSION}`,
        holdings,
        volunteer: this.#options.offer?.(),
      },
      this.#abort.signal,
    );
    this.#registering = false;
    this.#renewMs = renewMs;
    this.#options.onPeerExchange?.(peerExchange);
    this.#told = addresses.map(({ host, port }) => ({ host: host || observedHost, port }));
    this.#reachability = 'unknown';
    this.#setReachability(reachability);
    this.#registered = true;
    this.#publishAgain(unknownContentIds);
  }

  async #renew(): Promise<void> {
    const { client, peerId } = this.#options;
    const fresh: HoldingReport[] = [];
    const changes: HoldingChangeReport[] = [];
    for (const [contentId, tracked] of this.#contents) {
      const change = tracked.told === undefined ? undefined : changeOf(contentId, tracked);
      if (tracked.told === undefined) {
        if (!publishingSaysIt(tracked)) fresh.push(holdingOf(tracked));
      } else if (change !== undefined) changes.push(change);
    }
    for (const contentId of this.#dropped) changes.push({ contentId, dropped: true });
    this.#dropped.clear();
    const answer =
      fresh.length > 0
        ? await client.registerChunks(peerId, fresh, this.#abort.signal)
        : { known: true, unknownContentIds: [] };
    this.#publishAgain(answer.unknownContentIds);
    const offer = this.#options.offer?.();
    const renewed = answer.known ? await client.renew(peerId, changes, this.#abort.signal, offer) : undefined;
    this.#registered = renewed?.known ?? false;
    if (renewed === undefined) return;
    this.#publishAgain(renewed.unknownContentIds);
    this.#setReachability(renewed.reachability);
    for (const news of renewed.news) this.#options.onNews(news);
    if (offer !== undefined && renewed.known) this.#options.onOrders?.(renewed.replicas);
  }

  /** The tracker does not have these contents: their names and manifests go there again, and what we have of them. */
  #publishAgain(contentIds: readonly ContentId[]): void {
    const unnamed = contentIds.filter((contentId) => this.#contents.get(contentId)?.content.isReplica === true);
    if (unnamed.length > 0) this.#options.onUnknown?.(unnamed);
    for (const contentId of contentIds) {
      const tracked = this.#contents.get(contentId);
      if (tracked === undefined) continue;
      tracked.publishedNames.clear();
      tracked.told = undefined;
    }
  }

  async #publishNames(): Promise<void> {
    const items: Publication[] = [];
    const published: Tracked[] = [];
    for (const tracked of this.#contents.values()) {
      const { manifest, names, replicas } = tracked.content;
      for (const name of names) {
        if (tracked.publishedNames.has(name)) continue;
        tracked.publishedNames.add(name);
        items.push({ name, manifest, partial: !tracked.content.have().isFull, replicas });
        published.push(tracked);
      }
    }
    if (items.length === 0) return;
    const results = await this.#options.client.publish(this.#options.peerId, items, this.#abort.signal);
    results.forEach((result, index) => {
      const item = items[index];
      const tracked = published[index];
      if (item === undefined || tracked === undefined) return;
      if (result.problem !== undefined) this.#options.onPublishProblem?.(item.name, result.problem);
      // to publish what is complete says that we have all of it
      else if (item.partial !== true) tracked.told ??= toldOf(tracked.content.have());
    });
  }

  #setReachability(reachability: Reachability): void {
    if (reachability === this.#reachability) return;
    this.#reachability = reachability;
    this.#options.onReachability?.(reachability, this.#told);
  }

  #setState(state: 'connected' | 'away', cause: ShoalError | undefined): void {
    if (state === 'away') this.#registered = false;
    if (state === this.#state && cause === undefined) return;
    this.#state = state;
    this.#options.onState?.(state, cause);
  }

  /** Waits, or less when woken by news (unless `through`) or by the end. */
  #sleep(waitMs: number, through: boolean): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        if (through && !this.#abort.signal.aborted && performance.now() < untilMs) return;
        clearTimeout(timer);
        this.#wake = undefined;
        resolve();
      };
      const untilMs = performance.now() + waitMs;
      const timer = setTimeout(() => {
        this.#wake = undefined;
        resolve();
      }, waitMs);
      this.#wake = done;
      if (this.#abort.signal.aborted || (this.#dirty && !through)) done();
    });
  }
}

/**
 * Whether the publishing that follows in the same round tells the tracker that we have all of this content: then a report of its own
 * is left out, which halves the work of whoever shares thousands of small files. A large manifest is worth asking first.
 */
function publishingSaysIt({ content, publishedNames }: Tracked): boolean {
  if (content.manifest.bytes.length > MANIFEST_UNASKED_BYTES_MAX || !content.have().isFull) return false;
  for (const name of content.names) if (!publishedNames.has(name)) return true;
  return false;
}

/** All it has; and from now on only what changes is told. */
function holdingOf(tracked: Tracked): HoldingReport {
  const have = tracked.content.have();
  tracked.told = toldOf(have);
  const { contentId } = tracked.content.manifest;
  const { isReplica = false } = tracked.content;
  const report = isReplica ? { contentId, isReplica } : { contentId };
  return tracked.told === 'all' ? report : { ...report, chunks: tracked.told };
}

/** As it is now: it goes on changing. */
function toldOf(have: Bitfield): Bitfield | 'all' {
  return have.isFull ? 'all' : have.clone();
}

/** What has changed since the tracker was told last; undefined: nothing worth a word. */
function changeOf(contentId: ContentId, tracked: Tracked): HoldingChangeReport | undefined {
  const have = tracked.content.have();
  if (have.isFull && tracked.told === 'all') return undefined;
  const told =
    tracked.told === 'all' ? Bitfield.full(have.chunkCount) : (tracked.told ?? new Bitfield(have.chunkCount));
  tracked.told = toldOf(have);
  const links = tracked.content.links();
  if (have.isFull) return { contentId, complete: true, links };
  const gained: number[] = [];
  const lost: number[] = [];
  for (const chunk of have) if (!told.has(chunk)) gained.push(chunk);
  for (const chunk of told) if (!have.has(chunk)) lost.push(chunk);
  return { contentId, gained, lost, links };
}
