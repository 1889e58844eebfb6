/**
 * Digests and writes chunks on threads of their own, out of shared memory, so that the bytes are not copied once more and the main
 * thread only moves messages. Threads start with the first large content and end with `close`; chunks of small contents are dealt
 * with on the spot, because a thread costs more to start than they do.
 */
import { writeSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { ShoalError } from '../errors.ts';
import { CHUNK_WORKERS_MAX } from '../limits.ts';
import type { ChunkAnswer, ChunkOrder } from './chunk-orders.ts';
import { sha256 } from './digest-chunk.ts';
import { workerUrl } from './worker-url.ts';

/** Bytes of a chunk at the beginning of a shared buffer. */
export type SharedBytes = Uint8Array<SharedArrayBuffer>;

export interface ChunkWorkers {
  /** SHA-256 of `bytes`, which must not change until it is known. */
  digest(bytes: SharedBytes): Promise<Uint8Array<ArrayBuffer>>;
  /**
   * Writes all of `bytes` at `position`. Rejects with what the system said. Writes to one descriptor are made one after the other,
   * by one thread, without a round trip to this one in between: waiting for each halved the speed of a download.
   */
  write(descriptor: number, bytes: SharedBytes, position: number): Promise<void>;
  /** This buffer will not be seen again. */
  forget(memory: SharedArrayBuffer): void;
  /** From now on threads do the work. */
  start(): void;
  close(): Promise<void>;
}

interface Waiter {
  readonly resolve: (digest: Uint8Array<ArrayBuffer>) => void;
  readonly reject: (error: Error) => void;
}

const NO_BYTES = new Uint8Array(0);

class Lane {
  readonly #worker: Worker;
  readonly #waiters = new Map<number, Waiter>();
  readonly #known = new Set<number>();
  #orders: ChunkOrder[] = [];
  #lastId = 0;

  /** @param onDead the thread is no more: give it no further orders. */
  constructor(index: number, onDead: (lane: Lane) => void) {
    this.#worker = new Worker(workerUrl('chunk-worker', import.meta.url), { name: `shoal-chunk-${index}` });
    this.#worker.on('message', (answer: ChunkAnswer) => this.#onAnswer(answer));
    const die = (error: Error): void => {
      onDead(this);
      this.#fail(error);
    };
    this.#worker.on('error', (error) => die(error instanceof Error ? error : new Error(String(error))));
    this.#worker.on('exit', () => die(new ShoalError('cancelled', 'the thread that writes chunks has ended')));
    // work under way keeps the process alive through `ref`, an idle thread does not
    this.#worker.unref();
  }

  get pendingCount(): number {
    return this.#waiters.size;
  }

  order(
    memory: SharedArrayBuffer,
    bufferId: number,
    more: { type: 'digest' } | { type: 'write'; descriptor: number; position: number },
    byteCount: number,
  ): Promise<Uint8Array<ArrayBuffer>> {
    if (!this.#known.has(bufferId)) {
      this.#known.add(bufferId);
      this.#push({ type: 'buffer', bufferId, memory });
    }
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      if (this.#waiters.size === 0) this.#worker.ref();
      this.#waiters.set(id, { resolve, reject });
      this.#push({ ...more, id, bufferId, byteCount });
    });
  }

  forget(bufferId: number): void {
    if (this.#known.delete(bufferId)) this.#push({ type: 'forget', bufferId });
  }

  async close(): Promise<void> {
    this.#fail(new ShoalError('cancelled', 'the node is closing'));
    await this.#worker.terminate();
  }

  /** Orders of one turn of the event loop leave as one message. */
  #push(order: ChunkOrder): void {
    this.#orders.push(order);
    if (this.#orders.length > 1) return;
    queueMicrotask(() => {
      const orders = this.#orders;
      this.#orders = [];
      this.#worker.postMessage(orders);
    });
  }

  #onAnswer(answer: ChunkAnswer): void {
    const waiter = this.#waiters.get(answer.id);
    this.#waiters.delete(answer.id);
    if (this.#waiters.size === 0) this.#worker.unref();
    if (waiter === undefined) return;
    if ('digest' in answer) waiter.resolve(answer.digest);
    else if ('written' in answer) waiter.resolve(NO_BYTES);
    else waiter.reject(Object.assign(new Error(answer.message), { code: answer.code }));
  }

  #fail(error: Error): void {
    const waiters = [...this.#waiters.values()];
    this.#waiters.clear();
    for (const waiter of waiters) waiter.reject(error);
  }
}

export function createChunkWorkers(threadCount: number = defaultThreadCount()): ChunkWorkers {
  const lanes: Lane[] = [];
  const ids = new WeakMap<SharedArrayBuffer, number>();
  let lastBufferId = 0;

  const idOf = (memory: SharedArrayBuffer): number => {
    let id = ids.get(memory);
    if (id === undefined) ids.set(memory, (id = ++lastBufferId));
    return id;
  };

  const remove = (lane: Lane): void => {
    const at = lanes.indexOf(lane);
    if (at >= 0) lanes.splice(at, 1);
  };

  const leastBusy = (): Lane | undefined => {
    let best: Lane | undefined;
    for (const lane of lanes) if (best === undefined || lane.pendingCount < best.pendingCount) best = lane;
    return best;
  };

  return {
    async digest(bytes) {
      const lane = leastBusy();
      return lane === undefined
        ? sha256(bytes)
        : lane.order(bytes.buffer, idOf(bytes.buffer), { type: 'digest' }, bytes.length);
    },
    async write(descriptor, bytes, position) {
      const lane = lanes[descriptor % lanes.length];
      if (lane !== undefined)
        await lane.order(bytes.buffer, idOf(bytes.buffer), { type: 'write', descriptor, position }, bytes.length);
      else
        for (let at = 0; at < bytes.length;) at += writeSync(descriptor, bytes, at, bytes.length - at, position + at);
    },
    forget(memory) {
      const id = ids.get(memory);
      if (id !== undefined) for (const lane of lanes) lane.forget(id);
    },
    start() {
      while (lanes.length < threadCount) lanes.push(new Lane(lanes.length, remove));
    },
    async close() {
      await Promise.all(lanes.splice(0).map((lane) => lane.close()));
    },
  };
}

/** Half of the cores: the other half receives, and hashes the whole. */
function defaultThreadCount(): number {
  return Math.min(Math.max(1, Math.floor(availableParallelism() / 2)), CHUNK_WORKERS_MAX);
}
