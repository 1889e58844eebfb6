/**
 * One folder from its name to its files in place. Its content is fetched as any other, the listing first; files that are there and
 * right are neither fetched nor touched; small files are cut out of the content while it comes; large ones, which are contents of
 * their own, are fetched beside it. Until all is there, everything lies in `<folder>.part`.
 */
import { chmod, mkdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Bitfield } from '../content/bitfield.ts';
import { digestBytes } from '../content/digest.ts';
import { localPathSegments, parseEntryName, type EntryName } from '../content/entry-name.ts';
import {
  filesBelow,
  LISTING_HEADER_BYTES,
  listingBytesOf,
  parseFolderListing,
  type FolderListing,
} from '../content/folder-listing.ts';
import { chunkDigestMatches } from '../content/manifest.ts';
import { ShoalError } from '../errors.ts';
import * as limits from '../limits.ts';
import { digestChunk } from '../storage/digest-chunk.ts';
import { diskError } from '../storage/disk-error.ts';
import { syncFolder } from '../storage/durable.ts';
import { createFolderReader } from '../storage/folder-reader.ts';
import type { FolderWorkers } from '../storage/folder-workers.ts';
import { hashFile } from '../storage/hash-file.ts';
import { openPartialFile, type PartialFile } from '../storage/partial-file.ts';
import { canSyncFileSystem } from '../storage/sync-file-system.ts';
import { NO_WHOLE_DIGEST } from '../storage/whole-digest.ts';
import type { GetOptions, GetProgress, GetResult, SourceTally } from './api.ts';
import type { ChunkStore, ContentSession } from './content-session.ts';
import type { FoundContent, WantedContent } from './find-content.ts';
import { FolderUnpacking, type LocalFile } from './folder-unpacking.ts';
import { resolveFolderTarget, type FolderTarget } from './folder-target.ts';
import { runGet, tally, type GetHost } from './get-job.ts';
import { ProgressMeter } from './progress.ts';
import { Transfer, whyOf } from './transfer.ts';

/** What the job needs of its node. */
export interface FolderGetHost extends GetHost {
  readonly workers: FolderWorkers;
  /** The folder is whole and in place: its content is served from there. Without a session all of it is. */
  keepFolder(wanted: WantedContent, store: ChunkStore, session: ContentSession | undefined): void;
  /** A large file is whole and waits for the others: served from where it is, and not taken for one of a shared folder yet. */
  keepFor(wanted: WantedContent, session: ContentSession, path: string): Promise<void>;
}

/** A file that is a content of its own, fetched and not yet in its place. */
interface LargeFile {
  readonly file: LocalFile;
  readonly wanted: WantedContent;
  /** Undefined: it was there before anything was fetched of it. */
  readonly session: ContentSession | undefined;
}

type Manifest = NonNullable<WantedContent['manifest']>;

export async function runFolderGet(
  host: FolderGetHost,
  options: GetOptions,
  cwd: string,
  found: FoundContent & { readonly askedAtMs: number },
): Promise<GetResult> {
  const { wanted, below } = found;
  const { manifest } = wanted;
  if (manifest === undefined) throw new ShoalError('integrity', `${wanted.name} was announced without a manifest`);
  host.workers.start();
  host.prepare(wanted);
  const target = await resolveFolderTarget(options.output, below || wanted.name, cwd, process.platform);
  await mkdir(target.folder, { recursive: true }).catch((error: unknown) => {
    throw diskError(error, `cannot create ${target.folder}`);
  });
  return await new FolderFetch(host, options, found, manifest, target).run();
}

class FolderFetch {
  readonly #host: FolderGetHost;
  readonly #options: GetOptions;
  readonly #found: FoundContent & { readonly askedAtMs: number };
  readonly #manifest: Manifest;
  readonly #target: FolderTarget;
  readonly #signal: AbortSignal;
  /** Of what was asked for: the folder, or the folder in it. */
  readonly #name: string;
  /** Chunks that were there before anything was fetched. */
  #resumed = new Bitfield(0);
  #transfer: Transfer | undefined;
  #progress: ProgressMeter;
  #unpacking: FolderUnpacking | undefined;
  readonly #large: LargeFile[] = [];
  /** Where folders go that have nothing in them. */
  #emptyFolders: readonly string[] = [];
  readonly #largeTallies: SourceTally[] = [];

  constructor(
    host: FolderGetHost,
    options: GetOptions,
    found: FoundContent & { readonly askedAtMs: number },
    manifest: Manifest,
    target: FolderTarget,
  ) {
    this.#host = host;
    this.#options = options;
    this.#found = found;
    this.#manifest = manifest;
    this.#target = target;
    this.#signal = options.signal ?? new AbortController().signal;
    this.#name = found.wanted.name + found.below;
    this.#progress = new ProgressMeter(this.#name, manifest.size, 0, host.clock, found.askedAtMs);
  }

  async run(): Promise<GetResult> {
    const manifest = this.#manifest;
    const partial = await openPartialFile({
      targetPath: this.#target.bundle,
      layout: manifest,
      identity: digestBytes(manifest.contentId),
      writer: (descriptor, bytes, position) => this.#host.writeChunk(descriptor, bytes, position),
      matches: async (chunkIndex, bytes) => chunkDigestMatches(manifest, chunkIndex, await digestChunk(bytes)),
    });
    this.#resumed = partial.have.clone();
    let isDone = false;
    try {
      const listing = await this.#fetchListing(partial);
      const files = this.#choose(listing);
      const kept = await this.#keptOf(files);
      await this.#fetchFiles(partial, files, kept);
      const result = this.#resultOf(files, kept);
      await this.#putInPlace(partial, listing, files, kept);
      isDone = true;
      return result();
    } catch (error) {
      if (this.#transfer !== undefined) await this.#host.abandon(this.#found.wanted, this.#transfer.session);
      for (const { wanted, session } of this.#large)
        if (session !== undefined) await this.#host.abandon(wanted, session);
      throw error;
    } finally {
      this.#transfer?.stop();
      await this.#unpacking?.settled();
      await partial.close();
      if (isDone) await rm(this.#target.folder, { recursive: true, force: true });
    }
  }

  // ---- the listing ---------------------------------------------------------------------------------------------------------

  async #fetchListing(partial: PartialFile): Promise<Uint8Array<ArrayBuffer>> {
    const { size, chunkSize } = this.#manifest;
    const head = await this.#readStart(partial, Math.min(LISTING_HEADER_BYTES, size));
    const listing = await this.#readStart(
      partial,
      this.#check(() => listingBytesOf(head, size)),
    );
    if (chunkSize < LISTING_HEADER_BYTES) throw new ShoalError('bug', 'a chunk is smaller than the head of a listing');
    return listing;
  }

  /** The first bytes of the content, fetched if need be. */
  async #readStart(partial: PartialFile, byteCount: number): Promise<Uint8Array<ArrayBuffer>> {
    const { chunkSize, chunkCount } = this.#manifest;
    const chunks = new Bitfield(chunkCount);
    for (let chunk = 0; chunk * chunkSize < byteCount; chunk++) chunks.add(chunk);
    await this.#fetch(partial, chunks);
    const bytes = new Uint8Array(chunks.count * chunkSize);
    for (const chunk of chunks) await partial.read(chunk, bytes.subarray(chunk * chunkSize));
    return bytes.slice(0, byteCount);
  }

  /** Has these chunks fetched, and waits for them. */
  async #fetch(partial: PartialFile, chunks: Bitfield): Promise<void> {
    let isMissing = false;
    for (const chunk of chunks) isMissing ||= !partial.have.has(chunk);
    if (!isMissing) return;
    if (this.#transfer === undefined) {
      const { wanted, located, liars } = this.#found;
      const progress = this.#progress;
      // what is wanted has gaps: an order in which nothing is ahead of its turn is for whole files
      const get = { ...this.#options, sequential: undefined, onProgress: (news: GetProgress) => this.#tell(news) };
      const onGained = (chunkIndex: number): void => this.#unpacking?.gained(chunkIndex);
      const common = { wanted, located, liars, get, signal: this.#signal, partial, whole: NO_WHOLE_DIGEST, progress };
      this.#transfer = new Transfer(this.#host, { ...common, chunks, onGained });
    } else this.#transfer.want(chunks);
    await this.#transfer.arrived();
  }

  #choose(bytes: Uint8Array): readonly LocalFile[] {
    const { below } = this.#found;
    const listing: FolderListing = this.#check(() => parseFolderListing(bytes));
    if (listing.contentBytes !== this.#manifest.size)
      throw new ShoalError('integrity', `the listing of ${this.#found.wanted.name} does not fit its content`);
    const chosen = filesBelow(listing, below);
    this.#emptyFolders = listing.emptyFolders.flatMap((name) => {
      if (`${name}/` === below) return [''];
      return name.startsWith(below) ? [localPath(name, below)] : [];
    });
    if (chosen.length === 0 && this.#emptyFolders.length === 0 && below !== '')
      throw new ShoalError('no-such-name', `${this.#found.wanted.name} has no folder ${below}`);
    const files = chosen.map((file) => ({ ...file, path: localPath(file.name, below) }));
    if (process.platform === 'win32' || process.platform === 'darwin') refuseTwins(files);
    return files;
  }

  /** What a listing is found to be is the fault of whoever made it, and nothing of it is kept. */
  #check<T>(read: () => T): T {
    try {
      return read();
    } catch (error) {
      throw new ShoalError('integrity', `${this.#found.wanted.name}: ${ShoalError.from(error).message}`, {
        cause: error,
        hint: 'whoever shared it made a listing that cannot be used',
      });
    }
  }

  // ---- the files -----------------------------------------------------------------------------------------------------------

  /** Files that are in the target already, and right. */
  async #keptOf(files: readonly LocalFile[]): Promise<ReadonlySet<LocalFile>> {
    const kept = new Set<LocalFile>();
    if (!this.#target.isThere) return kept;
    const small = files.filter(({ contentId }) => contentId === undefined);
    const flags = await this.#host.workers.compare(this.#target.path, small);
    for (const [index, file] of small.entries()) if (flags[index] === true) kept.add(file);
    for (const file of files) {
      if (file.contentId === undefined) continue;
      const path = join(this.#target.path, file.path);
      const size = await stat(path).then(
        (found) => (found.isFile() ? found.size : -1),
        () => -1,
      );
      if (size !== file.size) continue;
      const { manifest } = await hashFile(path, { signal: this.#signal });
      if (manifest.sha256 === file.sha256) kept.add(file);
    }
    return kept;
  }

  async #fetchFiles(partial: PartialFile, files: readonly LocalFile[], kept: ReadonlySet<LocalFile>): Promise<void> {
    const sum = (some: Iterable<LocalFile>): number => [...some].reduce((total, { size }) => total + size, 0);
    const missing = files.filter((file) => !kept.has(file));
    const { workers } = this.#host;
    // of an earlier run that was ended: cut out already, and right
    const small = missing.filter(({ contentId }) => contentId === undefined);
    const staged = await this.#stagedOf(small);
    const needed = small.filter((_file, index) => staged[index] !== true);
    const stagedBytes = sum(small) - sum(needed);
    const unpacking = new FolderUnpacking({
      layout: this.#manifest,
      partial,
      folder: this.#target.files,
      files: needed,
      workers,
      sync: !canSyncFileSystem(),
      onBytes: (byteCount) => this.#progress.gained(byteCount),
    });
    const resumed = unpacking.bytesIn(this.#resumed);
    const resumedBytes = sum(kept) + stagedBytes + resumed;
    this.#progress = new ProgressMeter(this.#name, sum(files), resumedBytes, this.#host.clock, this.#found.askedAtMs);
    // what came with the listing
    this.#progress.gained(unpacking.bytesIn(partial.have) - resumed);
    this.#unpacking = unpacking;
    unpacking.start();
    await this.#fetch(partial, unpacking.chunks);
    await unpacking.finish();
    await this.#fetchLarge(missing.filter(({ contentId }) => contentId !== undefined));
  }

  async #stagedOf(files: readonly LocalFile[]): Promise<readonly boolean[]> {
    const { files: folder } = this.#target;
    const isThere = await stat(folder).then(
      (found) => found.isDirectory(),
      () => false,
    );
    if (isThere) return await this.#host.workers.compare(folder, files);
    await mkdir(folder);
    return [];
  }

  /** Contents of their own, a few at a time; the first that fails ends all. */
  async #fetchLarge(files: readonly LocalFile[]): Promise<void> {
    const rest = files.values();
    const failed = new AbortController();
    const signal = AbortSignal.any([this.#signal, failed.signal]);
    const lane = async (): Promise<void> => {
      for (const file of rest) {
        if (signal.aborted) return;
        await this.#fetchOne(file, signal);
      }
    };
    const lanes = Array.from({ length: Math.min(limits.FOLDER_PARALLEL_GETS, files.length) }, async () => {
      try {
        await lane();
      } catch (error) {
        failed.abort(error);
        throw error;
      }
    });
    for (const result of await Promise.allSettled(lanes)) {
      if (result.status === 'rejected') throw failed.signal.reason ?? result.reason;
    }
  }

  async #fetchOne(file: LocalFile, signal: AbortSignal): Promise<void> {
    const output = join(this.#target.files, file.path);
    let toldBytes = 0;
    const onProgress = ({ bytes, peers, stalled, bottleneck, reasons }: GetProgress): void => {
      if (bytes >= toldBytes) this.#progress.gained(bytes - toldBytes);
      else this.#progress.lost(toldBytes - bytes);
      toldBytes = bytes;
      this.#options.onProgress?.(this.#progress.now(peers, stalled, { bottleneck, reasons }));
    };
    const { expectedSha256: _whole, ...options } = this.#options;
    const host: GetHost = {
      ...this.#host,
      finished: async (wanted, session, path) => {
        this.#large.push({ file, wanted, session });
        await this.#host.keepFor(wanted, session, path);
      },
      serve: (wanted) => {
        this.#large.push({ file, wanted, session: undefined });
        return Promise.resolve();
      },
    };
    const result = await runGet(host, { ...options, what: file.contentId ?? '', output, signal, onProgress }, '/');
    if (result.sha256 !== file.sha256 || result.size !== file.size) {
      await rm(output, { force: true });
      throw new ShoalError('integrity', `${file.name} is not what the listing of its folder says`);
    }
    if (file.executable) await allowExecution(output);
    this.#progress.gained(file.size - toldBytes);
    this.#largeTallies.push(...result.peers);
  }

  // ---- the end -------------------------------------------------------------------------------------------------------------

  /** Everything durable, then in its place: a folder that is new appears whole, one that is there gets its files one by one. */
  async #putInPlace(
    partial: PartialFile,
    listing: Uint8Array,
    files: readonly LocalFile[],
    kept: ReadonlySet<LocalFile>,
  ): Promise<void> {
    const { workers } = this.#host;
    const { files: staged, path, isThere } = this.#target;
    const moved = Promise.withResolvers<void>();
    this.#transfer?.session.holdReads(moved.promise);
    for (const { session } of this.#large) session?.holdReads(moved.promise);
    try {
      const arrived = files.filter((file) => !kept.has(file));
      const emptyFolders = this.#emptyFolders;
      for (const folder of emptyFolders) await mkdir(join(isThere ? path : staged, folder), { recursive: true });
      if (arrived.length > 0 || !isThere) await this.#makeDurable(staged, arrived, isThere ? [] : emptyFolders);
      if (!isThere) {
        await rename(staged, path);
        await syncFolder(dirname(path));
      } else if (arrived.length + emptyFolders.length > 0) {
        await workers.move(
          staged,
          path,
          arrived.map((file) => file.path),
        );
        await this.#makeDurable(path, arrived, emptyFolders);
      }
      for (const file of kept) if (file.executable) await allowExecution(join(path, file.path));
      for (const { file, wanted, session } of this.#large) {
        const place = join(path, file.path);
        if (session === undefined) await this.#host.serve(wanted, place);
        else await this.#host.finished(wanted, session, place);
      }
      if (this.#found.below === '') this.#keep(listing, files);
      else if (this.#transfer !== undefined) await this.#host.abandon(this.#found.wanted, this.#transfer.session);
      await partial.discard();
    } catch (error) {
      throw diskError(error, `cannot put ${this.#name} in its place`);
    } finally {
      moved.resolve();
    }
  }

  /** What was made below a folder survives a power loss. Files were synced one by one where the system has no call for all. */
  async #makeDurable(folder: string, files: readonly LocalFile[], emptyFolders: readonly string[]): Promise<void> {
    if (await this.#host.workers.syncFileSystem(folder)) return;
    const folders = new Set([folder]);
    const above = (path: string): void => {
      for (let at = path; at.length > folder.length; at = dirname(at)) folders.add(at);
    };
    for (const { path } of files) above(dirname(join(folder, path)));
    for (const path of emptyFolders) above(join(folder, path));
    for (const one of folders) await syncFolder(one);
  }

  /** Serves the content from the files in their places; how they are is looked up when somebody asks. */
  #keep(listing: Uint8Array, files: readonly LocalFile[]): void {
    const { workers } = this.#host;
    const placed = files.filter(({ contentId, size }) => contentId === undefined && size > 0);
    const paths = placed.map(({ path }) => path);
    const { path: folder } = this.#target;
    const layout = this.#manifest;
    const open = async () => {
      const stamps = await workers.stamps(folder, paths);
      const known = placed.flatMap(({ path, offset }, index) => {
        const stamp = stamps[index];
        return stamp === undefined ? [] : [{ path: join(folder, path), offset, stamp }];
      });
      // a read that fails is reported to whoever asked for it; there is no index to correct
      return createFolderReader({ layout, listing, files: known, workers, onFailure: () => undefined });
    };
    let reader: ReturnType<typeof open> | undefined;
    const store: ChunkStore = {
      read: async (chunkIndex, into) => void (await (await (reader ??= open())).readChunk(chunkIndex, into)),
    };
    this.#host.keepFolder(this.#found.wanted, store, this.#transfer?.session);
  }

  /** The result, once all is in place: times and sources are those of the end. */
  #resultOf(files: readonly LocalFile[], kept: ReadonlySet<LocalFile>): () => GetResult {
    const size = files.reduce((total, file) => total + file.size, 0);
    const { sha256, contentId } = this.#manifest;
    return () => {
      const { seconds, resumedBytes } = this.#progress;
      const own = (this.#transfer?.session.sources ?? []).map(tally);
      this.#options.onProgress?.({ ...this.#progress.now(own.length, null, whyOf(undefined)), bytes: size });
      return {
        name: this.#name,
        path: this.#target.path,
        size,
        sha256,
        content: contentId,
        seconds,
        bytesPerSecond: seconds > 0 ? Math.round((size - resumedBytes) / seconds) : 0,
        resumedBytes,
        peers: mergeTallies([...own, ...this.#largeTallies]),
        folder: { files: files.length, kept: kept.size },
      };
    };
  }

  /** Progress of the transfer, as progress of the folder: while the listing comes nobody knows of how much. */
  #tell({ peers, stalled, bottleneck, reasons }: GetProgress): void {
    if (this.#unpacking !== undefined)
      this.#options.onProgress?.(this.#progress.now(peers, stalled, { bottleneck, reasons }));
  }
}

function localPath(name: EntryName, below: string): string {
  const rest = name.slice(below.length);
  // on most systems it is what it is called
  return process.platform === 'win32' ? join(...localPathSegments(parseEntryName(rest), process.platform)) : rest;
}

/** Whoever may read it may execute it, as with a file that is made so. */
async function allowExecution(path: string): Promise<void> {
  if (process.platform === 'win32') return;
  const { mode } = await stat(path);
  const executable = mode | ((mode & 0o444) >> 2);
  if (executable !== mode) await chmod(path, executable & 0o7777);
}

/** File systems that do not tell upper and lower case apart would write one file over another. */
function refuseTwins(files: readonly LocalFile[]): void {
  const seen = new Set<string>();
  for (const { path, name } of files) {
    const folded = path.normalize('NFC').toLowerCase();
    if (seen.has(folded))
      throw new ShoalError('conflict', `two files of the folder would be one here: ${JSON.stringify(name)}`);
    seen.add(folded);
  }
}

/** One line for each source, whatever it gave. */
function mergeTallies(tallies: readonly SourceTally[]): SourceTally[] {
  const merged = new Map<string, SourceTally>();
  for (const one of tallies) {
    const key = one.peer || one.address;
    const known = merged.get(key);
    merged.set(
      key,
      known === undefined
        ? one
        : {
            ...known,
            bytes: known.bytes + one.bytes,
            chunks: known.chunks + one.chunks,
            rttMs: known.rttMs ?? one.rttMs,
            seconds: known.seconds + one.seconds,
          },
    );
  }
  return [...merged.values()].toSorted((a, b) => b.bytes - a.bytes);
}
