/**
 * One download from the question to the file: has the content found, opens the partial file, lets the session fetch, watches for
 * stalls, checks the whole, and puts the file in place. Whatever ends it early, the partial file stays.
 */
import { stat } from 'node:fs/promises';
import { chunkBytes } from '../content/chunk-layout.ts';
import { digestBytes, sha256HexFromBytes, type Sha256Hex } from '../content/digest.ts';
import { chunkDigest, chunkDigestMatches } from '../content/manifest.ts';
import { ShoalError } from '../errors.ts';
import { digestChunk, sha256 } from '../storage/digest-chunk.ts';
import { openPartialFile, type PartialFile } from '../storage/partial-file.ts';
import type { WholeDigest } from '../storage/whole-digest.ts';
import { hashFile } from '../storage/hash-file.ts';
import type { GetOptions, GetResult, SourceTally } from './api.ts';
import type { ContentSession, Conviction, SourceCount } from './content-session.ts';
import { findContent, type FindHost, type FoundContent, type WantedContent } from './find-content.ts';
import { resolveTarget } from './get-target.ts';
import { ProgressMeter } from './progress.ts';
import type { Located } from './tracker-client.ts';
import { Transfer, whyOf, type TransferHost } from './transfer.ts';

/** What the job needs of its node. */
export interface GetHost extends FindHost, TransferHost {
  /** Writes a received chunk at a position of a descriptor. */
  writeChunk(descriptor: number, bytes: Uint8Array, position: number): Promise<void>;
  /** This is going to be fetched: what takes time to start may start now. */
  prepare(wanted: WantedContent): void;
  /** The digest of the file being fetched, at `path`. */
  wholeDigest(path: string, size: number): WholeDigest;
  /** The file is whole and in place: its session reads from there from now on. */
  finished(wanted: WantedContent, session: ContentSession, path: string): Promise<void>;
  /** The file was whole without a session: serve it as if it had just been fetched. */
  serve(wanted: WantedContent, path: string): Promise<void>;
  /** The download is given up: close its session. */
  abandon(wanted: WantedContent, session: ContentSession): Promise<void>;
}

/** @param found what was found already; default: it is looked for. */
export async function runGet(
  host: GetHost,
  options: GetOptions,
  cwd: string,
  found?: FoundContent & { readonly askedAtMs: number },
): Promise<GetResult> {
  const signal = options.signal ?? new AbortController().signal;
  const startedAtMs = found?.askedAtMs ?? host.clock();
  const content = found ?? (await findContent(host, options, signal));
  const { wanted } = content;
  host.prepare(wanted);
  const target = await resolveTarget(options.output, wanted.name, cwd, process.platform);
  if (target.kind === 'stdout') {
    const { runStreamGet } = await import('./get-stream-job.ts');
    return await runStreamGet(host, options, { found: content, startedAtMs, signal, output: process.stdout });
  }
  const there = await alreadyThere(target.path, wanted, startedAtMs, host.clock, signal);
  if (there !== undefined) await host.serve(wanted, there.path);
  return there ?? (await new Fetch(host, options, content, target.path, signal, startedAtMs).run());
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
  readonly #path: string;
  readonly #signal: AbortSignal;
  readonly #located: Located | undefined;
  readonly #liars: readonly Conviction[];
  readonly #startedAtMs: number;
  #session: ContentSession | undefined;

  constructor(
    host: GetHost,
    options: GetOptions,
    { wanted, located, liars }: FoundContent,
    path: string,
    signal: AbortSignal,
    startedAtMs: number,
  ) {
    this.#startedAtMs = startedAtMs;
    this.#host = host;
    this.#options = options;
    this.#wanted = wanted;
    this.#located = located;
    this.#liars = liars;
    this.#path = path;
    this.#signal = signal;
  }

  async run(): Promise<GetResult> {
    const { manifest, layout } = this.#wanted;
    const partial = await openPartialFile({
      targetPath: this.#path,
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
      digest.abort();
      await partial.close();
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
    const transfer = partial.have.isFull ? undefined : this.#open(partial, progress, digest, advance);
    try {
      await transfer?.arrived();
    } finally {
      if (transfer === undefined) this.#options.onProgress?.(progress.now(0, null, whyOf(undefined)));
      transfer?.stop();
    }
  }

  #open(partial: PartialFile, progress: ProgressMeter, whole: WholeDigest, onGained: () => void): Transfer {
    const { layout } = this.#wanted;
    const transfer = new Transfer(this.#host, {
      wanted: this.#wanted,
      located: this.#located,
      liars: this.#liars,
      get: this.#options,
      signal: this.#signal,
      partial,
      whole,
      progress,
      onGained: (chunkIndex) => {
        progress.gained(chunkBytes(layout, chunkIndex));
        onGained();
      },
    });
    this.#session = transfer.session;
    return transfer;
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

export function tally(source: SourceCount): SourceTally {
  return {
    address: source.address,
    peer: source.key === source.address ? '' : source.key,
    bytes: source.bytes,
    chunks: source.chunks,
    rttMs: source.rttMs === null ? null : Math.round(source.rttMs * 1000) / 1000,
    seconds: Number.isNaN(source.firstByteAtMs) ? 0 : (source.lastByteAtMs - source.firstByteAtMs) / 1000,
  };
}
