/** A set of chunk indexes, one bit each; bit 0 is the highest bit of byte 0, as on the wire. Counts its members as they change. */
import { ShoalError } from '../errors.ts';

export class Bitfield {
  readonly chunkCount: number;
  readonly #bytes: Uint8Array<ArrayBuffer>;
  #count = 0;

  /** An empty set of `chunkCount` possible members. */
  constructor(chunkCount: number) {
    this.chunkCount = chunkCount;
    this.#bytes = new Uint8Array(Math.ceil(chunkCount / 8));
  }

  /** A set with every chunk in it. */
  static full(chunkCount: number): Bitfield {
    const field = new Bitfield(chunkCount);
    field.addAll();
    return field;
  }

  /** Reads wire bytes; throws `protocol` when their length does not fit or a spare bit is set. Copies. */
  static fromBytes(bytes: Uint8Array, chunkCount: number): Bitfield {
    const field = new Bitfield(chunkCount);
    if (bytes.length !== field.#bytes.length)
      throw new ShoalError(
        'protocol',
        `a bitfield of ${chunkCount} chunks has ${field.#bytes.length} bytes, not ${bytes.length}`,
      );
    const spareBits = field.#bytes.length * 8 - chunkCount;
    const last = bytes[bytes.length - 1] ?? 0;
    if ((last & ((1 << spareBits) - 1)) !== 0)
      throw new ShoalError('protocol', 'a bitfield has bits beyond its last chunk');
    field.#bytes.set(bytes);
    for (const byte of bytes) field.#count += popcount8(byte);
    return field;
  }

  /** Number of members. */
  get count(): number {
    return this.#count;
  }

  get isFull(): boolean {
    return this.#count === this.chunkCount;
  }

  has(chunkIndex: number): boolean {
    return ((this.#bytes[chunkIndex >> 3] ?? 0) & (0x80 >> (chunkIndex & 7))) !== 0;
  }

  /** Adds a chunk; says whether it was new. The index must be in range. */
  add(chunkIndex: number): boolean {
    this.#check(chunkIndex);
    if (this.has(chunkIndex)) return false;
    const at = chunkIndex >> 3;
    this.#bytes[at] = (this.#bytes[at] ?? 0) | (0x80 >> (chunkIndex & 7));
    this.#count++;
    return true;
  }

  /** Removes a chunk; says whether it was there. */
  delete(chunkIndex: number): boolean {
    this.#check(chunkIndex);
    if (!this.has(chunkIndex)) return false;
    const at = chunkIndex >> 3;
    this.#bytes[at] = (this.#bytes[at] ?? 0) & ~(0x80 >> (chunkIndex & 7));
    this.#count--;
    return true;
  }

  addAll(): void {
    this.#bytes.fill(0xff);
    const spareBits = this.#bytes.length * 8 - this.chunkCount;
    if (spareBits > 0) this.#bytes[this.#bytes.length - 1] = (0xff << spareBits) & 0xff;
    this.#count = this.chunkCount;
  }

  /** Members in ascending order. */
  *[Symbol.iterator](): IterableIterator<number> {
    for (let at = 0; at < this.#bytes.length; at++) {
      const byte = this.#bytes[at] ?? 0;
      if (byte === 0) continue;
      for (let bit = 0; bit < 8; bit++) if ((byte & (0x80 >> bit)) !== 0) yield at * 8 + bit;
    }
  }

  /** The first chunk at or after `from` that is not a member, or -1. */
  firstMissing(from = 0): number {
    for (let index = from; index < this.chunkCount;) {
      if ((index & 7) === 0 && this.#bytes[index >> 3] === 0xff) {
        index += 8;
        continue;
      }
      if (!this.has(index)) return index;
      index++;
    }
    return -1;
  }

  /** The first member at or after `from`, or -1. */
  firstMember(from = 0): number {
    return this.firstCommon(this, from);
  }

  /** The first chunk at or after `from` that is in both sets, or -1. Both must be of one content. */
  firstCommon(other: Bitfield, from = 0): number {
    const mine = this.#bytes;
    const theirs = other.#bytes;
    let at = from >> 3;
    let both = (mine[at] ?? 0) & (theirs[at] ?? 0) & (0xff >> (from & 7));
    while (both === 0) {
      if (++at >= mine.length) return -1;
      both = (mine[at] as number) & (theirs[at] as number);
    }
    return at * 8 + Math.clz32(both) - 24;
  }

  /** How many chunks are in both sets. */
  countCommon(other: Bitfield): number {
    let count = 0;
    for (let at = 0; at < this.#bytes.length; at++)
      count += popcount8((this.#bytes[at] as number) & (other.#bytes[at] as number));
    return count;
  }

  clone(): Bitfield {
    const copy = new Bitfield(this.chunkCount);
    copy.#bytes.set(this.#bytes);
    copy.#count = this.#count;
    return copy;
  }

  /** A copy of the wire bytes. */
  toBytes(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice();
  }

  #check(chunkIndex: number): void {
    if (!Number.isInteger(chunkIndex) || chunkIndex < 0 || chunkIndex >= this.chunkCount) {
      throw new ShoalError('bug', `chunk ${chunkIndex} is outside a content of ${this.chunkCount} chunks`);
    }
  }
}

function popcount8(byte: number): number {
  const pairs = byte - ((byte >> 1) & 0x55);
  const nibbles = (pairs & 0x33) + ((pairs >> 2) & 0x33);
  return (nibbles + (nibbles >> 4)) & 0x0f;
}
