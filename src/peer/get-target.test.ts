import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { parseEntryName } from '../content/entry-name.ts';
import { resolveTarget } from './get-target.ts';

let cwd = '';

beforeEach(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'shoal-target-'));
  await mkdir(join(cwd, 'folder'));
  await writeFile(join(cwd, 'file'), 'x');
  const made = cwd;
  onTestFinished(() => rm(made, { recursive: true, force: true }));
});

const NAME = parseEntryName('a/b/big: file.bin');
const target = (output: string | undefined, platform = 'linux') => resolveTarget(output, NAME, cwd, platform);

test('without -o it is the base name in the current folder', async () => {
  expect(await target(undefined)).toEqual({ kind: 'file', path: join(cwd, 'big: file.bin') });
});

test('a folder that exists, or is written as one, takes the base name', async () => {
  expect(await target('folder')).toEqual({ kind: 'file', path: join(cwd, 'folder', 'big: file.bin') });
  expect(await target('new/')).toEqual({ kind: 'file', path: join(cwd, 'new', 'big: file.bin') });
  expect(await target(`${join(cwd, 'folder')}/`)).toEqual({ kind: 'file', path: join(cwd, 'folder', 'big: file.bin') });
});

test('anything else is that very file', async () => {
  expect(await target('other.bin')).toEqual({ kind: 'file', path: join(cwd, 'other.bin') });
  expect(await target('file')).toEqual({ kind: 'file', path: join(cwd, 'file') });
});

test('- is standard output', async () => {
  expect(await target('-')).toEqual({ kind: 'stdout' });
});

test('on Windows the characters that it refuses are replaced', async () => {
  expect(await target('folder', 'win32')).toEqual({ kind: 'file', path: join(cwd, 'folder', 'big_ file.bin') });
});

test('a file in the place of a folder, and a folder in the place of the file, are refused with a way out', async () => {
  await expect(target('file/')).rejects.toMatchObject({
    code: 'usage',
    message: expect.stringContaining('not a folder'),
  });
  await expect(target('file/below')).rejects.toMatchObject({ code: 'usage' });
  await mkdir(join(cwd, 'big: file.bin'));
  await expect(target(undefined)).rejects.toMatchObject({
    code: 'usage',
    message: expect.stringContaining('is a folder'),
    hint: expect.stringContaining('-o'),
  });
});
