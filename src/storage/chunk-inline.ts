/**
 * Digests chunks on this thread, about one a turn of the event loop. For chunks that come slowly: on a link of 100 Mbit/s a thread costs
 * more to start, to feed and to listen to than the digests themselves.
 */
import { ShoalError } from '../errors.ts';
import { ChunkHasher } from './chunk-hasher.ts';
import type { ChunkDigest, ChunkLane, PartInLane, SharedBytes } from './chunk-lane.ts';
import { cancelledError } from './disk-error.ts';
import { sha256Lanes } from './sha256-lanes.ts';

interface OpenWhole {
  readonly resolve: (digest: Uint8Array) => void;
  readonly reject: (error: Error) => void;
  readonly path: string;
}

export class ChunksInline implements ChunkLane {
  readonly #waiters = new Map<number, (digest: ChunkDigest) => void>();
  readonly #kept = new Map<number, () => void>();
  readonly #wholes = new Map<number, OpenWhole>();
  readonly #hasher = new ChunkHasher(sha256Lanes(), {
    digested: (id, digest, isKept) => {
      const resolve = this.#waiters.get(id);
      this.#waiters.delete(id);
      resolve?.({ digest, kept: isKept ? this.#keep(id) : undefined });
    },
    released: (id) => {
      const released = this.#kept.get(id);
      this.#kept.delete(id);
      released?.();
    },
    whole: (wholeId, digest) => this.#takeWhole(wholeId)?.resolve(digest),
    wholeFailed: (wholeId, error) => {
      const whole = this.#takeWhole(wholeId);
      whole?.reject(new ShoalError('disk', `cannot read ${whole.path}: ${ShoalError.from(error).message}`));
    },
  });
  #lastId = 0;
  #turnPlanned = false;

  get pendingCount(): number {
    return this.#waiters.size;
  }

  digest(bytes: SharedBytes, part?: PartInLane): Promise<ChunkDigest> {
    const id = ++this.#lastId;
    return new Promise((resolve) => {
      this.#waiters.set(id, resolve);
      this.#hasher.digest({ id, bytes, expected: part?.expected, part });
      this.#planTurn();
    });
  }

  feedWhole(bytes: SharedBytes, { wholeId, position }: PartInLane): Promise<void> {
    const id = ++this.#lastId;
    const released = this.#keep(id);
    this.#hasher.feedWhole(wholeId, position, id, bytes);
    this.#planTurn();
    return released;
  }

  openWhole(wholeId: number, path: string): Promise<Uint8Array> {
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
    // nobody may be waiting yet
    promise.catch(() => undefined);
    this.#wholes.set(wholeId, { resolve, reject, path });
    this.#hasher.openWhole(wholeId, path);
    return promise;
  }

  advanceWhole(wholeId: number, toByte: number, isLast: boolean): void {
    this.#hasher.advanceWhole(wholeId, toByte, isLast);
    this.#planTurn();
  }

  closeWhole(wholeId: number): void {
    this.#hasher.closeWhole(wholeId);
    const whole = this.#takeWhole(wholeId);
    whole?.reject(cancelledError(`the digest of ${whole.path}`));
  }

  #keep(id: number): Promise<void> {
    return new Promise((resolve) => this.#kept.set(id, resolve));
  }

  #takeWhole(wholeId: number): OpenWhole | undefined {
    const whole = this.#wholes.get(wholeId);
    this.#wholes.delete(wholeId);
    return whole;
  }

  /** Chunks that come in one turn are digested two at a time. */
  #planTurn(): void {
    if (this.#turnPlanned || !this.#hasher.hasWork) return;
    this.#turnPlanned = true;
    setImmediate(() => {
      this.#turnPlanned = false;
      this.#hasher.step();
      this.#planTurn();
    });
  }
}
