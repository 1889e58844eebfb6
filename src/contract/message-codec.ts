/**
 * Messages of the tracker's contract as bytes, and back: protobuf for the few kinds of fields that proto/ uses, driven by a table of
 * fields for each message (see messages.ts). For the side that starts often: a `shoal get` is done before the full runtime, with its
 * descriptors and reflection, would be loaded. Bytes come from outside: nothing is read past its end, and what this version does not know
 * is passed over.
 */
import { ShoalError } from '../errors.ts';

/** `uint64` is a number here: what is larger than a number holds exactly is refused. `enum` is its number. */
export type Scalar = 'string' | 'bytes' | 'bool' | 'uint32' | 'uint64' | 'enum';

export interface Field {
  /** As in proto/. */
  readonly number: number;
  readonly type: Scalar | Fields;
  readonly repeated: boolean;
}

/** The fields of one message, by the names the program uses. */
export interface Fields {
  readonly [name: string]: Field;
}

interface One<N extends number, T extends Scalar | Fields> extends Field {
  readonly number: N;
  readonly type: T;
  readonly repeated: false;
}

interface Many<N extends number, T extends Scalar | Fields> extends Field {
  readonly number: N;
  readonly type: T;
  readonly repeated: true;
}

type Item<T> = T extends 'string'
  ? string
  : T extends 'bytes'
    ? Uint8Array<ArrayBuffer>
    : T extends 'bool'
      ? boolean
      : T extends Scalar
        ? number
        : T extends Fields
          ? MessageOf<T>
          : never;

/** What a message decodes to: every field is there, a message within it only when it was sent. */
export type MessageOf<F extends Fields> = {
  readonly [K in keyof F]: F[K]['repeated'] extends true
    ? readonly Item<F[K]['type']>[]
    : F[K]['type'] extends Scalar
      ? Item<F[K]['type']>
      : Item<F[K]['type']> | undefined;
};

type InputItem<T> = T extends 'bytes' ? Uint8Array : T extends Scalar ? Item<T> : T extends Fields ? InputOf<T> : never;

/** What a message is encoded from: a field left out has its default. */
export type InputOf<F extends Fields> = {
  readonly [K in keyof F]?:
    | (F[K]['repeated'] extends true ? readonly InputItem<F[K]['type']>[] : InputItem<F[K]['type']>)
    | undefined;
};

export function one<const N extends number, const T extends Scalar | Fields>(number: N, type: T): One<N, T> {
  return { number, type, repeated: false };
}

export function many<const N extends number, const T extends Scalar | Fields>(number: N, type: T): Many<N, T> {
  return { number, type, repeated: true };
}

/** How a value follows its tag. */
const VARINT = 0;
const FIXED64 = 1;
const DELIMITED = 2;
const FIXED32 = 5;

const VARINT_BYTES_MAX = 10;

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export function encodeMessage<F extends Fields>(fields: F, message: InputOf<F>): Uint8Array<ArrayBuffer> {
  const writer = new Writer();
  writeMessage(writer, fields, message);
  return writer.bytes();
}

/** Throws `protocol` for bytes that are no such message. */
export function decodeMessage<F extends Fields>(fields: F, bytes: Uint8Array<ArrayBuffer>): MessageOf<F> {
  return readMessage(new Reader(bytes), fields) as MessageOf<F>;
}

// ---- writing ---------------------------------------------------------------------------------------------------------------

function writeMessage(writer: Writer, fields: Fields, message: Readonly<Record<string, unknown>>): void {
  for (const [name, { number, type, repeated }] of tableOf(fields).entries) {
    const value = message[name];
    if (value === undefined) continue;
    if (!repeated) {
      if (!isDefault(value)) writeField(writer, number, type, value);
    } else if (isPacked(type)) {
      const values = value as readonly unknown[];
      if (values.length === 0) continue;
      const packed = new Writer();
      for (const item of values) writeScalar(packed, type, item);
      writer.tag(number, DELIMITED);
      writer.delimited(packed.bytes());
    } else for (const item of value as readonly unknown[]) writeField(writer, number, type, item);
  }
}

function writeField(writer: Writer, number: number, type: Scalar | Fields, value: unknown): void {
  if (typeof type === 'string') {
    writer.tag(number, type === 'string' || type === 'bytes' ? DELIMITED : VARINT);
    writeScalar(writer, type, value);
    return;
  }
  writer.tag(number, DELIMITED);
  const start = writer.beginDelimited();
  writeMessage(writer, type, value as Readonly<Record<string, unknown>>);
  writer.endDelimited(start);
}

function writeScalar(writer: Writer, type: Scalar, value: unknown): void {
  switch (type) {
    case 'string':
      writer.delimited(encoder.encode(value as string));
      return;
    case 'bytes':
      writer.delimited(value as Uint8Array);
      return;
    case 'bool':
      writer.varint(value === true ? 1 : 0);
      return;
    case 'uint32':
    case 'enum':
      checkNumber(value as number, 0xffff_ffff);
      writer.varint(value as number);
      return;
    case 'uint64':
      checkNumber(value as number, Number.MAX_SAFE_INTEGER);
      writer.varint(value as number);
  }
}

function isDefault(value: unknown): boolean {
  return value === '' || value === 0 || value === false || (value instanceof Uint8Array && value.length === 0);
}

function isPacked(type: Scalar | Fields): type is Scalar {
  return typeof type === 'string' && type !== 'string' && type !== 'bytes';
}

function checkNumber(value: number, max: number): void {
  if (!Number.isSafeInteger(value) || value < 0 || value > max)
    throw new ShoalError('bug', `${value} is no number for a message to the tracker`);
}

const WRITER_BYTES_START = 64;

class Writer {
  #bytes = new Uint8Array(WRITER_BYTES_START);
  #length = 0;

  bytes(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.#length);
  }

  tag(number: number, wireType: number): void {
    this.varint(number * 8 + wireType);
  }

  varint(value: number): void {
    this.#reserve(VARINT_BYTES_MAX);
    let rest = value;
    // not with shifts: they would cut it to 32 bits
    for (; rest > 0x7f; rest = Math.floor(rest / 0x80)) this.#bytes[this.#length++] = (rest % 0x80) | 0x80;
    this.#bytes[this.#length++] = rest;
  }

  delimited(bytes: Uint8Array): void {
    this.varint(bytes.length);
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** What is written until `endDelimited` is preceded by its length. */
  beginDelimited(): number {
    this.#reserve(1);
    return ++this.#length;
  }

  endDelimited(start: number): void {
    const byteCount = this.#length - start;
    let lengthBytes = 1;
    for (let rest = byteCount; rest > 0x7f; rest = Math.floor(rest / 0x80)) lengthBytes++;
    // there is room for one byte, which is enough for nearly all
    this.#reserve(lengthBytes);
    if (lengthBytes > 1) this.#bytes.copyWithin(start + lengthBytes - 1, start, this.#length);
    this.#length = start - 1;
    this.varint(byteCount);
    this.#length += byteCount;
  }

  #reserve(byteCount: number): void {
    const needed = this.#length + byteCount;
    if (needed <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
    larger.set(this.bytes());
    this.#bytes = larger;
  }
}

// ---- reading ---------------------------------------------------------------------------------------------------------------

function readMessage(reader: Reader, fields: Fields): Readonly<Record<string, unknown>> {
  const message: Record<string, unknown> = {};
  const { entries, byNumber } = tableOf(fields);
  for (const [name, { type, repeated }] of entries) message[name] = repeated ? [] : defaultOf(type);
  while (!reader.atEnd) {
    const { number, wireType } = reader.tag();
    const [name, field] = byNumber.get(number) ?? [];
    if (name === undefined || field === undefined) reader.skip(wireType);
    else if (field.repeated) readItems(reader, field.type, wireType, message[name] as unknown[]);
    else message[name] = readValue(reader, field.type, wireType);
  }
  return message;
}

function readItems(reader: Reader, type: Scalar | Fields, wireType: number, items: unknown[]): void {
  if (!isPacked(type) || wireType !== DELIMITED) {
    items.push(readValue(reader, type, wireType));
    return;
  }
  const packed = new Reader(reader.delimited());
  while (!packed.atEnd) items.push(readValue(packed, type, VARINT));
}

function readValue(reader: Reader, type: Scalar | Fields, wireType: number): unknown {
  const expected = isPacked(type) ? VARINT : DELIMITED;
  if (wireType !== expected) throw broken('a field of another type');
  if (typeof type !== 'string') return readMessage(new Reader(reader.delimited()), type);
  switch (type) {
    case 'string':
      return text(reader.delimited());
    case 'bytes':
      return reader.delimited();
    case 'bool':
      return reader.varint() !== 0n;
    case 'uint32':
    case 'enum':
      return Number(BigInt.asUintN(32, reader.varint()));
    case 'uint64': {
      const value = reader.varint();
      if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw broken(`the number ${value}`);
      return Number(value);
    }
  }
}

function defaultOf(type: Scalar | Fields): unknown {
  if (typeof type !== 'string') return undefined;
  if (type === 'string') return '';
  if (type === 'bytes') return new Uint8Array(0);
  return type === 'bool' ? false : 0;
}

/** The fields of a message as they are gone through. */
interface Table {
  readonly entries: readonly (readonly [name: string, field: Field])[];
  readonly byNumber: ReadonlyMap<number, readonly [name: string, field: Field]>;
}

const tables = new WeakMap<Fields, Table>();

function tableOf(fields: Fields): Table {
  let table = tables.get(fields);
  if (table === undefined) {
    const entries = Object.entries(fields);
    table = { entries, byNumber: new Map(entries.map((entry) => [entry[1].number, entry])) };
    tables.set(fields, table);
  }
  return table;
}

function text(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch (error) {
    throw broken('text that is not UTF-8', error);
  }
}

function broken(what: string, cause?: unknown): ShoalError {
  return new ShoalError('protocol', `the tracker sent ${what}`, { cause });
}

class Reader {
  readonly #bytes: Uint8Array<ArrayBuffer>;
  #at = 0;

  constructor(bytes: Uint8Array<ArrayBuffer>) {
    this.#bytes = bytes;
  }

  get atEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  tag(): { readonly number: number; readonly wireType: number } {
    const tag = Number(this.varint());
    const number = Math.floor(tag / 8);
    if (number < 1 || number >= 2 ** 29) throw broken('a field without a number');
    return { number, wireType: tag % 8 };
  }

  /** Below 2^64. */
  varint(): bigint {
    // nearly all are short, and then need no bigints on the way
    let low = 0;
    let factor = 1;
    for (let byteCount = 0; byteCount < 7; byteCount++) {
      const byte = this.#byte();
      low += (byte & 0x7f) * factor;
      if (byte < 0x80) return BigInt(low);
      factor *= 0x80;
    }
    let value = BigInt(low);
    for (let byteCount = 7; byteCount < VARINT_BYTES_MAX; byteCount++) {
      const byte = this.#byte();
      value |= BigInt(byte & 0x7f) << BigInt(7 * byteCount);
      if (byte < 0x80) return BigInt.asUintN(64, value);
    }
    throw broken('a number without an end');
  }

  /** A view of the bytes it is read from. */
  delimited(): Uint8Array<ArrayBuffer> {
    const byteCount = this.varint();
    const left = this.#bytes.length - this.#at;
    if (byteCount > BigInt(left)) throw broken('a message that is cut short');
    const start = this.#at;
    this.#at += Number(byteCount);
    return this.#bytes.subarray(start, this.#at);
  }

  skip(wireType: number): void {
    if (wireType === VARINT) this.varint();
    else if (wireType === DELIMITED) this.delimited();
    else if (wireType === FIXED64) this.#pass(8);
    else if (wireType === FIXED32) this.#pass(4);
    else throw broken('a field of a type that no message has');
  }

  #pass(byteCount: number): void {
    if (byteCount > this.#bytes.length - this.#at) throw broken('a message that is cut short');
    this.#at += byteCount;
  }

  #byte(): number {
    const byte = this.#bytes[this.#at++];
    if (byte === undefined) throw broken('a message that is cut short');
    return byte;
  }
}
