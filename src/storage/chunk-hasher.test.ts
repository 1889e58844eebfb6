import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ChunkHasher } from './chunk-hasher.ts';
import { seededBytes, withTempFolder } from './fixtures.ts';
import { nodeLanes, type Sha256Lanes } from './sha256-lanes.ts';

const CHUNK = 64 * 16;
const digestOf = (bytes: Uint8Array): Uint8Array => new Uint8Array(createHash('sha256').update(bytes).digest());

interface Log {
  readonly digests: Map<number, { digest: Uint8Array; isKept: boolean }>;
  readonly released: number[];
  readonly wholes: Map<number, Uint8Array>;
  readonly failed: number[];
  /** How many streams each pass had. */
  readonly passes: number[];
}

function hasher(aheadBytesMax: number): { hasher: ChunkHasher; log: Log } {
  const log: Log = { digests: new Map(), released: [], wholes: new Map(), failed: [], passes: [] };
  const node = nodeLanes();
  const lanes: Sha256Lanes = {
    ...node,
    update(stream, bytes, other, otherBytes) {
      log.passes.push(other === undefined ? 1 : 2);
      node.update(stream, bytes, other, otherBytes);
    },
  };
  const made = new ChunkHasher(
    lanes,
    {
      digested: (id, digest, isKept) => void log.digests.set(id, { digest, isKept }),
      released: (id) => void log.released.push(id),
      whole: (id, digest) => void log.wholes.set(id, digest),
      wholeFailed: (id) => void log.failed.push(id),
    },
    aheadBytesMax,
  );
  return { hasher: made, log };
}

const content = seededBytes(CHUNK * 10 + 100, 3);
const chunkAt = (index: number): Uint8Array => content.subarray(index * CHUNK, (index + 1) * CHUNK);

function put(made: ChunkHasher, index: number, bytes: Uint8Array = chunkAt(index)): void {
  made.digest({
    id: index,
    bytes,
    expected: digestOf(chunkAt(index)),
    part: { wholeId: 1, position: index * CHUNK },
  });
}

function runAll(made: ChunkHasher): void {
  while (made.hasWork) made.step();
}

describe('ChunkHasher', () => {
  it('digests chunk and whole in one pass while chunks come in order, and keeps none', () => {
    const { hasher: made, log } = hasher(CHUNK * 4);
    made.openWhole(1, '/nowhere');
    for (let index = 0; index < 11; index++) {
      put(made, index);
      runAll(made);
    }
    made.advanceWhole(1, content.length, true);
    expect(log.wholes.get(1)).toEqual(digestOf(content));
    expect(log.passes).toEqual(Array.from({ length: 11 }, () => 2));
    expect([...log.digests.values()].some(({ isKept }) => isKept)).toBe(false);
  });

  it('keeps what comes too early, pairs it later, and releases it once', () => {
    const { hasher: made, log } = hasher(CHUNK * 8);
    made.openWhole(1, '/nowhere');
    for (const index of [2, 1, 0, 5, 4, 3, 8, 7, 6, 10, 9]) {
      put(made, index);
      runAll(made);
    }
    made.advanceWhole(1, content.length, true);
    runAll(made);
    expect(log.wholes.get(1)).toEqual(digestOf(content));
    const kept = [...log.digests].filter(([, { isKept }]) => isKept).map(([id]) => id);
    expect(log.released.toSorted((a, b) => a - b)).toEqual(kept.toSorted((a, b) => a - b));
    // 22 streams; the last three may have had no company
    expect(log.passes.length).toBeLessThanOrEqual(14);
  });

  it('never lets a wrong chunk into the whole, in its turn or before it', () => {
    const { hasher: made, log } = hasher(CHUNK * 8);
    made.openWhole(1, '/nowhere');
    put(made, 0, seededBytes(CHUNK, 9));
    put(made, 1, seededBytes(CHUNK, 9));
    runAll(made);
    expect(log.digests.get(0)).toEqual({ digest: digestOf(seededBytes(CHUNK, 9)), isKept: false });
    expect(log.digests.get(1)?.isKept).toBe(false);
    for (let index = 0; index < 11; index++) put(made, index);
    // twice, as from a second source
    put(made, 4);
    runAll(made);
    made.advanceWhole(1, content.length, true);
    runAll(made);
    expect(log.wholes.get(1)).toEqual(digestOf(content));
  });

  it('reads from the file what it could not keep, and what was there before', () =>
    withTempFolder(async (folder) => {
      const path = join(folder, 'f');
      await writeFile(path, content);
      const { hasher: made, log } = hasher(CHUNK * 2);
      made.openWhole(1, path);
      made.advanceWhole(1, CHUNK * 2, false);
      for (const index of [10, 9, 8, 7, 6, 5, 4, 3, 2]) put(made, index);
      runAll(made);
      expect(log.wholes.size).toBe(0);
      made.advanceWhole(1, content.length, true);
      runAll(made);
      expect(log.wholes.get(1)).toEqual(digestOf(content));
      const kept = [...log.digests].filter(([, { isKept }]) => isKept).map(([id]) => id);
      expect(log.released.toSorted((a, b) => a - b)).toEqual(kept.toSorted((a, b) => a - b));
    }));

  it('says so when the file cannot be read, and releases what it kept when it is given up', () => {
    const { hasher: made, log } = hasher(CHUNK * 4);
    made.openWhole(1, '/nowhere/at/all');
    put(made, 3);
    runAll(made);
    made.advanceWhole(1, CHUNK, false);
    runAll(made);
    expect(log.failed).toEqual([1]);
    expect(log.released).toEqual([3]);
    made.openWhole(2, '/nowhere');
    made.feedWhole(2, CHUNK, 7, chunkAt(1));
    made.closeWhole(2);
    made.feedWhole(2, CHUNK, 8, chunkAt(1));
    expect(log.released).toEqual([3, 7, 8]);
    expect(made.hasWork).toBe(false);
  });
});
