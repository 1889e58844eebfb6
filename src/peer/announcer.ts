/**
 * Keeps the tracker's picture of this node true: registers, publishes, reports gained chunks with every renewal, and registers
 * again by itself when the tracker forgets us or comes back. One loop, woken by changes and by time; callers only say what is
 * the case. Transfers never wait for it.
 */
import { Bitfield } from '../content/bitfield.ts';
import type { ContentId } from '../content/digest.ts';
import type { Manifest } from '../content/manifest.ts';
import { ShoalError } from '../errors.ts';
import { RENEW_MS, TRACKER_RETRY_MAX_MS, TRACKER_RETRY_MIN_MS } from '../limits.ts';
import { retryWaitMs } from './retry-wait.ts';

export interface TrackerAddress {
  /** '' : the address the tracker sees. */
  readonly host: string;
  readonly port: number;
}

/** What the announcer needs of a tracker client. */
export interface AnnounceClient {
  register(call: {
    readonly peerId: Uint8Array;
    readonly addresses: readonly TrackerAddress[];
    readonly holdings: readonly AnnouncedHolding[];
    readonly signal?: AbortSignal;
  }): Promise<{
    readonly renewMs: number;
    readonly observedHost: string;
    readonly unknownContentIds: readonly ContentId[];
  }>;
  renew(call: {
    readonly peerId: Uint8Array;
    readonly changes: readonly HoldingReport[];
    readonly signal?: AbortSignal;
  }): Promise<{
    readonly known: boolean;
    readonly swarms: readonly SwarmReport[];
    readonly unknownContentIds: readonly ContentId[];
  }>;
  publish(call: {
    readonly peerId: Uint8Array;
    readonly items: readonly PublishedItem[];
    readonly signal?: AbortSignal;
  }): Promise<readonly { readonly problem: string }[]>;
  registerChunks(call: {
    readonly peerId: Uint8Array;
    readonly holdings: readonly AnnouncedHolding[];
    readonly signal?: AbortSignal;
  }): Promise<{ readonly known: boolean; readonly unknownContentIds: readonly ContentId[] }>;
  leave(call: { readonly peerId: Uint8Array; readonly signal?: AbortSignal }): Promise<void>;
}

export interface AnnouncedHolding {
  readonly contentId: ContentId;
  /** The chunks we have; full: complete. */
  readonly have: Bitfield;
}

export interface HoldingReport {
  readonly contentId: ContentId;
  readonly complete: boolean;
  readonly gained: readonly number[];
  readonly lost: readonly number[];
  readonly dropped: boolean;
  readonly links: number;
  readonly bytesUp: number;
  readonly bytesDown: number;
}

export interface SwarmReport {
  readonly contentId: ContentId;
  readonly seederRank: number;
  readonly seederCount: number;
  readonly peerCount: number;
}

export interface PublishedItem {
  readonly name: string;
  /** Undefined when the tracker has it. */
  readonly manifest: Manifest | undefined;
  readonly contentId: ContentId;
  readonly partial: boolean;
}

/** A content this node takes part in; the announcer reads it whenever it speaks to the tracker. */
export interface AnnouncedContent {
  readonly manifest: Manifest;
  /** Names under which this node publishes it; none for contents it only fetches. */
  readonly names: ReadonlySet<string>;
  have(): Bitfield;
  links(): number;
}

export interface AnnouncerOptions {
  readonly client: AnnounceClient;
  readonly peerId: Uint8Array;
  readonly addresses: () => readonly TrackerAddress[];
  readonly random: () => number;
  readonly onNews: (report: SwarmReport) => void;
  readonly onState?: (state: 'connected' | 'away', cause: ShoalError | undefined) => void;
  readonly onPublishProblem?: (name: string, problem: string) => void;
}

interface Tracked {
  content: AnnouncedContent;
  /** What the tracker was told last; undefined: nothing yet. */
  told: Bitfield | undefined;
  readonly publishedNames: Set<string>;
}

export class Announcer {
  readonly #options: AnnouncerOptions;
  readonly #contents = new Map<ContentId, Tracked>();
  readonly #dropped = new Set<ContentId>();
  readonly #abort = new AbortController();
  readonly #idleWaiters: { resolve: () => void; reject: (error: ShoalError) => void }[] = [];
  #registered = false;
  #state: 'connected' | 'away' = 'away';
  #renewMs = RENEW_MS;
  #dirty = true;
  #wake: (() => void) | undefined;
  #loop: Promise<void> | undefined;
  #lastProblem: ShoalError | undefined;

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
    else tracked.content = content;
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

  /** Resolves when the tracker knows everything said so far; rejects when it cannot be reached or refuses us. */
  settled(): Promise<void> {
    if (!this.#dirty && this.#registered) return Promise.resolve();
    return new Promise((resolve, reject) => this.#idleWaiters.push({ resolve, reject }));
  }

  /** Leaves the tracker, within a moment, and ends the loop. */
  async close(): Promise<void> {
    this.#abort.abort();
    this.#wake?.();
    await this.#loop;
    for (const waiter of this.#idleWaiters.splice(0)) waiter.reject(new ShoalError('cancelled', 'the node is closing'));
    if (!this.#registered) return;
    try {
      await this.#options.client.leave({ peerId: this.#options.peerId, signal: AbortSignal.timeout(1_000) });
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
        this.#lastProblem = ShoalError.from(error);
        this.#setState('away', this.#lastProblem);
        for (const waiter of this.#idleWaiters.splice(0)) waiter.reject(this.#lastProblem);
        waitMs = retryWaitMs(failures++, this.#options.random, {
          minMs: TRACKER_RETRY_MIN_MS,
          maxMs: TRACKER_RETRY_MAX_MS,
        });
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
    if (this.#registered) await this.#renew();
    if (!this.#registered) await this.#register();
    await this.#publishNames(new Set());
  }

  async #register(): Promise<void> {
    const { client, peerId } = this.#options;
    const holdings: AnnouncedHolding[] = [];
    for (const [contentId, tracked] of this.#contents) {
      tracked.told = tracked.content.have().clone();
      tracked.publishedNames.clear();
      holdings.push({ contentId, have: tracked.told });
    }
    this.#dropped.clear();
    const { renewMs, unknownContentIds } = await client.register({
      peerId,
      addresses: this.#options.addresses(),
      holdings,
      signal: this.#abort.signal,
    });
    this.#renewMs = renewMs;
    this.#registered = true;
    await this.#publishNames(new Set(unknownContentIds));
  }

  async #renew(): Promise<void> {
    const { client, peerId } = this.#options;
    const fresh: AnnouncedHolding[] = [];
    const changes: HoldingReport[] = [];
    for (const [contentId, tracked] of this.#contents) {
      const have = tracked.content.have();
      if (tracked.told === undefined) {
        tracked.told = have.clone();
        fresh.push({ contentId, have: tracked.told });
      } else if (have.count !== tracked.told.count || !have.isFull) {
        changes.push(reportOf(contentId, tracked.told, have, tracked.content.links()));
        tracked.told = have.clone();
      }
    }
    for (const contentId of this.#dropped) changes.push({ ...NOTHING_NEW, contentId, dropped: true });
    this.#dropped.clear();
    if (fresh.length > 0) {
      const { known, unknownContentIds } = await client.registerChunks({
        peerId,
        holdings: fresh,
        signal: this.#abort.signal,
      });
      this.#registered = known;
      if (!known) return;
      await this.#publishNames(new Set(unknownContentIds));
    }
    const { known, swarms, unknownContentIds } = await client.renew({ peerId, changes, signal: this.#abort.signal });
    this.#registered = known;
    if (!known) return;
    for (const contentId of unknownContentIds) this.#contents.get(contentId)?.publishedNames.clear();
    await this.#publishNames(new Set(unknownContentIds));
    for (const report of swarms) this.#options.onNews(report);
  }

  /** Publishes what is not published yet; with manifests for the contents the tracker said it does not know. */
  async #publishNames(unknown: ReadonlySet<ContentId>): Promise<void> {
    const items: PublishedItem[] = [];
    for (const [contentId, tracked] of this.#contents) {
      const { manifest, names } = tracked.content;
      for (const name of names) {
        if (tracked.publishedNames.has(name)) continue;
        tracked.publishedNames.add(name);
        items.push({
          name,
          manifest: unknown.has(contentId) ? manifest : undefined,
          contentId,
          partial: !tracked.content.have().isFull,
        });
      }
    }
    if (items.length === 0) return;
    const { client, peerId } = this.#options;
    const results = await client.publish({ peerId, items, signal: this.#abort.signal });
    results.forEach(({ problem }, index) => {
      const item = items[index];
      if (problem !== '' && item !== undefined) this.#options.onPublishProblem?.(item.name, problem);
    });
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

const NOTHING_NEW = { complete: false, gained: [], lost: [], dropped: false, links: 0, bytesUp: 0, bytesDown: 0 };

function reportOf(contentId: ContentId, told: Bitfield, have: Bitfield, links: number): HoldingReport {
  const gained: number[] = [];
  const lost: number[] = [];
  if (have.isFull) return { ...NOTHING_NEW, contentId, complete: true, links };
  for (const chunk of have) if (!told.has(chunk)) gained.push(chunk);
  for (const chunk of told) if (!have.has(chunk)) lost.push(chunk);
  return { ...NOTHING_NEW, contentId, gained, lost, links };
}
