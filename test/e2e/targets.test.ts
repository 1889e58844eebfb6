import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { mkdir, open, readdir, readFile, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { sha256OfFile } from '../support/contents.ts';
import type { ShoalProcess } from '../support/processes.ts';
import { createWorld, doneOf } from '../support/world.ts';

const MiB = 1024 * 1024;
const SIZE = 6 * MiB;

interface Ending {
  readonly code: number | null;
  readonly error: string;
  readonly message: string;
}

// side by side: most of their time they wait for limited sources
async function endingOf(get: ShoalProcess): Promise<Ending> {
  const { code } = await get.ended();
  const error = await get.event('error');
  return { code, error: String(error['code']), message: String(error['message']) };
}

test.concurrent('where a file cannot be put, get says so before it fetches anything, and harms nothing', async (context) => {
  const world = await createWorld(context);
  const tracker = await world.tracker();
  const file = await world.file('wanted.bin', SIZE, 70);
  await world.share(tracker, file.paths);

  const folder = await world.dir('folder');
  await mkdir(join(folder, 'wanted.bin'));
  const onFolder = await endingOf(world.get(tracker, 'wanted.bin', ['-o', `${folder}/`]));
  expect(onFolder).toMatchObject({ code: 2, error: 'usage' });
  expect(onFolder.message).toContain('wanted.bin');

  await writeFile(join(folder, 'a-file'), 'mine');
  const below = await endingOf(world.get(tracker, 'wanted.bin', ['-o', join(folder, 'a-file', 'wanted.bin')]));
  expect(below.code).toBeGreaterThan(1);
  expect(below.message).toContain('a-file');
  expect(await readFile(join(folder, 'a-file'), 'utf8')).toBe('mine');

  const tooLong = await endingOf(world.get(tracker, 'wanted.bin', ['-o', join(folder, 'x'.repeat(300))]));
  expect(tooLong.code).toBeGreaterThan(1);
  expect(tooLong.message).toMatch(/too long|name/u);

  expect((await readdir(folder)).toSorted()).toEqual(['a-file', 'wanted.bin']);
});

const canMount = process.platform === 'linux' && process.getuid?.() === 0;

test.skipIf(!canMount)('a disk that takes no writes is named', async (context) => {
  const world = await createWorld(context);
  const tracker = await world.tracker();
  const file = await world.file('wanted.bin', SIZE, 71);
  await world.share(tracker, file.paths);
  const disk = join(world.folder, 'read-only');
  mkdirSync(disk);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'ro,size=200m', 'shoal-test', disk]);
  context.onTestFinished(() => void execFileSync('umount', ['-l', disk]));
  const ending = await endingOf(world.get(tracker, 'wanted.bin', ['-o', `${disk}/`]));
  expect(ending.code).toBe(7);
  expect(ending.message).toContain('read-only');
});

test.concurrent('two gets of one file into one place: one does it, the other says that it is being done', async (context) => {
  const world = await createWorld(context);
  const tracker = await world.tracker();
  const file = await world.file('contested.bin', SIZE, 72);
  await world.share(tracker, file.paths, ['--limit-up', '2M']);
  const path = join(world.folder, 'contested.bin');
  const first = world.get(tracker, 'contested.bin', ['-o', path]);
  await first.event('progress');
  const second = await endingOf(world.get(tracker, 'contested.bin', ['-o', path]));
  expect(second).toMatchObject({ code: 2, error: 'conflict' });
  expect((await doneOf(first)).sha256).toBe(file.sha256);
  expect(await sha256OfFile(path)).toBe(file.sha256);
});

test.concurrent('a file that is cut short or deleted while it is shared is never sent as good, and its other copy finishes it', async (context) => {
  const world = await createWorld(context);
  const tracker = await world.tracker();
  const cut = await world.file('shaky.bin', SIZE, 73, ['cut']);
  const gone = await world.file('shaky.bin', SIZE, 73, ['gone']);
  const whole = await world.file('shaky.bin', SIZE, 73, ['whole']);
  for (const { paths } of [cut, gone]) await world.share(tracker, paths, ['--limit-up', '1M']);
  const get = world.get(tracker, 'shaky.bin', ['-o', `${world.folder}/got/`, '--stall-timeout', '60']);
  await get.eventWhere((event) => event.event === 'progress' && Number(event['bytes']) > MiB / 2, 'its beginning');
  await truncate(cut.paths[0] ?? '', MiB);
  await rm(gone.paths[0] ?? '');
  await world.share(tracker, whole.paths);
  const done = await doneOf(get, 60_000);
  expect(await sha256OfFile(done.path)).toBe(whole.sha256);
});

test.concurrent('a file whose bytes change while it is shared, time stamp put back and all, is withdrawn, and another copy finishes it', async (context) => {
  const world = await createWorld(context);
  const tracker = await world.tracker();
  const file = await world.file('changed.bin', SIZE, 74, ['changes']);
  const share = await world.share(tracker, file.paths, ['--limit-up', '1M']);
  const get = world.get(tracker, 'changed.bin', ['-o', `${world.folder}/got/`, '--stall-timeout', '60']);
  await get.eventWhere((event) => event.event === 'progress' && Number(event['bytes']) > MiB / 2, 'its beginning');
  const path = file.paths[0] ?? '';
  const { atime, mtime } = await stat(path);
  const handle = await open(path, 'r+');
  for (let position = 0; position < SIZE; position += MiB / 16) await handle.write('other', position);
  await handle.close();
  await utimes(path, atime, mtime);
  await share.process.event('withdrawn');
  const whole = await world.file('changed.bin', SIZE, 74, ['whole']);
  await world.share(tracker, whole.paths);
  const done = await doneOf(get, 60_000);
  expect(await sha256OfFile(done.path)).toBe(whole.sha256);
});
