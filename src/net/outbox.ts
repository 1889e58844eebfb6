/**
 * What waits to be written to one socket, and in which order: control messages always before the next fragment.
 *
 *     send() ---------> control queue ---\
 *                                          >-- one writev --> socket --> kernel
 *     sendFragment() -> fragment queue --/
 *
 * The socket is given more only when the kernel has taken all of the last write, so that at most one batch of fragments stands
 * between a new control message and the kernel: on a link that is fast enough for it to matter, a millisecond. Control messages of one turn of the event loop leave in one write. Rate limits, when they
 * come, decide in `#write` whether the next fragment may go; nothing else has to know of them.
 */
import type { Socket } from 'node:net';
import { ShoalError } from '../errors.ts';
import * as limits from '../limits.ts';

export interface OutboxEvents {
  /** There is room for fragments again, after there was none. */
  writable(): void;
  /** The kernel did not take all that it was given. */
  stuck(): void;
  /** The kernel has taken bytes; whether more wait. */
  progress(bytesWait: boolean): void;
  /** The other side does not read, and too many control messages wait. */
  overflow(): void;
}

/** A write that took longer had to wait for the other side. */
const FAST_WRITE_MS = 5;

interface QueuedFragment {
  readonly header: Uint8Array;
  readonly bytes: Uint8Array;
  readonly flushed: (() => void) | undefined;
}

export class Outbox {
  readonly #socket: Socket;
  readonly #events: OutboxEvents;
  #control: Uint8Array[] = [];
  #controlBytes = 0;
  #fragments: QueuedFragment[] = [];
  #fragmentBytes = 0;
  #scheduled = false;
  #wasFull = false;
  #bytesWritten = 0;
  /** The kernel took the last write at once: larger ones may follow. Else a link is slow, and what is queued delays what is urgent. */
  #isFast = false;
  /** Set by `end`: what goes last, before the end of the stream. */
  #last: Uint8Array | 'nothing' | undefined;
  #closed = false;

  constructor(socket: Socket, events: OutboxEvents) {
    this.#socket = socket;
    this.#events = events;
  }

  /** Bytes that the kernel has not taken yet. */
  get unsentBytes(): number {
    return this.#controlBytes + this.#fragmentBytes + this.#socket.writableLength;
  }

  /** Bytes that the kernel has taken. */
  get bytesWritten(): number {
    return this.#bytesWritten;
  }

  /** The kernel took the last write at once. */
  get isFast(): boolean {
    return this.#isFast;
  }

  get hasRoom(): boolean {
    return this.unsentBytes < (this.#isFast ? limits.SOCKET_UNSENT_BYTES_MAX : limits.SOCKET_UNSENT_BYTES_SLOW_MAX);
  }

  /** Queues a whole frame; it leaves with the others of this turn. */
  pushControl(frame: Uint8Array): void {
    if (this.#closed || this.#last !== undefined) return;
    if (this.#controlBytes + frame.length > limits.CONTROL_QUEUE_BYTES_MAX) {
      this.#events.overflow();
      return;
    }
    this.#control.push(frame);
    this.#controlBytes += frame.length;
    this.#noteRoom();
    this.#schedule();
  }

  /** Queues a fragment. `flushed` is called once: when the kernel has the bytes, or when they will never be sent. */
  pushFragment(header: Uint8Array, bytes: Uint8Array, flushed: (() => void) | undefined): void {
    if (this.#closed || this.#last !== undefined) {
      if (flushed !== undefined) process.nextTick(flushed);
      return;
    }
    const byteCount = header.length + bytes.length;
    if (this.#fragmentBytes + byteCount > limits.FRAGMENT_QUEUE_BYTES_MAX)
      throw new ShoalError(
        'bug',
        `more than ${limits.FRAGMENT_QUEUE_BYTES_MAX} bytes of fragments wait for one socket`,
      );
    this.#fragments.push({ header, bytes, flushed });
    this.#fragmentBytes += byteCount;
    this.#noteRoom();
    this.#schedule();
  }

  /** Writes what waits, then `last`, then ends the stream. Nothing can be queued afterwards. */
  end(last?: Uint8Array): void {
    if (this.#closed || this.#last !== undefined) return;
    this.#last = last ?? 'nothing';
    this.#schedule();
  }

  /** Forgets the fragments that were not given to the socket yet. */
  dropFragments(): void {
    const dropped = this.#fragments;
    this.#fragments = [];
    this.#fragmentBytes = 0;
    for (const { flushed } of dropped) if (flushed !== undefined) process.nextTick(flushed);
  }

  /** The socket is gone, or is about to be: nothing is written any more. */
  close(): void {
    this.#closed = true;
    this.#control = [];
    this.#controlBytes = 0;
    this.dropFragments();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    process.nextTick(this.#flush);
  }

  readonly #flush = (): void => {
    this.#scheduled = false;
    while (!this.#closed && this.#socket.writableLength === 0 && this.#hasWork()) this.#write();
    if (!this.#closed && this.#socket.writableLength > 0) this.#events.stuck();
  };

  #hasWork(): boolean {
    if (this.#control.length > 0 || this.#fragments.length > 0) return true;
    if (this.#last === undefined) return false;
    // the end follows when all before it has been written
    const last = this.#last;
    this.#closed = true;
    if (last === 'nothing') this.#socket.end();
    else this.#socket.end(last, () => this.#onWritten(last.length));
    return false;
  }

  /** All control messages and a batch of fragments, as one write. */
  #write(): void {
    const control = this.#takeControl();
    const batch = this.#takeFragments();
    const last = batch.pop();
    if (last === undefined) {
      if (control !== undefined) this.#socket.write(control, () => this.#onWritten(control.length));
      return;
    }
    let byteCount = (control?.length ?? 0) + last.header.length + last.bytes.length;
    const startedAtMs = performance.now();
    this.#socket.cork();
    if (control !== undefined) this.#socket.write(control);
    for (const { header, bytes } of batch) {
      byteCount += header.length + bytes.length;
      this.#socket.write(header);
      this.#socket.write(bytes);
    }
    this.#socket.write(last.header);
    this.#socket.write(last.bytes, () => {
      this.#isFast = performance.now() - startedAtMs < FAST_WRITE_MS;
      for (const { flushed } of batch) flushed?.();
      last.flushed?.();
      this.#onWritten(byteCount);
    });
    this.#socket.uncork();
  }

  /** As many fragments as one write may have; at least one, if there is one. */
  #takeFragments(): QueuedFragment[] {
    let byteCount = 0;
    let count = 0;
    for (const { header, bytes } of this.#fragments) {
      byteCount += header.length + bytes.length;
      if (count > 0 && (!this.#isFast || byteCount > limits.WRITE_BATCH_BYTES_MAX)) break;
      count++;
    }
    const batch = this.#fragments.splice(0, count);
    for (const { header, bytes } of batch) this.#fragmentBytes -= header.length + bytes.length;
    return batch;
  }

  /** Small frames cost less as one piece of memory than as many pieces of one write. */
  #takeControl(): Uint8Array | undefined {
    const frames = this.#control;
    if (frames.length === 0) return undefined;
    const byteCount = this.#controlBytes;
    this.#control = [];
    this.#controlBytes = 0;
    if (frames.length === 1) return frames[0];
    const joined = Buffer.allocUnsafe(byteCount);
    let at = 0;
    for (const frame of frames) {
      joined.set(frame, at);
      at += frame.length;
    }
    return joined;
  }

  /** Also called, by Node, for writes that failed; then the socket's own error says so. */
  #onWritten(byteCount: number): void {
    if (this.#socket.destroyed) return;
    this.#bytesWritten += byteCount;
    this.#flush();
    this.#events.progress(this.unsentBytes > 0);
    if (this.#wasFull && !this.#closed && this.hasRoom) {
      this.#wasFull = false;
      this.#events.writable();
    }
  }

  #noteRoom(): void {
    if (!this.hasRoom) this.#wasFull = true;
  }
}
