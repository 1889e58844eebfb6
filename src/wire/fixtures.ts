/** Messages for tests: arbitrary ones that fit the wire, and a handler that writes down what a decoder delivers. */
import fc from 'fast-check';
import * as limits from '../limits.ts';
import type { FrameHandler } from './decode.ts';
import { DECLINE_CODES, GOODBYE_CODES, REJECT_CODES } from './frame.ts';
import { encodeFragmentHeader, encodeMessage } from './encode.ts';
import { fitGoodbyeText } from './goodbye.ts';
import type { BitfieldMessage, ControlMessage, FragmentHeader, HelloMessage } from './messages.ts';

/** What a stream carries, in order. */
export type Item =
  | { readonly kind: 'message'; readonly message: ControlMessage }
  | { readonly kind: 'fragment'; readonly header: FragmentHeader; readonly payload: Uint8Array };

const u16 = fc.nat(0xffff);
const u32 = fc.nat(0xffff_ffff);
const chunkIndex = fc.nat(limits.CHUNK_COUNT_MAX - 1);
const bytes = (length: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: length, maxLength: length });

export const arbitraryHello: fc.Arbitrary<HelloMessage> = fc.record({
  type: fc.constant('hello'),
  complete: fc.boolean(),
  uploadDisabled: fc.boolean(),
  listenPort: u16,
  features: u32,
  contentId: bytes(32),
  peerId: bytes(16),
  nonce: bytes(16),
  inFlightBytesMax: u32,
  grantsMax: fc.nat(limits.GRANTS_PER_LINK_MAX),
});

const arbitraryBitfield: fc.Arbitrary<BitfieldMessage> = fc
  .nat(2000)
  .chain((chunkCount) => fc.tuple(fc.constant(chunkCount), bytes(Math.ceil(chunkCount / 8))))
  .map(([chunkCount, field]) => {
    const spareBits = field.length * 8 - chunkCount;
    if (spareBits > 0) field[field.length - 1] = (field[field.length - 1] as number) & (0xff << spareBits);
    return { type: 'bitfield', chunkCount, bytes: field };
  });

function arbitraryChunks<Type extends 'have' | 'lost'>(
  type: Type,
): fc.Arbitrary<{ readonly type: Type; readonly chunkIndexes: readonly number[] }> {
  return fc.record({
    type: fc.constant(type),
    chunkIndexes: fc.array(chunkIndex, { minLength: 1, maxLength: limits.HAVE_CHUNKS_MAX }),
  });
}

const keysOf = <Key extends string>(table: Readonly<Record<Key, number>>): fc.Arbitrary<Key> =>
  fc.constantFrom(...(Object.keys(table) as Key[]));

export const arbitraryMessage: fc.Arbitrary<ControlMessage> = fc.oneof(
  arbitraryHello,
  fc.record({ type: fc.constant('auth'), mac: bytes(32) }),
  fc.record({ type: fc.constantFrom('have-all', 'have-none') }),
  arbitraryBitfield,
  arbitraryChunks('have'),
  arbitraryChunks('lost'),
  fc.record({
    type: fc.constant('grant'),
    grantId: u16,
    etaMs: u16,
    suggestions: fc.array(chunkIndex, { maxLength: limits.GRANT_SUGGESTIONS_MAX }),
  }),
  fc.record({ type: fc.constant('request'), grantId: u16, requestId: u16, chunkIndex }),
  fc.record({ type: fc.constant('decline'), grantId: u16, reason: keysOf(DECLINE_CODES) }),
  fc.record({ type: fc.constant('interest'), interested: fc.boolean(), wantedCount: u16 }),
  fc.record({ type: fc.constant('cancel'), requestId: u16 }),
  fc.record({ type: fc.constant('reject'), requestId: u16, reason: keysOf(REJECT_CODES), retryMs: u16 }),
  fc.record({ type: fc.constant('ping'), token: u32 }),
  fc.record({ type: fc.constant('pong'), token: u32, heldMicros: u32 }),
  fc.record({
    type: fc.constant('pace'),
    bytesPerSecond: fc.oneof(
      fc.integer({ min: limits.PACE_BYTES_PER_SECOND_MIN, max: 0xffff_fffe }),
      fc.constant(Number.POSITIVE_INFINITY),
    ),
  }),
  fc.record({
    type: fc.constant('pex'),
    added: fc.array(fc.record({ ip: bytes(16), port: fc.integer({ min: 1, max: 0xffff }), peerId: bytes(16) }), {
      maxLength: limits.PEX_PEERS_MAX,
    }),
    dropped: fc.array(bytes(16), { maxLength: limits.PEX_PEERS_MAX }),
  }),
  fc.record({ type: fc.constant('manifest-request'), offset: fc.nat(limits.MANIFEST_BYTES_MAX - 1) }),
  fc
    .tuple(fc.uint8Array({ minLength: 1, maxLength: 3000 }), fc.nat(10_000), fc.nat(10_000))
    .map(([part, offset, rest]) => ({
      type: 'manifest-part' as const,
      offset,
      totalBytes: Math.max(56, offset + part.length + rest),
      bytes: part,
    })),
  fc.record({
    type: fc.constant('goodbye'),
    reason: keysOf(GOODBYE_CODES),
    retryMs: u32,
    text: fc.string({ unit: 'grapheme', maxLength: 100 }).map(fitGoodbyeText),
  }),
);

export const arbitraryItem: fc.Arbitrary<Item> = fc.oneof(
  arbitraryMessage.map((message): Item => ({ kind: 'message', message })),
  fc
    .tuple(
      u16,
      chunkIndex,
      fc.nat(limits.CHUNK_SIZE_MAX_BYTES - 5000),
      fc.uint8Array({ minLength: 1, maxLength: 5000 }),
    )
    .map(([requestId, index, offset, payload]): Item => ({
      kind: 'fragment',
      header: { requestId, chunkIndex: index, offset, byteCount: payload.length },
      payload,
    })),
);

/** The bytes of a stream that carries these items. */
export function streamOf(items: readonly Item[]): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array[] = [];
  for (const item of items) {
    if (item.kind === 'message') parts.push(encodeMessage(item.message));
    else parts.push(encodeFragmentHeader(item.header), item.payload);
  }
  const stream = new Uint8Array(parts.reduce((total, part) => total + part.length, 0));
  let at = 0;
  for (const part of parts) {
    stream.set(part, at);
    at += part.length;
  }
  return stream;
}

export interface Recorder extends FrameHandler {
  readonly items: Item[];
  readonly skippedTypes: number[];
}

/** Keeps all that is delivered; `drop` says which fragments get no destination. */
export function createRecorder(drop: (header: FragmentHeader) => boolean = () => false): Recorder {
  const items: Item[] = [];
  const skippedTypes: number[] = [];
  let payload = new Uint8Array(0);
  return {
    items,
    skippedTypes,
    message: (message) => void items.push({ kind: 'message', message }),
    fragment: (header) => {
      if (drop(header)) return undefined;
      payload = new Uint8Array(header.byteCount);
      return payload;
    },
    fragmentEnd: (header) => void items.push({ kind: 'fragment', header, payload }),
    skipped: (typeId) => void skippedTypes.push(typeId),
  };
}

/** Bytes written as hex digits; blanks and everything from `|` to the end of a line are for the reader. */
export function annotatedHex(text: string): Uint8Array<ArrayBuffer> {
  const digits = text.replace(/\|.*$/gmu, '').replace(/\s/gu, '');
  return Uint8Array.from(digits.match(/../gu) ?? [], (pair) => Number.parseInt(pair, 16));
}
