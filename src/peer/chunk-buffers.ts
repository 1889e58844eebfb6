/**
 * Buffers for whole chunks, kept for reuse: first-touch of fresh memory costs more than receiving into it. A buffer belongs to
 * whoever took it until it is given back; giving one back twice would hand it to two owners, so it is refused as a bug.
 *
 * What is received goes into shared memory, so that threads can digest and write it where it lies; what is sent cannot, because
 * sockets and file reads take ordinary memory only.
 */
import { ShoalError } from '../errors.ts';
import { CHUNK_BUFFER_BYTES_MAX } from '../limits.ts';
import type { SharedBytes } from '../storage/chunk-workers.ts';

export class ChunkBuffers<B extends Uint8Array = Uint8Array<ArrayBuffer>> {
  readonly #allocate: (byteCount: number) => B;
  readonly #dropped: (buffer: B) => void;
  readonly #free = new Map<number, B[]>();
  readonly #taken = new Set<B>();
  readonly #keepBytesMax: number;
  #freeBytes = 0;

  constructor(
    allocate: (byteCount: number) => B,
    options: { keepBytesMax?: number; dropped?: (buffer: B) => void } = {},
  ) {
    this.#allocate = allocate;
    this.#keepBytesMax = options.keepBytesMax ?? CHUNK_BUFFER_BYTES_MAX;
    this.#dropped = options.dropped ?? (() => undefined);
  }

  get takenCount(): number {
    return this.#taken.size;
  }

  /** A buffer of exactly `byteCount` bytes with arbitrary contents. */
  take(byteCount: number): B {
    const kept = this.#free.get(byteCount)?.pop();
    if (kept !== undefined) this.#freeBytes -= byteCount;
    const buffer = kept ?? this.#allocate(byteCount);
    this.#taken.add(buffer);
    return buffer;
  }

  give(buffer: B): void {
    if (!this.#taken.delete(buffer)) throw new ShoalError('bug', 'a chunk buffer was given back twice');
    if (this.#freeBytes + buffer.length > this.#keepBytesMax) {
      this.#dropped(buffer);
      return;
    }
    const list = this.#free.get(buffer.length);
    if (list === undefined) this.#free.set(buffer.length, [buffer]);
    else list.push(buffer);
    this.#freeBytes += buffer.length;
  }
}

/** Buffers for sending. */
export function createSendBuffers(): ChunkBuffers {
  return new ChunkBuffers<Uint8Array<ArrayBuffer>>((byteCount) => Buffer.allocUnsafeSlow(byteCount));
}

/** Buffers for receiving. */
export function createReceiveBuffers(dropped: (buffer: SharedBytes) => void): ChunkBuffers<SharedBytes> {
  return new ChunkBuffers((byteCount) => new Uint8Array(new SharedArrayBuffer(byteCount)), { dropped });
}
