/** `shoal tracker backup`: a copy of a catalogue that is being written to starts as a tracker of its own. */
import { copyFile, mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { restPost } from '../support/rest.ts';
import { createWorld } from '../support/world.ts';

const announcement = (index: number): Record<string, unknown> => ({
  ip: '127.0.0.1',
  port: 7001,
  files: [{ name: `file ${index}`, size: 1_000 + index, sha256: index.toString(16).padStart(64, '0') }],
});

test('a backup beside a tracker that is being written to has all that was acknowledged before it, and starts as a tracker', async (context) => {
  const world = await createWorld(context);
  const data = join(world.folder, 'data');
  const copy = join(world.folder, 'copy.sqlite');
  const tracker = await world.tracker(['--port', '0', '--data', data]);
  const acknowledgedBefore = 200;
  for (let index = 0; index < acknowledgedBefore; index++)
    expect((await restPost(tracker.url, '/announce', announcement(index))).status).toBe(200);

  const backup = world.run(['tracker', 'backup', copy, '--data', data, '--json']);
  let written = acknowledgedBefore;
  while (backup.exit === undefined) {
    expect((await restPost(tracker.url, '/announce', announcement(written))).status).toBe(200);
    written += 1;
  }
  expect(await backup.ended()).toMatchObject({ code: 0 });
  const { entries } = await backup.event('backup');
  expect(entries).toBeGreaterThanOrEqual(acknowledgedBefore);
  expect(entries).toBeLessThanOrEqual(written);
  expect((await readdir(world.folder)).filter((name) => name.includes('shoal-backup'))).toEqual([]);

  const again = world.run(['tracker', 'backup', copy, '--data', data]);
  expect(await again.ended()).toMatchObject({ code: 2 });
  expect(again.stderr).toContain(`${copy} exists`);

  const restored = join(world.folder, 'restored');
  await mkdir(restored);
  await copyFile(copy, join(restored, 'tracker.sqlite'));
  const second = await world.tracker(['--port', '0', '--data', restored]);
  // nobody has come back to this tracker yet, so that only what it remembers is listed
  const listed = world.run(['ls', '--all', '--json', '--tracker', second.url]);
  expect(await listed.ended()).toMatchObject({ code: 0 });
  const names = (JSON.parse(listed.stdout.toString()) as readonly { readonly name: string }[]).map(({ name }) => name);
  expect(new Set(names).size).toBe(entries);
  await second.process.end();

  // one tracker a folder, also now that others may read it
  const third = world.run(['tracker', '--port', '0', '--data', data]);
  expect(await third.ended()).toMatchObject({ code: 1 });
  expect(third.stderr).toContain('another tracker is using it');
});

test('a backup of nothing, of a newer store, and of a store that is no file says so', async (context) => {
  const world = await createWorld(context);
  const target = join(world.folder, 'copy.sqlite');
  const nothing = world.run(['tracker', 'backup', target, '--data', join(world.folder, 'none')]);
  expect(await nothing.ended()).toMatchObject({ code: 2 });
  expect(nothing.stderr).toContain("there is no tracker's store at");

  const memory = world.run(['tracker', 'backup', target, '--store', 'memory']);
  expect(await memory.ended()).toMatchObject({ code: 2 });
  expect(memory.stderr).toContain('not of memory');

  const newer = join(world.folder, 'newer');
  await mkdir(newer);
  const database = new DatabaseSync(join(newer, 'tracker.sqlite'));
  database.exec('PRAGMA user_version = 999');
  database.close();
  for (const words of [
    ['tracker', 'backup', target, '--data', newer],
    ['tracker', '--port', '0', '--data', newer],
  ]) {
    const refused = world.run(words);
    expect(await refused.ended()).toMatchObject({ code: 2 });
    expect(refused.stderr).toContain('was written by a newer Shoal (schema 999');
  }

  const other = join(world.folder, 'other');
  await mkdir(other);
  await writeFile(
    join(other, 'tracker.sqlite'),
    'this is text, and a good deal longer than the header of a database would be: no SQLite file',
  );
  const text = world.run(['tracker', 'backup', target, '--data', other]);
  expect(await text.ended()).toMatchObject({ code: 1 });
  expect(text.stderr).toContain('it is not a database');
  expect((await readdir(world.folder)).filter((name) => name.includes('copy') || name.includes('backup'))).toEqual([]);
});
