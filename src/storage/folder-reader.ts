/**
 * Reads the content of a folder where its files are: a range of it is a part of the listing and parts of files. Verifies nothing but
 * that the files are as they were indexed: the receiver does the rest.
 */
import type { ChunkLayout } from '../content/chunk-layout.ts';
import { ShoalError } from '../errors.ts';
import { isAboutTheFile, readerOver, type ContentReader } from './content-reader.ts';
import type { FilePiece } from './folder-orders.ts';
import { FolderTaskError, type FolderWorkers } from './folder-workers.ts';
import type { FileStamp } from './file-stamp.ts';

/** A file whose bytes are in the content, in their order. */
export interface PlacedFile {
  readonly path: string;
  readonly stamp: FileStamp;
  /** In the folder content. */
  readonly offset: number;
}

export interface FolderReaderOptions {
  readonly layout: ChunkLayout;
  readonly listing: Uint8Array;
  /** Without empty ones, in ascending order of their offsets. */
  readonly files: readonly PlacedFile[];
  readonly workers: Pick<FolderWorkers, 'read'>;
  /** Told when a file cannot be read as it was indexed; the read rejects with the same error (`conflict` or `disk`). */
  readonly onFailure: (path: string, error: ShoalError) => void;
}

export function createFolderReader({ layout, listing, files, workers, onFailure }: FolderReaderOptions): ContentReader {
  const readRange = async (offset: number, into: Uint8Array): Promise<number> => {
    const fromListing = Math.max(0, Math.min(listing.length - offset, into.length));
    if (fromListing > 0) into.set(listing.subarray(offset, offset + fromListing));
    if (fromListing === into.length) return into.length;
    const pieces = piecesOf(files, offset + fromListing, offset + into.length);
    try {
      const bytes = await workers.read(pieces);
      if (fromListing + bytes.length !== into.length)
        throw new ShoalError('bug', `a folder gave ${bytes.length} bytes for a range of ${into.length - fromListing}`);
      into.set(bytes, fromListing);
    } catch (error) {
      if (error instanceof FolderTaskError && isAboutTheFile(error)) onFailure(error.path, error);
      throw error;
    }
    return into.length;
  };

  return readerOver(layout, readRange);
}

/** The parts of files that make up the bytes from `start` to `end` of a folder content, behind its listing. */
export function piecesOf(files: readonly PlacedFile[], start: number, end: number): FilePiece[] {
  const pieces: FilePiece[] = [];
  for (let index = lastAtOrBefore(files, start); index < files.length; index++) {
    const { path, stamp, offset } = files[index] as PlacedFile;
    if (offset >= end) break;
    const from = Math.max(start, offset);
    const to = Math.min(end, offset + stamp.size);
    if (from < to) pieces.push({ path, stamp, offset: from - offset, byteCount: to - from });
  }
  return pieces;
}

function lastAtOrBefore(files: readonly PlacedFile[], position: number): number {
  let low = 0;
  let high = files.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((files[middle] as PlacedFile).offset <= position) low = middle + 1;
    else high = middle;
  }
  return Math.max(0, low - 1);
}
