/**
 * Bytes from the kernel straight to where they belong. Node reads into its own buffer, from which payloads are then copied; while
 * a payload is under way we know its place, so after each of Node's reads the rest is read there by `readv`, with the next header
 * behind it. Node's own reads become small and few.
 *
 * Used where the call can be had (native.ts). What it does not read - the end of the stream, errors - is still there for Node's next
 * read to find: nothing of the socket's state is touched but the bytes that were taken.
 */
import type { Socket } from 'node:net';
import * as limits from '../limits.ts';
import { loadNative, type NativeLibrary } from '../native.ts';
import { FRAGMENT_HEADER_BYTES } from '../wire/frame.ts';
import { descriptorOf } from './socket-descriptor.ts';

/** Where bytes go. */
export interface ByteSink {
  /** Takes `bytes[0, byteCount)`, which are valid only during the call. False: stop reading until `resume`. */
  take(bytes: Uint8Array, byteCount: number): boolean;
  /** The place of the bytes that come next, if they have one of their own. Valid until the next call. */
  room(): Uint8Array | undefined;
  /** So many bytes have been put at the beginning of `room`. False: stop reading. */
  filled(byteCount: number): boolean;
}

export interface DirectReader {
  /** Reads what is there, up to a limit, while payloads are under way. False: the sink said stop. */
  read(socket: Socket, sink: ByteSink): boolean;
}

/** Two of { address, length }, 64 bits each. */
const VECTOR_BYTES = 32;

class VectorReader implements DirectReader {
  readonly #native: NativeLibrary<'readv'>;
  readonly #vector = new DataView(new SharedArrayBuffer(VECTOR_BYTES));
  readonly #vectorAddress: bigint;
  readonly #header = new Uint8Array(new SharedArrayBuffer(FRAGMENT_HEADER_BYTES));

  constructor(native: NativeLibrary<'readv'>) {
    this.#native = native;
    this.#vectorAddress = native.address(new Uint8Array(this.#vector.buffer));
    this.#vector.setBigUint64(16, native.address(this.#header), true);
    this.#vector.setBigUint64(24, BigInt(this.#header.length), true);
  }

  read(socket: Socket, sink: ByteSink): boolean {
    for (let left = limits.DIRECT_READ_BYTES_MAX; left > 0;) {
      const room = sink.room();
      if (room === undefined || room.length === 0) return true;
      // asked each time: the sink may have closed the socket, and then the number means another file
      const descriptor = descriptorOf(socket);
      if (descriptor === undefined) return true;
      const byteCount = this.#readInto(descriptor, room);
      if (byteCount <= 0) return true;
      left -= byteCount;
      if (!sink.filled(Math.min(byteCount, room.length))) return false;
      const beyond = byteCount - room.length;
      // less than asked for: the kernel has no more
      if (beyond < 0) return true;
      if (beyond > 0 && !sink.take(this.#header, beyond)) return false;
    }
    return true;
  }

  /** Bytes read; 0 at the end of the stream, -1 when there are none now, or an error. */
  #readInto(descriptor: number, room: Uint8Array): number {
    this.#vector.setBigUint64(0, this.#native.address(room), true);
    this.#vector.setBigUint64(8, BigInt(room.length), true);
    return Number(this.#native.functions.readv(descriptor, this.#vectorAddress, 2));
  }
}

/** Undefined where there is no such call. */
export function createDirectReader(): DirectReader | undefined {
  const native = loadNative({ readv: { return: 'i64', arguments: ['i32', 'u64', 'i32'] } });
  return native && new VectorReader(native);
}
