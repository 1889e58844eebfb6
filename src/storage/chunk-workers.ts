/**
 * Digests and writes chunks on threads of their own, out of shared memory, so that the bytes are not copied once more and the main
 * thread only moves messages; and digests whole files along with their chunks. Threads start with the first large content and end
 * with `close`; chunks of small contents are dealt with on the spot, because a thread costs more to start than they do.
 */
import { writeSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { bytesEqual } from '../content/digest.ts';
import { ShoalError } from '../errors.ts';
import { CHUNK_WORKERS_MAX } from '../limits.ts';
import type { ChunkAnswer, ChunkOrder } from './chunk-orders.ts';
import { sha256 } from './digest-chunk.ts';
import { cancelledError } from './disk-error.ts';
import { workerUrl } from './worker-url.ts';

/** Bytes of a chunk at the beginning of a shared buffer. */
export type SharedBytes = Uint8Array<SharedArrayBuffer>;

/** Bytes that are part of a whole which is digested too. */
export interface PartOfWhole {
  readonly whole: WholeOnThread;
  /** Where they begin in it. */
  readonly position: number;
  /** The digest they should have: only bytes that have it become part of the whole. */
  readonly expected: Uint8Array;
}

export interface ChunkDigest {
  readonly digest: Uint8Array<ArrayBuffer>;
  /** Resolves when the whole needs the bytes no longer; undefined: it does not need them. They must not change until then. */
  readonly kept: Promise<void> | undefined;
}

/** The digest of a whole file on one of the threads. */
export interface WholeOnThread {
  /** The file has good bytes up to `toByte`; with `isLast`, that is all of it. */
  advance(toByte: number, isLast: boolean): void;
  readonly result: Promise<Uint8Array>;
  /** Ends it. Without a result so far, `result` rejects. */
  close(): void;
}

export interface ChunkWorkers {
  /** SHA-256 of `bytes`, which must not change until it is known. */
  digest(bytes: SharedBytes, part?: PartOfWhole): Promise<ChunkDigest>;
  /**
   * Writes all of `bytes` at `position`. Rejects with what the system said. Writes to one descriptor are made one after the other,
   * by one thread, without a round trip to this one in between: waiting for each halved the speed of a download.
   */
  write(descriptor: number, bytes: SharedBytes, position: number): Promise<void>;
  /** The digest of the file at `path`; undefined while there is no thread for it. */
  openWhole(path: string): WholeOnThread | undefined;
  /** This buffer will not be seen again. */
  forget(memory: SharedArrayBuffer): void;
  /** From now on threads do the work. */
  start(): void;
  close(): Promise<void>;
}

interface Waiter {
  readonly resolve: (answer: Extract<ChunkAnswer, { digest: unknown } | { written: true }>) => void;
  readonly reject: (error: Error) => void;
}

interface OpenWhole {
  readonly resolve: (digest: Uint8Array) => void;
  readonly reject: (error: Error) => void;
  readonly path: string;
}

/** A thread takes a chunk of its own whole although it has so many more to do than another: together they cost half. */
const HOME_ADVANTAGE = 3;

class Lane {
  readonly #worker: Worker;
  readonly #waiters = new Map<number, Waiter>();
  readonly #kept = new Map<number, () => void>();
  readonly #wholes = new Map<number, OpenWhole>();
  readonly #known = new Set<number>();
  #orders: ChunkOrder[] = [];
  #lastId = 0;
  #isReferenced = false;

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

  async digest(
    memory: SharedArrayBuffer,
    bufferId: number,
    byteCount: number,
    part?: PartInLane,
  ): Promise<ChunkDigest> {
    const answer = await this.#order(memory, bufferId, byteCount, {
      type: 'digest',
      expected: part?.expected,
      part: part && { wholeId: part.wholeId, position: part.position },
    });
    if (!('digest' in answer)) throw new ShoalError('bug', 'a digest was answered with something else');
    return { digest: answer.digest, kept: answer.kept };
  }

  async write(
    memory: SharedArrayBuffer,
    bufferId: number,
    byteCount: number,
    where: { descriptor: number; position: number },
  ): Promise<void> {
    await this.#order(memory, bufferId, byteCount, { type: 'write', ...where });
  }

  openWhole(wholeId: number, path: string): Promise<Uint8Array> {
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
    // nobody may be waiting yet
    promise.catch(() => undefined);
    this.#wholes.set(wholeId, { resolve, reject, path });
    this.#push({ type: 'whole-open', wholeId, path });
    return promise;
  }

  advanceWhole(wholeId: number, toByte: number, isLast: boolean): void {
    if (!this.#wholes.has(wholeId)) return;
    this.#push({ type: 'whole-advance', wholeId, toByte, isLast });
    this.#holdProcess();
  }

  /** A chunk that another thread verified. Resolves when its bytes are not needed any more. */
  feedWhole(memory: SharedArrayBuffer, bufferId: number, byteCount: number, part: PartInLane): Promise<void> {
    if (!this.#wholes.has(part.wholeId)) return Promise.resolve();
    this.#introduce(memory, bufferId);
    const id = ++this.#lastId;
    const released = this.#keep(id);
    this.#push({ type: 'whole-feed', id, bufferId, byteCount, wholeId: part.wholeId, position: part.position });
    return released;
  }

  closeWhole(wholeId: number): void {
    const whole = this.#wholes.get(wholeId);
    if (whole === undefined) return;
    this.#wholes.delete(wholeId);
    whole.reject(cancelledError(`the digest of ${whole.path}`));
    this.#push({ type: 'whole-close', wholeId });
    this.#holdProcess();
  }

  forget(bufferId: number): void {
    if (this.#known.delete(bufferId)) this.#push({ type: 'forget', bufferId });
  }

  async close(): Promise<void> {
    this.#fail(new ShoalError('cancelled', 'the node is closing'));
    await this.#worker.terminate();
  }

  #order(
    memory: SharedArrayBuffer,
    bufferId: number,
    byteCount: number,
    more: OrderDetails,
  ): Promise<Parameters<Waiter['resolve']>[0] & { kept?: Promise<void> | undefined }> {
    this.#introduce(memory, bufferId);
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      this.#waiters.set(id, { resolve, reject });
      this.#holdProcess();
      this.#push({ ...more, id, bufferId, byteCount });
    });
  }

  #introduce(memory: SharedArrayBuffer, bufferId: number): void {
    if (this.#known.has(bufferId)) return;
    this.#known.add(bufferId);
    this.#push({ type: 'buffer', bufferId, memory });
  }

  #keep(id: number): Promise<void> {
    return new Promise((resolve) => this.#kept.set(id, resolve));
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
    if ('wholeId' in answer) this.#onWhole(answer);
    else if ('released' in answer) {
      const released = this.#kept.get(answer.id);
      this.#kept.delete(answer.id);
      released?.();
    } else {
      const waiter = this.#waiters.get(answer.id);
      this.#waiters.delete(answer.id);
      if ('code' in answer) waiter?.reject(Object.assign(new Error(answer.message), { code: answer.code }));
      else if ('digest' in answer && answer.isKept)
        waiter?.resolve(Object.assign(answer, { kept: this.#keep(answer.id) }));
      else waiter?.resolve(answer);
    }
    this.#holdProcess();
  }

  #onWhole(answer: Extract<ChunkAnswer, { wholeId: number }>): void {
    const whole = this.#wholes.get(answer.wholeId);
    this.#wholes.delete(answer.wholeId);
    if ('wholeDigest' in answer) whole?.resolve(answer.wholeDigest);
    else whole?.reject(new ShoalError('disk', `cannot read ${whole.path}: ${answer.message}`));
  }

  #holdProcess(): void {
    const isBusy = this.#waiters.size > 0 || this.#wholes.size > 0;
    if (isBusy === this.#isReferenced) return;
    this.#isReferenced = isBusy;
    if (isBusy) this.#worker.ref();
    else this.#worker.unref();
  }

  #fail(error: Error): void {
    const waiting = [...this.#waiters.values(), ...this.#wholes.values()];
    const kept = [...this.#kept.values()];
    this.#waiters.clear();
    this.#wholes.clear();
    this.#kept.clear();
    for (const one of waiting) one.reject(error);
    for (const released of kept) released();
  }
}

type OrderDetails =
  | { type: 'digest'; expected: Uint8Array | undefined; part: { wholeId: number; position: number } | undefined }
  | { type: 'write'; descriptor: number; position: number };

interface PartInLane {
  readonly wholeId: number;
  readonly position: number;
  readonly expected: Uint8Array;
}

class LaneWhole implements WholeOnThread {
  readonly lane: Lane;
  readonly id: number;
  readonly result: Promise<Uint8Array>;

  constructor(lane: Lane, id: number, path: string) {
    this.lane = lane;
    this.id = id;
    this.result = lane.openWhole(id, path);
  }

  advance(toByte: number, isLast: boolean): void {
    this.lane.advanceWhole(this.id, toByte, isLast);
  }

  close(): void {
    this.lane.closeWhole(this.id);
  }
}

export function createChunkWorkers(threadCount: number = defaultThreadCount()): ChunkWorkers {
  const lanes: Lane[] = [];
  const ids = new WeakMap<SharedArrayBuffer, number>();
  let lastBufferId = 0;
  let lastWholeId = 0;

  const idOf = (memory: SharedArrayBuffer): number => {
    let id = ids.get(memory);
    if (id === undefined) ids.set(memory, (id = ++lastBufferId));
    return id;
  };

  const remove = (lane: Lane): void => {
    const at = lanes.indexOf(lane);
    if (at >= 0) lanes.splice(at, 1);
  };

  const leastBusy = (home: Lane | undefined): Lane | undefined => {
    let best = home !== undefined && lanes.includes(home) ? home : undefined;
    let bestCount = best === undefined ? Number.POSITIVE_INFINITY : best.pendingCount - HOME_ADVANTAGE;
    for (const lane of lanes) {
      if (lane.pendingCount >= bestCount) continue;
      best = lane;
      bestCount = lane.pendingCount;
    }
    return best;
  };

  return {
    async digest(bytes, part) {
      const home = part?.whole instanceof LaneWhole ? part.whole : undefined;
      const lane = leastBusy(home?.lane);
      if (lane === undefined) return { digest: sha256(bytes), kept: undefined };
      const { buffer: memory, length } = bytes;
      const bufferId = idOf(memory);
      if (part === undefined || home === undefined) return lane.digest(memory, bufferId, length);
      const { position, expected } = part;
      const inLane: PartInLane = { wholeId: home.id, position, expected };
      if (lane === home.lane) return lane.digest(memory, bufferId, length, inLane);
      const { digest } = await lane.digest(memory, bufferId, length);
      if (!bytesEqual(digest, expected)) return { digest, kept: undefined };
      return { digest, kept: home.lane.feedWhole(memory, bufferId, length, inLane) };
    },
    async write(descriptor, bytes, position) {
      const lane = lanes[descriptor % lanes.length];
      if (lane !== undefined)
        await lane.write(bytes.buffer, idOf(bytes.buffer), bytes.length, { descriptor, position });
      else
        for (let at = 0; at < bytes.length;) at += writeSync(descriptor, bytes, at, bytes.length - at, position + at);
    },
    openWhole(path) {
      const id = ++lastWholeId;
      const lane = lanes[id % lanes.length];
      return lane && new LaneWhole(lane, id, path);
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

/** Half of the cores: the other half receives. */
function defaultThreadCount(): number {
  return Math.min(Math.max(1, Math.floor(availableParallelism() / 2)), CHUNK_WORKERS_MAX);
}
