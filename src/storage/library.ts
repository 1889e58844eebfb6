/**
 * The files that this node shares: found under the roots, hashed when they are new or changed, withdrawn the moment they differ
 * from what was hashed. Names are labels for people; what is served is decided by contentId.
 *
 * Files live in one of three states: being looked at (a claim on their name, nothing served), shared, or refused. All changes of
 * state happen on this thread, between two awaits.
 */
import { EventEmitter } from 'node:events';
import { mkdir, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join, sep } from 'node:path';
import { chunkBytes, chunkOffset, createChunkLayout } from '../content/chunk-layout.ts';
import type { ContentId } from '../content/digest.ts';
import type { EntryName } from '../content/entry-name.ts';
import { chunkDigestMatches, parseManifest, type Manifest } from '../content/manifest.ts';
import { ShoalError } from '../errors.ts';
import * as limits from '../limits.ts';
import { createContentReader, type ContentReader } from './content-reader.ts';
import { digestChunk, sha256 } from './digest-chunk.ts';
import { cancelledError, diskError } from './disk-error.ts';
import { fileStamp, isRacyStamp, sameStamp, type FileStamp } from './file-stamp.ts';
import { piecesOf } from './folder-reader.ts';
import { createGate } from './gate.ts';
import { createHashPool, type HashPool } from './hash-pool.ts';
import { LibraryFolders, type LibraryFolder } from './library-folders.ts';
import { openLibraryIndex, type IndexRow, type LibraryIndex } from './library-index.ts';
import {
  createNaming,
  lookAt,
  lookAtGroup,
  openRoot,
  scanRoot,
  type Found,
  type Root,
  type ScannedGroup,
} from './library-scan.ts';
import { watchRoot, type RootWatch } from './library-watch.ts';
import { createOpenFiles, type OpenFiles } from './open-files.ts';
import { createQuietQueue, type QuietQueue } from './quiet-queue.ts';

export interface LibraryFile {
  readonly name: EntryName;
  readonly path: string;
  readonly manifest: Manifest;
}

export interface LibraryProgress {
  readonly filesTotal: number;
  readonly filesDone: number;
  readonly bytesTotal: number;
  readonly bytesDone: number;
}

export interface AddRootsOptions {
  /** Default: the house's rule for each file. */
  readonly chunkSize?: number | undefined;
  /** Called often; the caller thins it out. */
  readonly onProgress?: ((progress: LibraryProgress) => void) | undefined;
  /** Default true: go on watching for changes. False: not before `watchRoots` is called. */
  readonly watch?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface LibraryEvents {
  /** A file is shared from now on. */
  readonly added: [file: LibraryFile];
  /** A file that was added is no longer shared: it changed (and may be added again) or is gone. */
  readonly withdrawn: [file: LibraryFile];
  /** A folder is offered as a whole from now on, or not any more: a file of it changed (and it may be offered again). */
  readonly folderAdded: [folder: LibraryFolder];
  readonly folderWithdrawn: [folder: LibraryFolder];
  /** Something cannot be shared: where and why. */
  readonly problem: [path: string, message: string];
}

/** What became of a report that a chunk was served wrong. */
export type MismatchOutcome = 'intact' | 'withdrawn' | 'unknown-content';

export interface Library {
  readonly events: EventEmitter<LibraryEvents>;
  readonly fileCount: number;
  readonly byteCount: number;
  /** Bytes read for hashing since the library was opened. */
  readonly hashedBytes: number;
  /** Shares files and folders; resolves when all that was found is shared or refused. Throws `usage` for a path that is not there. */
  addRoots(paths: readonly string[], options?: AddRootsOptions): Promise<void>;
  /** Shares a file whose bytes were verified against `manifest` just now (a finished download), without hashing it again. */
  addVerified(path: string, name: EntryName, manifest: Manifest): Promise<LibraryFile>;
  files(): IterableIterator<LibraryFile>;
  byName(name: string): LibraryFile | undefined;
  /** One of the files with this content. */
  byContentId(contentId: ContentId): LibraryFile | undefined;
  /** A folder that is offered as a whole, by its content. */
  folder(contentId: ContentId): LibraryFolder | undefined;
  /** This file of ours may not be what it was: it is looked at, and withdrawn if it is not. */
  suspect(path: string): void;
  /** Reads a shared file; a read that finds it changed withdraws it. */
  reader(file: LibraryFile): ContentReader;
  /** A downloader says that this chunk, as we sent it, does not match. Files in which that is true are withdrawn. */
  reportMismatch(contentId: ContentId, chunkIndex: number): Promise<MismatchOutcome>;
  /** Begins to watch the roots that are not watched yet; what has changed meanwhile is found. */
  watchRoots(): void;
  /** Resolves when changes in all watched roots are being noticed. */
  whenWatching(): Promise<void>;
  close(): Promise<void>;
}

export interface LibraryOptions {
  /** Where the index is kept; the caller holds its lock. */
  readonly dataDir: string;
  /** How long a changed file must be left alone before it is hashed; default FILE_QUIET_MS. */
  readonly quietMs?: number | undefined;
  readonly openFiles?: OpenFiles | undefined;
}

export async function openLibrary(options: LibraryOptions): Promise<Library> {
  try {
    await mkdir(options.dataDir, { recursive: true, mode: 0o700 });
    return new FileLibrary(options, await realpath(options.dataDir));
  } catch (error) {
    throw diskError(error, `cannot open the library in ${options.dataDir}`);
  }
}

interface SharedFile extends LibraryFile {
  readonly stamp: FileStamp;
  /** Undefined for a verified download that lies under no root. */
  readonly root: Root | undefined;
  readonly linkTarget: string | undefined;
}

type FoundFile = Extract<Found, { state: 'file' }>;

/** What one call of addRoots counts. */
interface Tally {
  filesTotal: number;
  filesDone: number;
  bytesTotal: number;
  bytesDone: number;
}

interface SharingCall {
  readonly tally: Tally;
  readonly report: () => void;
  readonly signal: AbortSignal;
}

class FileLibrary implements Library {
  readonly events = new EventEmitter<LibraryEvents>();
  readonly #dataDir: string;
  readonly #quietMs: number;
  readonly #index: LibraryIndex;
  readonly #pool: HashPool = createHashPool();
  readonly #openFiles: OpenFiles;
  readonly #quiet: QuietQueue;
  readonly #closing = new AbortController();
  readonly #folders: LibraryFolders;
  readonly #roots = new Set<Root>();
  readonly #watches = new Map<string, RootWatch>();
  /** Work that nobody waits for but `close`. */
  readonly #background = new Set<Promise<void>>();

  readonly #byPath = new Map<string, SharedFile>();
  readonly #byName = new Map<string, SharedFile>();
  readonly #byContentId = new Map<ContentId, Set<SharedFile>>();
  /** The path that has a name, from the moment it is looked at until it is gone. */
  readonly #claims = new Map<string, string>();
  /** The name that a path has claimed. */
  readonly #claimed = new Map<string, string>();
  /** Paths that would have a name which another one has. */
  readonly #shadowed = new Map<string, Set<string>>();
  /** Links by what they lead to. */
  readonly #links = new Map<string, Set<string>>();
  /** The root of every path that was touched and waits for quiet. */
  readonly #touched = new Map<string, Root>();
  /** Paths being looked at or hashed. */
  readonly #pending = new Set<string>();
  #byteCount = 0;
  #hashedBytes = 0;

  constructor(options: LibraryOptions, dataDir: string) {
    this.#dataDir = dataDir;
    this.#quietMs = options.quietMs ?? limits.FILE_QUIET_MS;
    this.#openFiles = options.openFiles ?? createOpenFiles();
    this.#index = openLibraryIndex({
      path: join(dataDir, 'library.sqlite'),
      onProblem: (path, message) => this.#problem(path, message),
    });
    this.#quiet = createQuietQueue({ quietMs: this.#quietMs, onQuiet: (path) => this.#onQuiet(path) });
    this.#folders = new LibraryFolders({
      pool: this.#pool,
      index: this.#index,
      quietMs: this.#quietMs,
      filesOf: (root) => this.#filesOf(root),
      onAdded: (folder) => this.events.emit('folderAdded', folder),
      onWithdrawn: (folder) => this.events.emit('folderWithdrawn', folder),
      onProblem: (path, message) => this.#problem(path, message),
      inBackground: (work) => this.#inBackground(work),
      signal: this.#closing.signal,
    });
  }

  get fileCount(): number {
    return this.#byPath.size;
  }

  get byteCount(): number {
    return this.#byteCount;
  }

  get hashedBytes(): number {
    return this.#hashedBytes;
  }

  files(): IterableIterator<LibraryFile> {
    return this.#byPath.values();
  }

  folder(contentId: ContentId): LibraryFolder | undefined {
    return this.#folders.byContentId(contentId);
  }

  suspect(path: string): void {
    const file = this.#byPath.get(path);
    if (file?.root !== undefined) this.#onTouched(file.root, path);
  }

  byName(name: string): LibraryFile | undefined {
    return this.#byName.get(name);
  }

  byContentId(contentId: ContentId): LibraryFile | undefined {
    const [file] = this.#byContentId.get(contentId) ?? [];
    return file;
  }

  reader(file: LibraryFile): ContentReader {
    const shared = this.#byPath.get(file.path);
    if (shared === undefined || shared.manifest.contentId !== file.manifest.contentId)
      throw new ShoalError('conflict', `${file.path} is not shared any more`);
    return createContentReader({
      path: shared.path,
      stamp: shared.stamp,
      layout: shared.manifest,
      openFiles: this.#openFiles,
      onFailure: (error) => {
        if (this.#byPath.get(shared.path) !== shared) return;
        this.#withdraw(shared);
        if (shared.root === undefined) this.#problem(shared.path, error.message);
        else this.#waitForQuiet(shared.root, shared.path);
      },
    });
  }

  async addRoots(paths: readonly string[], options: AddRootsOptions = {}): Promise<void> {
    const tally: Tally = { filesTotal: 0, filesDone: 0, bytesTotal: 0, bytesDone: 0 };
    const report = (): void => options.onProgress?.({ ...tally });
    const signals = options.signal === undefined ? [] : [options.signal];
    const signal = AbortSignal.any([this.#closing.signal, ...signals]);
    // All of them before the first is scanned: a typing error should not come after minutes of hashing.
    const roots: Root[] = [];
    for (const path of paths) {
      roots.push(await openRoot(path, { chunkSize: options.chunkSize, excludedPath: this.#dataDir }));
    }
    for (const root of roots) {
      await this.#share(root, { tally, report, signal });
      this.#roots.add(root);
      await this.#folders.offer(root);
    }
    // Scanned first, watched then: beginning to watch costs as much as the scan does. What changes in between is found by the
    // comparison, once the watch is on.
    if (options.watch !== false) this.watchRoots();
    report();
    this.#inBackground(() => this.#prune(roots));
  }

  watchRoots(): void {
    for (const root of this.#roots) {
      if (this.#closing.signal.aborted || this.#watches.has(root.path)) continue;
      const watch = this.#watch(root);
      this.#inBackground(() => this.#compare(root, watch));
    }
  }

  async addVerified(path: string, name: EntryName, manifest: Manifest): Promise<LibraryFile> {
    let real: string;
    let stamp: FileStamp;
    try {
      real = await realpath(path);
      stamp = fileStamp(await stat(real, { bigint: true }));
    } catch (error) {
      throw diskError(error, `cannot share ${path}`);
    }
    if (stamp.size !== manifest.size) throw new ShoalError('conflict', `${real} is not as it was verified`);
    const known = this.#byPath.get(real);
    if (known !== undefined && sameStamp(known.stamp, stamp)) return known;
    if (known !== undefined) this.#withdraw(known);
    const claim = this.#claims.get(name);
    if (claim !== undefined && claim !== real)
      throw new ShoalError('conflict', `the name ${name} is in use: ${claim} is shared by it`);
    this.#claim(real, name);
    const root = undefined;
    return this.#register({ name, path: real, manifest, stamp, root, linkTarget: undefined }, Date.now());
  }

  async reportMismatch(contentId: ContentId, chunkIndex: number): Promise<MismatchOutcome> {
    const folder = this.#folders.byContentId(contentId);
    if (folder !== undefined) return this.#reportFolderMismatch(folder, chunkIndex);
    const files = [...(this.#byContentId.get(contentId) ?? [])];
    if (files.length === 0) return 'unknown-content';
    let outcome: MismatchOutcome = 'intact';
    // Only the chunk in question is read: a report costs its sender nothing and must not cost us a whole file.
    for (const file of files) {
      if (this.#byPath.get(file.path) !== file || chunkIndex < 0 || chunkIndex >= file.manifest.chunkCount) continue;
      if (await this.#chunkIsTrue(file, chunkIndex)) continue;
      outcome = 'withdrawn';
      if (this.#byPath.get(file.path) !== file) continue;
      this.#withdraw(file);
      await this.#blame(file, chunkIndex);
    }
    return outcome;
  }

  /** The same of the content of a folder: a report of each file, and each chunk of it, that has bytes in that chunk. */
  async #reportFolderMismatch(folder: LibraryFolder, chunkIndex: number): Promise<MismatchOutcome> {
    const { manifest, placed } = folder;
    if (!Number.isInteger(chunkIndex) || chunkIndex < 0 || chunkIndex >= manifest.chunkCount) return 'intact';
    const start = chunkOffset(manifest, chunkIndex);
    let outcome: MismatchOutcome = 'intact';
    for (const piece of piecesOf(placed, start, start + chunkBytes(manifest, chunkIndex))) {
      const file = this.#byPath.get(piece.path);
      if (file === undefined) continue;
      const last = Math.floor((piece.offset + piece.byteCount - 1) / file.manifest.chunkSize);
      for (let index = Math.floor(piece.offset / file.manifest.chunkSize); index <= last; index++)
        if ((await this.reportMismatch(file.manifest.contentId, index)) === 'withdrawn') outcome = 'withdrawn';
    }
    return outcome;
  }

  async whenWatching(): Promise<void> {
    await Promise.all([...this.#watches.values()].map((watch) => watch.ready));
    // The comparison that follows closes the gap between scan and watch.
    await Promise.all(this.#background);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#quiet.close();
    this.#folders.close();
    await Promise.all([...this.#watches.values()].map((watch) => watch.close()));
    await this.#pool.close();
    while (this.#background.size > 0) await Promise.all(this.#background);
    await this.#openFiles.close();
    this.#index.close();
  }

  // ---- finding and hashing -------------------------------------------------------------------------------------------------

  async #share(root: Root, call: SharingCall): Promise<void> {
    const { signal } = call;
    const gate = createGate(limits.SCAN_AHEAD_FILES_MAX);
    const onProblem = (path: string, message: string): void => this.#problem(path, message);
    // Nothing is remembered, so every file has to be read: small ones are, on the first look.
    const hash = this.#index.isEmpty;
    let failure: unknown;
    try {
      for await (const group of scanRoot(root, { onProblem, signal })) {
        const fileCount = group.names.length + group.paths.length;
        await gate.enter(fileCount);
        void this.#shareGroup(root, group, call, hash)
          .catch((error: unknown) => (failure ??= error))
          .finally(() => gate.leave(fileCount));
      }
    } finally {
      await gate.empty();
    }
    if (signal.aborted) throw cancelledError(`sharing ${root.path}`, signal);
    if (failure !== undefined) throw failure;
  }

  async #shareGroup(root: Root, group: ScannedGroup, call: SharingCall, hash: boolean): Promise<void> {
    const { tally, signal } = call;
    const files: FoundFile[] = [];
    for (const found of await this.#lookAtGroup(root, group, { hash, signal })) {
      if (found.state === 'refused') this.#problem(found.path, found.message);
      if (found.state !== 'file') continue;
      files.push(found);
      tally.filesTotal++;
      tally.bytesTotal += found.stamp.size;
    }
    const remembered = hash ? undefined : this.#index.getMany(files.map(({ path }) => path));
    const unhashed = files.filter((found) => {
      const isSettled = this.#admit(root, found, remembered?.get(found.path)) === 'settled';
      if (found.hashed !== undefined) this.#hashedBytes += found.stamp.size;
      if (isSettled) {
        tally.filesDone++;
        tally.bytesDone += found.stamp.size;
      }
      return !isSettled;
    });
    call.report();
    await Promise.all(this.#inOneGo(root, unhashed).map((files) => this.#hashTogether(root, files, call)));
  }

  /** Divides files into those that are hashed together, and each of the others. */
  #inOneGo(root: Root, files: readonly FoundFile[]): (readonly FoundFile[])[] {
    const small = files.filter(
      ({ stamp, linkTarget }) => linkTarget === undefined && stamp.size <= limits.HASH_READ_BYTES,
    );
    if (small.length <= limits.HASH_INLINE_FILES_MAX || root.kind === 'file') return files.map((file) => [file]);
    const together = new Set(small);
    return [small, ...files.filter((file) => !together.has(file)).map((file) => [file])];
  }

  /** Hashes files of one folder that have been admitted. What goes wrong is a problem of that file. */
  async #hashTogether(root: Root, files: readonly FoundFile[], call: SharingCall): Promise<void> {
    const { tally, signal } = call;
    const [first] = files;
    if (first === undefined) return;
    if (files.length === 1) {
      await this.#hashAdmitted(root, first, signal, call);
      return;
    }
    for (const { path } of files) this.#pending.add(path);
    try {
      const names = files.map(({ path }) => basename(path));
      const order = { folder: dirname(first.path), names, hash: true, chunkSize: root.chunkSize };
      const surveyed = await this.#pool.survey(order, signal);
      for (const [index, found] of files.entries()) {
        const seen = surveyed[index];
        this.#pending.delete(found.path);
        if (seen?.state === 'hashed') {
          this.#hashedBytes += seen.stamp.size;
          if (!signal.aborted && !this.#byPath.has(found.path))
            this.#register({ ...found, root, ...seen }, seen.hashedAtMs);
        } else if (seen?.state === 'failed') this.#problem(found.path, seen.error.message);
        // it has changed since it was found, or is gone
        else this.#waitForQuiet(root, found.path);
        tally.filesDone++;
        tally.bytesDone += found.stamp.size;
      }
      call.report();
    } finally {
      for (const { path } of files) this.#pending.delete(path);
    }
  }

  /** What there is at the places of a group. Many files of one folder are looked at on a thread, and hashed there if they are small. */
  async #lookAtGroup(
    root: Root,
    { folder, names, paths }: ScannedGroup,
    { hash, signal }: { readonly hash: boolean; readonly signal: AbortSignal },
  ): Promise<readonly Found[]> {
    if (names.length <= limits.HASH_INLINE_FILES_MAX) return lookAtGroup(root, { folder, names, paths });
    const found = await lookAtGroup(root, { folder, names: [], paths });
    const nameIn = createNaming(root, folder);
    const surveyed = await this.#pool.survey({ folder, names, hash, chunkSize: root.chunkSize }, signal);
    for (const [index, base] of names.entries()) {
      const seen = surveyed[index];
      const path = join(folder, base);
      if (seen === undefined || seen.state === 'nothing') continue;
      if (seen.state === 'failed') found.push({ state: 'refused', path, message: seen.error.message });
      else {
        const named = nameIn(base);
        if (named.name === undefined) found.push({ state: 'refused', path, message: named.problem });
        else
          found.push({
            path,
            name: named.name,
            stamp: seen.stamp,
            linkTarget: undefined,
            state: 'file',
            hashed: seen.state === 'hashed' ? seen : undefined,
          });
      }
    }
    return found;
  }

  /** Shares a file that was found, from the index or by hashing it. Never throws: what goes wrong is a problem of this file. */
  async #consider(root: Root, found: FoundFile, signal: AbortSignal): Promise<void> {
    if (this.#admit(root, found, this.#index.get(found.path)) === 'hash') await this.#hashAdmitted(root, found, signal);
  }

  async #hashAdmitted(root: Root, found: FoundFile, signal: AbortSignal, call?: SharingCall): Promise<void> {
    let reportedBytes = 0;
    const onBytes = (byteCount: number): void => {
      this.#hashedBytes += byteCount;
      if (call === undefined) return;
      reportedBytes += byteCount;
      call.tally.bytesDone += byteCount;
      call.report();
    };
    try {
      await this.#hashAlone(root, found, { onBytes, signal });
    } catch (error) {
      await this.#onHashFailure(root, found, ShoalError.from(error));
    } finally {
      if (call !== undefined) {
        call.tally.filesDone++;
        call.tally.bytesDone += found.stamp.size - reportedBytes;
        call.report();
      }
    }
  }

  async #hashAlone(
    root: Root,
    { path, stamp, name, linkTarget }: FoundFile,
    options: { readonly onBytes: (byteCount: number) => void; readonly signal: AbortSignal },
  ): Promise<void> {
    this.#pending.add(path);
    try {
      const { onBytes, signal } = options;
      const hashed = await this.#pool.hash(path, stamp.size, { chunkSize: root.chunkSize, onBytes, signal });
      if (signal.aborted || this.#byPath.has(path)) return;
      const file = { name, path, manifest: hashed.manifest, stamp: hashed.stamp, root, linkTarget };
      this.#register(file, hashed.hashedAtMs);
    } finally {
      this.#pending.delete(path);
    }
  }

  /**
   * Decides about a file that was found. `settled`: it is shared now, or cannot be, or waits. `hash`: it has its name, and has to be
   * hashed. `own`: what the index has under its path.
   */
  #admit(root: Root, found: FoundFile, own: IndexRow | undefined): 'settled' | 'hash' {
    const { path, stamp, name, linkTarget } = found;
    const known = this.#byPath.get(path);
    if (known !== undefined) {
      if (sameStamp(known.stamp, stamp)) return 'settled';
      this.#withdraw(known);
    }
    if (this.#pending.has(path)) {
      this.#waitForQuiet(root, path);
      return 'settled';
    }
    if (this.#claimed.size >= limits.LIBRARY_FILES_MAX) {
      this.#problem(path, `it is one file too many: a node shares at most ${limits.LIBRARY_FILES_MAX}`);
      return 'settled';
    }
    const owner = this.#claims.get(name);
    if (owner !== undefined && owner !== path) {
      addTo(this.#shadowed, name, path);
      this.#touched.set(path, root);
      this.#problem(path, `it would have the name ${name}, which ${owner} has already`);
      return 'settled';
    }
    this.#claim(path, name);
    if (found.hashed !== undefined) {
      this.#register({ name, path, manifest: found.hashed.manifest, stamp, root, linkTarget }, found.hashed.hashedAtMs);
      return 'settled';
    }
    const { chunkSize } = createChunkLayout(stamp.size, root.chunkSize);
    const row = this.#rowFor(own, stamp);
    if (row !== undefined && row.isDamaged) {
      this.#problem(path, DAMAGED);
      return 'settled';
    }
    const manifest = row === undefined ? undefined : readManifest(row, stamp.size, chunkSize);
    if (row === undefined || manifest === undefined) return 'hash';
    const file = { name, path, manifest, stamp, root, linkTarget };
    this.#register(file, row.path === path && row.name === name ? undefined : row.hashedAtMs);
    return 'settled';
  }

  async #onHashFailure(root: Root, found: FoundFile, error: ShoalError): Promise<void> {
    if (error.code === 'cancelled') return;
    // It is being written: hashed when it is quiet.
    if (error.code === 'conflict') this.#waitForQuiet(root, found.path);
    else if ((await lookAt(root, found.path)).state === 'nothing') this.#release(found.path);
    else this.#problem(found.path, error.message);
  }

  /** A row that may be trusted for a file with this stamp: its own, or that of the path it was renamed from. */
  #rowFor(own: IndexRow | undefined, stamp: FileStamp): IndexRow | undefined {
    const row = own !== undefined && sameStamp(own.stamp, stamp) ? own : this.#index.findByStamp(stamp);
    return row === undefined || isRacyStamp(row.stamp, row.hashedAtMs) ? undefined : row;
  }

  /** `hashedAtMs`: undefined when the index has the row already. */
  #register(file: SharedFile, hashedAtMs: number | undefined): SharedFile {
    this.#byPath.set(file.path, file);
    this.#byName.set(file.name, file);
    addTo(this.#byContentId, file.manifest.contentId, file);
    if (file.linkTarget !== undefined) addTo(this.#links, file.linkTarget, file.path);
    this.#byteCount += file.manifest.size;
    if (hashedAtMs !== undefined) this.#remember(file, hashedAtMs, false);
    this.events.emit('added', file);
    if (file.root !== undefined) this.#folders.changed(file.root);
    return file;
  }

  *#filesOf(root: Root): IterableIterator<SharedFile> {
    for (const file of this.#byPath.values()) if (file.root === root) yield file;
  }

  #remember(file: SharedFile, hashedAtMs: number, isDamaged: boolean): void {
    const { path, name, stamp, manifest } = file;
    this.#index.put({ path, name, stamp, hashedAtMs, isDamaged, manifestBytes: manifest.bytes });
  }

  // ---- withdrawing ---------------------------------------------------------------------------------------------------------

  /** Stops sharing a file; its name stays claimed until it is known to be gone. */
  #withdraw(file: SharedFile): void {
    this.#byPath.delete(file.path);
    if (this.#byName.get(file.name) === file) this.#byName.delete(file.name);
    removeFrom(this.#byContentId, file.manifest.contentId, file);
    if (file.linkTarget !== undefined) removeFrom(this.#links, file.linkTarget, file.path);
    this.#byteCount -= file.manifest.size;
    this.#openFiles.drop(file.path);
    this.events.emit('withdrawn', file);
    if (file.root !== undefined) this.#folders.changed(file.root);
  }

  #claim(path: string, name: string): void {
    const previous = this.#claimed.get(path);
    if (previous !== undefined && previous !== name) this.#release(path);
    this.#claims.set(name, path);
    this.#claimed.set(path, name);
  }

  /** The file is gone: another one may have its name now. */
  #release(path: string): void {
    const name = this.#claimed.get(path);
    if (name === undefined) return;
    this.#claimed.delete(path);
    this.#claims.delete(name);
    const shadowed = this.#shadowed.get(name);
    this.#shadowed.delete(name);
    for (const other of shadowed ?? []) this.#quiet.touch(other);
  }

  async #chunkIsTrue(file: SharedFile, chunkIndex: number): Promise<boolean> {
    const bytes = Buffer.allocUnsafeSlow(chunkBytes(file.manifest, chunkIndex));
    try {
      await this.reader(file).readChunk(chunkIndex, bytes);
    } catch {
      // The reader has withdrawn it and said why.
      return false;
    }
    return chunkDigestMatches(file.manifest, chunkIndex, await digestChunk(bytes));
  }

  /** A withdrawn file whose bytes differ: changed since, which is in order, or damaged, which must not be shared as a new content. */
  async #blame(file: SharedFile, chunkIndex: number): Promise<void> {
    const isSame = await stat(file.path, { bigint: true }).then(
      (stats) => sameStamp(fileStamp(stats), file.stamp),
      () => false,
    );
    if (isSame) {
      this.#remember(file, Date.now(), true);
      this.#problem(file.path, `${DAMAGED} (chunk ${chunkIndex})`);
    } else if (file.root !== undefined) {
      this.#waitForQuiet(file.root, file.path);
    }
  }

  // ---- watching ------------------------------------------------------------------------------------------------------------

  #watch(root: Root): RootWatch {
    const watch = watchRoot(root, {
      onTouched: (path) => this.#onTouched(root, path),
      onProblem: (path, message) => this.#problem(path, message),
    });
    this.#watches.set(root.path, watch);
    return watch;
  }

  #onTouched(root: Root, path: string): void {
    if (this.#closing.signal.aborted) return;
    for (const link of this.#links.get(path) ?? []) this.#onTouched(root, link);
    const file = this.#byPath.get(path);
    if (file === undefined) this.#waitForQuiet(root, path);
    else this.#inBackground(() => this.#withdrawIfChanged(root, file));
  }

  async #withdrawIfChanged(root: Root, file: SharedFile): Promise<void> {
    const isSame = await stat(file.path, { bigint: true }).then(
      (stats) => sameStamp(fileStamp(stats), file.stamp),
      () => false,
    );
    if (isSame || this.#byPath.get(file.path) !== file) return;
    this.#withdraw(file);
    this.#waitForQuiet(file.root ?? root, file.path);
  }

  #waitForQuiet(root: Root, path: string): void {
    if (this.#closing.signal.aborted) return;
    this.#touched.set(path, root);
    this.#quiet.touch(path);
  }

  #onQuiet(path: string): void {
    const root = this.#touched.get(path);
    this.#touched.delete(path);
    if (root !== undefined) this.#inBackground(() => this.#lookAgain(root, path));
  }

  async #lookAgain(root: Root, path: string): Promise<void> {
    const found = await lookAt(root, path);
    if (this.#closing.signal.aborted) return;
    if (found.state === 'file') {
      // Writers that pause: quiet is counted from the last change of the file itself.
      const ageMs = Date.now() - Number(found.stamp.mtimeNs / 1_000_000n);
      if (ageMs >= 0 && ageMs < this.#quietMs) this.#waitForQuiet(root, path);
      else await this.#consider(root, found, this.#closing.signal);
      return;
    }
    const file = this.#byPath.get(path);
    if (file !== undefined) this.#withdraw(file);
    this.#release(path);
    if (found.state === 'refused') this.#problem(path, found.message);
  }

  /** Once changes are noticed: looks for those that came after the scan and before that. */
  async #compare(root: Root, watch: RootWatch): Promise<void> {
    await watch.ready;
    const { signal } = this.#closing;
    if (signal.aborted) return;
    const seen = new Set<string>();
    // Problems were told by the scan.
    for await (const group of scanRoot(root, { onProblem: () => undefined, signal })) {
      for (const found of await this.#lookAtGroup(root, group, { hash: false, signal })) {
        if (found.state !== 'file') continue;
        seen.add(found.path);
        const file = this.#byPath.get(found.path);
        if (
          file === undefined
            ? !this.#claimed.has(found.path) && !this.#isShadowed(found)
            : !sameStamp(file.stamp, found.stamp)
        )
          this.#onTouched(root, found.path);
      }
    }
    for (const file of this.#byPath.values())
      if (file.root === root && !seen.has(file.path)) this.#onTouched(root, file.path);
  }

  #isShadowed(found: FoundFile): boolean {
    return this.#shadowed.get(found.name)?.has(found.path) === true;
  }

  /** Forgets rows of files under the roots that are no longer there. */
  async #prune(roots: readonly Root[]): Promise<void> {
    for (let after = ''; !this.#closing.signal.aborted;) {
      const paths = this.#index.paths(after, limits.INDEX_BATCH_ROWS);
      for (const path of paths) {
        if (this.#claimed.has(path)) continue;
        if (roots.some((root) => path === root.path || path.startsWith(root.path + sep))) this.#index.delete(path);
      }
      const last = paths.at(-1);
      if (last === undefined) return;
      after = last;
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
  }

  // ---- small things --------------------------------------------------------------------------------------------------------

  #problem(path: string, message: string): void {
    if (!this.#closing.signal.aborted) this.events.emit('problem', path, message);
  }

  #inBackground(work: () => Promise<void>): void {
    const running = work()
      .catch((error: unknown) => {
        const problem = ShoalError.from(error);
        if (problem.code !== 'cancelled') this.#problem(this.#dataDir, problem.message);
      })
      .finally(() => this.#background.delete(running));
    this.#background.add(running);
  }
}

const DAMAGED =
  'its bytes changed while its size and time did not, so the disk may be failing; it is shared again once it is replaced';

/** The manifest of a row, when it is one for this size and chunk size; a row that is not is hashed again. */
function readManifest(row: IndexRow, size: number, chunkSize: number): Manifest | undefined {
  try {
    const manifest = parseManifest(row.manifestBytes, sha256);
    return manifest.size === size && manifest.chunkSize === chunkSize ? manifest : undefined;
  } catch {
    return undefined;
  }
}

function addTo<K, V>(map: Map<K, Set<V>>, key: K, value: V): void {
  const set = map.get(key);
  if (set === undefined) map.set(key, new Set([value]));
  else set.add(value);
}

function removeFrom<K, V>(map: Map<K, Set<V>>, key: K, value: V): void {
  const set = map.get(key);
  set?.delete(value);
  if (set?.size === 0) map.delete(key);
}
