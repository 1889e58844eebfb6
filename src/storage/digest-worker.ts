/** The thread that reads files behind their downloads and digests them (whole-digest.ts). Several files take turns. */
import { createHash, type Hash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import { ShoalError } from '../errors.ts';
import * as limits from '../limits.ts';
import type { FromDigestWorker, ToDigestWorker } from './digest-orders.ts';

const port = parentPort;
if (port === null) throw new ShoalError('bug', 'digest-worker runs as a worker thread only');

interface Behind {
  readonly descriptor: number;
  readonly hash: Hash;
  atByte: number;
  toByte: number;
  isLast: boolean;
}

const files = new Map<number, Behind>();
const buffer = Buffer.allocUnsafeSlow(limits.HASH_READ_BYTES);
let turnPlanned = false;

port.on('message', (message: ToDigestWorker) => {
  if (message.type === 'abort') {
    drop(message.id);
    return;
  }
  const { id, toByte, isLast } = message;
  try {
    let file = files.get(id);
    if (file === undefined) {
      file = {
        descriptor: openSync(message.path, 'r'),
        hash: createHash('sha256'),
        atByte: 0,
        toByte: 0,
        isLast: false,
      };
      files.set(id, file);
    }
    file.toByte = toByte;
    file.isLast = isLast;
    planTurn();
  } catch (error) {
    fail(id, error);
  }
});

/** A turn reads one buffer of each file, so that orders are heard in between. */
function planTurn(): void {
  if (turnPlanned) return;
  turnPlanned = true;
  setImmediate(() => {
    turnPlanned = false;
    for (const [id, file] of files) {
      try {
        step(id, file);
      } catch (error) {
        fail(id, error);
      }
    }
    for (const file of files.values()) if (file.atByte < file.toByte) planTurn();
  });
}

function step(id: number, file: Behind): void {
  const wantedBytes = Math.min(buffer.length, file.toByte - file.atByte);
  if (wantedBytes > 0) {
    const byteCount = readSync(file.descriptor, buffer, 0, wantedBytes, file.atByte);
    if (byteCount === 0) throw new ShoalError('disk', 'the file became shorter');
    file.hash.update(buffer.subarray(0, byteCount));
    file.atByte += byteCount;
  }
  if (!file.isLast || file.atByte < file.toByte) return;
  send({ type: 'digest', id, digest: new Uint8Array(file.hash.digest()) });
  drop(id);
}

function fail(id: number, thrown: unknown): void {
  drop(id);
  send({ type: 'failed', id, message: thrown instanceof Error ? thrown.message : String(thrown) });
}

function drop(id: number): void {
  const file = files.get(id);
  if (file === undefined) return;
  files.delete(id);
  closeSync(file.descriptor);
}

function send(message: FromDigestWorker): void {
  port?.postMessage(message);
}
