import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { seededBytes } from '../support/contents.ts';
import { createWorld, doneOf } from '../support/world.ts';

const CHUNK_BYTES = 64 * 1024;
const FILES = 2_000;

test('files of no byte, one byte, one chunk and a byte more are shared and fetched', async (context) => {
  const world = await createWorld(context);
  const tracker = await world.tracker();
  const sizes = [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1];
  const files = await Promise.all(sizes.map((size) => world.file(`of ${size} bytes.bin`, size, size + 10)));
  await world.share(tracker, [await world.dir('shared')], ['--chunk-size', '64KiB']);

  const results = await Promise.all(
    files.map(async ({ name }) => {
      const get = world.get(tracker, name, ['-o', `${world.folder}/got/`]);
      return { done: await doneOf(get), exit: await get.ended() };
    }),
  );
  for (const [index, { done, exit }] of results.entries()) {
    const { name, size, sha256 } = files[index] as (typeof files)[number];
    expect(exit.code).toBe(0);
    expect(done).toMatchObject({ name, size, sha256 });
    const got = await readFile(join(world.folder, 'got', name));
    expect(got).toEqual(seededBytes(size, size + 10));
    const chunks = done.peers.reduce((sum, peer) => sum + peer.chunks, 0);
    expect(chunks).toBe(Math.ceil(size / CHUNK_BYTES));
  }
});

test('a folder of 2,000 small files is shared and listed', async (context) => {
  const world = await createWorld(context);
  const tracker = await world.tracker();
  const folder = await world.dir('many');
  const names: string[] = [];
  for (let at = 0; at < FILES; at += 200) {
    const below = `batch ${at / 200}`;
    await mkdir(join(folder, below));
    const batch = Array.from({ length: 200 }, (_, index) => `${below}/file ${at + index}.txt`);
    await Promise.all(batch.map((name) => writeFile(join(folder, name), `the file ${name}\n`)));
    names.push(...batch);
  }

  const startedAtMs = performance.now();
  const share = await world.share(tracker, [folder]);
  const ls = world.run(['ls', '--json', '--tracker', tracker.url]);
  await ls.ended();
  const tookMs = performance.now() - startedAtMs;

  const rows = JSON.parse(ls.stdout.toString()) as { name: string; size: number; seeders: number }[];
  expect(rows).toHaveLength(FILES);
  expect(rows.every(({ seeders, size }) => seeders === 1 && size > 0)).toBe(true);
  const listed = rows.map(({ name }) => name.split('/').slice(-2).join('/'));
  expect(listed.toSorted()).toEqual(names.toSorted());
  expect(share.process.events.filter(({ event }) => event.event === 'shared')).toHaveLength(FILES);
  expect(tookMs).toBeLessThan(10_000);
});
