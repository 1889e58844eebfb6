/**
 * The SHA-256 of a whole file, computed behind its download: a thread reads the contiguous prefix while it is in the page cache, so
 * that little is left to do at the end. All digests share one thread, which lives as long as one of them. Small files are read at
 * the end, without it.
 */
import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { Worker } from 'node:worker_threads';
import { ShoalError } from '../errors.ts';
import * as limits from '../limits.ts';
import { cancelledError, diskError } from './disk-error.ts';
import type { FromDigestWorker, ToDigestWorker } from './digest-orders.ts';
import { workerUrl } from './worker-url.ts';

export interface WholeDigest {
  /** The bytes before `toByte` are written and will not change any more. Going back is ignored. */
  advance(toByte: number): void;
  /** The digest of the first `size` bytes: the whole file. Once. Call it before the file is renamed. */
  finish(size: number): Promise<Uint8Array>;
  /** Gives up, also when bytes that were advanced over turned out to be damaged; a `finish` under way rejects. */
  abort(): void;
}

export function createWholeDigest(path: string): WholeDigest {
  let reachedByte = 0;
  let lane: Lane | undefined;
  let isEnded = false;

  const end = (): void => {
    isEnded = true;
    lane?.end();
    lane = undefined;
  };

  return {
    advance(toByte) {
      if (isEnded || toByte <= reachedByte) return;
      reachedByte = toByte;
      if (toByte <= limits.WHOLE_DIGEST_INLINE_BYTES_MAX) return;
      lane ??= openLane(path);
      lane.advance(toByte, false);
    },
    async finish(size) {
      if (isEnded) throw cancelledError(`the digest of ${path}`);
      if (reachedByte > size)
        throw new ShoalError('bug', `${reachedByte} bytes of ${path} were there, and it has ${size}`);
      try {
        if (lane === undefined && size <= limits.WHOLE_DIGEST_INLINE_BYTES_MAX) return await digestHere(path, size);
        lane ??= openLane(path);
        lane.advance(size, true);
        return await lane.result;
      } finally {
        end();
      }
    },
    abort: end,
  };
}

interface Lane {
  advance(toByte: number, isLast: boolean): void;
  readonly result: Promise<Uint8Array>;
  end(): void;
}

interface Waiter {
  readonly resolve: (digest: Uint8Array) => void;
  readonly reject: (error: ShoalError) => void;
  readonly path: string;
}

/** The thread and those who use it; undefined while nobody does. */
let shared: { readonly worker: Worker; readonly waiters: Map<number, Waiter> } | undefined;
let lastId = 0;

function openLane(path: string): Lane {
  const thread = (shared ??= startThread());
  const id = ++lastId;
  const { promise: result, resolve, reject } = Promise.withResolvers<Uint8Array>();
  // Nobody may be waiting yet; `finish` tells.
  result.catch(() => undefined);
  thread.waiters.set(id, { resolve, reject, path });
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
  const post = (message: ToDigestWorker): void => thread.worker.postMessage(message);
  return {
    result,
    advance: (toByte, isLast) => post({ type: 'advance', id, path, toByte, isLast }),
    end() {
      if (!thread.waiters.delete(id)) return;
      post({ type: 'abort', id });
      reject(cancelledError(`the digest of ${path}`));
      if (thread.waiters.size > 0) return;
      if (shared === thread) shared = undefined;
      // Its exit closes what it had open.
      void thread.worker.terminate();
    },
  };
}

function startThread(): NonNullable<typeof shared> {
  const worker = new Worker(workerUrl('digest-worker', import.meta.url), { name: 'shoal-digest' });
  const thread = { worker, waiters: new Map<number, Waiter>() };
  worker.on('message', (message: FromDigestWorker) => {
    const waiter = thread.waiters.get(message.id);
    if (message.type === 'digest') waiter?.resolve(message.digest);
    else waiter?.reject(new ShoalError('disk', `cannot read ${waiter.path}: ${message.message}`));
  });
  let failure: unknown;
  worker.on('error', (error) => (failure = error));
  worker.on('exit', () => {
    if (shared === thread) shared = undefined;
    for (const { reject, path } of thread.waiters.values())
      reject(new ShoalError('bug', `the thread that digests ${path} ended`, { cause: failure }));
  });
  return thread;
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
