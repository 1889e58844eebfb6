/**
 * The SHA-256 of a whole file, computed along with its download: from the memory in which its chunks are verified, or from the file
 * where they came too early or were there before. Small files are read at the end.
 */
import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { ShoalError } from '../errors.ts';
import * as limits from '../limits.ts';
import type { ChunkWorkers, WholeOnThread } from './chunk-workers.ts';
import { cancelledError, diskError } from './disk-error.ts';

/** The thread is told how far the file is written in steps of this. */
const TOLD_BYTES = 8 * 1024 * 1024;

export interface WholeDigest {
  /** For the chunks that are to be part of it; undefined for a small file. */
  readonly onThread: WholeOnThread | undefined;
  /** The bytes before `toByte` are written and will not change any more. Going back is ignored. */
  advance(toByte: number): void;
  /** The digest of the first `size` bytes: the whole file. Once. Call it before the file is renamed. */
  finish(size: number): Promise<Uint8Array>;
  /** Gives up; a `finish` under way rejects. */
  abort(): void;
}

/** For a content whose chunks are verified, and of whose whole nothing is asked here. */
export const NO_WHOLE_DIGEST: WholeDigest = {
  onThread: undefined,
  advance: () => undefined,
  finish: () => Promise.reject(new ShoalError('bug', 'a digest of the whole was not computed')),
  abort: () => undefined,
};

/** @param size what the file will have when it is whole. */
export function createWholeDigest(path: string, size: number, workers: ChunkWorkers): WholeDigest {
  const thread = size >= limits.CHUNK_WORKERS_BYTES_MIN ? workers.openWhole(path) : undefined;
  let reachedByte = 0;
  let toldByte = 0;
  let isEnded = false;

  return {
    onThread: thread,
    advance(toByte) {
      if (isEnded || toByte <= reachedByte) return;
      reachedByte = toByte;
      // as a rule the thread has had these bytes from memory: no need to tell it of every chunk
      if (toByte - toldByte < TOLD_BYTES) return;
      toldByte = toByte;
      thread?.advance(toByte, false);
    },
    async finish(finalSize) {
      if (isEnded) throw cancelledError(`the digest of ${path}`);
      if (reachedByte > finalSize)
        throw new ShoalError('bug', `${reachedByte} bytes of ${path} were there, and it has ${finalSize}`);
      if (thread === undefined) return await digestHere(path, finalSize);
      thread.advance(finalSize, true);
      return await thread.result;
    },
    abort() {
      isEnded = true;
      thread?.close();
    },
  };
}

async function digestHere(path: string, size: number): Promise<Uint8Array> {
  const hash = createHash('sha256');
  try {
    const handle = await open(path, 'r');
    try {
      const buffer = Buffer.allocUnsafeSlow(Math.min(size, limits.HASH_READ_BYTES));
      for (let at = 0; at < size;) {
        const { bytesRead } = await handle.read(buffer, 0, Math.min(buffer.length, size - at), at);
        if (bytesRead === 0) throw new ShoalError('disk', `${path} became shorter`);
        hash.update(buffer.subarray(0, bytesRead));
        at += bytesRead;
      }
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw diskError(error, `cannot read ${path}`);
  }
  return new Uint8Array(hash.digest());
}
