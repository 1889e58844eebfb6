/**
 * The journal of a partial file as bytes: what is in it, and what may be believed after a crash. Pure but for CRC-32; opens nothing.
 *
 * Header, 80 bytes, integers big-endian:
 *
 *     offset  bytes  field
 *          0      8  magic "SHLJRNL" and a zero
 *          8      2  version, 1
 *         10      2  flags, 0
 *         12      4  zero
 *         16     32  identity of the content
 *         48      8  size of the content in bytes
 *         56      4  chunk size in bytes
 *         60      4  number of chunks
 *         64      8  id of the boot in which the journal was begun
 *         72      4  zero
 *         76      4  CRC-32 of the 76 bytes before
 *
 * Then records of 16 bytes: type (1), zero (3), a (4), sequence number (4), CRC-32 of the header's CRC and the 12 bytes before (4).
 * BOOT and SNAP are followed by their payload, zero-padded to a multiple of 16 with its own CRC-32 (made the same way) in the
 * last four bytes. Sequence numbers count from 1 without gaps.
 *
 *     DONE   a = chunk              verified in memory, and its write returned
 *     SYNC   a = sequence number    the data of every DONE up to it is durable
 *     LOST   a = chunk              withdrawn
 *     BOOT   a = process id         opened; payload: boot id
 *     CLEAN                         orderly stop, after a SYNC
 *     SNAP   a = bytes of bitmap    these chunks, and only these, are durable; payload: bitmap
 */
import { crc32 } from 'node:zlib';
import { Bitfield } from '../content/bitfield.ts';
import type { ChunkLayout } from '../content/chunk-layout.ts';
import { bytesEqual, SHA256_BYTES } from '../content/digest.ts';
import * as limits from '../limits.ts';
import { BOOT_ID_BYTES } from './boot-id.ts';

export const JOURNAL_HEADER_BYTES = 80;
export const JOURNAL_RECORD_BYTES = 16;
const MAGIC = new TextEncoder().encode('SHLJRNL\0');
const VERSION = 1;
const HEADER_CRC_AT = 76;

const TYPE = { done: 1, sync: 2, lost: 3, boot: 4, clean: 5, snap: 6 } as const;

export interface JournalHeader {
  /** 32 bytes: the contentId, or the SHA-256 of the whole where there is no manifest. */
  readonly identity: Uint8Array;
  readonly layout: ChunkLayout;
  readonly bootId: Uint8Array;
}

export type JournalRecord =
  | { readonly type: 'done'; readonly chunkIndex: number }
  | { readonly type: 'sync'; readonly upToSequence: number }
  | { readonly type: 'lost'; readonly chunkIndex: number }
  | { readonly type: 'boot'; readonly pid: number; readonly bootId: Uint8Array }
  | { readonly type: 'clean' }
  | { readonly type: 'snap'; readonly durable: Bitfield };

/** Whether bytes begin like a journal of ours. */
export function isJournalBytes(bytes: Uint8Array): boolean {
  return bytesEqual(bytes.subarray(0, MAGIC.length), MAGIC);
}

export function encodeJournalHeader(header: JournalHeader): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(JOURNAL_HEADER_BYTES);
  const view = new DataView(bytes.buffer);
  bytes.set(MAGIC, 0);
  view.setUint16(8, VERSION);
  bytes.set(header.identity.subarray(0, SHA256_BYTES), 16);
  view.setBigUint64(48, BigInt(header.layout.size));
  view.setUint32(56, header.layout.chunkSize);
  view.setUint32(60, header.layout.chunkCount);
  bytes.set(header.bootId.subarray(0, BOOT_ID_BYTES), 64);
  view.setUint32(HEADER_CRC_AT, crc32(bytes.subarray(0, HEADER_CRC_AT)));
  return bytes;
}

/** The CRC that binds every record to its header. */
export function headerCrc(headerBytes: Uint8Array): number {
  return viewOf(headerBytes).getUint32(HEADER_CRC_AT);
}

/** Encodes records with the sequence numbers from `firstSequence` on. */
export function encodeJournalRecords(
  records: readonly JournalRecord[],
  options: { readonly firstSequence: number; readonly headerCrc: number },
): Uint8Array<ArrayBuffer> {
  let byteCount = 0;
  for (const record of records) byteCount += JOURNAL_RECORD_BYTES + payloadBlockBytes(payloadOf(record)?.length);
  const bytes = new Uint8Array(byteCount);
  const view = new DataView(bytes.buffer);
  const seed = crcSeed(options.headerCrc);
  let at = 0;
  let sequence = options.firstSequence;
  for (const record of records) {
    view.setUint8(at, TYPE[record.type]);
    view.setUint32(at + 4, argumentOf(record));
    view.setUint32(at + 8, sequence++);
    view.setUint32(at + 12, crc32(bytes.subarray(at, at + 12), seed));
    at += JOURNAL_RECORD_BYTES;
    const payload = payloadOf(record);
    if (payload === undefined) continue;
    const end = at + payloadBlockBytes(payload.length);
    bytes.set(payload, at);
    view.setUint32(end - 4, crc32(bytes.subarray(at, end - 4), seed));
    at = end;
  }
  return bytes;
}

export interface JournalReplay {
  /** Chunks whose data was durable when it was said so. */
  readonly durable: Bitfield;
  /** Chunks written after the last barrier, by a process of the boot `lastBootId`: good if that boot still runs. */
  readonly recent: Bitfield;
  /** Chunks written without a barrier in an earlier boot: worth a look, never trust. */
  readonly suspect: Bitfield;
  readonly lastBootId: Uint8Array;
  readonly lastPid: number | undefined;
  readonly lastSequence: number;
  readonly recordCount: number;
  /** Bytes up to the last record that could be read; what follows is a torn tail. */
  readonly validByteCount: number;
  readonly isTorn: boolean;
  /** The last record says that the stop was orderly. */
  readonly isClean: boolean;
}

/**
 * Reads a journal of exactly this content; undefined when it is none or that of another. Stops at the first record that is short,
 * damaged or out of sequence: what follows never counted.
 */
export function replayJournal(
  bytes: Uint8Array,
  expected: { readonly identity: Uint8Array; readonly layout: ChunkLayout },
): JournalReplay | undefined {
  if (!hasHeaderOf(bytes, expected)) return undefined;
  const { chunkCount } = expected.layout;
  const view = viewOf(bytes);
  const seed = crcSeed(headerCrc(bytes));
  let durable = new Bitfield(chunkCount);
  let suspect = new Bitfield(chunkCount);
  /** Chunk to the sequence number of its DONE, in that order. */
  const recent = new Map<number, number>();
  let lastBootId = bytes.slice(64, 64 + BOOT_ID_BYTES);
  let lastPid: number | undefined;
  let isClean = false;
  let recordCount = 0;
  let at = JOURNAL_HEADER_BYTES;

  for (; at + JOURNAL_RECORD_BYTES <= bytes.length; recordCount++) {
    if (view.getUint32(at + 12) !== crc32(bytes.subarray(at, at + 12), seed)) break;
    if (view.getUint32(at + 8) !== recordCount + 1) break;
    const type = view.getUint8(at);
    const argument = view.getUint32(at + 4);
    const payloadBytes =
      type === TYPE.boot ? BOOT_ID_BYTES : type === TYPE.snap ? Math.ceil(chunkCount / 8) : undefined;
    const end = at + JOURNAL_RECORD_BYTES + payloadBlockBytes(payloadBytes);
    let payload = new Uint8Array(0);
    if (payloadBytes !== undefined) {
      const start = at + JOURNAL_RECORD_BYTES;
      if (end > bytes.length || view.getUint32(end - 4) !== crc32(bytes.subarray(start, end - 4), seed)) break;
      payload = bytes.slice(start, start + payloadBytes);
    }
    if ((type === TYPE.done || type === TYPE.lost) && argument >= chunkCount) break;
    if (type === TYPE.snap && argument !== payloadBytes) break;

    if (type === TYPE.done) {
      suspect.delete(argument);
      if (!durable.has(argument)) {
        recent.delete(argument);
        recent.set(argument, recordCount + 1);
      }
    } else if (type === TYPE.sync) {
      for (const [chunkIndex, sequence] of recent) {
        if (sequence > argument) break;
        recent.delete(chunkIndex);
        durable.add(chunkIndex);
      }
    } else if (type === TYPE.lost) {
      durable.delete(argument);
      suspect.delete(argument);
      recent.delete(argument);
    } else if (type === TYPE.boot) {
      if (!bytesEqual(payload, lastBootId)) {
        for (const chunkIndex of recent.keys()) suspect.add(chunkIndex);
        recent.clear();
      }
      lastBootId = payload;
      lastPid = argument;
    } else if (type === TYPE.snap) {
      const snapshot = readBitmap(payload, chunkCount);
      if (snapshot === undefined) break;
      durable = snapshot;
      suspect = new Bitfield(chunkCount);
      recent.clear();
    } else if (type !== TYPE.clean) {
      break;
    }
    isClean = type === TYPE.clean;
    at = end;
  }

  const recentField = new Bitfield(chunkCount);
  for (const chunkIndex of recent.keys()) recentField.add(chunkIndex);
  return {
    durable,
    recent: recentField,
    suspect,
    lastBootId,
    lastPid,
    lastSequence: recordCount,
    recordCount,
    validByteCount: at,
    isTorn: at !== bytes.length,
    isClean,
  };
}

/** Most bytes a journal of this layout can have; a longer file is none of ours. */
export function journalBytesMax(layout: ChunkLayout): number {
  const records = 2 * layout.chunkCount + limits.JOURNAL_SLACK_RECORDS;
  // Twice: one batch of records may pass the line before the journal is rewritten.
  return (
    JOURNAL_HEADER_BYTES + 2 * records * JOURNAL_RECORD_BYTES + payloadBlockBytes(Math.ceil(layout.chunkCount / 8))
  );
}

function hasHeaderOf(
  bytes: Uint8Array,
  expected: { readonly identity: Uint8Array; readonly layout: ChunkLayout },
): boolean {
  if (bytes.length < JOURNAL_HEADER_BYTES || !isJournalBytes(bytes)) return false;
  const view = viewOf(bytes);
  return (
    view.getUint32(HEADER_CRC_AT) === crc32(bytes.subarray(0, HEADER_CRC_AT)) &&
    view.getUint16(8) === VERSION &&
    view.getUint16(10) === 0 &&
    bytesEqual(bytes.subarray(16, 16 + SHA256_BYTES), expected.identity) &&
    view.getBigUint64(48) === BigInt(expected.layout.size) &&
    view.getUint32(56) === expected.layout.chunkSize &&
    view.getUint32(60) === expected.layout.chunkCount
  );
}

function readBitmap(bytes: Uint8Array, chunkCount: number): Bitfield | undefined {
  try {
    return Bitfield.fromBytes(bytes, chunkCount);
  } catch {
    // Spare bits are set: not written by us, so the record counts as damaged.
    return undefined;
  }
}

function argumentOf(record: JournalRecord): number {
  switch (record.type) {
    case 'done':
    case 'lost':
      return record.chunkIndex;
    case 'sync':
      return record.upToSequence;
    case 'boot':
      return record.pid;
    case 'snap':
      return Math.ceil(record.durable.chunkCount / 8);
    default:
      return 0;
  }
}

function payloadOf(record: JournalRecord): Uint8Array | undefined {
  if (record.type === 'boot') return record.bootId.subarray(0, BOOT_ID_BYTES);
  return record.type === 'snap' ? record.durable.toBytes() : undefined;
}

function payloadBlockBytes(payloadBytes: number | undefined): number {
  return payloadBytes === undefined ? 0 : Math.ceil((payloadBytes + 4) / JOURNAL_RECORD_BYTES) * JOURNAL_RECORD_BYTES;
}

function crcSeed(crc: number): number {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, crc);
  return crc32(bytes);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
