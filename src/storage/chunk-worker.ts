/** The thread that digests and writes whole chunks out of shared memory (chunk-workers.ts). Orders are carried out one by one. */
import { hash } from 'node:crypto';
import { writeSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import { ShoalError, systemErrorCode } from '../errors.ts';
import { WRITE_PIECE_BYTES } from '../limits.ts';
import type { ChunkAnswer, ChunkOrder } from './chunk-orders.ts';

const port = parentPort;
if (port === null) throw new ShoalError('bug', 'chunk-worker runs as a worker thread only');

const buffers = new Map<number, Uint8Array>();

port.on('message', (orders: readonly ChunkOrder[]) => {
  for (const order of orders) {
    const answer = carryOut(order);
    if (answer !== undefined) port.postMessage(answer);
  }
});

function carryOut(order: ChunkOrder): ChunkAnswer | undefined {
  switch (order.type) {
    case 'buffer':
      buffers.set(order.bufferId, new Uint8Array(order.memory));
      return undefined;
    case 'forget':
      buffers.delete(order.bufferId);
      return undefined;
    case 'digest':
      return { id: order.id, digest: new Uint8Array(hash('sha256', bytesOf(order), 'buffer')) };
    default:
      return write(order);
  }
}

/**
 * In pieces of 16 KiB: the kernel gives a large write large, contiguous pages, and on a machine whose free memory has been handed
 * back to its host those are the ones that have to be fetched again. Measured on such a virtual machine, CPU time for 1 GiB:
 * pieces of 1 MiB 1.3 s, 64 KiB 0.95 s, 16 KiB 0.37 s; where memory is warm, 0.25 s for all of them.
 */
function write(order: Extract<ChunkOrder, { type: 'write' }>): ChunkAnswer {
  const { id, descriptor, position } = order;
  const bytes = bytesOf(order);
  try {
    for (let at = 0; at < bytes.length;) {
      at += writeSync(descriptor, bytes, at, Math.min(WRITE_PIECE_BYTES, bytes.length - at), position + at);
    }
    return { id, written: true };
  } catch (error) {
    return { id, code: systemErrorCode(error), message: error instanceof Error ? error.message : String(error) };
  }
}

function bytesOf({ bufferId, byteCount }: { readonly bufferId: number; readonly byteCount: number }): Uint8Array {
  const buffer = buffers.get(bufferId);
  if (buffer === undefined) throw new ShoalError('bug', `buffer ${bufferId} was never introduced`);
  return buffer.subarray(0, byteCount);
}
