import { appendFile, mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { digestChunk, sha256 } from './digest-chunk.ts';
import { manifestOf, seededBytes, withTempFolder } from './fixtures.ts';
import { hashFile, hashSmallFileSync } from './hash-file.ts';
import { createHashPool } from './hash-pool.ts';
import { verifyFile } from './verify-file.ts';

describe('digestChunk()', () => {
  it('is the SHA-256 on the pool and off it', async () => {
    for (const byteCount of [0, 1, 65_535, 65_536, 200_000]) {
      const bytes = seededBytes(byteCount);
      expect(await digestChunk(bytes)).toEqual(sha256(bytes));
    }
  });
});

describe('hashFile()', () => {
  it.each([
    [0, undefined],
    [1, undefined],
    [65_536, undefined],
    [65_537, undefined],
    [3_000_001, undefined],
    [5_000_000, 16_384],
    [3_000_000, 8 * 1024 * 1024],
  ])('makes the manifest of %i bytes with chunk size %s', (byteCount, chunkSize) =>
    withTempFolder(async (folder) => {
      const bytes = seededBytes(byteCount);
      const path = join(folder, 'f');
      await writeFile(path, bytes);
      let hashedBytes = 0;
      const { manifest, stamp } = await hashFile(path, { chunkSize, onBytes: (count) => (hashedBytes += count) });
      expect(manifest).toEqual(manifestOf(bytes, chunkSize));
      expect([stamp.size, hashedBytes]).toEqual([byteCount, byteCount]);
      const small = hashSmallFileSync(path, new Uint8Array(65_536), chunkSize);
      if (manifest.chunkCount <= 1 && byteCount <= 65_536) expect(small?.manifest).toEqual(manifest);
      else expect(small).toBeUndefined();
    }),
  );

  it('refuses a file that grows, or is replaced, while it is read', () =>
    withTempFolder(async (folder) => {
      const path = join(folder, 'f');
      await writeFile(path, seededBytes(4_000_000));
      const appends: Promise<void>[] = [];
      const growing = hashFile(path, { onBytes: () => void appends.push(appendFile(path, 'x')) });
      await expect(growing).rejects.toMatchObject({ code: 'conflict', message: `${path} changed while it was hashed` });
      await Promise.all(appends);
      await writeFile(join(folder, 'other'), seededBytes(4_000_000, 2));
      let renamed: Promise<void> | undefined;
      const replaced = hashFile(path, { onBytes: () => void (renamed ??= rename(join(folder, 'other'), path)) });
      await expect(replaced).rejects.toMatchObject({ code: 'conflict' });
      await renamed;
    }));

  it('ends when it is told to, and says what cannot be read', () =>
    withTempFolder(async (folder) => {
      const path = join(folder, 'f');
      await writeFile(path, seededBytes(4_000_000));
      const abort = new AbortController();
      const hashing = hashFile(path, { signal: abort.signal, onBytes: () => abort.abort() });
      await expect(hashing).rejects.toMatchObject({ code: 'cancelled' });
      await expect(hashFile(join(folder, 'none'))).rejects.toMatchObject({ code: 'disk' });
      await mkdir(join(folder, 'd'));
      await expect(hashFile(join(folder, 'd'))).rejects.toMatchObject({ code: 'usage' });
    }));
});

describe('createHashPool()', { timeout: 30_000 }, () => {
  it('hashes many files on threads as one does alone, and reports every byte', () =>
    withTempFolder(async (folder) => {
      const pool = createHashPool({ workersMax: 2 });
      try {
        const sizes = [...Array.from({ length: 60 }, (_, index) => index * 700), 9_000_000];
        let hashedBytes = 0;
        const hashing = sizes.map(async (size, index) => {
          const path = join(folder, String(index));
          const bytes = seededBytes(size, index);
          await writeFile(path, bytes);
          const hashed = await pool.hash(path, size, { onBytes: (count) => (hashedBytes += count) });
          expect(hashed.manifest).toEqual(manifestOf(bytes));
        });
        await Promise.all(hashing);
        expect(hashedBytes).toBe(sizes.reduce((sum, size) => sum + size, 0));
        await expect(pool.hash(join(folder, 'none'), 2_000_000)).rejects.toMatchObject({ code: 'disk' });
        expect(pool.pendingCount).toBe(0);
      } finally {
        await pool.close();
      }
    }));

  it('drops what is cancelled, and rejects what is under way when it closes', () =>
    withTempFolder(async (folder) => {
      const path = join(folder, 'f');
      await writeFile(path, seededBytes(6_000_000));
      const pool = createHashPool({ workersMax: 1 });
      const abort = new AbortController();
      const first = pool.hash(path, 6_000_000, { signal: abort.signal });
      const second = pool.hash(path, 6_000_000, { signal: abort.signal });
      const third = pool.hash(path, 6_000_000);
      abort.abort();
      await expect(first).rejects.toMatchObject({ code: 'cancelled' });
      await expect(second).rejects.toMatchObject({ code: 'cancelled' });
      await third;
      const fourth = pool.hash(path, 6_000_000);
      const closed = pool.close();
      await expect(fourth).rejects.toMatchObject({ code: 'cancelled' });
      await closed;
    }));
});

describe('verifyFile()', () => {
  it('says what a file is and which chunks differ from a manifest', () =>
    withTempFolder(async (folder) => {
      const path = join(folder, 'f');
      const bytes = seededBytes(100_000);
      await writeFile(path, bytes);
      const plain = await verifyFile(path);
      expect(plain).toMatchObject({ size: 100_000, contentId: manifestOf(bytes).contentId, comparison: undefined });
      const expected = manifestOf(bytes, 16_384);
      expect((await verifyFile(path, { manifest: expected })).comparison).toEqual({
        matches: true,
        expectedSize: 100_000,
        differentChunks: [],
      });
      await writeFile(path, Uint8Array.from(bytes.subarray(0, 70_000)).fill(0, 20_000, 20_001));
      expect((await verifyFile(path, { manifest: expected })).comparison).toEqual({
        matches: false,
        expectedSize: 100_000,
        differentChunks: [1, 4, 5, 6],
      });
    }));
});
