/**
 * The files that this node shares: found under the roots, hashed when they are new or changed, withdrawn the moment they differ
 * from what was hashed. Names are labels for people; what is served is decided by contentId. Joins the rooms of its questions: what is
 * shared (library-files.ts), who has a name (library-names.ts), how a file comes to be shared (library-indexing.ts), what becomes of it
 * (library-changes.ts), whether a chunk was served wrong (mismatch-reports.ts), and folders as contents (library-folders.ts).
 *
 * Files live in one of three states: being looked at (a claim on their name, nothing served), shared, or refused. All changes of
 * state happen on this thread, between two awaits.
 */
import { EventEmitter } from 'node:events';
import { mkdir, realpath, stat } from 'node:fs/promises';
import { join, sep } from 'node:path';
import type { ContentId } from '../content/digest.ts';
import type { EntryName } from '../content/entry-name.ts';
import type { Manifest } from '../content/manifest.ts';
import { ShoalError } from '../errors.ts';
import * as limits from '../limits.ts';
import { createContentReader, type ContentReader } from './content-reader.ts';
import { diskError } from './disk-error.ts';
import { fileStamp, isExecutable, sameStamp, type FileStamp } from './file-stamp.ts';
import { createHashPool, type HashPool } from './hash-pool.ts';
import { LibraryChanges } from './library-changes.ts';
import { SharedFiles, type LibraryFile, type SharedFile } from './library-files.ts';
import { LibraryFolders, type LibraryFolder } from './library-folders.ts';
import { openLibraryIndex, type LibraryIndex } from './library-index.ts';
import { LibraryIndexing, type Tally } from './library-indexing.ts';
import { NameClaims } from './library-names.ts';
import { openRoot, type Root } from './library-scan.ts';
import { MismatchReports, type MismatchOutcome } from './mismatch-reports.ts';
import { createOpenFiles, type OpenFiles } from './open-files.ts';

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
  /** All files of a root are known, and those that can be shared are; its folder is on its way. */
  readonly scanned: [rootPath: string];
  /** Something cannot be shared: where and why. */
  readonly problem: [path: string, message: string];
}

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

class FileLibrary implements Library {
  readonly events = new EventEmitter<LibraryEvents>();
  readonly #dataDir: string;
  readonly #index: LibraryIndex;
  readonly #pool: HashPool = createHashPool();
  readonly #openFiles: OpenFiles;
  readonly #closing = new AbortController();
  readonly #files = new SharedFiles();
  readonly #names = new NameClaims();
  readonly #indexing: LibraryIndexing;
  readonly #changes: LibraryChanges;
  readonly #reports: MismatchReports;
  readonly #folders: LibraryFolders;
  readonly #roots = new Set<Root>();
  /** Work that nobody waits for but `close`. */
  readonly #background = new Set<Promise<void>>();

  constructor(options: LibraryOptions, dataDir: string) {
    this.#dataDir = dataDir;
    this.#openFiles = options.openFiles ?? createOpenFiles();
    const quietMs = options.quietMs ?? limits.FILE_QUIET_MS;
    const onProblem = (path: string, message: string): void => this.#problem(path, message);
    const withdraw = (file: SharedFile): void => this.#withdraw(file);
    const inBackground = (work: () => Promise<void>): void => this.#inBackground(work);
    const { signal } = this.#closing;
    this.#index = openLibraryIndex({ path: join(dataDir, 'library.sqlite'), onProblem });
    const files = this.#files;
    const names = this.#names;
    const common = { files, names, withdraw, onProblem };
    this.#changes = new LibraryChanges({
      ...common,
      indexing: () => this.#indexing,
      onFolderTouched: (root) => this.#folders.lookAgain(root),
      quietMs,
      inBackground,
      signal,
    });
    const changes = this.#changes;
    const waitForQuiet = (root: Root, path: string): void => changes.waitForQuiet(root, path);
    this.#indexing = new LibraryIndexing({
      ...common,
      index: this.#index,
      pool: this.#pool,
      register: (file, hashedAtMs) => this.#register(file, hashedAtMs),
      waitForQuiet,
      claim: (path, name) => changes.claim(path, name),
      release: (path) => changes.release(path),
      shadow: (root, path, name) => changes.shadow(root, path, name),
    });
    this.#reports = new MismatchReports({
      ...common,
      folder: (contentId) => this.folder(contentId),
      reader: (file) => this.reader(file),
      rememberDamage: (file) => this.#remember(file, Date.now(), true),
      waitForQuiet,
    });
    this.#folders = new LibraryFolders({
      pool: this.#pool,
      index: this.#index,
      quietMs,
      filesOf: (root) => files.of(root),
      onAdded: (folder) => this.events.emit('folderAdded', folder),
      onWithdrawn: (folder) => this.events.emit('folderWithdrawn', folder),
      onProblem,
      inBackground,
      signal,
    });
  }

  get fileCount(): number {
    return this.#files.count;
  }

  get byteCount(): number {
    return this.#files.byteCount;
  }

  get hashedBytes(): number {
    return this.#indexing.hashedBytes;
  }

  files(): IterableIterator<LibraryFile> {
    return this.#files.all();
  }

  folder(contentId: ContentId): LibraryFolder | undefined {
    return this.#folders.byContentId(contentId);
  }

  suspect(path: string): void {
    const file = this.#files.at(path);
    if (file?.root !== undefined) this.#changes.touched(file.root, path);
  }

  byName(name: string): LibraryFile | undefined {
    return this.#files.byName(name);
  }

  byContentId(contentId: ContentId): LibraryFile | undefined {
    return this.#files.byContentId(contentId)[0];
  }

  reader(file: LibraryFile): ContentReader {
    const shared = this.#files.at(file.path);
    if (shared === undefined || shared.manifest.contentId !== file.manifest.contentId)
      throw new ShoalError('conflict', `${file.path} is not shared any more`);
    return createContentReader({
      path: shared.path,
      stamp: shared.stamp,
      layout: shared.manifest,
      openFiles: this.#openFiles,
      onFailure: (error) => {
        if (!this.#files.has(shared)) return;
        this.#withdraw(shared);
        if (shared.root === undefined) this.#problem(shared.path, error.message);
        else this.#changes.waitForQuiet(shared.root, shared.path);
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
      const emptyFolders = await this.#indexing.shareRoot(root, { tally, report, signal });
      this.#roots.add(root);
      let isTold = false;
      const onReading = (): void => {
        if (!isTold) this.events.emit('scanned', root.path);
        isTold = true;
      };
      // a thread reads the folder while this one tells of its files
      await this.#folders.offer(root, { onReading, emptyFolders });
      onReading();
    }
    // Scanned first, watched then: beginning to watch costs as much as the scan does. What changes in between is found by the
    // comparison, once the watch is on.
    if (options.watch !== false) this.watchRoots();
    report();
    this.#inBackground(() => this.#prune(roots));
  }

  watchRoots(): void {
    for (const root of this.#roots) this.#changes.watch(root);
  }

  async addVerified(path: string, name: EntryName, manifest: Manifest): Promise<LibraryFile> {
    let real: string;
    let stamp: FileStamp;
    let executable: boolean;
    try {
      real = await realpath(path);
      const stats = await stat(real, { bigint: true });
      stamp = fileStamp(stats);
      executable = isExecutable(stats);
    } catch (error) {
      throw diskError(error, `cannot share ${path}`);
    }
    if (stamp.size !== manifest.size) throw new ShoalError('conflict', `${real} is not as it was verified`);
    const known = this.#files.at(real);
    if (known !== undefined && sameStamp(known.stamp, stamp)) return known;
    if (known !== undefined) this.#withdraw(known);
    const owner = this.#names.owner(name);
    if (owner !== undefined && owner !== real)
      throw new ShoalError('conflict', `the name ${name} is in use: ${owner} is shared by it`);
    this.#changes.claim(real, name);
    const root = undefined;
    return this.#register({ name, path: real, manifest, stamp, executable, root, linkTarget: undefined }, Date.now());
  }

  reportMismatch(contentId: ContentId, chunkIndex: number): Promise<MismatchOutcome> {
    return this.#reports.report(contentId, chunkIndex);
  }

  async whenWatching(): Promise<void> {
    await this.#changes.ready();
    // The comparison that follows closes the gap between scan and watch.
    await Promise.all(this.#background);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#changes.stop();
    this.#folders.close();
    await this.#changes.close();
    await this.#pool.close();
    while (this.#background.size > 0) await Promise.all(this.#background);
    await this.#openFiles.close();
    this.#index.close();
  }

  /** `hashedAtMs`: undefined when the index has the row already. */
  #register(file: SharedFile, hashedAtMs: number | undefined): SharedFile {
    this.#files.add(file);
    if (hashedAtMs !== undefined) this.#remember(file, hashedAtMs, false);
    this.events.emit('added', file);
    if (file.root !== undefined) this.#folders.changed(file.root);
    return file;
  }

  #remember(file: SharedFile, hashedAtMs: number, isDamaged: boolean): void {
    const { path, name, stamp, manifest } = file;
    this.#index.put({ path, name, stamp, hashedAtMs, isDamaged, manifestBytes: manifest.bytes });
  }

  /** Stops sharing a file; its name stays claimed until it is known to be gone. */
  #withdraw(file: SharedFile): void {
    this.#files.remove(file);
    this.#openFiles.drop(file.path);
    this.events.emit('withdrawn', file);
    if (file.root !== undefined) this.#folders.changed(file.root);
  }

  /** Forgets rows of files under the roots that are no longer there. */
  async #prune(roots: readonly Root[]): Promise<void> {
    for (let after = ''; !this.#closing.signal.aborted;) {
      const paths = this.#index.paths(after, limits.INDEX_BATCH_ROWS);
      for (const path of paths) {
        if (this.#names.has(path)) continue;
        if (roots.some((root) => path === root.path || path.startsWith(root.path + sep))) this.#index.delete(path);
      }
      const last = paths.at(-1);
      if (last === undefined) return;
      after = last;
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
  }

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
