/**
 * Buffers for whole chunks, kept for reuse: first-touch of fresh memory costs more than receiving into it. A buffer belongs to
 * whoever took it until it is given back; giving one back twice would hand it to two owners, so it is refused as a bug.
 */
import { ShoalError } from '../errors.ts';
import { CHUNK_BUFFER_BYTES_MAX } from '../limits.ts';

export class ChunkBuffers {
  readonly #free = new Map<number, Uint8Array<ArrayBuffer>[]>();
  readonly #taken = new Set<Uint8Array>();
  readonly #keepBytesMax: number;
  #freeBytes = 0;

  constructor(keepBytesMax: number = CHUNK_BUFFER_BYTES_MAX) {
    this.#keepBytesMax = keepBytesMax;
  }

  get takenCount(): number {
    return this.#taken.size;
  }

  /** A buffer of exactly `byteCount` bytes with arbitrary contents. */
  take(byteCount: number): Uint8Array<ArrayBuffer> {
    const kept = this.#free.get(byteCount)?.pop();
    if (kept !== undefined) this.#freeBytes -= byteCount;
    const buffer = kept ?? (Buffer.allocUnsafeSlow(byteCount) as Uint8Array<ArrayBuffer>);
    this.#taken.add(buffer);
    return buffer;
  }

  give(buffer: Uint8Array<ArrayBuffer>): void {
    if (!this.#taken.delete(buffer)) throw new ShoalError('bug', 'a chunk buffer was given back twice');
    if (this.#freeBytes + buffer.length > this.#keepBytesMax) return;
    const list = this.#free.get(buffer.length);
    if (list === undefined) this.#free.set(buffer.length, [buffer]);
    else list.push(buffer);
    this.#freeBytes += buffer.length;
  }
}
