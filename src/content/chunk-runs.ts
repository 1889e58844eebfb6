/**
 * A set of chunks as the lengths of its runs: missing ones and ones that are there, in turns, each length a varint. The first run is of
 * missing chunks and may be empty, no other may; the last is of chunks that are there. So every set has one coding, and none has no bytes.
 * Whoever reads in order has few runs; who has fetched half of a content by chance has so many that its bits are shorter
 * (docs/decisions/0013-chunk-runs.md).
 */
import { ShoalError } from '../errors.ts';
import { Bitfield } from './bitfield.ts';

const VARINT_BYTES_MAX = 3;

/** undefined: it takes more than `bytesMax`; that is found out after as many runs. */
export function encodeRuns(map: Bitfield, bytesMax: number): Uint8Array<ArrayBuffer> | undefined {
  const bytes: number[] = [];
  let at = 0;
  for (let start = map.firstMember(); start >= 0; start = at === map.chunkCount ? -1 : map.firstMember(at)) {
    const missingAt = map.firstMissing(start);
    const end = missingAt < 0 ? map.chunkCount : missingAt;
    pushVarint(bytes, start - at);
    pushVarint(bytes, end - start);
    if (bytes.length > bytesMax) return undefined;
    at = end;
  }
  return new Uint8Array(bytes);
}

/** Throws `protocol` for what is no coding of a set of so many chunks. */
export function decodeRuns(bytes: Uint8Array, chunkCount: number): Bitfield {
  const map = new Bitfield(chunkCount);
  let index = 0;
  let isThere = false;
  for (let at = 0; at < bytes.length; isThere = !isThere) {
    const isFirst = at === 0;
    let length = 0;
    let byteCount = 0;
    let byte: number;
    do {
      byte = bytes[at++] ?? 0x80;
      length += (byte & 0x7f) * 0x80 ** byteCount++;
    } while (byte >= 0x80 && byteCount < VARINT_BYTES_MAX);
    // a last byte of nothing would be a second way to write it
    if (byte >= 0x80 || (byte === 0 && byteCount > 1)) throw broken('a run without an end');
    if (length === 0 && !isFirst) throw broken('an empty run');
    if (index + length > chunkCount) throw broken(`runs of more than ${chunkCount} chunks`);
    if (isThere) for (const end = index + length; index < end; index++) map.add(index);
    else index += length;
  }
  if (isThere) throw broken('a last run of chunks that are missing');
  return map;
}

function pushVarint(bytes: number[], value: number): void {
  let rest = value;
  for (; rest > 0x7f; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  bytes.push(rest);
}

function broken(what: string): ShoalError {
  return new ShoalError('protocol', `a map of chunks has ${what}`);
}
