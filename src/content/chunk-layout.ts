/** Where the chunks of a content lie: pure arithmetic on size and chunk size, with the house's rule for choosing the latter. */
import { ShoalError } from '../errors.ts';
import * as limits from '../limits.ts';

/** Size and chunk size in bytes, and the number of chunks they make (0 for an empty content). */
export interface ChunkLayout {
  readonly size: number;
  readonly chunkSize: number;
  readonly chunkCount: number;
}

/** Smallest power of two that is at least `value` (1 for 0 and 1). Exact up to 2^53. */
export function powerOfTwoAtLeast(value: number): number {
  let power = 1;
  while (power < value) power *= 2;
  return power;
}

export function isPowerOfTwo(value: number): boolean {
  return Number.isSafeInteger(value) && value > 0 && powerOfTwoAtLeast(value) === value;
}

/**
 * The chunk size for a content of `size` bytes: `clamp(pow2ceil(size / 1024), 64 KiB, 4 MiB)`, grown beyond 256 GiB so that there
 * are at most 65,536 chunks. Chunks follow the size of the file because a crowd's speed is a question of their number.
 */
export function defaultChunkSize(size: number): number {
  const wanted = powerOfTwoAtLeast(Math.ceil(size / limits.CHUNK_COUNT_TARGET));
  const clamped = Math.min(Math.max(wanted, limits.CHUNK_SIZE_DEFAULT_MIN_BYTES), limits.CHUNK_SIZE_DEFAULT_MAX_BYTES);
  const floor = powerOfTwoAtLeast(Math.ceil(size / limits.CHUNK_COUNT_DEFAULT_MAX));
  return Math.max(clamped, floor);
}

/** Checks `size` and `chunkSize` (default: the house's rule) and counts the chunks. Throws `usage` where a limit is passed. */
export function createChunkLayout(size: number, chunkSize: number = defaultChunkSize(size)): ChunkLayout {
  if (!Number.isSafeInteger(size) || size < 0) throw new ShoalError('usage', `${size} is not a size in bytes`);
  if (!isPowerOfTwo(chunkSize) || chunkSize < limits.CHUNK_SIZE_MIN_BYTES || chunkSize > limits.CHUNK_SIZE_MAX_BYTES) {
    throw new ShoalError(
      'usage',
      `chunk size ${chunkSize} is not a power of two from ${limits.CHUNK_SIZE_MIN_BYTES} to ${limits.CHUNK_SIZE_MAX_BYTES} bytes`,
    );
  }
  const chunkCount = Math.ceil(size / chunkSize);
  if (chunkCount > limits.CHUNK_COUNT_MAX) {
    throw new ShoalError(
      'usage',
      `${size} bytes in chunks of ${chunkSize} make ${chunkCount} chunks; at most ${limits.CHUNK_COUNT_MAX} are allowed: choose a larger chunk size`,
    );
  }
  return { size, chunkSize, chunkCount };
}

/** Offset of a chunk's first byte in the content. */
export function chunkOffset(layout: ChunkLayout, chunkIndex: number): number {
  return chunkIndex * layout.chunkSize;
}

/** Bytes of a chunk: the chunk size, less only for the last one. */
export function chunkBytes(layout: ChunkLayout, chunkIndex: number): number {
  return Math.min(layout.chunkSize, layout.size - chunkIndex * layout.chunkSize);
}
