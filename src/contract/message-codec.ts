/**
 * Messages of the tracker's contract as bytes, and back: protobuf for the few kinds of fields that proto/ uses, driven by a table of
 * fields for each message (see messages.ts). For the side that starts often: a `shoal get` is done before the full runtime, with its
 * descriptors and reflection, would be loaded. And for the calls that come ten thousand times a second. Bytes come from outside: nothing
 * is read past its end, and what this version does not know is passed over.
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

const NO_BYTES = new Uint8Array(0);
const NO_ITEMS: readonly never[] = Object.freeze([]);

export function encodeMessage<F extends Fields>(fields: F, message: InputOf<F>): Uint8Array<ArrayBuffer> {
  scratch.reset();
  writeMessage(scratch, tableOf(fields), message);
  return scratch.bytes();
}

/** Throws `protocol` for bytes that are no such message. Fields of bytes are views of those that are read. */
export function decodeMessage<F extends Fields>(fields: F, bytes: Uint8Array<ArrayBuffer>): MessageOf<F> {
  return readMessage(new Reader(bytes), tableOf(fields)) as MessageOf<F>;
}

// ---- tables ----------------------------------------------------------------------------------------------------------------

/** A field as it is gone through. */
interface Entry {
  readonly name: string;
  readonly number: number;
  /** `message`: as `table` says. */
  readonly type: Scalar | 'message';
  readonly table: Table | undefined;
  readonly repeated: boolean;
  readonly isPacked: boolean;
}

interface Table {
  readonly entries: readonly Entry[];
  /** By their numbers, which are small. */
  readonly byNumber: readonly (Entry | undefined)[];
  /** A message with nothing in it. */
  readonly empty: Readonly<Record<string, unknown>>;
}

const tables = new WeakMap<Fields, Table>();

function tableOf(fields: Fields): Table {
  const known = tables.get(fields);
  if (known !== undefined) return known;
  const entries = Object.entries(fields).map(([name, { number, type, repeated }]): Entry => {
    if (typeof type !== 'string')
      return { name, number, type: 'message', table: tableOf(type), repeated, isPacked: false };
    const isPacked = type !== 'string' && type !== 'bytes';
    return { name, number, type, table: undefined, repeated, isPacked };
  });
  const byNumber: (Entry | undefined)[] = [];
  for (const entry of entries) byNumber[entry.number] = entry;
  const empty = Object.fromEntries(
    entries.map(({ name, type, repeated }) => [name, repeated ? NO_ITEMS : defaultOf(type)]),
  );
  const table = { entries, byNumber: Array.from(byNumber), empty };
  tables.set(fields, table);
  return table;
}

function defaultOf(type: Entry['type']): unknown {
  if (type === 'message') return undefined;
  if (type === 'string') return '';
  if (type === 'bytes') return NO_BYTES;
  return type === 'bool' ? false : 0;
}

// ---- writing ---------------------------------------------------------------------------------------------------------------

function writeMessage(writer: Writer, { entries }: Table, message: Readonly<Record<string, unknown>>): void {
  for (const entry of entries) {
    const value = message[entry.name];
    if (value === undefined) continue;
    if (!entry.repeated) {
      if (!isDefault(value)) writeField(writer, entry, value);
      continue;
    }
    const items = value as readonly unknown[];
    if (items.length === 0) continue;
    if (entry.isPacked) {
      writer.tag(entry.number, DELIMITED);
      const start = writer.beginDelimited();
      for (const item of items) writeScalar(writer, entry.type, item);
      writer.endDelimited(start);
    } else for (const item of items) writeField(writer, entry, item);
  }
}

function writeField(writer: Writer, { number, type, table }: Entry, value: unknown): void {
  if (table === undefined) {
    writer.tag(number, type === 'string' || type === 'bytes' ? DELIMITED : VARINT);
    writeScalar(writer, type, value);
    return;
  }
  writer.tag(number, DELIMITED);
  const start = writer.beginDelimited();
  writeMessage(writer, table, value as Readonly<Record<string, unknown>>);
  writer.endDelimited(start);
}

function writeScalar(writer: Writer, type: Entry['type'], value: unknown): void {
  switch (type) {
    case 'string':
      writer.text(value as string);
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
      return;
    case 'message':
      throw new ShoalError('bug', 'a message is no scalar');
  }
}

function isDefault(value: unknown): boolean {
  return value === '' || value === 0 || value === false || (value instanceof Uint8Array && value.length === 0);
}

function checkNumber(value: number, max: number): void {
  if (!Number.isSafeInteger(value) || value < 0 || value > max)
    throw new ShoalError('bug', `${value} is no number for a message to the tracker`);
}

const WRITER_BYTES_START = 1_024;
/** What a larger message took is not kept for the next one. */
const WRITER_BYTES_KEPT_MAX = 64 * 1_024;
/** A longer text is left to the encoder. */
const PLAIN_TEXT_CHARS_MAX = 127;

class Writer {
  #bytes = new Uint8Array(WRITER_BYTES_START);
  #length = 0;

  reset(): void {
    this.#length = 0;
  }

  /** A copy of what was written. */
  bytes(): Uint8Array<ArrayBuffer> {
    const written = this.#bytes.slice(0, this.#length);
    if (this.#bytes.length > WRITER_BYTES_KEPT_MAX) this.#bytes = new Uint8Array(WRITER_BYTES_START);
    return written;
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

  /** In UTF-8; nearly all are short and ASCII. */
  text(text: string): void {
    const { length } = text;
    if (length > PLAIN_TEXT_CHARS_MAX) {
      this.delimited(encoder.encode(text));
      return;
    }
    this.#reserve(1 + length);
    const start = this.#length;
    let at = start;
    this.#bytes[at++] = length;
    for (let index = 0; index < length; index++) {
      const code = text.charCodeAt(index);
      if (code > 0x7f) {
        this.delimited(encoder.encode(text));
        return;
      }
      this.#bytes[at++] = code;
    }
    this.#length = at;
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
    larger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = larger;
  }
}

/** One for all: a message is written in one go. */
const scratch = new Writer();

// ---- reading ---------------------------------------------------------------------------------------------------------------

function readMessage(reader: Reader, { byNumber, empty }: Table): Readonly<Record<string, unknown>> {
  const message: Record<string, unknown> = { ...empty };
  while (!reader.atEnd) {
    const tag = reader.tag();
    const wireType = tag & 7;
    const entry = byNumber[tag >>> 3];
    if (entry === undefined) reader.skip(wireType);
    else if (entry.repeated) readItems(reader, entry, wireType, message);
    else {
      // two of a message would have to be put together as one
      if (entry.table !== undefined && message[entry.name] !== undefined) throw broken('a message twice');
      message[entry.name] = readValue(reader, entry, wireType);
    }
  }
  return message;
}

function readItems(reader: Reader, entry: Entry, wireType: number, message: Record<string, unknown>): void {
  let items = message[entry.name] as unknown[];
  if ((items as readonly unknown[]) === NO_ITEMS) message[entry.name] = items = [];
  if (!entry.isPacked || wireType !== DELIMITED) {
    items.push(readValue(reader, entry, wireType));
    return;
  }
  const outer = reader.enter();
  while (!reader.atEnd) items.push(readValue(reader, entry, VARINT));
  reader.leave(outer);
}

function readValue(reader: Reader, { type, table, isPacked }: Entry, wireType: number): unknown {
  // what can be packed is what is a number
  if (wireType !== (isPacked ? VARINT : DELIMITED)) throw broken('a field of another type');
  switch (type) {
    case 'string':
      return text(reader.delimited());
    case 'bytes':
      return reader.delimited();
    case 'bool':
      return reader.varint() !== 0;
    case 'uint32':
    case 'enum':
      return reader.uint32();
    case 'uint64': {
      const value = reader.varint();
      if (value > Number.MAX_SAFE_INTEGER) throw broken(`the number ${value}`);
      return value;
    }
    case 'message': {
      const outer = reader.enter();
      const message = readMessage(reader, table as Table);
      reader.leave(outer);
      return message;
    }
  }
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
  /** Of the message that is being read. */
  #end: number;

  constructor(bytes: Uint8Array<ArrayBuffer>) {
    this.#bytes = bytes;
    this.#end = bytes.length;
  }

  get atEnd(): boolean {
    return this.#at === this.#end;
  }

  /** Goes into what is delimited here, until `leave`, which is to be given what this gives. */
  enter(): number {
    const byteCount = this.#byteCount();
    const outer = this.#end;
    this.#end = this.#at + byteCount;
    return outer;
  }

  leave(outer: number): void {
    this.#end = outer;
  }

  /** A number and a wire type, in 32 bits. */
  tag(): number {
    const tag = this.varint();
    if (tag < 8 || tag > 0xffff_ffff) throw broken('a field without a number');
    return tag;
  }

  /** Exact up to the largest safe integer; of what is larger that it is. */
  varint(): number {
    let byte = this.#byte();
    if (byte < 0x80) return byte;
    let value = byte & 0x7f;
    let factor = 0x80;
    for (let byteCount = 1; byteCount < VARINT_BYTES_MAX; byteCount++) {
      byte = this.#byte();
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
      factor *= 0x80;
    }
    throw broken('a number without an end');
  }

  /** Of a larger number the lowest 32 bits. */
  uint32(): number {
    let byte = this.#byte();
    if (byte < 0x80) return byte;
    let value = byte & 0x7f;
    for (let byteCount = 1; byteCount < VARINT_BYTES_MAX; byteCount++) {
      byte = this.#byte();
      if (byteCount < 5) value |= (byte & 0x7f) << (7 * byteCount);
      if (byte < 0x80) return value >>> 0;
    }
    throw broken('a number without an end');
  }

  /** A view of the bytes it is read from. */
  delimited(): Uint8Array<ArrayBuffer> {
    const byteCount = this.#byteCount();
    const start = this.#at;
    this.#at += byteCount;
    return this.#bytes.subarray(start, this.#at);
  }

  skip(wireType: number): void {
    if (wireType === VARINT) this.varint();
    else if (wireType === DELIMITED) this.#pass(this.#byteCount());
    else if (wireType === FIXED64) this.#pass(8);
    else if (wireType === FIXED32) this.#pass(4);
    else throw broken('a field of a type that no message has');
  }

  #byteCount(): number {
    const byteCount = this.varint();
    if (byteCount > this.#end - this.#at) throw broken('a message that is cut short');
    return byteCount;
  }

  #pass(byteCount: number): void {
    if (byteCount > this.#end - this.#at) throw broken('a message that is cut short');
    this.#at += byteCount;
  }

  #byte(): number {
    if (this.#at >= this.#end) throw broken('a message that is cut short');
    return this.#bytes[this.#at++] as number;
  }
}
