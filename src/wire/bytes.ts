/**
 * Reads and writes big-endian fields of a frame. A reader never goes past its end: whoever wrote the bytes may be an adversary.
 * What the fields mean is not known here.
 */
import { ShoalError } from '../errors.ts';

export function readU16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
}

export function readU32(bytes: Uint8Array, at: number): number {
  return (
    (((bytes[at] as number) << 24) |
      ((bytes[at + 1] as number) << 16) |
      ((bytes[at + 2] as number) << 8) |
      (bytes[at + 3] as number)) >>>
    0
  );
}

export function writeU16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}

export function writeU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

/** A cursor over the body of one frame. Byte strings are copied out, because the memory below belongs to a socket. */
export class BodyReader {
  readonly #bytes: Uint8Array;
  readonly #end: number;
  readonly #what: string;
  #at: number;

  /** `what` names the frame in messages. */
  constructor(what: string, bytes: Uint8Array, start: number, end: number) {
    this.#what = what;
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
  }

  u8(): number {
    return this.#bytes[this.#take(1)] as number;
  }

  u16(): number {
    return readU16(this.#bytes, this.#take(2));
  }

  u32(): number {
    return readU32(this.#bytes, this.#take(4));
  }

  /** A copy of the next `byteCount` bytes. */
  copy(byteCount: number): Uint8Array<ArrayBuffer> {
    const at = this.#take(byteCount);
    const copy = new Uint8Array(byteCount);
    copy.set(this.#bytes.subarray(at, at + byteCount));
    return copy;
  }

  /** A copy of all that is left. */
  copyRest(): Uint8Array<ArrayBuffer> {
    return this.copy(this.#end - this.#at);
  }

  /** Nothing may be left when a body has been read. */
  finish(): void {
    if (this.#at !== this.#end) throw this.refuse(`has ${this.#end - this.#at} bytes too many`);
  }

  /** The error for a body that breaks a rule; `problem` goes on from the frame's name. */
  refuse(problem: string): ShoalError {
    return new ShoalError('protocol', `a ${this.#what} frame ${problem}`);
  }

  #take(byteCount: number): number {
    const at = this.#at;
    if (byteCount > this.#end - at) throw this.refuse(`is ${byteCount - (this.#end - at)} bytes too short`);
    this.#at = at + byteCount;
    return at;
  }
}

/** A cursor over memory of exactly the right size. Values are checked by the caller. */
export class BodyWriter {
  readonly #bytes: Uint8Array;
  #at: number;

  constructor(bytes: Uint8Array, start: number) {
    this.#bytes = bytes;
    this.#at = start;
  }

  u8(value: number): this {
    this.#bytes[this.#at++] = value;
    return this;
  }

  u16(value: number): this {
    writeU16(this.#bytes, this.#at, value);
    this.#at += 2;
    return this;
  }

  u32(value: number): this {
    writeU32(this.#bytes, this.#at, value);
    this.#at += 4;
    return this;
  }

  put(bytes: Uint8Array): this {
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.length;
    return this;
  }
}
