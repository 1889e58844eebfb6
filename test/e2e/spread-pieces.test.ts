import { join } from 'node:path';
import { expect, test } from 'vitest';
import { chunkBytes, chunkOffset } from '../../src/content/chunk-layout.ts';
import { digestBytes } from '../../src/content/digest.ts';
import { hashFile } from '../../src/storage/hash-file.ts';
import { openPartialFile } from '../../src/storage/partial-file.ts';
import { seededBytes, sha256OfFile } from '../support/contents.ts';
import { createWorld, doneOf, type World } from '../support/world.ts';

const SIZE = 4_000_000;
const SEED = 81;

test('two peers with half of the chunks each, and nobody with all: both finish', async (context) => {
  const world = await createWorld(context);
  const tracker = await world.tracker();
  const file = await world.file('spread.bin', SIZE, SEED);
  const share = await world.share(tracker, file.paths);
  await haveChunks(world, 'even', file.paths[0] ?? '', (index) => index % 2 === 0);
  await haveChunks(world, 'odd', file.paths[0] ?? '', (index) => index % 2 === 1);
  await share.process.end();

  const gets = ['even', 'odd'].map((folder) =>
    world.get(tracker, 'spread.bin', ['-o', `${world.folder}/${folder}/`, '--seed']),
  );
  for (const done of await Promise.all(gets.map((get) => doneOf(get)))) {
    expect(done).toMatchObject({ sha256: file.sha256 });
    expect(done.resumedBytes).toBeGreaterThan(SIZE / 3);
    expect(done.resumedBytes).toBeLessThan((SIZE * 2) / 3);
    expect(done.peers).toHaveLength(1);
  }
  for (const folder of ['even', 'odd'])
    expect(await sha256OfFile(join(world.folder, folder, 'spread.bin'))).toBe(file.sha256);
});

/** Leaves a partial file, as an interrupted download does, with these chunks. */
async function haveChunks(world: World, folder: string, path: string, has: (index: number) => boolean): Promise<void> {
  const { manifest } = await hashFile(path);
  const bytes = seededBytes(SIZE, SEED);
  const partial = await openPartialFile({
    targetPath: join(await world.dir(folder), 'spread.bin'),
    layout: manifest,
    identity: digestBytes(manifest.contentId),
  });
  for (let index = 0; index < manifest.chunkCount; index++) {
    const start = chunkOffset(manifest, index);
    if (has(index)) await partial.write(index, bytes.subarray(start, start + chunkBytes(manifest, index)));
  }
  await partial.close();
}
