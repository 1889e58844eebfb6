/** The thread that digests and writes whole chunks out of shared memory (chunk-workers.ts). What is to be written goes first. */
import { writeSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import { ShoalError, systemErrorCode } from '../errors.ts';
import { ChunkHasher } from './chunk-hasher.ts';
import type { ChunkAnswer, ChunkOrder } from './chunk-orders.ts';
import { sha256Lanes } from './sha256-lanes.ts';
import { writePieces } from './write-pieces.ts';

const port = parentPort;
if (port === null) throw new ShoalError('bug', 'chunk-worker runs as a worker thread only');

const buffers = new Map<number, Uint8Array>();
const answer = (what: ChunkAnswer): void => port.postMessage(what);
const hasher = new ChunkHasher(sha256Lanes(), {
  digested: (id, digest, isKept) => answer({ id, digest, isKept }),
  released: (id) => answer({ id, released: true }),
  whole: (wholeId, wholeDigest) => answer({ wholeId, wholeDigest }),
  wholeFailed: (wholeId, error) => answer({ wholeId, message: messageOf(error) }),
});
let turnPlanned = false;

port.on('message', (orders: readonly ChunkOrder[]) => {
  for (const order of orders) carryOut(order);
  planTurn();
});

answer({ ready: true });

/** A turn hashes about a chunk, so that writes and new orders are heard in between. */
function planTurn(): void {
  if (turnPlanned || !hasher.hasWork) return;
  turnPlanned = true;
  setImmediate(() => {
    turnPlanned = false;
    hasher.step();
    planTurn();
  });
}

function carryOut(order: ChunkOrder): void {
  switch (order.type) {
    case 'buffer':
      buffers.set(order.bufferId, new Uint8Array(order.memory));
      return;
    case 'forget':
      buffers.delete(order.bufferId);
      return;
    case 'digest':
      hasher.digest({ id: order.id, bytes: bytesOf(order), expected: order.expected, part: order.part });
      return;
    case 'whole-open':
      hasher.openWhole(order.wholeId, order.path);
      return;
    case 'whole-advance':
      hasher.advanceWhole(order.wholeId, order.toByte, order.isLast);
      return;
    case 'whole-feed':
      hasher.feedWhole(order.wholeId, order.position, order.id, bytesOf(order));
      return;
    case 'whole-close':
      hasher.closeWhole(order.wholeId);
      return;
    default:
      answer(write(order));
  }
}

function write(order: Extract<ChunkOrder, { type: 'write' }>): ChunkAnswer {
  const { id, descriptor, position } = order;
  const bytes = bytesOf(order);
  try {
    writePieces((piece, at) => writeSync(descriptor, piece, 0, piece.length, at), bytes, position);
    return { id, written: true };
  } catch (error) {
    return { id, code: systemErrorCode(error), message: messageOf(error) };
  }
}

function bytesOf({ bufferId, byteCount }: { readonly bufferId: number; readonly byteCount: number }): Uint8Array {
  const buffer = buffers.get(bufferId);
  if (buffer === undefined) throw new ShoalError('bug', `buffer ${bufferId} was never introduced`);
  return buffer.subarray(0, byteCount);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
