import { appendFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { sha256 } from './digest-chunk.ts';
import { seededBytes, withTempFolder } from './fixtures.ts';
import { createChunkWorkers, type ChunkWorkers } from './chunk-workers.ts';
import { createWholeDigest } from './whole-digest.ts';

type Kind = 'threads' | 'this thread';

async function workersOf(kind: Kind): Promise<ChunkWorkers> {
  const workers = createChunkWorkers({ threadCount: 2 });
  if (kind === 'threads') await workers.start();
  else workers.prepare(65_536);
  onTestFinished(() => workers.close());
  return workers;
}

describe.each(['threads', 'this thread'] as const)('createWholeDigest() on %s', { timeout: 30_000 }, (kind) => {
  it('follows several files as they grow, small and large', () =>
    withTempFolder(async (folder) => {
      const workers = await workersOf(kind);
      const sizes = [0, 5_000, 11_000_000, 12_345_678];
      await Promise.all(
        sizes.map(async (size, index) => {
          const path = join(folder, String(index));
          const bytes = seededBytes(size, index);
          await writeFile(path, '');
          const digest = createWholeDigest(path, size, workers);
          for (let at = 0; at < size; at += 3_000_000) {
            await appendFile(path, bytes.subarray(at, at + 3_000_000));
            digest.advance(Math.min(size, at + 3_000_000));
            digest.advance(at);
          }
          expect(await digest.finish(size)).toEqual(sha256(bytes));
        }),
      );
    }));

  it('rejects when it is given up, and when the file is shorter than was said', () =>
    withTempFolder(async (folder) => {
      const workers = await workersOf(kind);
      const path = join(folder, 'f');
      await writeFile(path, seededBytes(9_000_000));
      const given = createWholeDigest(path, 9_000_000_000, workers);
      given.advance(9_000_000);
      const finishing = given.finish(9_000_000_000);
      given.abort();
      await expect(finishing).rejects.toMatchObject({ code: 'cancelled' });
      const tooLong = createWholeDigest(path, 9_000_001, workers);
      await expect(tooLong.finish(9_000_001)).rejects.toMatchObject({ code: 'disk' });
      await expect(createWholeDigest(path, 20, workers).finish(20)).resolves.toHaveLength(32);
      await expect(createWholeDigest(join(folder, 'none'), 20, workers).finish(20)).rejects.toMatchObject({
        code: 'disk',
      });
    }));
});
