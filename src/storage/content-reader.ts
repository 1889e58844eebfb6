/** Reads chunks and ranges of one shared file through the common set of open descriptors. Verifies nothing: the receiver does. */
import { chunkBytes, chunkOffset, type ChunkLayout } from '../content/chunk-layout.ts';
import { ShoalError } from '../errors.ts';
import type { FileStamp } from './file-stamp.ts';
import type { OpenFiles } from './open-files.ts';
import { readAtOnce, readFully } from './read-fully.ts';

export interface ContentReader {
  readonly layout: ChunkLayout;
  /** Reads a chunk into the beginning of `into`; says how many bytes it has. */
  readChunk(chunkIndex: number, into: Uint8Array): Promise<number>;
  /**
   * Fills `into` with bytes of a chunk from `offset` within it on, if that takes no waiting; false: `readChunk` has to. Absent where it
   * always has to.
   */
  readChunkAtOnce?(chunkIndex: number, offset: number, into: Uint8Array): boolean;
  /** Reads from `offset` on until `into` is full or the content ends; says how many bytes that were. */
  read(offset: number, into: Uint8Array): Promise<number>;
}

export interface ContentReaderOptions {
  readonly path: string;
  readonly stamp: FileStamp;
  readonly layout: ChunkLayout;
  readonly openFiles: OpenFiles;
  /** Told when the file cannot be read as it was indexed; the read rejects with the same error (`conflict` or `disk`). */
  readonly onFailure: (error: ShoalError) => void;
}

export function createContentReader(options: ContentReaderOptions): ContentReader {
  const { path, stamp, layout, openFiles } = options;

  const shorter = (): ShoalError => new ShoalError('conflict', `${path} became shorter since it was shared`);
  const readRange = async (offset: number, into: Uint8Array): Promise<number> => {
    try {
      await openFiles.with(path, stamp, (handle) => readFully(handle, into, offset, shorter));
      return into.length;
    } catch (error) {
      const problem = ShoalError.from(error);
      if (isAboutTheFile(problem)) options.onFailure(problem);
      throw problem;
    }
  };

  const reader = readerOver(layout, readRange);
  return {
    ...reader,
    readChunkAtOnce(chunkIndex, offset, into) {
      if (offset < 0 || offset + into.length > chunkBytes(layout, chunkIndex))
        throw new ShoalError('bug', `${into.length} bytes at ${offset} are not in chunk ${chunkIndex}`);
      const handle = openFiles.current(path, stamp);
      return handle !== undefined && readAtOnce(handle, into, chunkOffset(layout, chunkIndex) + offset);
    },
  };
}

/** A reader whose bytes come from `readRange`, which fills its buffer; all bounds are checked here. */
export function readerOver(
  layout: ChunkLayout,
  readRange: (offset: number, into: Uint8Array) => Promise<number>,
): ContentReader {
  return {
    layout,
    async readChunk(chunkIndex, into) {
      if (!Number.isInteger(chunkIndex) || chunkIndex < 0 || chunkIndex >= layout.chunkCount)
        throw new ShoalError('bug', `chunk ${chunkIndex} is outside a content of ${layout.chunkCount} chunks`);
      const byteCount = chunkBytes(layout, chunkIndex);
      if (into.length < byteCount)
        throw new ShoalError('bug', `chunk ${chunkIndex} of ${byteCount} bytes does not fit ${into.length}`);
      return readRange(chunkOffset(layout, chunkIndex), into.subarray(0, byteCount));
    },
    async read(offset, into) {
      if (!Number.isSafeInteger(offset) || offset < 0) throw new ShoalError('bug', `${offset} is not an offset`);
      const byteCount = Math.max(0, Math.min(into.length, layout.size - offset));
      return byteCount === 0 ? 0 : readRange(offset, into.subarray(0, byteCount));
    },
  };
}

/** Whether a failed read is about the file itself, which is then no longer to be shared. */
export function isAboutTheFile({ code }: ShoalError): boolean {
  return code === 'conflict' || code === 'disk' || code === 'not-allowed';
}
