import { execFile } from 'node:child_process';
import { mkdir, open, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { createChunkLayout } from '../content/chunk-layout.ts';
import { chunkDigestMatches, type Manifest } from '../content/manifest.ts';
import { JOURNAL_SLACK_RECORDS } from '../limits.ts';
import { digestChunk } from './digest-chunk.ts';
import { manifestOf, seededBytes, withTempFolder } from './fixtures.ts';
import { replayJournal } from './journal-codec.ts';
import { openPartialFile, type PartialFile, type PartialFileOptions } from './partial-file.ts';

const CHUNK = 16_384;
const content = seededBytes(10 * CHUNK - 100);
const manifest = manifestOf(content, CHUNK);
const identity = Buffer.from(manifest.contentId, 'hex');
const chunkOf = (index: number): Uint8Array => content.subarray(index * CHUNK, (index + 1) * CHUNK);
const matches = async (index: number, bytes: Uint8Array): Promise<boolean> =>
  chunkDigestMatches(manifest, index, await digestChunk(bytes));
const options = (folder: string, more: Partial<PartialFileOptions> = {}): PartialFileOptions => ({
  targetPath: join(folder, 'a', 'big.bin'),
  layout: manifest,
  identity,
  matches,
  ...more,
});
async function writeAll(file: PartialFile, of: Manifest = manifest): Promise<void> {
  for (let index = 0; index < of.chunkCount; index++)
    if (!file.have.has(index)) await file.write(index, chunkOf(index));
}

async function hasDurable(file: PartialFile, chunkIndex: number): Promise<boolean> {
  const bytes = await readFile(`${file.targetPath}.journal`);
  return replayJournal(bytes, { identity, layout: manifest })?.durable.has(chunkIndex) === true;
}

/** Overwrites the first two chunks. */
const zeroFirst = async (path: string): Promise<void> => {
  const handle = await open(`${path}.part`, 'r+');
  await handle.write(new Uint8Array(CHUNK * 2), 0, CHUNK * 2, 0);
  await handle.close();
};

describe('openPartialFile()', { timeout: 30_000 }, () => {
  it('writes chunks in any order and leaves nothing but the target', () =>
    withTempFolder(async (folder) => {
      const file = await openPartialFile(options(folder));
      await Promise.all(Array.from({ length: 10 }, (_, index) => file.write(9 - index, chunkOf(9 - index))));
      const into = new Uint8Array(CHUNK);
      expect(await file.read(9, into)).toBe(CHUNK - 100);
      expect(into.subarray(0, CHUNK - 100)).toEqual(chunkOf(9));
      expect(() => file.readAtOnce(9, 1, into)).toThrow('not in chunk 9');
      const path = await file.finish();
      expect(new Uint8Array(await readFile(path))).toEqual(content);
      expect(await readdir(join(folder, 'a'))).toEqual(['big.bin']);
    }));

  it('gives at once what it may have in memory, of chunks that are there and while it is open', () =>
    withTempFolder(async (folder) => {
      const file = await openPartialFile(options(folder));
      const part = new Uint8Array(100);
      expect(file.readAtOnce(3, 50, part)).toBe(false);
      await file.write(3, chunkOf(3));
      // without native calls it never can
      if (file.readAtOnce(3, 50, part)) expect(part).toEqual(chunkOf(3).subarray(50, 150));
      await file.close();
      expect(file.readAtOnce(3, 50, part)).toBe(false);
    }));

  it('goes on where an orderly stop left it, and hashes only a sample', () =>
    withTempFolder(async (folder) => {
      const first = await openPartialFile(options(folder));
      for (const index of [0, 3, 4, 9]) await first.write(index, chunkOf(index));
      await first.close();
      const again = await openPartialFile(options(folder));
      expect([...again.have.clone()]).toEqual([0, 3, 4, 9]);
      expect(again.resumedBytes).toBe(4 * CHUNK - 100);
      expect(again.checkedBytes).toBeLessThanOrEqual(3 * CHUNK);
      await writeAll(again);
      expect(new Uint8Array(await readFile(await again.finish()))).toEqual(content);
    }));

  it('trusts what was not synced after a crash of the process, and looks at it after a new boot', () =>
    withTempFolder(async (folder) => {
      const first = await openPartialFile(options(folder));
      await first.write(2, chunkOf(2));
      await first.write(5, chunkOf(5));
      const names = { part: `${first.targetPath}.part`, journal: `${first.targetPath}.journal` };
      await expect.poll(async () => (await readFile(names.journal)).length).toBe(80 + 32 + 2 * 16);
      const part = Buffer.from(await readFile(names.part));
      const journal = await readFile(names.journal);
      await first.discard();
      // Chunk 5 did not reach the disk.
      part.fill(0, 5 * CHUNK, 6 * CHUNK);
      for (const [bootId, expected] of [
        [undefined, [2, 5]],
        [new Uint8Array(8), [2]],
      ] as const) {
        await writeFile(names.part, part);
        await writeFile(names.journal, journal);
        const again = await openPartialFile(
          options(folder, { bootId, matches: bootId === undefined ? undefined : matches }),
        );
        expect([...again.have.clone()]).toEqual(expected);
        await again.discard();
      }
    }));

  it('hashes everything when a trusted chunk turns out wrong, when the part has another size, and without a journal', () =>
    withTempFolder(async (folder) => {
      const spoil = async (how: (path: string) => Promise<void>): Promise<number[]> => {
        const first = await openPartialFile(options(folder));
        await writeAll(first);
        await first.close();
        await how(first.targetPath);
        const again = await openPartialFile(options(folder));
        const have = [...again.have.clone()];
        await again.discard();
        return have;
      };
      const all = Array.from({ length: 10 }, (_, index) => index);
      expect(await spoil(zeroFirst)).toEqual(all.slice(2));
      expect(await spoil((path) => truncate(`${path}.part`, 7 * CHUNK + 1))).toEqual(all.slice(0, 7));
      expect(await spoil((path) => rm(`${path}.journal`))).toEqual(all);
      expect(await spoil((path) => truncate(`${path}.journal`, 85))).toEqual([]);
      expect(await spoil((path) => writeFile(`${path}.journal`, 'not a journal'))).toEqual(all);
      expect(await spoil((path) => rm(`${path}.part`))).toEqual([]);
    }));

  it('trusts nothing in a part of another size, also when it cannot look', () =>
    withTempFolder(async (folder) => {
      for (const byteCount of [5 * CHUNK, 11 * CHUNK]) {
        const first = await openPartialFile(options(folder));
        await writeAll(first);
        await first.close();
        await truncate(`${first.targetPath}.part`, byteCount);
        const again = await openPartialFile(options(folder, { matches: undefined }));
        expect(again.have.count).toBe(0);
        await writeAll(again);
        expect(new Uint8Array(await readFile(await again.finish()))).toEqual(content);
      }
    }));

  it('does not believe the journal of another content', () =>
    withTempFolder(async (folder) => {
      const first = await openPartialFile(options(folder));
      await writeAll(first);
      await first.close();
      const other = await openPartialFile(options(folder, { identity: new Uint8Array(32), matches: undefined }));
      expect(other.have.count).toBe(0);
      await other.close();
    }));

  it('forgets a withdrawn chunk for good', () =>
    withTempFolder(async (folder) => {
      const first = await openPartialFile(options(folder));
      await writeAll(first);
      await first.withdraw(4);
      await expect(first.finish()).rejects.toThrow(/still lacks 1 chunks/);
      await first.close();
      const again = await openPartialFile(options(folder));
      expect(again.have.firstMissing()).toBe(4);
      await writeAll(again);
      await again.finish();
    }));

  it('rewrites its journal before it grows without end', () =>
    withTempFolder(async (folder) => {
      const file = await openPartialFile(options(folder, { syncBytes: 40 * CHUNK }));
      for (let round = 0; round < 700; round++) {
        await file.write(round % 5, chunkOf(round % 5));
        await file.withdraw(round % 5);
      }
      for (const index of [1, 2, 8]) await file.write(index, chunkOf(index));
      await file.close();
      expect((await readFile(`${file.targetPath}.journal`)).length).toBeLessThan(80 + 16 * (2 * 10 + 1_024 + 300));
      const again = await openPartialFile(options(folder));
      expect([...again.have.clone()]).toEqual([1, 2, 8]);
      await again.discard();
      expect(await readdir(join(folder, 'a'))).toEqual([]);
    }));

  it('does not bring back a withdrawn chunk when it rewrites its journal, not even one withdrawn during a sync', () =>
    withTempFolder(async (folder) => {
      let reached = Promise.withResolvers<void>();
      let gate: Promise<void> | undefined;
      const openFile: PartialFileOptions['openFile'] = async (path, flags, mode) => {
        const handle = await open(path, flags, mode);
        const datasync = handle.datasync.bind(handle);
        handle.datasync = async () => {
          if (path.endsWith('.part')) {
            reached.resolve();
            await gate;
          }
          return datasync();
        };
        return handle;
      };
      const file = await openPartialFile(options(folder, { openFile, syncBytes: CHUNK }));
      // Chunk 7 is durable before it is withdrawn, chunk 8 is on its way to be.
      await file.write(7, chunkOf(7));
      await reached.promise;
      await expect.poll(async () => hasDurable(file, 7)).toBe(true);
      await file.withdraw(7);
      reached = Promise.withResolvers<void>();
      const { promise, resolve: letGo } = Promise.withResolvers<void>();
      gate = promise;
      await file.write(8, chunkOf(8));
      await reached.promise;
      await file.withdraw(8);
      letGo();
      const recordsMax = 2 * manifest.chunkCount + JOURNAL_SLACK_RECORDS;
      for (let count = 0; count <= recordsMax; count += 2) {
        await file.write(0, chunkOf(0));
        await file.withdraw(0);
      }
      await file.write(1, chunkOf(1));
      await file.close();
      const bytes = await readFile(`${file.targetPath}.journal`);
      // Or nothing was rewritten.
      expect(bytes.length).toBeLessThan(recordsMax * 16);
      expect([...(replayJournal(bytes, { identity, layout: manifest })?.durable ?? [])]).toEqual([1]);
    }));

  it('lets one holder at a time have a target, in this process and in others', () =>
    withTempFolder(async (folder) => {
      const file = await openPartialFile(options(folder));
      await expect(openPartialFile(options(folder))).rejects.toMatchObject({
        code: 'conflict',
        message: expect.stringContaining('by this process already'),
      });
      const module = new URL('./partial-file.ts', import.meta.url).href;
      const script = `import { openPartialFile } from ${JSON.stringify(module)};
        await openPartialFile({ targetPath: ${JSON.stringify(file.targetPath)}, layout: { size: ${content.length}, chunkSize: ${CHUNK}, chunkCount: 10 },
          identity: Buffer.from('${manifest.contentId}', 'hex') }).catch((error) => console.log(error.code + ': ' + error.message));`;
      const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script]);
      expect(stdout).toContain(`conflict: ${file.targetPath} is being fetched by process ${process.pid} already`);
      await file.close();
      await (await openPartialFile(options(folder))).discard();
    }));

  it('makes an empty file of an empty content', () =>
    withTempFolder(async (folder) => {
      const file = await openPartialFile(options(folder, { layout: createChunkLayout(0) }));
      expect(file.have.isFull).toBe(true);
      expect((await readFile(await file.finish())).length).toBe(0);
    }));

  it('takes names so long that no suffix fits', () =>
    withTempFolder(async (folder) => {
      const name = 'ü'.repeat(127);
      const file = await openPartialFile(options(folder, { targetPath: join(folder, name) }));
      expect(file.partPath).toMatch(/\/\.shoal-[0-9a-f]{32}\.part$/);
      await writeAll(file);
      await file.finish();
      expect(await readdir(folder)).toEqual([name]);
    }));

  it('replaces an old target and refuses a folder in its place', () =>
    withTempFolder(async (folder) => {
      const { targetPath } = options(folder);
      await mkdir(targetPath, { recursive: true });
      await expect(openPartialFile(options(folder))).rejects.toMatchObject({ code: 'usage' });
      await rm(targetPath, { recursive: true });
      await writeFile(targetPath, 'old');
      const file = await openPartialFile(options(folder));
      await writeAll(file);
      expect(await readFile(targetPath, 'utf8')).toBe('old');
      await file.finish();
      expect((await readFile(targetPath)).length).toBe(content.length);
    }));

  it('says what is missing when there is too little space, before it writes a byte', () =>
    withTempFolder(async (folder) => {
      await expect(openPartialFile(options(folder, { reserveBytes: 2 ** 52 }))).rejects.toMatchObject({
        code: 'no-space',
        message: expect.stringMatching(
          /^163740 bytes are needed in .*, besides 4503599627370496 that are to stay free/,
        ),
      });
      expect(await readdir(join(folder, 'a'))).toEqual([]);
    }));

  it('says so when the disk fills up meanwhile, and keeps what it has', () =>
    withTempFolder(async (folder) => {
      let isFull = false;
      const openFile: PartialFileOptions['openFile'] = async (path, flags, mode) => {
        const handle = await open(path, flags, mode);
        const write = handle.write.bind(handle) as (...given: unknown[]) => Promise<never>;
        handle.write = async (...given: unknown[]) => {
          if (isFull && path.endsWith('.part')) throw Object.assign(new Error('ENOSPC: no space'), { code: 'ENOSPC' });
          return write(...given);
        };
        return handle;
      };
      const file = await openPartialFile(options(folder, { openFile }));
      await file.write(0, chunkOf(0));
      isFull = true;
      await expect(file.write(1, chunkOf(1))).rejects.toMatchObject({ code: 'no-space' });
      isFull = false;
      await file.write(1, chunkOf(1));
      await file.close();
      const again = await openPartialFile(options(folder));
      expect([...again.have.clone()]).toEqual([0, 1]);
      await again.discard();
    }));

  it('takes back what was not synced when a sync fails', () =>
    withTempFolder(async (folder) => {
      let fails = false;
      const openFile: PartialFileOptions['openFile'] = async (path, flags, mode) => {
        const handle = await open(path, flags, mode);
        const datasync = handle.datasync.bind(handle);
        handle.datasync = () =>
          fails && path.endsWith('.part')
            ? Promise.reject(Object.assign(new Error('EIO'), { code: 'EIO' }))
            : datasync();
        return handle;
      };
      const first = await openPartialFile(options(folder, { openFile }));
      await first.write(0, chunkOf(0));
      await first.close();
      const second = await openPartialFile(options(folder, { openFile, matches: undefined }));
      await second.write(1, chunkOf(1));
      fails = true;
      await expect(second.close()).rejects.toMatchObject({ code: 'disk' });
      const third = await openPartialFile(options(folder, { matches: undefined }));
      expect([...third.have.clone()]).toEqual([0]);
      await third.discard();
    }));
});
