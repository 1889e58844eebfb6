/** A reader of a whole file, as a session's store that is only served from. */
import type { ContentReader } from '../storage/content-reader.ts';
import type { ChunkStore } from './content-session.ts';

export function readerStore(reader: ContentReader): ChunkStore {
  return {
    read: async (chunkIndex, into) => void (await reader.readChunk(chunkIndex, into)),
    readAtOnce: (chunkIndex, offset, into) => reader.readChunkAtOnce?.(chunkIndex, offset, into) ?? false,
  };
}
