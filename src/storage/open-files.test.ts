import { rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { ShoalError } from '../errors.ts';
import { createContentReader } from './content-reader.ts';
import { manifestOf, seededBytes, withTempFolder } from './fixtures.ts';
import { hashFile } from './hash-file.ts';
import { createOpenFiles } from './open-files.ts';

const bytes = seededBytes(100_000);

describe('createContentReader()', () => {
  it('reads chunks and ranges, and no more descriptors are open than allowed', () =>
    withTempFolder(async (folder) => {
      const openFiles = createOpenFiles({ openFilesMax: 3 });
      const failures: ShoalError[] = [];
      const readers = await Promise.all(
        Array.from({ length: 10 }, async (_, index) => {
          const path = join(folder, String(index));
          await writeFile(path, bytes);
          const { stamp } = await hashFile(path);
          return createContentReader({
            path,
            stamp,
            layout: manifestOf(bytes, 16_384),
            openFiles,
            onFailure: (error) => failures.push(error),
          });
        }),
      );
      let openMost = 0;
      await Promise.all(
        Array.from({ length: 100 }, async (_, index) => {
          const reader = readers[index % 10] as (typeof readers)[number];
          const into = new Uint8Array(20_000);
          expect(await reader.readChunk(6, into)).toBe(100_000 - 6 * 16_384);
          expect(into.subarray(0, 1_696)).toEqual(bytes.subarray(98_304));
          expect(await reader.read(90_000, into)).toBe(10_000);
          openMost = Math.max(openMost, openFiles.openCount);
          expect(await reader.read(100_000, into)).toBe(0);
        }),
      );
      expect(openMost).toBeLessThanOrEqual(3);
      await openFiles.close();
      expect(openFiles.openCount).toBe(0);
      expect(failures).toEqual([]);
    }));

  it('reads at once only from a file that is open and was compared a moment ago', () =>
    withTempFolder(async (folder) => {
      const path = join(folder, 'f');
      await writeFile(path, bytes);
      const { stamp } = await hashFile(path);
      const layout = manifestOf(bytes, 16_384);
      const into = new Uint8Array(1_000);
      const seen: (string | undefined)[] = [];
      for (const recheckMs of [60_000, 0]) {
        const openFiles = createOpenFiles({ recheckMs });
        const reader = createContentReader({ path, stamp, layout, openFiles, onFailure: () => undefined });
        const look = (): void => void seen.push(openFiles.current(path, stamp) && 'open');
        look();
        expect(reader.readChunkAtOnce?.(2, 5, into)).toBe(false);
        await reader.readChunk(2, new Uint8Array(16_384));
        look();
        // without native calls it never can
        if (reader.readChunkAtOnce?.(2, 5, into) === true)
          expect(into).toEqual(bytes.subarray(2 * 16_384 + 5, 2 * 16_384 + 1_005));
        expect(() => reader.readChunkAtOnce?.(6, 1_000, into)).toThrow('not in chunk 6');
        expect(openFiles.current(path, { ...stamp, size: stamp.size + 1 })).toBeUndefined();
        openFiles.drop(path);
        look();
        await openFiles.close();
      }
      expect(seen).toEqual([undefined, 'open', undefined, undefined, undefined, undefined]);
    }));

  it('refuses a file that was changed, replaced or deleted, and tells', () =>
    withTempFolder(async (folder) => {
      const openFiles = createOpenFiles({ recheckMs: 0 });
      const path = join(folder, 'f');
      const into = new Uint8Array(16_384);
      const failures: string[] = [];
      const newReader = async () => {
        await writeFile(path, bytes);
        const { stamp } = await hashFile(path);
        const layout = manifestOf(bytes, 16_384);
        return createContentReader({ path, stamp, layout, openFiles, onFailure: (error) => failures.push(error.code) });
      };
      const changed = await newReader();
      await changed.readChunk(0, into);
      await writeFile(path, bytes.subarray(0, 50_000));
      await expect(changed.readChunk(0, into)).rejects.toMatchObject({ code: 'conflict' });
      const replaced = await newReader();
      await writeFile(join(folder, 'g'), bytes);
      await rename(join(folder, 'g'), path);
      await expect(replaced.readChunk(0, into)).rejects.toMatchObject({ code: 'conflict' });
      const deleted = await newReader();
      await rm(path);
      await expect(deleted.readChunk(0, into)).rejects.toMatchObject({ code: 'disk' });
      expect(failures).toEqual(['conflict', 'conflict', 'disk']);
      await openFiles.close();
    }));
});
