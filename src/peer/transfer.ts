/**
 * The fetching of one content: its session with the sources the tracker names, asked for again from time to time; progress for those
 * who watch; and giving up when nothing comes. What becomes of the bytes is its caller's business.
 */
import type { Bitfield } from '../content/bitfield.ts';
import type { ContentId } from '../content/digest.ts';
import { ShoalError } from '../errors.ts';
import { PROGRESS_MIN_INTERVAL_MS, RELOCATE_MS, RELOCATE_WHOLE_EVERY, STALL_TIMEOUT_DEFAULT_MS } from '../limits.ts';
import type { PartialFile } from '../storage/partial-file.ts';
import type { WholeDigest } from '../storage/whole-digest.ts';
import type { Candidate } from '../swarm/facts.ts';
import type { GetOptions, GetProgress } from './api.ts';
import type { Ban, ContentSession, Conviction, SessionEvents } from './content-session.ts';
import { formatSourceAddress, type WantedContent } from './find-content.ts';
import type { ProgressMeter } from './progress.ts';
import type { Located, TrackerClient, TrackerSource } from './tracker-client.ts';

/** Where chunks go, and are read from again. */
export type ChunkPlace = Pick<PartialFile, 'have' | 'read' | 'write'> & Partial<Pick<PartialFile, 'readAtOnce'>>;

/** What a transfer needs of its node. */
export interface TransferHost {
  /** 32 hex digits. */
  readonly peerId: string;
  readonly tracker: TrackerClient;
  readonly clock: () => number;
  /** Tells the tracker of a peer that lied, where it can be said who that was. */
  report(contentId: ContentId, ban: Ban): void;
  /** Opens the session of a download and, where it has a manifest, announces it. `chunks`: what is wanted at first; default all. */
  openDownload(
    wanted: WantedContent,
    partial: ChunkPlace,
    whole: WholeDigest,
    options: GetOptions,
    events: Omit<SessionEvents, 'dial' | 'probe'>,
    chunks?: Bitfield,
  ): ContentSession;
}

export interface TransferOptions {
  readonly wanted: WantedContent;
  readonly located: Located | undefined;
  /** Peers that have lied already. */
  readonly liars: readonly Conviction[];
  readonly get: GetOptions;
  readonly signal: AbortSignal;
  readonly partial: ChunkPlace;
  readonly whole: WholeDigest;
  readonly progress: ProgressMeter;
  /** Wanted at first; default every chunk. */
  readonly chunks?: Bitfield | undefined;
  /** A chunk is there. */
  readonly onGained: (chunkIndex: number) => void;
}

export class Transfer {
  readonly session: ContentSession;
  readonly #host: TransferHost;
  readonly #options: TransferOptions;
  readonly #wanted: WantedContent;
  readonly #signal: AbortSignal;
  readonly #watch: NodeJS.Timeout;
  readonly #onAbort = (): void =>
    this.fail(
      new ShoalError('cancelled', `the download of ${this.#wanted.name} was interrupted`, {
        hint: 'the partial file is kept: the same command goes on where it stopped',
      }),
    );
  #done = Promise.withResolvers<void>();
  /** When more was wanted last: what was quiet before, because nothing was wanted, is no stall. */
  #wantedAtMs = Number.NEGATIVE_INFINITY;
  #relocating = false;
  /** Up to where the tracker's last answer about this swarm goes, and the answers since the last whole one. */
  #revision: Uint8Array | undefined;
  #relocations = 0;
  #stopped = false;

  /** Begins to fetch. */
  constructor(host: TransferHost, options: TransferOptions) {
    this.#host = host;
    this.#options = options;
    this.#wanted = options.wanted;
    this.#signal = options.signal;
    this.#done.promise.catch(() => undefined); // `arrived` tells
    const { wanted, partial, whole, get, chunks, onGained, located, liars } = options;
    const events = {
      needPeers: () => this.#relocate(),
      gained: onGained,
      complete: () => this.#done.resolve(),
      banned: (ban: Ban) => {
        get.onPeerBanned?.({ address: ban.address, reason: ban.reason });
        if (wanted.manifest !== undefined) host.report(wanted.manifest.contentId, ban);
      },
    };
    const session = host.openDownload(wanted, partial, whole, get, events, chunks);
    this.session = session;
    for (const liar of liars) session.convicted(liar);
    this.#revision = located?.revision;
    if (located !== undefined) session.learn(candidatesOf(located.sources, wanted.manifest !== undefined), true);
    session.learn(
      (get.from ?? []).map((address) => ({
        key: address,
        addresses: [address],
        dialect: 'native',
        rangeName: wanted.name,
        complete: false,
      })),
      true,
    );
    this.#watch = this.#startWatch(session);
    this.#signal.addEventListener('abort', this.#onAbort, { once: true });
    if (this.#signal.aborted) this.#onAbort();
  }

  /** Resolves when all that is wanted is there; rejects when it is given up. */
  arrived(): Promise<void> {
    return this.#done.promise;
  }

  /** Wants these chunks as well: `arrived` is about them too from now on. */
  want(chunks: Bitfield): void {
    const { have } = this.#options.partial;
    let isMissing = false;
    for (const chunk of chunks) isMissing ||= !have.has(chunk);
    if (!isMissing) return;
    const before = this.#done.promise;
    this.#done = Promise.withResolvers();
    this.#done.promise.catch(() => undefined);
    before.catch((error: unknown) => this.#done.reject(error));
    this.#wantedAtMs = this.#host.clock();
    this.session.want(chunks);
  }

  /** Gives up. */
  fail(error: unknown): void {
    this.#done.reject(error);
  }

  /** No more progress and no giving up; the session stays open. */
  stop(): void {
    this.#stopped = true;
    clearInterval(this.#watch);
    this.#signal.removeEventListener('abort', this.#onAbort);
    this.#options.get.onProgress?.(this.#options.progress.now(this.session.linkCount, null, whyOf(this.session)));
  }

  /** Ten times a second: progress for those who watch, and whether it is time to give up. */
  #startWatch(session: ContentSession): NodeJS.Timeout {
    const { get, progress } = this.#options;
    const stallTimeoutMs = get.stallTimeoutMs ?? STALL_TIMEOUT_DEFAULT_MS;
    let relocateAtMs = this.#host.clock() + RELOCATE_MS;
    return setInterval(() => {
      const nowMs = this.#host.clock();
      const reason = session.stallReason();
      get.onProgress?.(progress.now(session.linkCount, reason, whyOf(session)));
      if (nowMs >= relocateAtMs) {
        relocateAtMs = nowMs + RELOCATE_MS;
        this.#relocate(this.#revision);
      }
      if (nowMs - Math.max(session.lastProgressAtMs, this.#wantedAtMs) < stallTimeoutMs) return;
      const diskError = session.lastDiskError;
      if (reason === 'disk' && diskError !== undefined) this.fail(diskError);
      else if (reason !== 'hashing' && reason !== 'rate-limit') this.fail(this.#stalled(session, stallTimeoutMs));
    }, PROGRESS_MIN_INTERVAL_MS);
  }

  #stalled(session: ContentSession, stallTimeoutMs: number): ShoalError {
    const seconds = Math.round(stallTimeoutMs / 1000);
    const hint = 'the partial file is kept: the same command goes on where it stopped';
    const { name } = this.#wanted;
    if (session.linkCount === 0 && session.lastRefusal !== undefined) {
      const { code, message, hint: remedy } = session.lastRefusal;
      return new ShoalError(code, `no source of ${name} lets this node in: ${message}`, { hint: remedy || hint });
    }
    if (session.linkCount === 0)
      return new ShoalError('no-source', `no source of ${name} could be reached for ${seconds} s`, { hint });
    return new ShoalError(
      'stalled',
      `nothing of ${name} has come for ${seconds} s from ${session.linkCount} connected peers (${session.stallReason() ?? 'waiting'})`,
      { hint },
    );
  }

  /** Asks for sources: for all, as one who lacks some needs, or for what is new since a revision. */
  #relocate(revision?: Uint8Array): void {
    if (this.#relocating || this.#stopped) return;
    this.#relocating = true;
    this.#relocations = revision === undefined ? 0 : this.#relocations + 1;
    const since = this.#relocations % RELOCATE_WHOLE_EVERY === 0 ? undefined : revision;
    const { manifest, name } = this.#wanted;
    const what = manifest === undefined ? { name } : { contentId: manifest.contentId };
    this.#host.tracker
      .locate({ what, peerId: this.#host.peerId, since }, this.#signal)
      .then(({ sources, revision: upTo }) => {
        this.#revision = upTo;
        return this.session.learn(candidatesOf(sources, this.#wanted.manifest !== undefined), true);
      })
      // the tracker is away or does not know it any more: those we are connected to go on
      .catch(() => undefined)
      .finally(() => {
        this.#relocating = false;
      });
  }
}

/** The sources that the tracker names, as peers to dial. Without a manifest only the range dialect is of use. */
export function candidatesOf(sources: readonly TrackerSource[], hasManifest: boolean): Candidate[] {
  return sources.map((source) => {
    const addresses = source.addresses.map(formatSourceAddress);
    const native = source.dialects.includes('native') && hasManifest;
    return {
      key: source.peerId === '' ? (addresses[0] ?? '') : source.peerId,
      addresses,
      dialect: native ? 'native' : 'range',
      rangeName: source.rangeName || undefined,
      complete: source.chunks === undefined,
    };
  });
}

/** What a transfer waits for; undefined: nothing had to be fetched. */
export function whyOf(session: ContentSession | undefined): Pick<GetProgress, 'bottleneck' | 'reasons'> {
  // a finished download waits for nothing, whatever its session still serves
  if (session === undefined || session.swarm.isComplete) return { bottleneck: null, reasons: {} };
  return { bottleneck: session.bottleneck(), reasons: session.reasons() };
}
