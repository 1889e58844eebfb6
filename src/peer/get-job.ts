/**
 * One download from the question to the file: has the content found, opens the partial file, lets the session fetch, watches for
 * stalls, checks the whole, and puts the file in place. Whatever ends it early, the partial file stays.
 */
import { stat } from 'node:fs/promises';
import { chunkBytes } from '../content/chunk-layout.ts';
import { digestBytes, sha256HexFromBytes, type Sha256Hex } from '../content/digest.ts';
import { chunkDigest, chunkDigestMatches } from '../content/manifest.ts';
import { ShoalError } from '../errors.ts';
import { PROGRESS_MIN_INTERVAL_MS, RELOCATE_MS, STALL_TIMEOUT_DEFAULT_MS } from '../limits.ts';
import { digestChunk, sha256 } from '../storage/digest-chunk.ts';
import { openPartialFile, type PartialFile } from '../storage/partial-file.ts';
import type { WholeDigest } from '../storage/whole-digest.ts';
import { hashFile } from '../storage/hash-file.ts';
import type { Candidate } from '../swarm/facts.ts';
import type { GetOptions, GetProgress, GetResult, SourceTally } from './api.ts';
import type { ContentSession, SessionEvents, SourceCount } from './content-session.ts';
import { findContent, formatSourceAddress, type FindHost, type WantedContent } from './find-content.ts';
import { resolveTarget, type GetTarget } from './get-target.ts';
import { streamInOrder, temporaryTarget } from './get-stream.ts';
import { ProgressMeter } from './progress.ts';
import type { Located, TrackerSource } from './tracker-client.ts';

/** What the job needs of its node. */
export interface GetHost extends FindHost {
  readonly clock: () => number;
  /** Writes a received chunk at a position of a descriptor. */
  writeChunk(descriptor: number, bytes: Uint8Array, position: number): Promise<void>;
  /** This is going to be fetched: what takes time to start may start now. */
  prepare(wanted: WantedContent): void;
  /** The digest of the file being fetched, at `path`. */
  wholeDigest(path: string, size: number): WholeDigest;
  /** Opens the session of a download and, where it has a manifest, announces it. */
  openDownload(
    wanted: WantedContent,
    partial: PartialFile,
    whole: WholeDigest,
    options: GetOptions,
    events: Omit<SessionEvents, 'dial' | 'probe'>,
  ): ContentSession;
  /** The file is whole and in place: its session reads from there from now on. */
  finished(wanted: WantedContent, session: ContentSession, path: string): Promise<void>;
  /** The file was whole without a session: serve it as if it had just been fetched. */
  serve(wanted: WantedContent, path: string): Promise<void>;
  /** The download is given up: close its session. */
  abandon(wanted: WantedContent, session: ContentSession): Promise<void>;
}

export async function runGet(host: GetHost, options: GetOptions, cwd: string): Promise<GetResult> {
  const signal = options.signal ?? new AbortController().signal;
  const startedAtMs = host.clock();
  const { wanted, located } = await findContent(host, options, signal);
  host.prepare(wanted);
  const target = await resolveTarget(options.output, wanted.name, cwd, process.platform);
  const there =
    target.kind === 'file' ? await alreadyThere(target.path, wanted, startedAtMs, host.clock, signal) : undefined;
  if (there !== undefined) await host.serve(wanted, there.path);
  return there ?? (await new Fetch(host, options, wanted, located, target, signal, startedAtMs).run());
}

/** A file that is there and right needs no transfer. */
async function alreadyThere(
  path: string,
  wanted: WantedContent,
  startedAtMs: number,
  clock: () => number,
  signal: AbortSignal,
): Promise<GetResult | undefined> {
  const found = await stat(path).catch(() => undefined);
  if (found?.isFile() !== true || found.size !== wanted.layout.size || wanted.sha256 === undefined) return undefined;
  const { manifest } = await hashFile(path, { chunkSize: wanted.layout.chunkSize, signal });
  if (manifest.sha256 !== wanted.sha256) return undefined;
  const seconds = (clock() - startedAtMs) / 1000;
  return {
    name: wanted.name,
    path,
    size: wanted.layout.size,
    sha256: wanted.sha256,
    content: wanted.manifest?.contentId ?? '',
    seconds,
    bytesPerSecond: 0,
    resumedBytes: wanted.layout.size,
    peers: [],
  };
}

/** The transfer itself, from the partial file to the finished one. */
class Fetch {
  readonly #host: GetHost;
  readonly #options: GetOptions;
  readonly #wanted: WantedContent;
  readonly #target: GetTarget;
  readonly #signal: AbortSignal;
  readonly #located: Located | undefined;
  readonly #startedAtMs: number;
  #session: ContentSession | undefined;
  #relocating = false;
  #closed = false;

  constructor(
    host: GetHost,
    options: GetOptions,
    wanted: WantedContent,
    located: Located | undefined,
    target: GetTarget,
    signal: AbortSignal,
    startedAtMs: number,
  ) {
    this.#startedAtMs = startedAtMs;
    this.#host = host;
    this.#options = options;
    this.#wanted = wanted;
    this.#located = located;
    this.#target = target;
    this.#signal = signal;
  }

  async run(): Promise<GetResult> {
    const { manifest, layout } = this.#wanted;
    const temporary = this.#target.kind === 'stdout' ? await temporaryTarget(this.#wanted.name) : undefined;
    const path = this.#target.kind === 'file' ? this.#target.path : (temporary?.path ?? '');
    const partial = await openPartialFile({
      targetPath: path,
      layout,
      writer: (descriptor, bytes, position) => this.#host.writeChunk(descriptor, bytes, position),
      identity:
        manifest === undefined
          ? sha256(new TextEncoder().encode(`${this.#wanted.name} ${layout.size} ${this.#wanted.sha256 ?? ''}`))
          : digestBytes(manifest.contentId),
      ...(manifest === undefined
        ? {}
        : {
            matches: async (chunkIndex: number, bytes: Uint8Array) =>
              chunkDigestMatches(manifest, chunkIndex, await digestChunk(bytes)),
          }),
    });
    const progress = new ProgressMeter(
      this.#wanted.name,
      layout.size,
      partial.resumedBytes,
      this.#host.clock,
      this.#startedAtMs,
    );
    const digest = this.#host.wholeDigest(partial.partPath, layout.size);
    try {
      await this.#transfer(partial, progress, digest);
      const actual = await this.#checkWhole(partial, digest);
      const finalPath = await this.#putInPlace(partial);
      return this.#result(finalPath, actual, progress);
    } catch (error) {
      if (this.#session !== undefined) await this.#host.abandon(this.#wanted, this.#session);
      throw error;
    } finally {
      this.#closed = true;
      digest.abort();
      await partial.close();
      await temporary?.remove();
    }
  }

  async #transfer(partial: PartialFile, progress: ProgressMeter, digest: WholeDigest): Promise<void> {
    const { layout } = this.#wanted;
    let prefix = 0;
    const advance = (): void => {
      const missing = partial.have.firstMissing(prefix);
      prefix = missing < 0 ? layout.chunkCount : missing;
      digest.advance(missing < 0 ? layout.size : missing * layout.chunkSize);
    };
    advance();
    const done = Promise.withResolvers<void>();
    const session = partial.have.isFull ? undefined : this.#open(partial, digest, progress, advance, done);
    if (session === undefined) done.resolve();
    const watch = session === undefined ? undefined : this.#watch(session, progress, done);
    const onAbort = (): void =>
      done.reject(
        new ShoalError('cancelled', `the download of ${this.#wanted.name} was interrupted`, {
          hint: 'the partial file is kept: the same command goes on where it stopped',
        }),
      );
    this.#signal.addEventListener('abort', onAbort, { once: true });
    if (this.#signal.aborted) onAbort();
    const streamed =
      this.#target.kind === 'stdout' ? streamInOrder(partial, layout, process.stdout, this.#signal) : undefined;
    streamed?.written.catch((error: unknown) => done.reject(error));
    this.#onGained = () => {
      advance();
      streamed?.advance();
    };
    try {
      await done.promise;
      streamed?.advance();
      await streamed?.written;
    } finally {
      streamed?.stop();
      clearInterval(watch);
      this.#signal.removeEventListener('abort', onAbort);
      this.#options.onProgress?.(progress.now(session?.linkCount ?? 0, null, whyOf(session)));
    }
  }

  #onGained: () => void = () => undefined;

  #open(
    partial: PartialFile,
    digest: WholeDigest,
    progress: ProgressMeter,
    advance: () => void,
    done: PromiseWithResolvers<void>,
  ): ContentSession {
    const { layout } = this.#wanted;
    this.#onGained = advance;
    const session = this.#host.openDownload(this.#wanted, partial, digest, this.#options, {
      needPeers: () => this.#relocate(),
      gained: (chunkIndex) => {
        progress.gained(chunkBytes(layout, chunkIndex));
        this.#onGained();
      },
      complete: () => done.resolve(),
      banned: (_key, address, reason) => this.#options.onPeerBanned?.({ address, reason }),
    });
    this.#session = session;
    if (this.#located !== undefined) session.learn(this.#candidates(this.#located.sources), true);
    session.learn(
      (this.#options.from ?? []).map((address) => ({
        key: address,
        addresses: [address],
        dialect: 'native',
        rangeName: this.#wanted.name,
        complete: false,
      })),
      true,
    );
    return session;
  }

  /** Ten times a second: progress for those who watch, and whether it is time to give up. */
  #watch(session: ContentSession, progress: ProgressMeter, done: PromiseWithResolvers<void>): NodeJS.Timeout {
    const stallTimeoutMs = this.#options.stallTimeoutMs ?? STALL_TIMEOUT_DEFAULT_MS;
    let relocateAtMs = this.#host.clock() + RELOCATE_MS;
    return setInterval(() => {
      const nowMs = this.#host.clock();
      const reason = session.stallReason();
      this.#options.onProgress?.(progress.now(session.linkCount, reason, whyOf(session)));
      if (nowMs >= relocateAtMs) {
        relocateAtMs = nowMs + RELOCATE_MS;
        this.#relocate();
      }
      if (nowMs - session.lastProgressAtMs < stallTimeoutMs) return;
      const diskError = session.lastDiskError;
      if (reason === 'disk' && diskError !== undefined) done.reject(diskError);
      else if (reason !== 'hashing' && reason !== 'rate-limit') done.reject(this.#stalled(session, stallTimeoutMs));
    }, PROGRESS_MIN_INTERVAL_MS);
  }

  #stalled(session: ContentSession, stallTimeoutMs: number): ShoalError {
    const seconds = Math.round(stallTimeoutMs / 1000);
    const hint = 'the partial file is kept: the same command goes on where it stopped';
    const { name } = this.#wanted;
    if (session.linkCount === 0)
      return new ShoalError('no-source', `no source of ${name} could be reached for ${seconds} s`, { hint });
    return new ShoalError(
      'stalled',
      `nothing of ${name} has come for ${seconds} s from ${session.linkCount} connected peers (${session.stallReason() ?? 'waiting'})`,
      { hint },
    );
  }

  #relocate(): void {
    if (this.#relocating || this.#closed) return;
    this.#relocating = true;
    const { manifest, name } = this.#wanted;
    const what = manifest === undefined ? { name } : { contentId: manifest.contentId };
    this.#host.tracker
      .locate({ what, peerId: this.#host.peerId }, this.#signal)
      .then((located) => this.#session?.learn(this.#candidates(located.sources), true))
      // the tracker is away or does not know it any more: those we are connected to go on
      .catch(() => undefined)
      .finally(() => {
        this.#relocating = false;
      });
  }

  #candidates(sources: readonly TrackerSource[]): Candidate[] {
    return sources.map((source) => {
      const addresses = source.addresses.map(formatSourceAddress);
      const native = source.dialects.includes('native') && this.#wanted.manifest !== undefined;
      return {
        key: source.peerId === '' ? (addresses[0] ?? '') : source.peerId,
        addresses,
        dialect: native ? 'native' : 'range',
        rangeName: source.rangeName || undefined,
        complete: source.chunks === undefined,
      };
    });
  }

  /** The digest of the whole file, compared with all that claims to know it. */
  async #checkWhole(partial: PartialFile, digest: WholeDigest): Promise<Sha256Hex> {
    const { layout, sha256: claimed, name, manifest } = this.#wanted;
    // the digest of the only chunk is that of the whole, and the chunk has been verified
    const known = manifest !== undefined && layout.chunkCount === 1 ? chunkDigest(manifest, 0) : undefined;
    const actual = sha256HexFromBytes(known ?? (await digest.finish(layout.size)));
    for (const expected of [claimed, this.#options.expectedSha256]) {
      if (expected === undefined || expected === actual) continue;
      await partial.discard();
      throw new ShoalError('integrity', `${name} was fetched whole but has the SHA-256 ${actual}, not ${expected}`, {
        hint: 'nothing of it was kept',
      });
    }
    return actual;
  }

  /** Whoever reads chunks from us meanwhile waits until they can be read from the finished file. */
  async #putInPlace(partial: PartialFile): Promise<string> {
    if (this.#target.kind === 'stdout') return '-';
    const session = this.#session;
    const moved = Promise.withResolvers<void>();
    session?.holdReads(moved.promise);
    try {
      const path = await partial.finish();
      if (session === undefined) await this.#host.serve(this.#wanted, path);
      else await this.#host.finished(this.#wanted, session, path);
      return path;
    } finally {
      moved.resolve();
    }
  }

  #result(path: string, actual: Sha256Hex, progress: ProgressMeter): GetResult {
    const { name, layout, manifest } = this.#wanted;
    const { seconds, resumedBytes } = progress;
    return {
      name,
      path,
      size: layout.size,
      sha256: actual,
      content: manifest?.contentId ?? '',
      seconds,
      bytesPerSecond: seconds > 0 ? Math.round((layout.size - resumedBytes) / seconds) : 0,
      resumedBytes,
      peers: (this.#session?.sources ?? []).map(tally),
    };
  }
}

function whyOf(session: ContentSession | undefined): Pick<GetProgress, 'bottleneck' | 'reasons'> {
  // a finished download waits for nothing, whatever its session still serves
  if (session === undefined || session.swarm.isComplete) return { bottleneck: null, reasons: {} };
  return { bottleneck: session.bottleneck(), reasons: session.reasons() };
}

function tally(source: SourceCount): SourceTally {
  return {
    address: source.address,
    peer: source.key === source.address ? '' : source.key,
    bytes: source.bytes,
    chunks: source.chunks,
    rttMs: source.rttMs === null ? null : Math.round(source.rttMs * 1000) / 1000,
    seconds: Number.isNaN(source.firstByteAtMs) ? 0 : (source.lastByteAtMs - source.firstByteAtMs) / 1000,
  };
}
