import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { manifestOf, seededBytes, withTempFolder } from './fixtures.ts';
import { createHashPool } from './hash-pool.ts';
import { readSurvey, surveyFiles } from './survey-files.ts';

const buffer = new Uint8Array(256 * 1024);

describe('surveyFiles()', () => {
  it('hashes what fits the buffer as hashing it alone would, and only looks at what does not', () =>
    withTempFolder(async (folder) => {
      const sizes: Record<string, number> = {
        empty: 0,
        one: 10_000,
        several: 200_000,
        full: 256 * 1024,
        large: 256 * 1024 + 1,
      };
      for (const [name, size] of Object.entries(sizes)) await writeFile(join(folder, name), seededBytes(size, size));
      const names = Object.keys(sizes);
      const found = [...readSurvey(surveyFiles({ folder, names, hash: true, chunkSize: undefined }, buffer))];
      for (const [index, name] of names.entries()) {
        const size = sizes[name] as number;
        const expected =
          size > buffer.length ? { state: 'seen' } : { state: 'hashed', manifest: manifestOf(seededBytes(size, size)) };
        expect(found[index]).toMatchObject({ ...expected, stamp: { size } });
      }
      const looked = [...readSurvey(surveyFiles({ folder, names, hash: false, chunkSize: undefined }, buffer))];
      expect(looked.map((one) => one.state)).toEqual(names.map(() => 'seen'));
    }));

  it('takes the chunk size it is given', () =>
    withTempFolder(async (folder) => {
      await writeFile(join(folder, 'a'), seededBytes(100_000));
      const order = { folder, names: ['a'], hash: true, chunkSize: 16_384 };
      expect([...readSurvey(surveyFiles(order, buffer))][0]).toMatchObject({
        manifest: manifestOf(seededBytes(100_000), 16_384),
      });
    }));

  it('says of each name what is wrong with it, and goes on', () =>
    withTempFolder(async (folder) => {
      await mkdir(join(folder, 'folder'));
      await writeFile(join(folder, 'last'), 'x');
      await symlink('/etc/passwd', join(folder, 'link'));
      const order = { folder, names: ['gone', 'folder', 'link', 'last'], hash: true, chunkSize: undefined };
      const found = [...readSurvey(surveyFiles(order, buffer))];
      expect(found.map((one) => one.state)).toEqual(['nothing', 'nothing', 'failed', 'hashed']);
    }));

  it('runs on a thread, whose answer closes with the pool', () =>
    withTempFolder(async (folder) => {
      await writeFile(join(folder, 'a'), 'hello');
      const pool = createHashPool();
      const order = { folder, names: ['a', 'b'], hash: true, chunkSize: undefined };
      expect((await pool.survey(order)).map((one) => one.state)).toEqual(['hashed', 'nothing']);
      const cancelled = expect(pool.survey(order)).rejects.toMatchObject({ code: 'cancelled' });
      await pool.close();
      await cancelled;
      await expect(pool.survey(order)).rejects.toMatchObject({ code: 'cancelled' });
    }));
});
