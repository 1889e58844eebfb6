/**
 * Cuts the small files of a folder out of its content while that comes: a file is written as soon as the last of its chunks is there,
 * many at a time, on threads. Knows which chunks are needed for that, and counts bytes of files, not of chunks.
 */
import { Bitfield } from '../content/bitfield.ts';
import type { ChunkLayout } from '../content/chunk-layout.ts';
import type { ListedFile } from '../content/folder-listing.ts';
import * as limits from '../limits.ts';
import type { FolderWorkers } from '../storage/folder-workers.ts';
import type { PartialFile } from '../storage/partial-file.ts';

/** A file of a listing and where it lies below the folder. */
export interface LocalFile extends ListedFile {
  readonly path: string;
}

export interface FolderUnpackingOptions {
  readonly layout: ChunkLayout;
  readonly partial: Pick<PartialFile, 'have' | 'partPath'>;
  /** Where the files go. */
  readonly folder: string;
  /** Those to be cut out, in the order of the content. */
  readonly files: readonly LocalFile[];
  readonly workers: Pick<FolderWorkers, 'unpack'>;
  /** Every file is made durable at once. */
  readonly sync: boolean;
  /** Bytes of files have come. */
  readonly onBytes: (byteCount: number) => void;
}

export class FolderUnpacking {
  /** What the files are in. */
  readonly chunks: Bitfield;
  readonly #options: FolderUnpackingOptions;
  /** Chunks of each file that are not there yet. */
  readonly #missing: Uint32Array;
  /** The first and the last file of each chunk, by their places; none where the last is before the first. */
  readonly #first: Int32Array;
  readonly #last: Int32Array;
  /** Bytes of the files in each chunk. */
  readonly #bytes: Uint32Array;
  #ready: LocalFile[] = [];
  readonly #running = new Set<Promise<void>>();
  #failure: unknown;

  constructor(options: FolderUnpackingOptions) {
    const { files, layout, partial } = options;
    const { chunkSize, chunkCount } = layout;
    this.#options = options;
    this.chunks = new Bitfield(chunkCount);
    this.#missing = new Uint32Array(files.length);
    this.#first = new Int32Array(chunkCount).fill(files.length);
    this.#last = new Int32Array(chunkCount).fill(-1);
    this.#bytes = new Uint32Array(chunkCount);
    for (const [index, { offset, size }] of files.entries()) {
      if (size === 0) continue;
      const end = offset + size;
      for (let chunk = Math.floor(offset / chunkSize); chunk * chunkSize < end; chunk++) {
        this.chunks.add(chunk);
        this.#first[chunk] = Math.min(this.#first[chunk] as number, index);
        this.#last[chunk] = index;
        this.#bytes[chunk] =
          (this.#bytes[chunk] as number) + Math.min(end, (chunk + 1) * chunkSize) - Math.max(offset, chunk * chunkSize);
        if (!partial.have.has(chunk)) this.#missing[index] = (this.#missing[index] as number) + 1;
      }
    }
  }

  /** Bytes of the files in these chunks. */
  bytesIn(chunks: Pick<Bitfield, 'has'>): number {
    let byteCount = 0;
    for (const chunk of this.chunks) if (chunks.has(chunk)) byteCount += this.#bytes[chunk] as number;
    return byteCount;
  }

  /** Begins with what is there already. */
  start(): void {
    for (const [index, file] of this.#options.files.entries()) if (this.#missing[index] === 0) this.#add(file);
  }

  /** A chunk is there now. */
  gained(chunkIndex: number): void {
    if (!this.chunks.has(chunkIndex)) return;
    this.#options.onBytes(this.#bytes[chunkIndex] as number);
    const last = this.#last[chunkIndex] as number;
    for (let index = this.#first[chunkIndex] as number; index <= last; index++) {
      const file = this.#options.files[index];
      if (file === undefined || file.size === 0) continue;
      const left = (this.#missing[index] as number) - 1;
      this.#missing[index] = left;
      if (left === 0) this.#add(file);
    }
  }

  /** Writes what is left, and waits for all; every chunk has to be there. Rejects with the first failure. */
  async finish(): Promise<void> {
    this.#write();
    await this.settled();
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Resolves when nothing is being written. */
  async settled(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  #add(file: LocalFile): void {
    this.#ready.push(file);
    if (this.#ready.length >= limits.FOLDER_ORDER_FILES_MAX) this.#write();
  }

  #write(): void {
    const files = this.#ready;
    this.#ready = [];
    if (files.length === 0 || this.#failure !== undefined) return;
    const { workers, partial, folder, sync } = this.#options;
    const running = workers
      .unpack(partial.partPath, folder, files, { sync })
      .catch((error: unknown) => void (this.#failure ??= error))
      .finally(() => this.#running.delete(running));
    this.#running.add(running);
  }
}
