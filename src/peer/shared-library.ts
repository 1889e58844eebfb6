/**
 * The library of a node as its swarms and its tracker see it: what is indexed is announced, what is withdrawn is taken back. The
 * index itself, hashing and watching are storage's.
 */
import { realpath } from 'node:fs/promises';
import { relative, resolve, sep } from 'node:path';
import { Bitfield } from '../content/bitfield.ts';
import type { ContentId } from '../content/digest.ts';
import { parseEntryName } from '../content/entry-name.ts';
import type { Manifest } from '../content/manifest.ts';
import { ShoalError } from '../errors.ts';
import { ANNOUNCE_GATHER_MS, WATCH_AFTER_MS } from '../limits.ts';
import type { ContentReader } from '../storage/content-reader.ts';
import { openDataDirectory } from '../storage/data-directory.ts';
import { createFolderReader } from '../storage/folder-reader.ts';
import type { FolderWorkers } from '../storage/folder-workers.ts';
import type { LibraryFolder } from '../storage/library-folders.ts';
import type { LibraryFile } from '../storage/library-files.ts';
import { openLibrary, type Library } from '../storage/library.ts';
import type { NodeLock } from '../storage/node-lock.ts';
import type { Announcer } from './announcer.ts';
import type { ShareOptions } from './api.ts';
import type { RangeReadable } from './frontends/range.ts';

export interface SharedLibraryOptions {
  /** Undefined: the default for these paths. */
  readonly dataDir: string | undefined;
  readonly paths: readonly string[];
  readonly announcer: Announcer;
  readonly linksOf: (contentId: ContentId) => number;
  /** No file of this node has the content any more. */
  readonly onGone: (content: Pick<LibraryFile, 'name' | 'manifest'>) => void;
  readonly folderWorkers: FolderWorkers;
}

/** A shared content with the way to its bytes. */
export interface Servable extends LibraryFile {
  readonly reader: ContentReader;
}

/** Shared by all who have such a content whole; nobody changes it. */
const ONE_CHUNK = Bitfield.full(1);

export class SharedLibrary {
  readonly #options: SharedLibraryOptions;
  readonly #lock: NodeLock;
  readonly #library: Library;
  /** Names by content: one content may be shared under several. */
  readonly #names = new Map<ContentId, Set<string>>();
  readonly #roots = new Set<string>();
  /** Copies asked for of what is below a path. */
  readonly #replicas = new Map<string, number>();
  readonly #watchers = new Set<ShareOptions>();
  /** Names that the tracker does not take. */
  readonly #refused = new Set<string>();
  /** Added, and not yet known to be at the tracker. */
  #unannounced: (LibraryFile | LibraryFolder)[] = [];
  #announcing: Promise<void> | undefined;
  #initial = 0;
  #accused = false;
  /** Found by a scan that is going on, and not given to the announcer yet. */
  readonly #gathered = new Map<ContentId, LibraryFile>();
  #gathering: NodeJS.Timeout | undefined;
  #watching: NodeJS.Timeout | undefined;
  #isClosed = false;

  static async open(options: SharedLibraryOptions): Promise<SharedLibrary> {
    const lock = await openDataDirectory({ explicit: options.dataDir, sharedPaths: options.paths, env: process.env });
    try {
      return new SharedLibrary(options, lock, await openLibrary({ dataDir: lock.dataDir }));
    } catch (error) {
      lock.release();
      throw error;
    }
  }

  private constructor(options: SharedLibraryOptions, lock: NodeLock, library: Library) {
    this.#options = options;
    this.#lock = lock;
    this.#library = library;
    library.events.on('added', (file) => this.#onAdded(file));
    library.events.on('withdrawn', (file) => this.#onWithdrawn(file));
    library.events.on('scanned', () => this.#announceGathered());
    library.events.on('folderAdded', (folder) => this.#onFolderAdded(folder));
    library.events.on('folderWithdrawn', (folder) => {
      options.announcer.drop(folder.manifest.contentId);
      options.onGone(folder);
    });
    library.events.on('problem', (path, message) => {
      for (const { onProblem } of this.#watchers) onProblem?.(path, message);
    });
  }

  get fileCount(): number {
    return this.#library.fileCount;
  }

  get byteCount(): number {
    return this.#library.byteCount;
  }

  /** What is shared, as absolute paths without symbolic links. */
  get roots(): readonly string[] {
    return [...this.#roots];
  }

  get dataDir(): string {
    return this.#lock.dataDir;
  }

  /** Indexes the paths and resolves when the tracker knows all that was found, however long the tracker is away. */
  async share(paths: readonly string[], options: ShareOptions, signal: AbortSignal): Promise<void> {
    this.#watchers.add(options);
    this.#initial++;
    try {
      // known before all is hashed; a path that is not there is refused by the library
      const { chunkSize, onProgress, replicas } = options;
      for (const path of paths) {
        const root = await realpath(path).catch(() => resolve(path));
        this.#roots.add(root);
        if (replicas !== undefined) this.#replicas.set(root, replicas);
      }
      await this.#library.addRoots(paths, { chunkSize, onProgress, signal, watch: false });
    } finally {
      this.#initial--;
      this.#announceGathered();
    }
    // a tracker that is away is not waited for
    const told = this.#options.announcer.settled().catch(() => undefined);
    void told.then(() => this.#watchSoon());
    await this.#announce(signal);
  }

  find(contentId: ContentId): Servable | undefined {
    const folder = this.#library.folder(contentId);
    if (folder !== undefined) return { ...folder, reader: this.#folderReader(folder) };
    const file = this.#library.byContentId(contentId);
    return file === undefined ? undefined : { ...file, reader: this.#library.reader(file) };
  }

  /**
   * Shares a file that was fetched and verified just now, if it lies in a shared folder: without reading it again, under the name it
   * has there. Undefined where it does not, or cannot be shared; those who share hear why.
   */
  async adopt(path: string, manifest: Manifest): Promise<Servable | undefined> {
    const real = await realpath(path).catch(() => path);
    const root = this.roots.find((folder) => real.startsWith(folder + sep));
    if (root === undefined) return undefined;
    try {
      const name = parseEntryName(relative(root, real).replaceAll(sep, '/'));
      const file = await this.#library.addVerified(real, name, manifest);
      return { ...file, reader: this.#library.reader(file) };
    } catch (error) {
      for (const { onProblem } of this.#watchers) onProblem?.(real, ShoalError.from(error).message);
      return undefined;
    }
  }

  /** A shared file by its name, for range requests. */
  openForRange(name: string): RangeReadable | undefined {
    const file = this.#library.byName(name);
    if (file === undefined) return undefined;
    const reader = this.#library.reader(file);
    return { size: file.manifest.size, read: async (offset, into) => void (await reader.read(offset, into)) };
  }

  /** Somebody says that this chunk, as we sent it, is wrong; or we could not read it ourselves. */
  async reportMismatch(contentId: ContentId, chunkIndex: number): Promise<void> {
    await this.#library.reportMismatch(contentId, chunkIndex);
  }

  /** Somebody says that one of these chunks is wrong: they are read again, one after the other, and one content at a time. */
  async checkAccused(contentId: ContentId, chunkIndexes: readonly number[]): Promise<void> {
    if (this.#accused) return;
    this.#accused = true;
    try {
      for (const chunkIndex of new Set(chunkIndexes))
        if ((await this.#library.reportMismatch(contentId, chunkIndex)) !== 'intact') return;
    } finally {
      this.#accused = false;
    }
  }

  /** The tracker does not take this name: those who share hear why. */
  refused(name: string, problem: string): void {
    this.#refused.add(name);
    const path = this.#library.byName(name)?.path ?? name;
    for (const { onProblem } of this.#watchers) onProblem?.(path, `the tracker refuses it: ${problem}`);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#gathering);
    clearTimeout(this.#watching);
    this.#watchers.clear();
    await this.#library.close();
    this.#lock.release();
  }

  /**
   * Beginning to watch keeps this thread busy for as long as looking at every file does, and whoever shares waits for the word that all
   * is announced: of ten thousand files those words were half a second late. What changes before is found by the comparison then.
   */
  #watchSoon(): void {
    if (this.#isClosed) return;
    clearTimeout(this.#watching);
    this.#watching = setTimeout(() => this.#library.watchRoots(), WATCH_AFTER_MS).unref();
  }

  #onAdded(file: LibraryFile): void {
    const { manifest, name } = file;
    const { contentId } = manifest;
    const names = new Set(this.#names.get(contentId)).add(name);
    this.#names.set(contentId, names);
    this.#unannounced.push(file);
    // files that appear later announce themselves; the first ones are announced together
    if (this.#initial === 0) {
      this.#put(file, names);
      this.#announce(new AbortController().signal).catch(() => undefined);
      return;
    }
    this.#gathered.set(contentId, file);
    this.#gathering ??= setTimeout(() => this.#announceGathered(), ANNOUNCE_GATHER_MS).unref();
  }

  /** Thousands of files found in a moment are told in one go: to tell of them takes what is needed to read them. */
  #announceGathered(): void {
    clearTimeout(this.#gathering);
    this.#gathering = undefined;
    for (const [contentId, file] of this.#gathered) {
      const names = this.#names.get(contentId);
      if (names !== undefined) this.#put(file, names);
    }
    this.#gathered.clear();
  }

  #put({ manifest, path }: Pick<LibraryFile, 'manifest' | 'path'>, names: ReadonlySet<string>): void {
    const { contentId, chunkCount } = manifest;
    const full = chunkCount === 1 ? ONE_CHUNK : Bitfield.full(chunkCount);
    this.#options.announcer.put({
      manifest,
      names,
      replicas: this.#replicasOf(path),
      have: () => full,
      links: () => this.#options.linksOf(contentId),
    });
  }

  #replicasOf(path: string): number | undefined {
    let most: number | undefined;
    for (const [root, copies] of this.#replicas)
      if (path === root || path.startsWith(root + sep)) most = Math.max(most ?? 0, copies);
    return most;
  }

  #onWithdrawn(file: LibraryFile): void {
    const { contentId } = file.manifest;
    const names = new Set(this.#names.get(contentId));
    names.delete(file.name);
    for (const { onWithdrawn } of this.#watchers) onWithdrawn?.(file);
    if (this.#library.byContentId(contentId) !== undefined) {
      this.#names.set(contentId, names);
      return;
    }
    this.#names.delete(contentId);
    this.#gathered.delete(contentId);
    this.#options.announcer.drop(contentId);
    this.#options.onGone(file);
  }

  #folderReader({ manifest, listing, placed }: LibraryFolder): ContentReader {
    return createFolderReader({
      layout: manifest,
      listing,
      files: placed,
      workers: this.#options.folderWorkers,
      onFailure: (path) => this.#library.suspect(path),
    });
  }

  #onFolderAdded(folder: LibraryFolder): void {
    this.#put(folder, new Set([folder.name]));
    this.#unannounced.push(folder);
    if (this.#initial === 0) this.#announce(new AbortController().signal).catch(() => undefined);
  }

  /** Waits for the tracker; one wait serves all who ask meanwhile. */
  async #announce(signal: AbortSignal): Promise<void> {
    while (this.#announcing !== undefined) await this.#announcing;
    this.#announcing = this.#announceAll(signal).finally(() => {
      this.#announcing = undefined;
    });
    await this.#announcing;
  }

  async #announceAll(signal: AbortSignal): Promise<void> {
    let told = false;
    while (this.#unannounced.length > 0 && !signal.aborted) {
      const files = new Set(this.#unannounced);
      try {
        await this.#options.announcer.settled();
      } catch (error) {
        const problem = ShoalError.from(error);
        // a tracker that is away comes back; one that refuses us does not change its mind
        if (problem.code !== 'tracker-unreachable') throw problem;
        for (const { onProblem } of this.#watchers)
          if (!told) onProblem?.('', `${problem.message}; trying again until it answers`);
        told = true;
        continue;
      }
      this.#unannounced = this.#unannounced.filter((file) => !files.has(file));
      for (const file of files) {
        if (this.#refused.delete(file.name)) continue;
        for (const { onShared, onSharedFolder } of this.#watchers) {
          if ('placed' in file) onSharedFolder?.(file);
          else onShared?.(file);
        }
      }
    }
  }
}
