/**
 * The manifest of a file, in one pass: reads run ahead, and every buffer goes into the digest of its chunk and that of the whole
 * together; where that saves nothing (sha256-lanes.ts), the chunks' are computed on the thread pool meanwhile. Refuses a file that changes while it is read. This keeps the calling
 * thread busy: large files belong on a worker (hash-pool.ts).
 */
import { closeSync, fstatSync, openSync, readSync, statSync } from 'node:fs';
import { open, stat, type FileHandle } from 'node:fs/promises';
import { createChunkLayout, type ChunkLayout } from '../content/chunk-layout.ts';
import { SHA256_BYTES } from '../content/digest.ts';
import { createManifest, type Manifest } from '../content/manifest.ts';
import { ShoalError } from '../errors.ts';
import * as limits from '../limits.ts';
import { digestChunk, sha256 } from './digest-chunk.ts';
import { cancelledError, diskError } from './disk-error.ts';
import { fileStamp, sameStamp, type FileStamp } from './file-stamp.ts';
import { sha256Lanes, type Sha256Stream } from './sha256-lanes.ts';

export interface HashFileOptions {
  /** Default: the house's rule for the size. */
  readonly chunkSize?: number | undefined;
  /** Called with the bytes hashed since the last call. */
  readonly onBytes?: ((byteCount: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface HashedFile {
  readonly manifest: Manifest;
  /** The file as it was before and after. */
  readonly stamp: FileStamp;
  /** Wall clock when reading began, in ms. */
  readonly hashedAtMs: number;
}

/** Buffers in rotation: one being read into, one being hashed here, one whose chunk digests may still run on the pool. */
const BUFFER_COUNT = 3;

/** Throws `conflict` when the file changed meanwhile (try again when it is quiet), `disk` when it cannot be read, `cancelled`. */
export async function hashFile(path: string, options: HashFileOptions = {}): Promise<HashedFile> {
  const hashedAtMs = Date.now();
  let handle: FileHandle;
  try {
    handle = await open(path, 'r');
  } catch (error) {
    throw diskError(error, `cannot open ${path}`);
  }
  try {
    const before = await handle.stat({ bigint: true });
    if (!before.isFile()) throw new ShoalError('usage', `${path} is not a regular file`);
    const stamp = fileStamp(before);
    const layout = createChunkLayout(stamp.size, options.chunkSize);
    const digests =
      layout.chunkSize > limits.HASH_BUFFER_BYTES_MAX
        ? await hashLargeChunks(path, handle, layout, options)
        : await hashChunks(path, handle, layout, options);
    // By path, not by descriptor: a file that was replaced is not the one that was read either.
    if (!sameStamp(stamp, fileStamp(await stat(path, { bigint: true })))) throw changedError(path);
    return { manifest: createManifest(layout, digests.whole, digests.chunks, sha256), stamp, hashedAtMs };
  } catch (error) {
    throw diskError(error, `cannot read ${path}`);
  } finally {
    await handle.close();
  }
}

/**
 * The same for a file of at most one chunk, without a turn of the event loop: for workers, where thousands of small files would
 * otherwise wait for the thread pool five times each. Undefined: the file is larger than `buffer`, or than a chunk.
 */
export function hashSmallFileSync(path: string, buffer: Uint8Array, chunkSize?: number): HashedFile | undefined {
  const hashedAtMs = Date.now();
  try {
    const descriptor = openSync(path, 'r');
    try {
      const before = fstatSync(descriptor, { bigint: true });
      if (!before.isFile()) throw new ShoalError('usage', `${path} is not a regular file`);
      const stamp = fileStamp(before);
      const layout = createChunkLayout(stamp.size, chunkSize);
      if (layout.chunkCount > 1 || stamp.size > buffer.length) return undefined;
      let filled = 0;
      while (filled < stamp.size) {
        const byteCount = readSync(descriptor, buffer, filled, stamp.size - filled, filled);
        if (byteCount === 0) throw changedError(path);
        filled += byteCount;
      }
      if (!sameStamp(stamp, fileStamp(statSync(path, { bigint: true })))) throw changedError(path);
      const whole = sha256(buffer.subarray(0, stamp.size));
      const chunks = layout.chunkCount === 0 ? new Uint8Array(0) : whole;
      return { manifest: createManifest(layout, whole, chunks, sha256), stamp, hashedAtMs };
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    throw diskError(error, `cannot read ${path}`);
  }
}

interface Digests {
  readonly whole: Uint8Array;
  readonly chunks: Uint8Array;
}

async function hashChunks(
  path: string,
  handle: FileHandle,
  layout: ChunkLayout,
  options: HashFileOptions,
): Promise<Digests> {
  // Chunk sizes are powers of two, so a block holds whole chunks.
  const blockBytes = Math.max(layout.chunkSize, limits.HASH_READ_BYTES);
  const blockCount = Math.ceil(layout.size / blockBytes);
  const bufferBytes = Math.min(blockBytes, layout.size);
  const buffers = Array.from({ length: Math.min(BUFFER_COUNT, blockCount) }, () => Buffer.allocUnsafeSlow(bufferBytes));
  const chunks = new Uint8Array(layout.chunkCount * SHA256_BYTES);
  const lanes = sha256Lanes();
  // A content of one chunk has the same digest twice.
  const whole = layout.chunkCount > 1 ? lanes.begin() : undefined;

  const readBlock = (blockIndex: number): Promise<Uint8Array> => {
    const start = blockIndex * blockBytes;
    const target = (buffers[blockIndex % buffers.length] as Buffer).subarray(
      0,
      Math.min(blockBytes, layout.size - start),
    );
    const reading = readFully(path, handle, target, start);
    // Awaited in its turn; an error before that must not count as unhandled.
    reading.catch(() => undefined);
    return reading;
  };
  /** Both digests in one pass, where two cost about as much as one. */
  const digestTogether = (firstChunk: number, block: Uint8Array, of: Sha256Stream): void => {
    for (let start = 0; start < block.length; start += layout.chunkSize) {
      const bytes = block.subarray(start, start + layout.chunkSize);
      const chunk = lanes.begin();
      lanes.update(chunk, bytes, of, bytes);
      chunks.set(lanes.digest(chunk), (firstChunk + start / layout.chunkSize) * SHA256_BYTES);
    }
  };
  /** The chunks on the thread pool, while the whole is computed here. */
  const digestBlock = async (firstChunk: number, block: Uint8Array): Promise<void> => {
    const jobs: Promise<void>[] = [];
    for (let start = 0; start < block.length; start += layout.chunkSize) {
      const at = (firstChunk + start / layout.chunkSize) * SHA256_BYTES;
      jobs.push(digestChunk(block.subarray(start, start + layout.chunkSize)).then((digest) => chunks.set(digest, at)));
    }
    await Promise.all(jobs);
  };

  let reading = blockCount > 0 ? readBlock(0) : undefined;
  let digesting: Promise<void> = Promise.resolve();
  try {
    for (let blockIndex = 0; reading !== undefined; blockIndex++) {
      const block = await reading;
      if (options.signal?.aborted === true) throw cancelledError(`hashing ${path}`, options.signal);
      reading = blockIndex + 1 < blockCount ? readBlock(blockIndex + 1) : undefined;
      const firstChunk = (blockIndex * blockBytes) / layout.chunkSize;
      let current: Promise<void> = Promise.resolve();
      if (whole !== undefined && lanes.isPaired) digestTogether(firstChunk, block, whole);
      else {
        current = digestBlock(firstChunk, block);
        if (whole !== undefined) lanes.update(whole, block);
      }
      // The buffer after next is free once the block before this one is done.
      await digesting;
      digesting = current;
      options.onBytes?.(block.length);
    }
    await digesting;
  } finally {
    // Buffers and descriptor stay until nothing uses them, also on the way out of an error.
    await Promise.allSettled([reading, digesting]);
  }
  const wholeDigest = (whole && lanes.digest(whole)) ?? (layout.chunkCount === 1 ? chunks : sha256(new Uint8Array(0)));
  return { whole: wholeDigest, chunks };
}

/** Chunks too large to hold several in memory: both digests are fed piece by piece on this thread. */
async function hashLargeChunks(
  path: string,
  handle: FileHandle,
  layout: ChunkLayout,
  options: HashFileOptions,
): Promise<Digests> {
  const buffer = Buffer.allocUnsafeSlow(limits.HASH_READ_BYTES);
  const chunks = new Uint8Array(layout.chunkCount * SHA256_BYTES);
  const lanes = sha256Lanes();
  const whole = lanes.begin();
  for (let chunkIndex = 0; chunkIndex < layout.chunkCount; chunkIndex++) {
    const chunk = lanes.begin();
    const end = Math.min(layout.size, (chunkIndex + 1) * layout.chunkSize);
    for (let at = chunkIndex * layout.chunkSize; at < end; at += buffer.length) {
      if (options.signal?.aborted === true) throw cancelledError(`hashing ${path}`, options.signal);
      const block = await readFully(path, handle, buffer.subarray(0, Math.min(buffer.length, end - at)), at);
      lanes.update(chunk, block, whole, block);
      options.onBytes?.(block.length);
    }
    chunks.set(lanes.digest(chunk), chunkIndex * SHA256_BYTES);
  }
  return { whole: lanes.digest(whole), chunks };
}

async function readFully(path: string, handle: FileHandle, target: Uint8Array, position: number): Promise<Uint8Array> {
  for (let filled = 0; filled < target.length;) {
    const { bytesRead } = await handle.read(target, filled, target.length - filled, position + filled);
    if (bytesRead === 0) throw changedError(path);
    filled += bytesRead;
  }
  return target;
}

function changedError(path: string): ShoalError {
  return new ShoalError('conflict', `${path} changed while it was hashed`, {
    hint: 'It is hashed again when it has been quiet for a moment.',
  });
}
