/**
 * What a hashing thread does next. It has two kinds of work: digests of chunks, and for some contents the digest of the whole, which
 * takes the chunks in their order. Two streams at a time cost about as much as one (sha256-lanes.ts), so it always looks for two:
 *
 *     the next chunk in order:      its own digest | the whole, with the same bytes, taken back if the digest is wrong
 *     a chunk before its turn:      its own digest | the whole, with an earlier chunk that was kept for it
 *     nothing for the whole:        a chunk        | another chunk
 *
 * Chunks before their turn are kept in memory up to a limit; what is not kept is read from the file when its turn comes. Knows
 * nothing of threads and messages; `events` tells what came of it.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import { bytesEqual } from '../content/digest.ts';
import { ShoalError } from '../errors.ts';
import * as limits from '../limits.ts';
import { BLOCK_BYTES, type Sha256Lanes, type Sha256Stream } from './sha256-lanes.ts';

export interface DigestJob {
  readonly id: number;
  readonly bytes: Uint8Array;
  /** The digest the chunk should have, when the caller has to know whether it does. */
  readonly expected?: Uint8Array | undefined;
  /** Of which whole it is a part, and where it begins there. Only together with `expected`. */
  readonly part?: { readonly wholeId: number; readonly position: number } | undefined;
}

export interface HasherEvents {
  /** `isKept`: the bytes must stay as they are until `released`. */
  digested(id: number, digest: Uint8Array<ArrayBuffer>, isKept: boolean): void;
  released(id: number): void;
  whole(wholeId: number, digest: Uint8Array<ArrayBuffer>): void;
  wholeFailed(wholeId: number, error: unknown): void;
}

interface Kept {
  readonly id: number;
  readonly bytes: Uint8Array;
}

interface Whole {
  readonly id: number;
  readonly path: string;
  stream: Sha256Stream;
  /** Verified chunks before their turn, by position; and their positions, ascending. */
  readonly kept: Map<number, Kept>;
  readonly keptOrder: number[];
  keptBytes: number;
  /** The file has good bytes up to here. */
  writtenTo: number;
  /** Set when all of the file is written: its size. */
  size: number | undefined;
  descriptor: number | undefined;
}

/** One stream and the bytes it takes next, with what happens when it has. */
interface Lane {
  readonly stream: Sha256Stream;
  readonly bytes: Uint8Array;
  done(): void;
}

export class ChunkHasher {
  readonly #lanes: Sha256Lanes;
  readonly #events: HasherEvents;
  readonly #aheadBytesMax: number;
  readonly #jobs: DigestJob[] = [];
  readonly #wholes = new Map<number, Whole>();
  #readBuffer: Uint8Array | undefined;

  constructor(lanes: Sha256Lanes, events: HasherEvents, aheadBytesMax: number = limits.WHOLE_AHEAD_BYTES_MAX) {
    this.#lanes = lanes;
    this.#events = events;
    this.#aheadBytesMax = aheadBytesMax;
  }

  digest(job: DigestJob): void {
    this.#jobs.push(job);
  }

  /** `path` is where bytes that were not kept are read again. */
  openWhole(id: number, path: string): void {
    this.#wholes.set(id, {
      id,
      path,
      stream: this.#lanes.begin(),
      kept: new Map(),
      keptOrder: [],
      keptBytes: 0,
      writtenTo: 0,
      size: undefined,
      descriptor: undefined,
    });
  }

  /** The file has good bytes up to `toByte`; with `isLast`, that is all of it. */
  advanceWhole(id: number, toByte: number, isLast: boolean): void {
    const whole = this.#wholes.get(id);
    if (whole === undefined) return;
    whole.writtenTo = Math.max(whole.writtenTo, toByte);
    if (isLast) whole.size = toByte;
    this.#finishIfDone(whole);
  }

  /** A chunk whose digest another thread has found right; tells `released(id)` when it is not needed any more. */
  feedWhole(wholeId: number, position: number, id: number, bytes: Uint8Array): void {
    const whole = this.#wholes.get(wholeId);
    if (whole === undefined || !this.#keep(whole, position, { id, bytes })) this.#events.released(id);
  }

  closeWhole(id: number): void {
    const whole = this.#wholes.get(id);
    if (whole === undefined) return;
    this.#wholes.delete(id);
    for (const { id: keptId } of whole.kept.values()) this.#events.released(keptId);
    if (whole.descriptor !== undefined) closeSync(whole.descriptor);
  }

  /** Whether `step` has something to do now. */
  get hasWork(): boolean {
    return this.#jobs.length > 0 || this.#wholeToRun(true) !== undefined;
  }

  /** Does about a chunk's worth of work. */
  step(): void {
    const job = this.#jobs.shift();
    if (job === undefined) {
      const alone = this.#wholeToRun(true);
      if (alone !== undefined) this.#run(this.#wholeLane(alone));
      return;
    }
    const own = job.part === undefined ? undefined : this.#wholes.get(job.part.wholeId);
    if (own !== undefined && own.stream.byteCount === job.part?.position && job.expected !== undefined) {
      this.#inOrder(job, job.expected, own);
      return;
    }
    const waiting = this.#wholeToRun(false);
    const other = waiting === undefined ? this.#jobs.shift() : undefined;
    this.#run(this.#chunkLane(job), waiting === undefined ? other && this.#chunkLane(other) : this.#wholeLane(waiting));
  }

  /** The chunk and the whole in one pass; the whole keeps its state should the chunk be wrong. */
  #inOrder(job: DigestJob, expected: Uint8Array, whole: Whole): void {
    const chunk = this.#lanes.begin();
    const next = this.#lanes.fork(whole.stream);
    this.#lanes.update(chunk, job.bytes, next, job.bytes);
    const digest = this.#lanes.digest(chunk);
    if (bytesEqual(digest, expected)) whole.stream = next;
    this.#events.digested(job.id, digest, false);
    this.#finishIfDone(whole);
  }

  #chunkLane(job: DigestJob): Lane {
    const stream = this.#lanes.begin();
    return {
      stream,
      bytes: job.bytes,
      done: () => {
        const digest = this.#lanes.digest(stream);
        const whole = job.part === undefined ? undefined : this.#wholes.get(job.part.wholeId);
        const isKept =
          whole !== undefined &&
          job.part !== undefined &&
          job.expected !== undefined &&
          bytesEqual(digest, job.expected) &&
          this.#keep(whole, job.part.position, job);
        this.#events.digested(job.id, digest, isKept);
      },
    };
  }

  /** Whether the bytes are kept; gives up those whose turn comes last when there are too many. */
  #keep(whole: Whole, position: number, chunk: Kept): boolean {
    if (position < whole.stream.byteCount || whole.kept.has(position)) return false;
    whole.kept.set(position, { id: chunk.id, bytes: chunk.bytes });
    whole.keptOrder.splice(placeOf(whole.keptOrder, position), 0, position);
    whole.keptBytes += chunk.bytes.length;
    while (whole.keptBytes > this.#aheadBytesMax && whole.kept.size > 1) {
      const last = whole.keptOrder.at(-1) as number;
      // not told yet that it was kept: the answer says that it is not
      if (last === position) {
        this.#forget(whole, last);
        return false;
      }
      this.#release(whole, last);
    }
    return true;
  }

  #forget(whole: Whole, position: number): Kept | undefined {
    const kept = whole.kept.get(position);
    if (kept === undefined) return undefined;
    whole.kept.delete(position);
    whole.keptOrder.splice(placeOf(whole.keptOrder, position), 1);
    whole.keptBytes -= kept.bytes.length;
    return kept;
  }

  #release(whole: Whole, position: number): void {
    const kept = this.#forget(whole, position);
    if (kept !== undefined) this.#events.released(kept.id);
  }

  /**
   * A whole that can go on. Alone it costs as much as with company, so what is kept waits for a chunk to go with, unless much is
   * kept already or nothing more will come.
   */
  #wholeToRun(alone: boolean): Whole | undefined {
    for (const whole of this.#wholes.values()) {
      const at = whole.stream.byteCount;
      if (whole.kept.has(at)) {
        if (!alone || whole.size !== undefined || whole.keptBytes * 2 > this.#aheadBytesMax) return whole;
      } else if (at < whole.writtenTo) return whole;
    }
    return undefined;
  }

  #wholeLane(whole: Whole): Lane | undefined {
    const at = whole.stream.byteCount;
    const kept = whole.kept.get(at);
    try {
      return {
        stream: whole.stream,
        bytes: kept?.bytes ?? this.#read(whole, at),
        done: () => {
          if (kept !== undefined) this.#release(whole, at);
          this.#finishIfDone(whole);
        },
      };
    } catch (error) {
      this.#events.wholeFailed(whole.id, error);
      this.closeWhole(whole.id);
      return undefined;
    }
  }

  /** Whole blocks, unless it is the end. */
  #read(whole: Whole, at: number): Uint8Array {
    whole.descriptor ??= openSync(whole.path, 'r');
    this.#readBuffer ??= new Uint8Array(new SharedArrayBuffer(limits.HASH_READ_BYTES));
    const buffer = this.#readBuffer;
    // up to the next chunk that is kept: what follows is in memory
    let end = Math.min(whole.writtenTo, at + buffer.length);
    end = Math.min(end, whole.keptOrder[placeOf(whole.keptOrder, at + 1)] ?? end);
    let filled = 0;
    while (filled < end - at) {
      const byteCount = readSync(whole.descriptor, buffer, filled, end - at - filled, at + filled);
      if (byteCount === 0) throw new ShoalError('disk', 'the file became shorter');
      filled += byteCount;
    }
    const isEnd = end === whole.size;
    const used = isEnd ? filled : filled - (filled % BLOCK_BYTES);
    // what was written ends inside a block: it goes on when more is there
    if (used === 0) whole.writtenTo = at;
    return buffer.subarray(0, used);
  }

  #run(first: Lane | undefined, second?: Lane): void {
    if (first === undefined) {
      if (second !== undefined) this.#run(second);
      return;
    }
    this.#lanes.update(first.stream, first.bytes, second?.stream, second?.bytes);
    first.done();
    second?.done();
  }

  #finishIfDone(whole: Whole): void {
    if (whole.size === undefined || whole.stream.byteCount < whole.size) return;
    this.#events.whole(whole.id, this.#lanes.digest(whole.stream));
    this.closeWhole(whole.id);
  }
}

/** Index of the first of these ascending numbers that is not below `value`. */
function placeOf(ascending: readonly number[], value: number): number {
  let [low, high] = [0, ascending.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ascending[middle] as number) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
