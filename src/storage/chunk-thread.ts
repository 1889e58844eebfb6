/** The main thread's side of one chunk-worker: sends it orders, and settles promises with its answers. */
import { Worker } from 'node:worker_threads';
import { ShoalError } from '../errors.ts';
import type { ChunkDigest, ChunkLane, PartInLane, SharedBytes } from './chunk-lane.ts';
import type { ChunkAnswer, ChunkOrder } from './chunk-orders.ts';
import { cancelledError } from './disk-error.ts';
import { workerUrl } from './worker-url.ts';

interface Waiter {
  readonly resolve: (answer: Extract<ChunkAnswer, { digest: unknown } | { written: true }>) => void;
  readonly reject: (error: Error) => void;
}

interface OpenWhole {
  readonly resolve: (digest: Uint8Array) => void;
  readonly reject: (error: Error) => void;
  readonly path: string;
}

/** Numbers for buffers, the same in every thread. */
export interface BufferNumbers {
  of(memory: SharedArrayBuffer): number;
}

export class ChunkThread implements ChunkLane {
  /** Resolves when the thread listens; rejects when it ends before. */
  readonly ready: Promise<void>;
  readonly #worker: Worker;
  readonly #numbers: BufferNumbers;
  readonly #waiters = new Map<number, Waiter>();
  readonly #kept = new Map<number, () => void>();
  readonly #wholes = new Map<number, OpenWhole>();
  readonly #known = new Set<number>();
  readonly #becameReady: () => void;
  readonly #neverReady: (error: Error) => void;
  #orders: ChunkOrder[] = [];
  #lastId = 0;
  #isReferenced = false;

  /** @param onDead the thread is no more: give it no further orders. */
  constructor(index: number, numbers: BufferNumbers, onDead: (thread: ChunkThread) => void) {
    this.#numbers = numbers;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.ready = promise;
    this.#becameReady = resolve;
    this.#neverReady = reject;
    // nobody may be waiting
    promise.catch(() => undefined);
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

  async digest(bytes: SharedBytes, part?: PartInLane): Promise<ChunkDigest> {
    const answer = await this.#order(bytes, {
      type: 'digest',
      expected: part?.expected,
      part: part && { wholeId: part.wholeId, position: part.position },
    });
    if (!('digest' in answer)) throw new ShoalError('bug', 'a digest was answered with something else');
    return { digest: answer.digest, kept: answer.kept };
  }

  async write(bytes: SharedBytes, where: { descriptor: number; position: number }): Promise<void> {
    await this.#order(bytes, { type: 'write', ...where });
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

  feedWhole(bytes: SharedBytes, part: PartInLane): Promise<void> {
    if (!this.#wholes.has(part.wholeId)) return Promise.resolve();
    const bufferId = this.#introduce(bytes.buffer);
    const id = ++this.#lastId;
    const released = this.#keep(id);
    const { wholeId, position } = part;
    this.#push({ type: 'whole-feed', id, bufferId, byteCount: bytes.length, wholeId, position });
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
    bytes: SharedBytes,
    more: OrderDetails,
  ): Promise<Parameters<Waiter['resolve']>[0] & { kept?: Promise<void> | undefined }> {
    const bufferId = this.#introduce(bytes.buffer);
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      this.#waiters.set(id, { resolve, reject });
      this.#holdProcess();
      this.#push({ ...more, id, bufferId, byteCount: bytes.length });
    });
  }

  #introduce(memory: SharedArrayBuffer): number {
    const bufferId = this.#numbers.of(memory);
    if (this.#known.has(bufferId)) return bufferId;
    this.#known.add(bufferId);
    this.#push({ type: 'buffer', bufferId, memory });
    return bufferId;
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
    if ('ready' in answer) this.#becameReady();
    else if ('wholeId' in answer) this.#onWhole(answer);
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
    this.#neverReady(error);
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
