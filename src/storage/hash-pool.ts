/**
 * Hashes many files on worker threads: small ones in batches, large ones alone. Threads start when there is work and end when there
 * has been none for a while. A little work is done without any thread.
 */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { parseManifest, type Manifest } from '../content/manifest.ts';
import { ShoalError } from '../errors.ts';
import * as limits from '../limits.ts';
import { sha256 } from './digest-chunk.ts';
import { cancelledError } from './disk-error.ts';
import { hashFile, type HashedFile, type HashFileOptions } from './hash-file.ts';
import type { FolderHashOrder } from './hash-folder.ts';
import type { FromHashWorker, HashOutcome, ToHashWorker } from './hash-orders.ts';
import { readSurvey, type Surveyed, type SurveyOrder } from './survey-files.ts';
import { workerUrl } from './worker-url.ts';

export interface HashPool {
  /** As hashFile. `size` is what a stat said: it only helps to divide the work. Waits without limit; callers bound how many they ask for. */
  hash(path: string, size: number, options?: HashFileOptions): Promise<HashedFile>;
  /** Looks at many files of one folder, and hashes the small ones. Never inline: worth it for a dozen files and more. */
  survey(order: SurveyOrder, signal?: AbortSignal): Promise<readonly Surveyed[]>;
  /** The manifest of a folder content. Throws `conflict` when a file is not as it was. */
  hashFolder(order: FolderHashOrder, signal?: AbortSignal): Promise<Manifest>;
  /** Files waiting or being hashed; a survey or a folder counts as one. */
  readonly pendingCount: number;
  /** Ends the threads; what is under way rejects with `cancelled`. */
  close(): Promise<void>;
}

export interface HashPoolOptions {
  readonly workersMax?: number;
  readonly idleMs?: number;
}

interface Job {
  readonly path: string;
  readonly size: number;
  readonly options: HashFileOptions;
  /** Bytes reported already. */
  reportedBytes: number;
  readonly resolve: (file: HashedFile) => void;
  readonly reject: (error: ShoalError) => void;
  /** Takes the listener off the signal. */
  detach: () => void;
}

/** Work of one message and one answer. */
interface Task {
  readonly message: Extract<ToHashWorker, { type: 'survey' | 'folder' }>;
  readonly signal: AbortSignal | undefined;
  readonly resolve: (answer: TaskAnswer) => void;
  readonly reject: (error: ShoalError) => void;
}

type TaskAnswer = Exclude<FromHashWorker, { type: 'bytes' | 'done' }>;

interface Lane {
  readonly worker: Worker;
  task: Task | undefined;
  batch: readonly Job[];
  idleTimer: NodeJS.Timeout | undefined;
}

export function createHashPool(options: HashPoolOptions = {}): HashPool {
  const workersMax = options.workersMax ?? Math.min(limits.HASH_WORKERS_MAX, availableParallelism());
  const idleMs = options.idleMs ?? limits.HASH_WORKER_IDLE_MS;
  const lanes = new Set<Lane>();
  /** In order of arrival; a job that was cancelled leaves at once. */
  const waiting = new Set<Job>();
  let waitingBytes = 0;
  /** These come first: what they find is work for the others. */
  const tasks: Task[] = [];
  let running = 0;
  let inline: Promise<void> | undefined;
  let dispatchPlanned = false;
  let closed = false;

  const dequeue = (job: Job): void => {
    if (waiting.delete(job)) waitingBytes -= job.size;
  };

  /** Once a turn, so that calls made together travel together. */
  const planDispatch = (): void => {
    if (dispatchPlanned) return;
    dispatchPlanned = true;
    setImmediate(() => {
      dispatchPlanned = false;
      if (!closed) dispatch();
    });
  };

  const dispatch = (): void => {
    for (const lane of lanes) if (isFree(lane) && tasks.length > 0) assign(lane);
    while (tasks.length > 0 && lanes.size < workersMax) assign(startLane());
    if (waiting.size === 0) return;
    if (inline !== undefined) return;
    const isLittle = waiting.size <= limits.HASH_INLINE_FILES_MAX && waitingBytes <= limits.HASH_INLINE_BYTES_MAX;
    if (isLittle && lanes.size === 0) {
      inline = runInline().finally(() => {
        inline = undefined;
        planDispatch();
      });
      return;
    }
    for (const lane of lanes) if (isFree(lane) && waiting.size > 0) assign(lane);
    while (waiting.size > 0 && lanes.size < workersMax) assign(startLane());
  };

  const runInline = async (): Promise<void> => {
    for (const job of Array.from(waiting)) {
      if (!waiting.has(job)) continue;
      dequeue(job);
      running++;
      try {
        job.resolve(await hashFile(job.path, job.options));
      } catch (error) {
        job.reject(ShoalError.from(error));
      } finally {
        running--;
        job.detach();
      }
      if (closed) return;
    }
  };

  const takeBatch = (): Job[] => {
    // Shared out evenly while there is little, so that no thread idles beside one with a long list.
    const filesMax = Math.min(limits.HASH_BATCH_FILES_MAX, Math.ceil(waiting.size / workersMax));
    const batch: Job[] = [];
    let bytes = 0;
    for (const job of waiting) {
      if (batch.length > 0 && (batch.length >= filesMax || bytes + job.size > limits.HASH_BATCH_BYTES_MAX)) break;
      batch.push(job);
      bytes += job.size;
      dequeue(job);
    }
    return batch;
  };

  const isFree = (lane: Lane): boolean => lane.batch.length === 0 && lane.task === undefined;

  const assign = (lane: Lane): void => {
    clearTimeout(lane.idleTimer);
    lane.worker.ref();
    lane.task = tasks.shift();
    if (lane.task !== undefined) {
      running++;
      post(lane, lane.task.message);
      return;
    }
    lane.batch = takeBatch();
    running += lane.batch.length;
    const orders = lane.batch.map((job) => ({ path: job.path, chunkSize: job.options.chunkSize }));
    post(lane, { type: 'hash', orders });
  };

  const startLane = (): Lane => {
    const worker = new Worker(workerUrl('hash-worker', import.meta.url), { name: 'shoal-hash' });
    const lane: Lane = { worker, task: undefined, batch: [], idleTimer: undefined };
    lanes.add(lane);
    worker.on('message', (message: FromHashWorker) => {
      if (message.type === 'bytes') onBytes(lane, message.orderIndex, message.byteCount);
      else if (message.type === 'done') onDone(lane, message.outcomes);
      else onAnswer(lane, message);
    });
    let failure: unknown;
    worker.on('error', (error) => (failure = error));
    worker.on('exit', () => {
      lanes.delete(lane);
      clearTimeout(lane.idleTimer);
      const error = closed
        ? cancelledError('hashing')
        : new ShoalError('bug', 'a hashing thread ended while it had work', { cause: failure });
      for (const job of lane.batch) settle(job, error);
      lane.batch = [];
      if (lane.task !== undefined) {
        running--;
        lane.task.reject(error);
        lane.task = undefined;
      }
      if (!closed) planDispatch();
    });
    return lane;
  };

  const settle = (job: Job, result: HashedFile | ShoalError): void => {
    running--;
    job.detach();
    if (result instanceof ShoalError) job.reject(result);
    else job.resolve(result);
  };

  const onBytes = (lane: Lane, orderIndex: number, byteCount: number): void => {
    const job = lane.batch[orderIndex];
    if (job === undefined) return;
    job.reportedBytes += byteCount;
    job.options.onBytes?.(byteCount);
  };

  const onDone = (lane: Lane, outcomes: readonly HashOutcome[]): void => {
    const batch = lane.batch;
    lane.batch = [];
    for (const [index, job] of batch.entries()) {
      const result = readOutcome(outcomes[index] as HashOutcome);
      if (!(result instanceof ShoalError)) job.options.onBytes?.(result.stamp.size - job.reportedBytes);
      settle(job, result);
    }
    next(lane);
  };

  const onAnswer = (lane: Lane, answer: TaskAnswer): void => {
    const { task } = lane;
    lane.task = undefined;
    // the thread goes on while this one reads what it found
    next(lane);
    if (task === undefined) return;
    running--;
    if (task.signal?.aborted === true) task.reject(cancelledError('hashing', task.signal));
    else task.resolve(answer);
  };

  const runTask = (message: Task['message'], signal: AbortSignal | undefined): Promise<TaskAnswer> =>
    new Promise((resolve, reject) => {
      if (closed || signal?.aborted === true) {
        reject(cancelledError('hashing', signal));
        return;
      }
      tasks.push({ message, signal, resolve, reject });
      planDispatch();
    });

  const next = (lane: Lane): void => {
    if (waiting.size > 0 || tasks.length > 0) {
      assign(lane);
      return;
    }
    lane.worker.unref();
    // The exit event takes it out of the set.
    lane.idleTimer = setTimeout(() => void lane.worker.terminate(), idleMs).unref();
  };

  const cancel = (job: Job): void => {
    const error = cancelledError(`hashing ${job.path}`, job.options.signal);
    if (waiting.has(job)) {
      dequeue(job);
      job.detach();
      job.reject(error);
      return;
    }
    for (const lane of lanes) {
      const orderIndex = lane.batch.indexOf(job);
      if (orderIndex >= 0) post(lane, { type: 'cancel', orderIndex });
    }
  };

  return {
    hash(path, size, hashOptions = {}) {
      return new Promise<HashedFile>((resolve, reject) => {
        const { signal } = hashOptions;
        if (closed || signal?.aborted === true) {
          reject(cancelledError(`hashing ${path}`, signal));
          return;
        }
        const onAbort = (): void => cancel(job);
        const detach = (): void => signal?.removeEventListener('abort', onAbort);
        const job: Job = { path, size, options: hashOptions, reportedBytes: 0, resolve, reject, detach };
        signal?.addEventListener('abort', onAbort, { once: true });
        waiting.add(job);
        waitingBytes += size;
        planDispatch();
      });
    },
    async survey(order, signal) {
      const answer = await runTask({ type: 'survey', order }, signal);
      if (answer.type === 'surveyed') return [...readSurvey(answer.answer)];
      throw new ShoalError('bug', 'a hashing thread answered something else than it was asked');
    },
    async hashFolder(order, signal) {
      const answer = await runTask({ type: 'folder', order }, signal);
      if (answer.type === 'folder-hashed') return parseManifest(answer.manifestBytes, sha256);
      if (answer.type === 'folder-failed') throw new ShoalError(answer.code, answer.message, { hint: answer.hint });
      throw new ShoalError('bug', 'a hashing thread answered something else than it was asked');
    },
    get pendingCount() {
      return waiting.size + tasks.length + running;
    },
    async close() {
      closed = true;
      for (const task of tasks.splice(0)) task.reject(cancelledError('hashing'));
      for (const job of waiting) {
        dequeue(job);
        job.detach();
        job.reject(cancelledError(`hashing ${job.path}`));
      }
      await Promise.all([inline, ...[...lanes].map((lane) => lane.worker.terminate())]);
    },
  };
}

function post(lane: Lane, message: ToHashWorker): void {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
  lane.worker.postMessage(message);
}

function readOutcome(outcome: HashOutcome): HashedFile | ShoalError {
  if (outcome.state === 'failed') return new ShoalError(outcome.code, outcome.message, { hint: outcome.hint });
  const { manifestBytes, size, mtimeNs, inode, hashedAtMs } = outcome;
  return { manifest: parseManifest(manifestBytes, sha256), stamp: { size, mtimeNs, inode }, hashedAtMs };
}
