/**
 * Reads the content of a folder where its files are: a range of it is a part of the listing and parts of files. Verifies nothing but
 * that the files are as they were indexed: the receiver does the rest.
 */
import type { ChunkLayout } from '../content/chunk-layout.ts';
import type { ShoalError } from '../errors.ts';
import { isAboutTheFile, readerOver, type ContentReader } from './content-reader.ts';
import { FolderTaskError, type FolderWorkers } from './folder-workers.ts';
import type { PlacedFile } from './placed-files.ts';

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
    try {
      await workers.read(files, offset + fromListing, into.subarray(fromListing));
    } catch (error) {
      if (error instanceof FolderTaskError && isAboutTheFile(error)) onFailure(error.path, error);
      throw error;
    }
    return into.length;
  };

  return readerOver(layout, readRange);
}
