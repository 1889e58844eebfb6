/**
 * Where a download to standard output keeps its chunks: a file that has no name from the moment it is opened, so that nothing is left
 * however the process ends, and that never grows beyond a window. A chunk has one place in it; the chunk that had the same place before
 * is given up first. Takes only bytes that its caller has verified.
 */
import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { Bitfield } from '../content/bitfield.ts';
import { chunkBytes, type ChunkLayout } from '../content/chunk-layout.ts';
import { ShoalError } from '../errors.ts';
import { STREAM_WINDOW_CHUNKS_MIN } from '../limits.ts';
import { diskError } from './disk-error.ts';

export interface StreamWindowOptions {
  readonly layout: ChunkLayout;
  /** Where the file lies, as long as it is open. */
  readonly folder: string;
  /** Bytes of the window; always room for a few chunks. */
  readonly bytesMax: number;
  /** Writes all bytes at a position of a descriptor, those of one descriptor one after the other. */
  readonly writer: (descriptor: number, bytes: Uint8Array, position: number) => Promise<void>;
}

/** What the window does next, once its reader has gone on. */
export interface WindowMove {
  /** Chunks that are not there any more. */
  readonly dropped: readonly number[];
  /** Chunks for which there is room from now on. */
  readonly wanted: Bitfield;
}

export interface StreamWindow {
  /** The chunks that are there. */
  readonly have: Bitfield;
  /** The chunks there is room for at first. */
  readonly wanted: Bitfield;
  write(chunkIndex: number, bytes: Uint8Array): Promise<void>;
  /** Rejects with `conflict` for a chunk that is not there, or not any more when it has been read. */
  read(chunkIndex: number, into: Uint8Array): Promise<number>;
  /** The reader has taken this chunk and all before it. Undefined: nothing changes for now. */
  passed(chunkIndex: number): WindowMove | undefined;
  /** Idempotent. */
  close(): Promise<void>;
}

export async function openStreamWindow(options: StreamWindowOptions): Promise<StreamWindow> {
  const path = join(options.folder, `shoal-${randomBytes(12).toString('hex')}`);
  try {
    const handle = await open(path, 'wx+', 0o600);
    try {
      rmSync(path);
    } catch (error) {
      await handle.close();
      throw error;
    }
    return new UnnamedFile(options, handle);
  } catch (error) {
    throw diskError(error, `cannot make a temporary file in ${options.folder}`);
  }
}

class UnnamedFile implements StreamWindow {
  readonly have: Bitfield;
  readonly wanted: Bitfield;
  readonly #options: StreamWindowOptions;
  readonly #handle: FileHandle;
  /** Places for chunks. */
  readonly #places: number;
  /** No chunk before this has a place, and none from `#end` on. */
  #start = 0;
  #end: number;
  #writing = new Set<Promise<void>>();
  #closed = false;

  constructor(options: StreamWindowOptions, handle: FileHandle) {
    const { chunkCount, chunkSize } = options.layout;
    this.#options = options;
    this.#handle = handle;
    this.#places = Math.max(STREAM_WINDOW_CHUNKS_MIN, Math.floor(options.bytesMax / chunkSize));
    this.#end = Math.min(chunkCount, this.#places);
    this.have = new Bitfield(chunkCount);
    this.wanted = chunksFrom(0, this.#end, chunkCount);
  }

  async write(chunkIndex: number, bytes: Uint8Array): Promise<void> {
    if (chunkIndex < this.#start || chunkIndex >= this.#end)
      throw new ShoalError('bug', `chunk ${chunkIndex} has no place among ${this.#start} to ${this.#end}`);
    if (this.have.has(chunkIndex) || this.#closed) return;
    const writing = this.#options.writer(this.#handle.fd, bytes, this.#positionOf(chunkIndex));
    this.#writing.add(writing);
    try {
      await writing;
    } catch (error) {
      throw diskError(error, `cannot write to the temporary file in ${this.#options.folder}`);
    } finally {
      this.#writing.delete(writing);
    }
    this.have.add(chunkIndex);
  }

  async read(chunkIndex: number, into: Uint8Array): Promise<number> {
    const byteCount = chunkBytes(this.#options.layout, chunkIndex);
    this.#check(chunkIndex);
    const position = this.#positionOf(chunkIndex);
    for (let filled = 0; filled < byteCount;) {
      const { bytesRead } = await this.#handle.read(into, filled, byteCount - filled, position + filled);
      if (bytesRead === 0) throw new ShoalError('disk', 'the temporary file became shorter');
      filled += bytesRead;
    }
    // another one may have its place since: then these are no longer its bytes
    this.#check(chunkIndex);
    return byteCount;
  }

  passed(chunkIndex: number): WindowMove | undefined {
    const { chunkCount } = this.#options.layout;
    const end = Math.min(chunkCount, chunkIndex + 1 + this.#places);
    // by halves: a few chunks at a time would have the swarm stop and start for each of them
    if (end === this.#end || (end < chunkCount && end - this.#end < this.#places / 2)) return undefined;
    const wanted = chunksFrom(this.#end, end, chunkCount);
    const dropped: number[] = [];
    for (; this.#start < end - this.#places; this.#start++) {
      dropped.push(this.#start);
      this.have.delete(this.#start);
    }
    this.#end = end;
    return { dropped, wanted };
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await Promise.allSettled(this.#writing);
    await this.#handle.close();
  }

  #check(chunkIndex: number): void {
    if (this.#closed || !this.have.has(chunkIndex))
      throw new ShoalError('conflict', `chunk ${chunkIndex} is not kept any more`);
  }

  #positionOf(chunkIndex: number): number {
    return (chunkIndex % this.#places) * this.#options.layout.chunkSize;
  }
}

function chunksFrom(start: number, end: number, chunkCount: number): Bitfield {
  const chunks = new Bitfield(chunkCount);
  for (let chunk = start; chunk < end; chunk++) chunks.add(chunk);
  return chunks;
}
