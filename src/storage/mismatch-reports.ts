/**
 * What to do when somebody says that a chunk, as we sent it, does not match: only the chunk in question is read, since a report costs its
 * sender nothing and must not cost us a whole file. Files in which it is true are withdrawn, and blamed on a change or on the disk.
 */
import { chunkBytes, chunkOffset } from '../content/chunk-layout.ts';
import type { ContentId } from '../content/digest.ts';
import { chunkDigestMatches } from '../content/manifest.ts';
import type { ContentReader } from './content-reader.ts';
import { digestChunk } from './digest-chunk.ts';
import { piecesOf } from './placed-files.ts';
import { isAsItWas } from './library-changes.ts';
import type { LibraryFile, SharedFile, SharedFiles } from './library-files.ts';
import type { LibraryFolder } from './library-folders.ts';
import { DAMAGED } from './library-indexing.ts';
import type { Root } from './library-scan.ts';

/** What became of a report that a chunk was served wrong. */
export type MismatchOutcome = 'intact' | 'withdrawn' | 'unknown-content';

export interface MismatchReportsOptions {
  readonly files: SharedFiles;
  readonly folder: (contentId: ContentId) => LibraryFolder | undefined;
  readonly reader: (file: LibraryFile) => ContentReader;
  readonly withdraw: (file: SharedFile) => void;
  /** Remembers that its bytes are not what its stamp says. */
  readonly rememberDamage: (file: SharedFile) => void;
  readonly waitForQuiet: (root: Root, path: string) => void;
  readonly onProblem: (path: string, message: string) => void;
}

export class MismatchReports {
  readonly #options: MismatchReportsOptions;

  constructor(options: MismatchReportsOptions) {
    this.#options = options;
  }

  async report(contentId: ContentId, chunkIndex: number): Promise<MismatchOutcome> {
    const folder = this.#options.folder(contentId);
    if (folder !== undefined) return this.#reportOfFolder(folder, chunkIndex);
    const files = this.#options.files.byContentId(contentId);
    if (files.length === 0) return 'unknown-content';
    let outcome: MismatchOutcome = 'intact';
    for (const file of files) {
      if (!this.#options.files.has(file) || chunkIndex < 0 || chunkIndex >= file.manifest.chunkCount) continue;
      if (await this.#chunkIsTrue(file, chunkIndex)) continue;
      outcome = 'withdrawn';
      if (!this.#options.files.has(file)) continue;
      this.#options.withdraw(file);
      await this.#blame(file, chunkIndex);
    }
    return outcome;
  }

  /** The same of the content of a folder: a report of each file, and each chunk of it, that has bytes in that chunk. */
  async #reportOfFolder(folder: LibraryFolder, chunkIndex: number): Promise<MismatchOutcome> {
    const { manifest, placed } = folder;
    if (!Number.isInteger(chunkIndex) || chunkIndex < 0 || chunkIndex >= manifest.chunkCount) return 'intact';
    const start = chunkOffset(manifest, chunkIndex);
    let outcome: MismatchOutcome = 'intact';
    for (const piece of piecesOf(placed, start, start + chunkBytes(manifest, chunkIndex))) {
      const file = this.#options.files.at(piece.path);
      if (file === undefined) continue;
      const last = Math.floor((piece.offset + piece.byteCount - 1) / file.manifest.chunkSize);
      for (let index = Math.floor(piece.offset / file.manifest.chunkSize); index <= last; index++)
        if ((await this.report(file.manifest.contentId, index)) === 'withdrawn') outcome = 'withdrawn';
    }
    return outcome;
  }

  async #chunkIsTrue(file: SharedFile, chunkIndex: number): Promise<boolean> {
    const bytes = Buffer.allocUnsafeSlow(chunkBytes(file.manifest, chunkIndex));
    try {
      await this.#options.reader(file).readChunk(chunkIndex, bytes);
    } catch {
      // The reader has withdrawn it and said why.
      return false;
    }
    return chunkDigestMatches(file.manifest, chunkIndex, await digestChunk(bytes));
  }

  /** A withdrawn file whose bytes differ: changed since, which is in order, or damaged, which must not be shared as a new content. */
  async #blame(file: SharedFile, chunkIndex: number): Promise<void> {
    if (await isAsItWas(file)) {
      this.#options.rememberDamage(file);
      this.#options.onProblem(file.path, `${DAMAGED} (chunk ${chunkIndex})`);
    } else if (file.root !== undefined) this.#options.waitForQuiet(file.root, file.path);
  }
}
