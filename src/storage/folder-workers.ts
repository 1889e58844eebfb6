/** Reads, compares and writes the small files of folders on threads of their own, which start with the first task and end with `close`. */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { ShoalError } from '../errors.ts';
import * as limits from '../limits.ts';
import { cancelledError } from './disk-error.ts';
import {
  packList,
  type ExpectedFile,
  type FolderAnswer,
  type FolderOrder,
  type FolderTableNews,
  type FolderTask,
  type PackedFile,
} from './folder-orders.ts';
import type { FileStamp } from './file-stamp.ts';
import { placedTable, type PlacedFile } from './placed-files.ts';
import { workerUrl } from './worker-url.ts';

/** A task that failed, and the file at fault. */
export class FolderTaskError extends ShoalError {
  readonly path: string;

  constructor({ code, message, hint, path }: Extract<FolderAnswer, { code: unknown }>) {
    super(code, message, { hint });
    this.path = path;
  }
}

export interface FolderWorkers {
  /**
   * Fills `into` with the bytes of a folder content from `start` on, which is behind its listing. Rejects with a FolderTaskError:
   * `conflict` when a file is not as it was. The same list of files is the same folder.
   */
  read(files: readonly PlacedFile[], start: number, into: Uint8Array): Promise<void>;
  /** For each file below `folder` whether it is there and right. */
  compare(folder: string, files: readonly ExpectedFile[]): Promise<readonly boolean[]>;
  /** Makes files below `folder` of bytes in the file `source`; rejects with `integrity` when one has not the digest it should have. */
  unpack(
    source: string,
    folder: string,
    files: readonly PackedFile[],
    options: { readonly sync: boolean },
  ): Promise<void>;
  /** Moves files from below one folder to below another of the same file system, over those that are there. */
  move(from: string, folder: string, paths: readonly string[]): Promise<void>;
  stamps(folder: string, paths: readonly string[]): Promise<readonly FileStamp[]>;
  /** Makes durable what was written to the file system of `folder`; false where the system cannot. */
  syncFileSystem(folder: string): Promise<boolean>;
  /** Starts the threads before there is anything to do. */
  start(): void;
  close(): Promise<void>;
}

interface Waiter {
  readonly resolve: (answer: FolderAnswer) => void;
  readonly reject: (error: ShoalError) => void;
}

interface Lane {
  readonly worker: Worker;
  readonly waiters: Map<number, Waiter>;
  /** The lists of files that the thread has, oldest first. */
  readonly tables: Set<number>;
}

export function createFolderWorkers(
  threadCount = Math.min(limits.FOLDER_WORKERS_MAX, availableParallelism()),
): FolderWorkers {
  const lanes = new Set<Lane>();
  let lastId = 0;
  let closed = false;

  const startLane = (): Lane => {
    const worker = new Worker(workerUrl('folder-worker', import.meta.url), { name: 'shoal-folder' });
    const lane: Lane = { worker, waiters: new Map(), tables: new Set() };
    lanes.add(lane);
    worker.on('message', (answer: FolderAnswer) => {
      const waiter = lane.waiters.get(answer.id);
      lane.waiters.delete(answer.id);
      if (lane.waiters.size === 0) worker.unref();
      waiter?.resolve(answer);
    });
    let failure: unknown;
    worker.on('error', (error) => (failure = error));
    worker.on('exit', () => {
      lanes.delete(lane);
      const error = closed
        ? cancelledError('work on a folder')
        : new ShoalError('bug', 'a thread that works on folders ended while it had work', { cause: failure });
      for (const waiter of lane.waiters.values()) waiter.reject(error);
      lane.waiters.clear();
    });
    worker.unref();
    return lane;
  };

  const start = (): void => {
    if (closed) return;
    while (lanes.size < threadCount) startLane();
  };

  /** The thread with the least to do. */
  const freestLane = (): Lane => {
    if (closed) throw cancelledError('work on a folder');
    start();
    let lane: Lane | undefined;
    for (const one of lanes) if (lane === undefined || one.waiters.size < lane.waiters.size) lane = one;
    return lane ?? startLane();
  };

  const run = async (task: FolderTask): Promise<FolderAnswer> => await runIn(freestLane(), task);

  const runIn = async ({ worker, waiters }: Lane, task: FolderTask): Promise<FolderAnswer> => {
    const order: FolderOrder = { id: ++lastId, task };
    const answer = await new Promise<FolderAnswer>((resolve, reject) => {
      if (waiters.size === 0) worker.ref();
      waiters.set(order.id, { resolve, reject });
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
      worker.postMessage(order, task.type === 'read' ? [task.buffer.buffer] : []);
    });
    if ('code' in answer) throw new FolderTaskError(answer);
    return answer;
  };

  const tableIds = new WeakMap<readonly PlacedFile[], number>();
  let lastTableId = 0;

  /** What this thread calls these files; it is told of them if it does not know them. */
  const tableIn = ({ worker, tables }: Lane, files: readonly PlacedFile[]): number => {
    const tableId = tableIds.get(files) ?? ++lastTableId;
    tableIds.set(files, tableId);
    if (tables.has(tableId)) return tableId;
    tables.add(tableId);
    const [oldest] = tables;
    if (tables.size > limits.FOLDER_TABLES_MAX && oldest !== undefined) tables.delete(oldest);
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
    worker.postMessage({ tableId, table: placedTable(files) } satisfies FolderTableNews);
    return tableId;
  };

  /** Memory that has come back from a thread: new memory for every chunk would keep the collector busy. */
  const spare: Uint8Array<ArrayBuffer>[] = [];

  const flagsOf = async (task: FolderTask): Promise<readonly boolean[]> => {
    const answer = await run(task);
    return 'flags' in answer ? answer.flags : [];
  };

  return {
    async read(files, start, into) {
      const lane = freestLane();
      const tableId = tableIn(lane, files);
      const place = spare.findIndex((one) => one.buffer.byteLength === into.length);
      const buffer = place < 0 ? new Uint8Array(into.length) : (spare.splice(place, 1)[0] as Uint8Array<ArrayBuffer>);
      const answer = await runIn(lane, { type: 'read', tableId, start, buffer });
      if (!('bytes' in answer)) throw new ShoalError('bug', 'a thread that works on folders gave no bytes');
      into.set(answer.bytes);
      if (spare.length < limits.FOLDER_SPARE_BUFFERS_MAX) spare.push(answer.bytes);
    },
    async compare(folder, files) {
      const parts = inOrders(files).map((part) => flagsOf({ type: 'compare', folder, files: part }));
      return (await Promise.all(parts)).flat();
    },
    async unpack(source, folder, files, { sync }) {
      const parts = inOrders(files).map((part) => run({ type: 'unpack', source, folder, files: packList(part), sync }));
      // none is left at work when an error leaves: the caller may delete what they write
      const results = await Promise.allSettled(parts);
      for (const result of results) if (result.status === 'rejected') throw result.reason;
    },
    async move(from, folder, paths) {
      await run({ type: 'move', from, folder, paths });
    },
    async stamps(folder, paths) {
      const answer = await run({ type: 'stamps', folder, paths });
      return 'stamps' in answer ? answer.stamps : [];
    },
    async syncFileSystem(folder) {
      return (await flagsOf({ type: 'sync', folder }))[0] === true;
    },
    start,
    async close() {
      closed = true;
      await Promise.all([...lanes].map(({ worker }) => worker.terminate()));
    },
  };
}

/** Divides files into orders of bounded size, so that both threads have some and neither is kept long. */
function inOrders<T extends ExpectedFile>(files: readonly T[]): T[][] {
  const orders: T[][] = [];
  let order: T[] = [];
  let bytes = 0;
  for (const file of files) {
    if (
      order.length > 0 &&
      (order.length >= limits.FOLDER_ORDER_FILES_MAX || bytes + file.size > limits.FOLDER_ORDER_BYTES_MAX)
    ) {
      orders.push(order);
      order = [];
      bytes = 0;
    }
    order.push(file);
    bytes += file.size;
  }
  if (order.length > 0) orders.push(order);
  return orders;
}
