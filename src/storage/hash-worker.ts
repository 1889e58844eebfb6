/** The body of a hashing thread (hash-pool.ts): takes batches of files, answers with their manifests. Owns nothing else. */
import { parentPort } from 'node:worker_threads';
import { ShoalError } from '../errors.ts';
import * as limits from '../limits.ts';
import { hashFile, hashSmallFileSync, type HashedFile } from './hash-file.ts';
import { hashFolder, type FolderHashOrder } from './hash-folder.ts';
import { surveyBuffers, surveyFiles } from './survey-files.ts';
import type { FromHashWorker, HashOrder, HashOutcome, ToHashWorker } from './hash-orders.ts';

/** Progress of a large file is told in steps of this. */
const REPORT_BYTES = 8 * 1024 * 1024;

const port = parentPort;
if (port === null) throw new ShoalError('bug', 'hash-worker runs as a worker thread only');

const smallBuffer = Buffer.allocUnsafeSlow(limits.HASH_READ_BYTES);
let aborts = new Map<number, AbortController>();

port.on('message', (message: ToHashWorker) => {
  if (message.type === 'cancel') aborts.get(message.orderIndex)?.abort();
  else if (message.type === 'survey') {
    const answer = surveyFiles(message.order, smallBuffer);
    send({ type: 'surveyed', answer }, surveyBuffers(answer));
  } else if (message.type === 'folder') runFolder(message.order);
  else void runBatch(message.orders);
});

function runFolder(order: FolderHashOrder): void {
  try {
    send({ type: 'folder-hashed', manifestBytes: hashFolder(order).bytes });
  } catch (error) {
    const { code, message, hint } = ShoalError.from(error);
    send({ type: 'folder-failed', code, message, hint });
  }
}

async function runBatch(orders: readonly HashOrder[]): Promise<void> {
  aborts = new Map();
  const outcomes: HashOutcome[] = [];
  for (const [orderIndex, order] of orders.entries()) {
    try {
      outcomes.push(hashedOutcome(await runOrder(orderIndex, order)));
    } catch (error) {
      const { code, message, hint } = ShoalError.from(error);
      outcomes.push({ state: 'failed', code, message, hint });
    }
  }
  send({ type: 'done', outcomes });
}

async function runOrder(orderIndex: number, order: HashOrder): Promise<HashedFile> {
  const small = hashSmallFileSync(order.path, smallBuffer, order.chunkSize);
  if (small !== undefined) return small;
  const abort = new AbortController();
  aborts.set(orderIndex, abort);
  let unreportedBytes = 0;
  const onBytes = (byteCount: number): void => {
    unreportedBytes += byteCount;
    if (unreportedBytes < REPORT_BYTES) return;
    send({ type: 'bytes', orderIndex, byteCount: unreportedBytes });
    unreportedBytes = 0;
  };
  return hashFile(order.path, { chunkSize: order.chunkSize, onBytes, signal: abort.signal });
}

function hashedOutcome(file: HashedFile): HashOutcome {
  const { manifest, stamp, hashedAtMs } = file;
  return { state: 'hashed', manifestBytes: manifest.bytes, ...stamp, hashedAtMs };
}

function send(message: FromHashWorker, handedOver: ArrayBuffer[] = []): void {
  port?.postMessage(message, handedOver);
}
