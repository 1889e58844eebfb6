/**
 * Which chunks of a partial file may be believed when it is opened again. Trusts what the journal made durable, or what a process
 * of this same boot wrote; looks at everything else, and at a sample of what it trusts. Changes nothing on disk.
 */
import type { FileHandle } from 'node:fs/promises';
import { Bitfield } from '../content/bitfield.ts';
import { chunkBytes, chunkOffset, type ChunkLayout } from '../content/chunk-layout.ts';
import { bytesEqual } from '../content/digest.ts';
import * as limits from '../limits.ts';
import { cancelledError } from './disk-error.ts';
import { replayJournal } from './journal-codec.ts';

/** Whether `bytes` are the true bytes of the chunk. They must not be kept. */
export type ChunkCheck = (chunkIndex: number, bytes: Uint8Array) => Promise<boolean>;

export interface ResumeInput {
  readonly layout: ChunkLayout;
  readonly identity: Uint8Array;
  /** Undefined: nothing can be checked, so what is not trusted is fetched again. */
  readonly matches: ChunkCheck | undefined;
  readonly part: FileHandle;
  /** Size of the part as it was found. */
  readonly partBytes: number;
  /** Undefined: there is no journal, or none that can be one. */
  readonly journalBytes: Uint8Array | undefined;
  /** Of the boot that runs now. */
  readonly bootId: Uint8Array;
  /** From 0 up to, not including, 1. */
  readonly random: () => number;
  readonly onChecked?: ((byteCount: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface Resumed {
  readonly have: Bitfield;
  /** Some of it was never synced: sync the data before vouching for it. */
  readonly needsSync: boolean;
  /** Bytes that were read again and hashed. */
  readonly checkedBytes: number;
  /** Whether everything had to be looked at. */
  readonly isFullCheck: boolean;
}

export async function resumePartial(input: ResumeInput): Promise<Resumed> {
  const { layout, partBytes } = input;
  const checker = createChecker(input);
  const replay =
    input.journalBytes === undefined || partBytes !== layout.size
      ? undefined
      : replayJournal(input.journalBytes, { identity: input.identity, layout });

  if (replay !== undefined) {
    const have = replay.durable.clone();
    const doubted = [...replay.suspect];
    const isSameBoot = bytesEqual(replay.lastBootId, input.bootId);
    for (const chunkIndex of replay.recent) {
      if (isSameBoot) have.add(chunkIndex);
      else doubted.push(chunkIndex);
    }
    if (input.matches === undefined || (await checker.allMatch(sampleOf(have, input.random)))) {
      await checker.addMatching(doubted, have);
      const needsSync = have.count !== replay.durable.count;
      return { have, needsSync, checkedBytes: checker.checkedBytes, isFullCheck: false };
    }
  }

  const have = new Bitfield(layout.chunkCount);
  const wholeChunks = partBytes >= layout.size ? layout.chunkCount : Math.floor(partBytes / layout.chunkSize);
  await checker.addMatching(range(wholeChunks), have);
  return { have, needsSync: have.count > 0, checkedBytes: checker.checkedBytes, isFullCheck: true };
}

/** The first and the last trusted chunk, and one in a hundred at random, at most RESUME_SAMPLE_CHUNKS_MAX. */
function sampleOf(trusted: Bitfield, random: () => number): Set<number> {
  const first = trusted.firstMember();
  if (first < 0) return new Set();
  let last = trusted.chunkCount - 1;
  while (!trusted.has(last)) last--;
  const sample = new Set([first, last]);
  const drawCount = Math.min(limits.RESUME_SAMPLE_CHUNKS_MAX, Math.ceil(trusted.count / 100));
  for (let draw = 0; draw < drawCount; draw++) {
    const member = trusted.firstMember(Math.floor(random() * trusted.chunkCount));
    sample.add(member < 0 ? first : member);
  }
  return sample;
}

function createChecker(input: ResumeInput): {
  readonly checkedBytes: number;
  allMatch(chunkIndexes: Iterable<number>): Promise<boolean>;
  /** Adds to `have` those of the chunks whose bytes are true. */
  addMatching(chunkIndexes: Iterable<number>, have: Bitfield): Promise<void>;
} {
  const { layout, matches, part, signal } = input;
  const jobsMax = Math.max(
    1,
    Math.min(limits.VERIFY_JOBS_MAX, Math.floor(limits.RESUME_BUFFER_BYTES_MAX / layout.chunkSize)),
  );
  let checkedBytes = 0;

  const check = async (chunkIndex: number, buffer: Uint8Array, isTrue: ChunkCheck): Promise<boolean> => {
    const byteCount = chunkBytes(layout, chunkIndex);
    const bytes = buffer.subarray(0, byteCount);
    for (let filled = 0; filled < byteCount;) {
      const { bytesRead } = await part.read(
        bytes,
        filled,
        byteCount - filled,
        chunkOffset(layout, chunkIndex) + filled,
      );
      if (bytesRead === 0) return false;
      filled += bytesRead;
    }
    checkedBytes += byteCount;
    input.onChecked?.(byteCount);
    return isTrue(chunkIndex, bytes);
  };

  /** Runs a few checks side by side, each with its own buffer. `each` may end it by saying false. */
  const run = async (
    chunkIndexes: Iterable<number>,
    isTrue: ChunkCheck,
    each: (chunkIndex: number, isGood: boolean) => boolean,
  ): Promise<void> => {
    const rest = chunkIndexes[Symbol.iterator]();
    let ended = false;
    const lane = async (): Promise<void> => {
      let buffer: Uint8Array | undefined;
      for (let next = rest.next(); next.done !== true && !ended; next = rest.next()) {
        if (signal?.aborted === true) throw cancelledError('checking a partial file', signal);
        buffer ??= Buffer.allocUnsafeSlow(Math.min(layout.chunkSize, layout.size));
        if (!each(next.value, await check(next.value, buffer, isTrue))) ended = true;
      }
    };
    // All lanes end before an error leaves: the caller closes the descriptor then.
    const results = await Promise.allSettled(Array.from({ length: jobsMax }, lane));
    for (const result of results) if (result.status === 'rejected') throw result.reason;
  };

  return {
    get checkedBytes() {
      return checkedBytes;
    },
    async allMatch(chunkIndexes) {
      let allGood = true;
      if (matches !== undefined) await run(chunkIndexes, matches, (_chunkIndex, isGood) => (allGood &&= isGood));
      return allGood;
    },
    async addMatching(chunkIndexes, have) {
      if (matches === undefined) return;
      await run(chunkIndexes, matches, (chunkIndex, isGood) => {
        if (isGood) have.add(chunkIndex);
        return true;
      });
    },
  };
}

function* range(count: number): IterableIterator<number> {
  for (let index = 0; index < count; index++) yield index;
}
