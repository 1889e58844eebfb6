/**
 * The folders among a library's roots as contents: each is offered whole under its name with a slash (`course/`) as long as its files
 * are as they were, withdrawn the moment one of them differs, and made anew when it has been quiet for a while. Reads no file itself.
 */
import type { ContentId } from '../content/digest.ts';
import { entryNameProblem, folderName, parseEntryName, type EntryName } from '../content/entry-name.ts';
import { encodeFolder, type FolderFile } from '../content/folder-listing.ts';
import { createChunkLayout } from '../content/chunk-layout.ts';
import { parseManifest, type Manifest } from '../content/manifest.ts';
import { ShoalError } from '../errors.ts';
import * as limits from '../limits.ts';
import { sha256 } from './digest-chunk.ts';
import type { FileStamp } from './file-stamp.ts';
import type { PlacedFile } from './placed-files.ts';
import { packFiles } from './hash-folder.ts';
import type { HashPool } from './hash-pool.ts';
import type { LibraryIndex } from './library-index.ts';
import { emptyFoldersOf, type Root } from './library-scan.ts';
import { createQuietQueue, type QuietQueue } from './quiet-queue.ts';

export interface LibraryFolder {
  readonly name: EntryName;
  readonly path: string;
  readonly manifest: Manifest;
  readonly listing: Uint8Array<ArrayBuffer>;
  /** Files whose bytes are in the content, without empty ones, in their order. */
  readonly placed: readonly PlacedFile[];
  /** Files in all, and their bytes, those that are contents of their own included. */
  readonly fileCount: number;
  readonly byteCount: number;
}

/** A shared file of a root. */
export interface FolderMember {
  readonly name: EntryName;
  readonly path: string;
  readonly stamp: FileStamp;
  readonly executable: boolean;
  readonly manifest: Manifest;
}

export interface LibraryFoldersOptions {
  readonly pool: Pick<HashPool, 'hashFolder'>;
  readonly index: Pick<LibraryIndex, 'folderManifest' | 'putFolder'>;
  readonly quietMs: number;
  readonly filesOf: (root: Root) => Iterable<FolderMember>;
  readonly onAdded: (folder: LibraryFolder) => void;
  readonly onWithdrawn: (folder: LibraryFolder) => void;
  readonly onProblem: (path: string, message: string) => void;
  /** Work that nobody waits for. */
  readonly inBackground: (work: () => Promise<void>) => void;
  readonly signal: AbortSignal;
}

interface State {
  readonly root: Root;
  folder: LibraryFolder | undefined;
  /** Rises with every change of a file; what was made of an older state is not offered. */
  version: number;
  /** The last problem told, which need not be told again. */
  told: string;
}

/** What a scan that has just ended knows, and wants to know. */
interface Scanned {
  readonly onReading?: () => void;
  readonly emptyFolders?: readonly EntryName[];
}

export class LibraryFolders {
  readonly #options: LibraryFoldersOptions;
  /** By path of the root. */
  readonly #states = new Map<string, State>();
  readonly #byContentId = new Map<ContentId, LibraryFolder>();
  readonly #quiet: QuietQueue;

  constructor(options: LibraryFoldersOptions) {
    this.#options = options;
    this.#quiet = createQuietQueue({ quietMs: options.quietMs, onQuiet: (path) => this.#onQuiet(path) });
  }

  all(): readonly LibraryFolder[] {
    return [...this.#states.values()].flatMap(({ folder }) => (folder === undefined ? [] : [folder]));
  }

  byContentId(contentId: ContentId): LibraryFolder | undefined {
    return this.#byContentId.get(contentId);
  }

  /**
   * Makes the content of a folder whose files are all known; from now on it follows them. Never throws but `cancelled`. `onReading` is told
   * when a thread is at it, if there is anything to read; `emptyFolders` are those that a scan has just found.
   */
  async offer(root: Root, scanned: Scanned = {}): Promise<void> {
    if (root.kind !== 'folder') return;
    const known = this.#states.get(root.path);
    const state = known ?? { root, folder: undefined, version: 0, told: '' };
    this.#states.set(root.path, state);
    if (state.folder === undefined) await this.#make(state, scanned);
  }

  /** A file of this root is shared now, or is not any more. */
  changed(root: Root): void {
    const state = this.#states.get(root.path);
    if (state === undefined) return;
    state.version++;
    this.#withdraw(state);
    this.#quiet.touch(root.path);
  }

  /** A folder below this root has come or gone, which may be nothing to it. */
  lookAgain(root: Root): void {
    if (this.#states.has(root.path)) this.#quiet.touch(root.path);
  }

  close(): void {
    this.#quiet.close();
  }

  #onQuiet(path: string): void {
    const state = this.#states.get(path);
    if (state !== undefined) this.#options.inBackground(() => this.#make(state));
  }

  #withdraw(state: State): void {
    const { folder } = state;
    if (folder === undefined) return;
    state.folder = undefined;
    this.#byContentId.delete(folder.manifest.contentId);
    this.#options.onWithdrawn(folder);
  }

  async #make(state: State, scanned: Scanned = {}): Promise<void> {
    const { version, root } = state;
    let folder: LibraryFolder | undefined;
    try {
      folder = await this.#contentOf(root, scanned);
      state.told = '';
    } catch (error) {
      const problem = ShoalError.from(error);
      if (problem.code === 'cancelled') throw problem;
      // one of its files is being changed: the library finds that out too, and says so
      if (problem.code === 'conflict') this.#quiet.touch(root.path);
      else if (problem.message !== state.told) {
        state.told = problem.message;
        this.#options.onProblem(root.path, `it is not offered as a whole, only its files are: ${problem.message}`);
      }
      return;
    }
    if (folder === undefined || this.#options.signal.aborted) return;
    // changed meanwhile: made again when it is quiet
    if (state.version !== version) return;
    if (state.folder?.manifest.contentId === folder.manifest.contentId) return;
    this.#withdraw(state);
    if (this.#byContentId.has(folder.manifest.contentId)) return;
    state.folder = folder;
    this.#byContentId.set(folder.manifest.contentId, folder);
    this.#options.onAdded(folder);
  }

  /** Undefined: there is no file in it. */
  async #contentOf(root: Root, { onReading, emptyFolders: found }: Scanned): Promise<LibraryFolder | undefined> {
    const { pool, index, filesOf, signal } = this.#options;
    const problem = entryNameProblem(root.name);
    if (problem !== undefined) throw new ShoalError('usage', `its name cannot be shared: ${problem}`);
    const members = new Map<string, FolderMember>();
    const files: FolderFile[] = [];
    for (const member of filesOf(root)) {
      const { name, manifest, executable } = member;
      members.set(name, member);
      const isInline = manifest.size <= limits.FOLDER_INLINE_FILE_BYTES_MAX;
      const { size, sha256: digest, contentId } = manifest;
      files.push({ name, size, sha256: digest, contentId: isInline ? undefined : contentId, executable });
    }
    if (files.length === 0) return undefined;
    const emptyFolders = withoutParents(found ?? (await emptyFoldersOf(root, signal)), members.keys());
    const { bytes: listing, files: listed, contentBytes } = encodeFolder(files, emptyFolders);
    const placed: PlacedFile[] = [];
    for (const { name, size, offset, contentId } of listed) {
      const member = members.get(name);
      if (contentId !== undefined || size === 0 || member === undefined) continue;
      placed.push({ path: member.path, stamp: member.stamp, offset });
    }
    const { chunkSize } = createChunkLayout(contentBytes, root.chunkSize);
    const digest = sha256(listing).toHex();
    let manifest = readRemembered(index.folderManifest(root.path, digest), contentBytes, chunkSize);
    if (manifest === undefined) {
      const hashing = pool.hashFolder({ listing, files: packFiles(placed), chunkSize: root.chunkSize }, signal);
      onReading?.();
      manifest = await hashing;
      index.putFolder(root.path, digest, manifest.bytes);
    }
    const byteCount = files.reduce((sum, { size }) => sum + size, 0);
    const name = folderName(parseEntryName(root.name));
    return { name, path: root.path, manifest, listing, placed, fileCount: files.length, byteCount };
  }
}

/** Those that no file is in: one may have come since they were looked at. */
function withoutParents(folders: readonly EntryName[], names: Iterable<string>): EntryName[] {
  if (folders.length === 0) return [];
  const left = new Set<string>(folders);
  for (const name of names)
    for (let slash = name.indexOf('/'); slash >= 0; slash = name.indexOf('/', slash + 1))
      left.delete(name.slice(0, slash));
  return folders.filter((folder) => left.has(folder));
}

/** A manifest that does not fit is made again. */
function readRemembered(
  bytes: Uint8Array<ArrayBuffer> | undefined,
  size: number,
  chunkSize: number,
): Manifest | undefined {
  if (bytes === undefined) return undefined;
  try {
    const manifest = parseManifest(bytes, sha256);
    return manifest.size === size && manifest.chunkSize === chunkSize ? manifest : undefined;
  } catch {
    return undefined;
  }
}
