/**
 * Digests and writes chunks where they lie, and digests whole files along with their chunks:
 *
 *     chunks come slowly    on this thread: a thread costs more to start and to talk to than it would save (a tenth of all CPU time of a
 *                           leecher on a link of 100 Mbit/s went into messages, before this)
 *     chunks are large or   on threads of their own, out of shared memory: the main thread only moves messages, and is not held up
 *     come fast, or the     by the digest of a large chunk
 *     disk is slow
 *
 * Once threads have started they stay until `close`. What is small and was never prepared for is dealt with on the spot.
 */
import { writeSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { bytesEqual } from '../content/digest.ts';
import * as limits from '../limits.ts';
import { ChunksInline } from './chunk-inline.ts';
import type { ChunkDigest, ChunkLane, PartInLane, SharedBytes } from './chunk-lane.ts';
import { ChunkThread } from './chunk-thread.ts';
import { sha256 } from './digest-chunk.ts';
import { sha256Lanes } from './sha256-lanes.ts';
import { writePieces } from './write-pieces.ts';

export type { ChunkDigest, SharedBytes } from './chunk-lane.ts';

/** Bytes that are part of a whole which is digested too. */
export interface PartOfWhole {
  readonly whole: WholeOnThread;
  /** Where they begin in it. */
  readonly position: number;
  /** The digest they should have: only bytes that have it become part of the whole. */
  readonly expected: Uint8Array;
}

/** The digest of a whole file that is computed along with its chunks. */
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
  /** The digest of the file at `path`; undefined while nothing large was prepared for. */
  openWhole(path: string): WholeOnThread | undefined;
  /** Threads that do the work; 0: this one does. */
  readonly threadCount: number;
  /** This buffer will not be seen again. */
  forget(memory: SharedArrayBuffer): void;
  /** A large content is coming: wholes may be opened, and threads start at once for large chunks, else when chunks come fast. */
  prepare(chunkSize: number): void;
  /** From now on threads do the work; resolves when they do. */
  start(): Promise<void>;
  close(): Promise<void>;
}

/** A thread takes a chunk of its own whole although it has so many more to do than another: together they cost half. */
const HOME_ADVANTAGE = 3;

/** A whole in the lane where it is digested now. */
class MovableWhole implements WholeOnThread {
  readonly id: number;
  readonly result: Promise<Uint8Array>;
  readonly #path: string;
  readonly #ended: () => void;
  readonly #resolve: (digest: Uint8Array) => void;
  readonly #reject: (error: unknown) => void;
  #home: ChunkLane;
  #toByte = 0;
  #isLast = false;

  constructor(id: number, path: string, home: ChunkLane, ended: () => void) {
    this.id = id;
    this.#path = path;
    this.#home = home;
    this.#ended = ended;
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
    // nobody may be waiting yet
    promise.catch(() => undefined);
    this.result = promise;
    this.#resolve = resolve;
    this.#reject = reject;
    void this.#follow(home);
  }

  get home(): ChunkLane {
    return this.#home;
  }

  advance(toByte: number, isLast: boolean): void {
    this.#toByte = Math.max(this.#toByte, toByte);
    this.#isLast ||= isLast;
    this.#home.advanceWhole(this.id, toByte, isLast);
  }

  close(): void {
    this.#home.closeWhole(this.id);
  }

  /** The other lane begins anew: what was digested so far is read from the file, which is a few chunks when threads start. */
  moveTo(lane: ChunkLane): void {
    const before = this.#home;
    this.#home = lane;
    before.closeWhole(this.id);
    void this.#follow(lane);
    if (this.#toByte > 0) lane.advanceWhole(this.id, this.#toByte, this.#isLast);
  }

  async #follow(home: ChunkLane): Promise<void> {
    try {
      const digest = await home.openWhole(this.id, this.#path);
      if (this.#home === home) this.#resolve(digest);
    } catch (error) {
      if (this.#home === home) this.#reject(error);
    } finally {
      if (this.#home === home) this.#ended();
    }
  }
}

export interface ChunkWorkersOptions {
  /** Threads that digest; default by the number of cores. */
  readonly threadCount?: number;
  /** Whether another thread writes; default: where two digests at once cost this machine as much as two, and a core can be spared. */
  readonly hasWriter?: boolean;
  /** Milliseconds that never go back; default performance.now. */
  readonly clock?: () => number;
}

export function createChunkWorkers(options: ChunkWorkersOptions = {}): ChunkWorkers {
  const threadCount = options.threadCount ?? defaultThreadCount();
  const clock = options.clock ?? ((): number => performance.now());
  /** Those that listen and digest. */
  const threads: ChunkThread[] = [];
  /** Writes for them; undefined: they do. */
  let writer: ChunkThread | undefined;
  const all: ChunkThread[] = [];
  const wholes = new Set<MovableWhole>();
  const ids = new WeakMap<SharedArrayBuffer, number>();
  let inline: ChunksInline | undefined;
  let starting: Promise<void> | undefined;
  let isClosed = false;
  let lastBufferId = 0;
  let lastWholeId = 0;
  let windowStartMs = -Infinity;
  let windowBytes = 0;

  const numbers = {
    of: (memory: SharedArrayBuffer): number => {
      let id = ids.get(memory);
      if (id === undefined) ids.set(memory, (id = ++lastBufferId));
      return id;
    },
  };

  const remove = (thread: ChunkThread): void => {
    if (thread === writer) writer = undefined;
    for (const list of [threads, all]) if (list.includes(thread)) list.splice(list.indexOf(thread), 1);
  };

  const homeOf = (wholeId: number): ChunkThread | undefined => threads[wholeId % threads.length];

  const start = async (): Promise<void> => {
    const startThread = (): ChunkThread => {
      const thread = new ChunkThread(all.length, numbers, remove);
      all.push(thread);
      return thread;
    };
    while (all.length < threadCount) startThread();
    const spare = (options.hasWriter ?? isWriterWorthIt()) ? startThread() : undefined;
    // one that does not start is missed by nobody: the others do its work, or this thread does
    await Promise.allSettled(all.map((thread) => thread.ready));
    if (isClosed) return;
    threads.push(...all.filter((thread) => thread !== spare));
    if (spare !== undefined && all.includes(spare)) writer = spare;
    for (const whole of wholes) {
      const home = homeOf(whole.id);
      if (home !== undefined) whole.moveTo(home);
    }
  };

  const startOnce = (): Promise<void> => (starting ??= start());

  /** Whether more comes than this thread should digest. */
  const countInline = (byteCount: number): void => {
    const nowMs = clock();
    if (nowMs - windowStartMs > limits.INLINE_WINDOW_MS) {
      windowStartMs = nowMs;
      windowBytes = 0;
    }
    windowBytes += byteCount;
    if (windowBytes > (limits.INLINE_BYTES_PER_SECOND_MAX * limits.INLINE_WINDOW_MS) / 1000) void startOnce();
  };

  const leastBusy = (home: ChunkLane | undefined): ChunkLane | undefined => {
    if (threads.length === 0) return inline;
    let best: ChunkLane | undefined = home !== undefined && home !== inline ? home : undefined;
    let bestCount = best === undefined ? Number.POSITIVE_INFINITY : best.pendingCount - HOME_ADVANTAGE;
    for (const thread of threads) {
      if (thread.pendingCount >= bestCount) continue;
      best = thread;
      bestCount = thread.pendingCount;
    }
    return best;
  };

  return {
    async digest(bytes, part) {
      const whole = part?.whole instanceof MovableWhole && wholes.has(part.whole) ? part.whole : undefined;
      const lane = leastBusy(whole?.home);
      if (lane === undefined) return { digest: sha256(bytes), kept: undefined };
      if (lane === inline) countInline(bytes.length);
      if (part === undefined || whole === undefined) return lane.digest(bytes);
      const { position, expected } = part;
      const inLane: PartInLane = { wholeId: whole.id, position, expected };
      if (lane === whole.home) return lane.digest(bytes, inLane);
      const { digest } = await lane.digest(bytes);
      if (!bytesEqual(digest, expected)) return { digest, kept: undefined };
      return { digest, kept: whole.home.feedWhole(bytes, inLane) };
    },
    async write(descriptor, bytes, position) {
      const thread = writer ?? threads[descriptor % threads.length];
      if (thread !== undefined) {
        await thread.write(bytes, { descriptor, position });
        return;
      }
      const startedAtMs = clock();
      writePieces((piece, at) => writeSync(descriptor, piece, 0, piece.length, at), bytes, position);
      if (inline !== undefined && clock() - startedAtMs > limits.INLINE_WRITE_MS_MAX) void startOnce();
    },
    openWhole(path) {
      const id = ++lastWholeId;
      const home = homeOf(id) ?? inline;
      if (home === undefined) return undefined;
      const whole: MovableWhole = new MovableWhole(id, path, home, () => wholes.delete(whole));
      wholes.add(whole);
      return whole;
    },
    get threadCount() {
      return threads.length + (writer === undefined ? 0 : 1);
    },
    forget(memory) {
      const id = ids.get(memory);
      if (id !== undefined) for (const thread of all) thread.forget(id);
    },
    prepare(chunkSize) {
      inline ??= new ChunksInline();
      if (chunkSize > limits.INLINE_CHUNK_BYTES_MAX) void startOnce();
    },
    start: startOnce,
    async close() {
      isClosed = true;
      threads.length = 0;
      writer = undefined;
      for (const whole of wholes) whole.close();
      await Promise.all(all.splice(0).map((thread) => thread.close()));
    },
  };
}

/** Half of the cores: the other half receives. */
function defaultThreadCount(): number {
  return Math.min(Math.max(1, Math.floor(availableParallelism() / 2)), limits.CHUNK_WORKERS_MAX);
}

/**
 * Where a thread cannot compute two digests in the time of one, they are what it does all the time, and a download is as fast as they are: with
 * writes on a thread of their own it took an eighth less time on two cores. Digests stay together: where the whole had a thread of its own it
 * fell behind the transfer, was left to do at its end, and nothing was gained.
 */
function isWriterWorthIt(): boolean {
  return availableParallelism() > 1 && !sha256Lanes().isPaired;
}
