import { open, readFile, truncate, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { sha256OfFile } from '../support/contents.ts';
import { createWorld, doneOf } from '../support/world.ts';

const GiB = 1024 ** 3;
const SIZE = 5 * GiB;
/** Beyond what 32 bits hold, at chunk borders, and at both ends. */
const MARKS = [0, 2 ** 31 - 8, 2 ** 32 - 8, 2 ** 32 + 4 * 1024 ** 2, SIZE - 16];
/** What a node may hold, whatever it moves; see the design. */
const RESIDENT_BYTES_MAX = 300e6;
const TIMEOUT_MS = 300_000;

/** The most memory a process has held so far; only Linux can tell. */
async function residentBytesMax(pid: number): Promise<number> {
  if (process.platform !== 'linux') return 0;
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmHWM:\s+(\d+) kB$/mu.exec(status)?.[1]) * 1024;
}

test('a file of 5 GiB, most of it a hole, is shared and fetched', async (context) => {
  const world = await createWorld(context);
  const tracker = await world.tracker();
  const path = join(await world.dir('shared'), 'sparse.img');
  const file = await open(path, 'w');
  for (const [index, at] of MARKS.entries()) await file.write(Buffer.from(`mark ${index} here`), 0, null, at);
  await file.close();
  await truncate(path, SIZE);

  const share = await world.share(tracker, [path], [], { readyTimeoutMs: TIMEOUT_MS });
  const get = world.get(tracker, 'sparse.img', ['-o', `${world.folder}/got/`, '--seed']);
  const done = await doneOf(get, TIMEOUT_MS);
  expect(done.size).toBe(SIZE);
  expect(await residentBytesMax(get.pid)).toBeLessThan(RESIDENT_BYTES_MAX);
  expect(await residentBytesMax(share.process.pid)).toBeLessThan(RESIDENT_BYTES_MAX);
  expect((await get.end('SIGINT')).code).toBe(0);

  const got = await open(done.path, 'r');
  for (const [index, at] of MARKS.entries()) {
    const wanted = `mark ${index} here`;
    const { buffer } = await got.read(Buffer.alloc(wanted.length), 0, wanted.length, at);
    expect(buffer.toString()).toBe(wanted);
  }
  await got.close();
  expect(await sha256OfFile(done.path)).toBe(done.sha256);
});

test('a share of 1 GiB that is started again is ready at once', async (context) => {
  const world = await createWorld(context);
  const tracker = await world.tracker();
  const file = await world.file('big.bin', GiB, 70);
  const longAgo = new Date('2024-01-01');
  for (const path of file.paths) await utimes(path, longAgo, longAgo);
  const home = await world.dir('home');
  const first = await world.share(tracker, file.paths, [], { home });
  await first.process.end();

  const startedAtMs = performance.now();
  await world.share(tracker, file.paths, [], { home });
  expect(performance.now() - startedAtMs).toBeLessThan(3_000);
});
