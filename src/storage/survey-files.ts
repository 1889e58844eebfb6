/**
 * Looks at many files of one folder in one go, and hashes the small ones among them, with plain calls that keep the calling thread
 * busy: for worker threads, where a file then costs five system calls and no turn of an event loop. What was found travels as a few
 * arrays, because an object for each file costs more than its hash.
 */
import { closeSync, constants, fstatSync, lstatSync, openSync, readSync, type BigIntStats } from 'node:fs';
import { join } from 'node:path';
import { createChunkLayout } from '../content/chunk-layout.ts';
import { SHA256_BYTES } from '../content/digest.ts';
import { encodeManifest, parseManifest, type Manifest } from '../content/manifest.ts';
import { ShoalError, type ErrorCode } from '../errors.ts';
import { sha256 } from './digest-chunk.ts';
import { diskError, isMissing } from './disk-error.ts';
import { fileStamp, isExecutable, sameStamp, type FileStamp } from './file-stamp.ts';

export interface SurveyOrder {
  readonly folder: string;
  /** Of plain files in it, not of links. */
  readonly names: readonly string[];
  /** False: only stamps are wanted. */
  readonly hash: boolean;
  readonly chunkSize: number | undefined;
}

/** One place in each array for each name. Buffers are handed over, not copied. */
export interface SurveyAnswer {
  readonly sizes: Float64Array<ArrayBuffer>;
  readonly mtimesNs: BigInt64Array<ArrayBuffer>;
  readonly inodes: BigInt64Array<ArrayBuffer>;
  /** 1 for a file that may be executed. */
  readonly executables: Uint8Array<ArrayBuffer>;
  readonly hashedAtMs: Float64Array<ArrayBuffer>;
  /** 32 bytes for each name; what they are of a file without a manifest says nothing. */
  readonly contentIds: Uint8Array<ArrayBuffer>;
  /** One manifest after the other. */
  readonly manifests: Uint8Array<ArrayBuffer>;
  /** Where the manifest of each name ends; it begins where that before it ends, and is empty when the file was not hashed. */
  readonly manifestEnds: Float64Array<ArrayBuffer>;
  readonly failures: readonly SurveyFailure[];
}

interface SurveyFailure {
  readonly index: number;
  /** '' when there is no plain file of this name (any more). */
  readonly code: ErrorCode | '';
  readonly message: string;
  readonly hint: string;
}

/** Manifests of one survey up to so many bytes stay in one piece of memory as long as one of them does. */
const MANIFESTS_KEPT_BYTES_MAX = 64 * 1024;

/** A link that took the place of a file meanwhile may lead anywhere. */
const READ_NO_LINK = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0);

export type Surveyed =
  /** Too large to be hashed here, or not asked to be. */
  | { readonly state: 'seen'; readonly stamp: FileStamp; readonly executable: boolean }
  | {
      readonly state: 'hashed';
      readonly stamp: FileStamp;
      readonly executable: boolean;
      readonly manifest: Manifest;
      readonly hashedAtMs: number;
    }
  | { readonly state: 'nothing' }
  | { readonly state: 'failed'; readonly error: ShoalError };

/** @param buffer files that fit are hashed; it is overwritten. */
export function surveyFiles({ folder, names, hash, chunkSize }: SurveyOrder, buffer: Uint8Array): SurveyAnswer {
  const count = names.length;
  const sizes = new Float64Array(count);
  const mtimesNs = new BigInt64Array(count);
  const inodes = new BigInt64Array(count);
  const executables = new Uint8Array(count);
  const hashedAtMs = new Float64Array(count);
  const contentIds = new Uint8Array(hash ? count * SHA256_BYTES : 0);
  const manifestEnds = new Float64Array(count);
  const manifests: Uint8Array[] = [];
  const failures: SurveyFailure[] = [];
  let manifestsEnd = 0;
  for (const [index, name] of names.entries()) {
    const path = join(folder, name);
    try {
      hashedAtMs[index] = Date.now();
      const found: Looked = hash ? hashIfSmall(path, buffer, chunkSize) : { stats: statsOf(path) };
      if (found.stats === undefined) failures.push({ index, code: '', message: '', hint: '' });
      else {
        const stamp = fileStamp(found.stats);
        sizes[index] = stamp.size;
        mtimesNs[index] = stamp.mtimeNs;
        inodes[index] = stamp.inode;
        executables[index] = isExecutable(found.stats) ? 1 : 0;
      }
      if (found.manifestBytes !== undefined) {
        contentIds.set(sha256(found.manifestBytes), index * SHA256_BYTES);
        manifests.push(found.manifestBytes);
        manifestsEnd += found.manifestBytes.length;
      }
    } catch (error) {
      if (isMissing(error)) failures.push({ index, code: '', message: '', hint: '' });
      else {
        const { code, message, hint } = diskError(error, 'it cannot be read');
        failures.push({ index, code, message, hint });
      }
    }
    manifestEnds[index] = manifestsEnd;
  }
  const joined = new Uint8Array(manifestsEnd);
  let at = 0;
  for (const bytes of manifests) {
    joined.set(bytes, at);
    at += bytes.length;
  }
  return { sizes, mtimesNs, inodes, executables, hashedAtMs, contentIds, manifests: joined, manifestEnds, failures };
}

/** What an answer of our own thread says, file by file. Its contentIds are taken as they are: it computed them itself. */
export function* readSurvey(answer: SurveyAnswer): IterableIterator<Surveyed> {
  const failures = answer.failures[Symbol.iterator]();
  let failure = failures.next().value;
  for (let index = 0; index < answer.sizes.length; index++) {
    if (failure?.index === index) {
      const { code, message, hint } = failure;
      failure = failures.next().value;
      yield code === '' ? { state: 'nothing' } : { state: 'failed', error: new ShoalError(code, message, { hint }) };
      continue;
    }
    const stamp = {
      size: answer.sizes[index] as number,
      mtimeNs: answer.mtimesNs[index] as bigint,
      inode: answer.inodes[index] as bigint,
    };
    const executable = answer.executables[index] === 1;
    const start = index === 0 ? 0 : (answer.manifestEnds[index - 1] as number);
    const end = answer.manifestEnds[index] as number;
    if (start === end) {
      yield { state: 'seen', stamp, executable };
      continue;
    }
    const contentId = answer.contentIds.subarray(index * SHA256_BYTES, (index + 1) * SHA256_BYTES);
    // many manifests together: a copy, so that one that stays does not keep them all; a few: memory of its own would cost more than that
    const isMuch = answer.manifests.length > MANIFESTS_KEPT_BYTES_MAX;
    const bytes = isMuch ? answer.manifests.slice(start, end) : answer.manifests.subarray(start, end);
    const manifest = parseManifest(bytes, () => contentId);
    yield { state: 'hashed', stamp, executable, manifest, hashedAtMs: answer.hashedAtMs[index] as number };
  }
}

/** The buffers to hand over with an answer. */
export function surveyBuffers(answer: SurveyAnswer): ArrayBuffer[] {
  const { sizes, mtimesNs, inodes, executables, hashedAtMs, contentIds, manifests, manifestEnds } = answer;
  return [sizes, mtimesNs, inodes, executables, hashedAtMs, contentIds, manifests, manifestEnds].map(
    ({ buffer }) => buffer,
  );
}

/** Undefined: not a plain file. */
function statsOf(path: string): BigIntStats | undefined {
  const stats = lstatSync(path, { bigint: true });
  return stats.isFile() ? stats : undefined;
}

interface Looked {
  /** Undefined: not a plain file. */
  readonly stats: BigIntStats | undefined;
  /** Of a file that was small enough, and did not change meanwhile. */
  readonly manifestBytes?: Uint8Array | undefined;
}

function hashIfSmall(path: string, buffer: Uint8Array, chunkSize: number | undefined): Looked {
  const descriptor = openSync(path, READ_NO_LINK);
  try {
    const stats = fstatSync(descriptor, { bigint: true });
    if (!stats.isFile()) return { stats: undefined };
    const stamp = fileStamp(stats);
    if (stamp.size > buffer.length) return { stats };
    for (let filled = 0; filled < stamp.size;) {
      const byteCount = readSync(descriptor, buffer, filled, stamp.size - filled, filled);
      if (byteCount === 0) return { stats };
      filled += byteCount;
    }
    // by path, not by descriptor: a file that was replaced is not the one that was read either; it is looked at again, alone
    if (!sameStamp(stamp, fileStamp(lstatSync(path, { bigint: true })))) return { stats };
    return { stats, manifestBytes: manifestOf(buffer.subarray(0, stamp.size), chunkSize) };
  } finally {
    closeSync(descriptor);
  }
}

function manifestOf(bytes: Uint8Array, chunkSize: number | undefined): Uint8Array {
  const layout = createChunkLayout(bytes.length, chunkSize);
  const whole = sha256(bytes);
  // a content of one chunk has the same digest twice
  if (layout.chunkCount <= 1) return encodeManifest(layout, whole, layout.chunkCount === 0 ? EMPTY : whole);
  const chunks = new Uint8Array(layout.chunkCount * SHA256_BYTES);
  for (let chunk = 0; chunk < layout.chunkCount; chunk++) {
    const start = chunk * layout.chunkSize;
    chunks.set(sha256(bytes.subarray(start, start + layout.chunkSize)), chunk * SHA256_BYTES);
  }
  return encodeManifest(layout, whole, chunks);
}

const EMPTY = new Uint8Array(0);
