/**
 * From what is found under a root to shared files: each gets its name, and its manifest from the index or by hashing. Small files of one
 * folder are looked at and hashed together, on a thread. What goes wrong is a problem of one file; nothing is withdrawn here but what
 * is found to have changed.
 */
import { basename, dirname, sep } from 'node:path';
import { createChunkLayout } from '../content/chunk-layout.ts';
import type { EntryName } from '../content/entry-name.ts';
import { parseManifest, type Manifest } from '../content/manifest.ts';
import { ShoalError } from '../errors.ts';
import * as limits from '../limits.ts';
import { sha256 } from './digest-chunk.ts';
import { cancelledError } from './disk-error.ts';
import { isRacyStamp, sameStamp, type FileStamp } from './file-stamp.ts';
import { createGate } from './gate.ts';
import type { HashPool } from './hash-pool.ts';
import type { SharedFile, SharedFiles } from './library-files.ts';
import type { IndexRow, LibraryIndex } from './library-index.ts';
import type { NameClaims } from './library-names.ts';
import {
  createNaming,
  lookAt,
  lookAtGroup,
  scanRoot,
  type Found,
  type FoundFile,
  type Root,
  type ScannedGroup,
} from './library-scan.ts';

/** What one call of addRoots counts. */
export interface Tally {
  filesTotal: number;
  filesDone: number;
  bytesTotal: number;
  bytesDone: number;
}

export interface SharingCall {
  readonly tally: Tally;
  readonly report: () => void;
  readonly signal: AbortSignal;
}

export interface LibraryIndexingOptions {
  readonly files: SharedFiles;
  readonly names: NameClaims;
  readonly index: LibraryIndex;
  readonly pool: HashPool;
  /** Shares a file. `hashedAtMs`: undefined when the index has it already. */
  readonly register: (file: SharedFile, hashedAtMs: number | undefined) => void;
  readonly withdraw: (file: SharedFile) => void;
  /** Looks at it again when it has been left alone for a while. */
  readonly waitForQuiet: (root: Root, path: string) => void;
  /** It has the name from now on. */
  readonly claim: (path: string, name: string) => void;
  /** It is gone. */
  readonly release: (path: string) => void;
  /** It would have a name that another one has. */
  readonly shadow: (root: Root, path: string, name: string) => void;
  readonly onProblem: (path: string, message: string) => void;
}

export const DAMAGED =
  'its bytes changed while its size and time did not, so the disk may be failing; it is shared again once it is replaced';

export class LibraryIndexing {
  readonly #options: LibraryIndexingOptions;
  /** Paths being looked at or hashed. */
  readonly #pending = new Set<string>();
  #hashedBytes = 0;

  constructor(options: LibraryIndexingOptions) {
    this.#options = options;
  }

  /** Bytes read for hashing so far. */
  get hashedBytes(): number {
    return this.#hashedBytes;
  }

  /** Shares all that is found under a root; the folders in which nothing was found. Rejects with `cancelled`. */
  async shareRoot(root: Root, call: SharingCall): Promise<readonly EntryName[]> {
    const { signal } = call;
    const emptyFolders: EntryName[] = [];
    const gate = createGate(limits.SCAN_AHEAD_FILES_MAX);
    // Nothing is remembered, so every file has to be read: small ones are, on the first look.
    const hash = this.#options.index.isEmpty;
    let failure: unknown;
    try {
      const { onProblem } = this.#options;
      const onEmptyFolder = (name: EntryName): void => void emptyFolders.push(name);
      for await (const group of scanRoot(root, { onProblem, onEmptyFolder, signal })) {
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
    return emptyFolders;
  }

  /** Shares a file that was found, from the index or by hashing it. Never throws: what goes wrong is a problem of this file. */
  async consider(root: Root, found: FoundFile, signal: AbortSignal): Promise<void> {
    if (this.#admit(root, found, this.#options.index.get(found.path)) === 'hash')
      await this.#hashAdmitted(root, found, signal);
  }

  /** What there is at the places of a group. Many files of one folder are looked at on a thread, and hashed there if they are small. */
  async lookAtGroup(
    root: Root,
    { folder, names, paths }: ScannedGroup,
    { hash, signal }: { readonly hash: boolean; readonly signal: AbortSignal },
  ): Promise<readonly Found[]> {
    if (names.length <= limits.HASH_INLINE_FILES_MAX) return lookAtGroup(root, { folder, names, paths });
    const found = await lookAtGroup(root, { folder, names: [], paths });
    const nameIn = createNaming(root, folder);
    const prefix = folder.endsWith(sep) ? folder : folder + sep;
    const surveyed = await this.#options.pool.survey({ folder, names, hash, chunkSize: root.chunkSize }, signal);
    for (const [index, base] of names.entries()) {
      const seen = surveyed[index];
      const path = prefix + base;
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
            executable: seen.executable,
            linkTarget: undefined,
            state: 'file',
            hashed: seen.state === 'hashed' ? seen : undefined,
          });
      }
    }
    return found;
  }

  async #shareGroup(root: Root, group: ScannedGroup, call: SharingCall, hash: boolean): Promise<void> {
    const { tally, signal } = call;
    const files: FoundFile[] = [];
    for (const found of await this.lookAtGroup(root, group, { hash, signal })) {
      if (found.state === 'refused') this.#options.onProblem(found.path, found.message);
      if (found.state !== 'file') continue;
      files.push(found);
      tally.filesTotal++;
      tally.bytesTotal += found.stamp.size;
    }
    const remembered = hash ? undefined : this.#options.index.getMany(files.map(({ path }) => path));
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
      const surveyed = await this.#options.pool.survey(order, signal);
      for (const [index, found] of files.entries()) {
        const seen = surveyed[index];
        this.#pending.delete(found.path);
        if (seen?.state === 'hashed') {
          this.#hashedBytes += seen.stamp.size;
          if (!signal.aborted && this.#options.files.at(found.path) === undefined)
            this.#options.register(sharedFile(root, found, seen), seen.hashedAtMs);
        } else if (seen?.state === 'failed') this.#options.onProblem(found.path, seen.error.message);
        // it has changed since it was found, or is gone
        else this.#options.waitForQuiet(root, found.path);
        tally.filesDone++;
        tally.bytesDone += found.stamp.size;
      }
      call.report();
    } finally {
      for (const { path } of files) this.#pending.delete(path);
    }
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
    found: FoundFile,
    options: { readonly onBytes: (byteCount: number) => void; readonly signal: AbortSignal },
  ): Promise<void> {
    const { path, stamp } = found;
    this.#pending.add(path);
    try {
      const { onBytes, signal } = options;
      const hashed = await this.#options.pool.hash(path, stamp.size, { chunkSize: root.chunkSize, onBytes, signal });
      if (signal.aborted || this.#options.files.at(path) !== undefined) return;
      this.#options.register(sharedFile(root, found, hashed), hashed.hashedAtMs);
    } finally {
      this.#pending.delete(path);
    }
  }

  async #onHashFailure(root: Root, found: FoundFile, error: ShoalError): Promise<void> {
    if (error.code === 'cancelled') return;
    // It is being written: hashed when it is quiet.
    if (error.code === 'conflict') this.#options.waitForQuiet(root, found.path);
    else if ((await lookAt(root, found.path)).state === 'nothing') this.#options.release(found.path);
    else this.#options.onProblem(found.path, error.message);
  }

  /**
   * Decides about a file that was found. `settled`: it is shared now, or cannot be, or waits. `hash`: it has its name, and has to be
   * hashed. `own`: what the index has under its path.
   */
  #admit(root: Root, found: FoundFile, own: IndexRow | undefined): 'settled' | 'hash' {
    const { files, names, onProblem, register } = this.#options;
    const { path, stamp, name, hashed } = found;
    const known = files.at(path);
    if (known !== undefined) {
      if (sameStamp(known.stamp, stamp) && known.executable === found.executable) return 'settled';
      this.#options.withdraw(known);
    }
    if (this.#pending.has(path)) {
      this.#options.waitForQuiet(root, path);
      return 'settled';
    }
    if (names.count >= limits.LIBRARY_FILES_MAX) {
      onProblem(path, `it is one file too many: a node shares at most ${limits.LIBRARY_FILES_MAX}`);
      return 'settled';
    }
    const owner = names.owner(name);
    if (owner !== undefined && owner !== path) {
      this.#options.shadow(root, path, name);
      onProblem(path, `it would have the name ${name}, which ${owner} has already`);
      return 'settled';
    }
    this.#options.claim(path, name);
    if (hashed !== undefined) {
      register(sharedFile(root, found, { manifest: hashed.manifest, stamp }), hashed.hashedAtMs);
      return 'settled';
    }
    const { chunkSize } = createChunkLayout(stamp.size, root.chunkSize);
    const row = this.#rowFor(own, stamp);
    if (row !== undefined && row.isDamaged) {
      onProblem(path, DAMAGED);
      return 'settled';
    }
    const manifest = row === undefined ? undefined : readManifest(row, stamp.size, chunkSize);
    if (row === undefined || manifest === undefined) return 'hash';
    register(
      sharedFile(root, found, { manifest, stamp }),
      row.path === path && row.name === name ? undefined : row.hashedAtMs,
    );
    return 'settled';
  }

  /** A row that may be trusted for a file with this stamp: its own, or that of the path it was renamed from. */
  #rowFor(own: IndexRow | undefined, stamp: FileStamp): IndexRow | undefined {
    const row = own !== undefined && sameStamp(own.stamp, stamp) ? own : this.#options.index.findByStamp(stamp);
    return row === undefined || isRacyStamp(row.stamp, row.hashedAtMs) ? undefined : row;
  }
}

function sharedFile(
  root: Root,
  { name, path, linkTarget, executable }: FoundFile,
  { manifest, stamp }: { readonly manifest: Manifest; readonly stamp: FileStamp },
): SharedFile {
  return { name, path, manifest, stamp, executable, root, linkTarget };
}

/** The manifest of a row, when it is one for this size and chunk size; a row that is not is hashed again. */
function readManifest(row: IndexRow, size: number, chunkSize: number): Manifest | undefined {
  try {
    const manifest = parseManifest(row.manifestBytes, sha256);
    return manifest.size === size && manifest.chunkSize === chunkSize ? manifest : undefined;
  } catch {
    return undefined;
  }
}
