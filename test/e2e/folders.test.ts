import { existsSync } from 'node:fs';
import { chmod, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { restGet } from '../support/rest.ts';
import { seededBytes } from '../support/contents.ts';
import { createWorld, doneOf, type World } from '../support/world.ts';

const KiB = 1024;
const MiB = 1024 * KiB;

/** Small files in folders, with names of many kinds, an empty one, and one that is a content of its own. */
function courseFiles(): Map<string, Buffer> {
  const files = new Map<string, Buffer>([
    ['empty', Buffer.alloc(0)],
    ['größe/日本語.txt', seededBytes(5_000, 1)],
    ['week 1/notes (final).md', seededBytes(300 * KiB, 2)],
    ['week 1/video.bin', seededBytes(5 * MiB, 3)],
  ]);
  for (let index = 0; index < 300; index++)
    files.set(`week 2/part ${index % 7}/file-${index}.txt`, seededBytes(10 * KiB + index, 100 + index));
  return files;
}

async function writeFolder(folder: string, files: ReadonlyMap<string, Buffer>): Promise<void> {
  for (const [name, bytes] of files) {
    const path = join(folder, name);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, bytes);
  }
}

/** What is below a folder. */
async function readFolder(folder: string): Promise<Map<string, Buffer>> {
  const found = new Map<string, Buffer>();
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    found.set(path.slice(folder.length + 1), await readFile(path));
  }
  return found;
}

async function expectFolder(folder: string, files: ReadonlyMap<string, Buffer>): Promise<void> {
  const found = await readFolder(folder);
  expect([...found.keys()].toSorted()).toEqual([...files.keys()].toSorted());
  for (const [name, bytes] of files) expect(found.get(name)?.equals(bytes), name).toBe(true);
}

async function sharedCourse(world: World, name = 'course'): Promise<{ folder: string; files: Map<string, Buffer> }> {
  const files = courseFiles();
  const folder = join(world.folder, name, 'course');
  await writeFolder(folder, files);
  return { folder, files };
}

test('a folder is shared and comes as it is, from two peers at once', async (context) => {
  const world = await createWorld(context);
  const tracker = await world.tracker();
  const { folder, files } = await sharedCourse(world);
  const second = join(world.folder, 'second', 'course');
  await writeFolder(second, files);
  const shares = await Promise.all([
    world.share(tracker, [folder], ['--limit-up', '4M']),
    world.share(tracker, [second], ['--limit-up', '4M']),
  ]);
  const size = [...files.values()].reduce((sum, { length }) => sum + length, 0);
  const told = await shares[0].process.event('shared-folder');
  expect(told).toMatchObject({ name: 'course/', files: files.size, size });

  const out = await world.dir('out');
  const get = world.get(tracker, 'course/', ['-o', `${out}/`]);
  const done = await doneOf(get);
  expect(done).toMatchObject({ name: 'course/', path: join(out, 'course'), size, content: told['content'] });
  expect(done).toMatchObject({ files: files.size, keptFiles: 0, resumedBytes: 0 });
  expect(done.peers.map(({ peer }) => peer).toSorted()).toEqual(shares.map(({ peer }) => peer).toSorted());
  expect((await get.ended()).code).toBe(0);
  await expectFolder(join(out, 'course'), files);
  expect(await readdir(out)).toEqual(['course']);
  const last = get.events.filter(({ event }) => event.event === 'progress').at(-1)?.event;
  expect(last).toMatchObject({ bytes: size, total: size });

  // single files are there as ever; plain clients see no folders unless they ask
  const names = async (query: string): Promise<string[]> =>
    ((await restGet(tracker.url, `/files?limit=1000${query}`)).json as { name: string }[]).map(({ name }) => name);
  expect(await names('')).not.toContain('course/');
  expect((await names('')).toSorted()).toEqual([...files.keys()].toSorted());
  expect(await names('&folders=true')).toContain('course/');
});

test('a folder in a folder comes alone, and without its slash', async (context) => {
  const world = await createWorld(context);
  const tracker = await world.tracker();
  const { folder, files } = await sharedCourse(world);
  await world.share(tracker, [folder]);
  const out = await world.dir('out');
  const done = await doneOf(world.get(tracker, 'course/week 2', ['-o', `${out}/`]));
  const below = new Map(
    [...files].flatMap(([name, bytes]) => (name.startsWith('week 2/') ? [[name.slice(7), bytes]] : [])),
  );
  expect(done).toMatchObject({ name: 'course/week 2/', files: 300 });
  await expectFolder(join(out, 'week 2'), below);

  await doneOf(world.get(tracker, 'course', ['-o', join(out, 'renamed')]));
  await expectFolder(join(out, 'renamed'), files);

  const unknown = world.get(tracker, 'course/week 9/', ['-o', `${out}/`]);
  expect((await unknown.ended()).code).toBe(3);
  const streamed = world.get(tracker, 'course/', ['-o', '-'], { stdoutIsData: true });
  expect((await streamed.ended()).code).toBe(2);
});

test('a get of a folder that was killed goes on, and files that are right are neither fetched nor touched', async (context) => {
  const world = await createWorld(context);
  const tracker = await world.tracker();
  const { folder, files } = await sharedCourse(world);
  await world.share(tracker, [folder]);
  const flags = ['-o', `${await world.dir('out')}/`];
  const target = join(world.folder, 'out', 'course');

  const killed = world.get(tracker, 'course/', [...flags, '--limit-down', '2M']);
  await killed.eventWhere(({ event, bytes }) => event === 'progress' && Number(bytes) > MiB, 'the first MiB');
  await killed.end('SIGKILL');
  expect(existsSync(target)).toBe(false);
  const resumed = await doneOf(world.get(tracker, 'course/', flags));
  expect(resumed.resumedBytes).toBeGreaterThan(0);
  expect(resumed.resumedBytes).toBeLessThan(resumed.size);
  await expectFolder(target, files);
  expect(existsSync(`${target}.part`)).toBe(false);

  const before = await stat(join(target, 'week 1/video.bin'), { bigint: true });
  await writeFile(join(target, 'week 2/part 3/file-3.txt'), 'changed by somebody');
  await writeFile(join(target, 'mine.txt'), 'not of the course');
  await rm(join(target, 'größe'), { recursive: true });
  const repaired = await doneOf(world.get(tracker, 'course/', flags));
  expect(repaired).toMatchObject({ files: files.size, keptFiles: files.size - 2 });
  const fetched = repaired.peers.reduce((sum, { bytes }) => sum + bytes, 0);
  expect(fetched).toBeLessThan(MiB);
  await expectFolder(target, new Map([...files, ['mine.txt', Buffer.from('not of the course')]]));
  expect((await stat(join(target, 'week 1/video.bin'), { bigint: true })).mtimeNs).toBe(before.mtimeNs);
});

test('a file that changes while its folder is shared: the old folder is withdrawn, the new one comes', async (context) => {
  const world = await createWorld(context);
  const tracker = await world.tracker();
  const { folder, files } = await sharedCourse(world);
  const share = await world.share(tracker, [folder]);
  const first = await share.process.event('shared-folder');
  files.set('week 2/part 0/file-0.txt', seededBytes(20 * KiB, 999));
  await writeFolder(folder, new Map([['week 2/part 0/file-0.txt', seededBytes(20 * KiB, 999)]]));
  const second = await share.process.eventWhere(
    ({ event, content }) => event === 'shared-folder' && content !== first['content'],
    'the changed folder',
  );
  const out = await world.dir('out');
  const done = await doneOf(world.get(tracker, 'course/', ['-o', `${out}/`]));
  expect(done.content).toBe(second['content']);
  await expectFolder(join(out, 'course'), files);

  const old = world.get(tracker, String(first['content']), ['-o', join(out, 'old'), '--stall-timeout', '2']);
  expect((await old.ended()).code).toBe(4);
});

test('whoever has fetched a folder serves it, also to one that comes when the first has gone', async (context) => {
  const world = await createWorld(context);
  const tracker = await world.tracker();
  const { folder, files } = await sharedCourse(world);
  const share = await world.share(tracker, [folder]);
  const seeder = world.get(tracker, 'course/', ['-o', `${await world.dir('one')}/`, '--seed']);
  await doneOf(seeder);
  await share.process.end();
  const out = await world.dir('two');
  const below = new Map(
    [...files].flatMap(([name, bytes]) => (name.startsWith('week 2/') ? [[name.slice(7), bytes]] : [])),
  );
  await doneOf(world.get(tracker, 'course/week 2/', ['-o', `${out}/`]));
  await expectFolder(join(out, 'week 2'), below);
});

test('a get into a folder that a node shares is handed to it, and what is on the way is not shared', async (context) => {
  const world = await createWorld(context);
  const tracker = await world.tracker();
  const { folder, files } = await sharedCourse(world);
  await world.share(tracker, [folder]);
  const mine = await world.dir('mine');
  await writeFile(join(mine, 'own.txt'), 'own');
  const home = join(world.folder, 'home-of-mine');
  const share = await world.share(tracker, [mine], [], { home });
  const done = await doneOf(
    world.run(['get', 'course/', '--json', '--tracker', tracker.url, '-o', `${mine}/`], { home }),
  );
  expect(done.path).toBe(join(mine, 'course'));
  await expectFolder(done.path, files);
  const last = 'course/week 2/part 6/file-6.txt';
  await share.process.eventWhere(({ event, name }) => event === 'shared' && name === last, 'the last file');
  const names = share.process.events.filter(({ event }) => event.event === 'shared').map(({ event }) => event['name']);
  expect(names.filter((name) => String(name).includes('.part/'))).toEqual([]);
});

test.skipIf(process.platform === 'win32').each(['', 'off'])(
  'what may be executed may be executed there, and empty folders are there too (SHOAL_NATIVE=%s)',
  async (native) => {
    const world = await createWorld({ onTestFinished: (cleanUp, timeoutMs) => onTestFinished(cleanUp, timeoutMs) });
    const tracker = await world.tracker();
    const { folder, files } = await sharedCourse(world);
    const tools = new Map([
      ['bin/run', seededBytes(900, 7)],
      ['bin/large', seededBytes(2 * MiB, 8)],
    ]);
    await writeFolder(folder, tools);
    for (const name of tools.keys()) await chmod(join(folder, name), 0o755);
    const empty = ['nothing', 'week 1/also nothing/still'];
    for (const name of empty) await mkdir(join(folder, name), { recursive: true });
    await world.share(tracker, [folder]);

    const out = await world.dir('out');
    const flags = ['-o', `${out}/`];
    const options = native === '' ? {} : { env: { SHOAL_NATIVE: native } };
    const expectAll = async (): Promise<void> => {
      await expectFolder(join(out, 'course'), new Map([...files, ...tools]));
      for (const name of tools.keys()) expect((await stat(join(out, 'course', name))).mode & 0o111, name).not.toBe(0);
      expect((await stat(join(out, 'course', 'empty'))).mode & 0o111).toBe(0);
      for (const name of empty) expect(await readdir(join(out, 'course', name)), name).toEqual([]);
    };
    await doneOf(world.get(tracker, 'course/', flags, options));
    await expectAll();

    // what was lost since is put back, and only that
    for (const name of tools.keys()) await chmod(join(out, 'course', name), 0o644);
    for (const name of empty) await rm(join(out, 'course', name), { recursive: true });
    await rm(join(out, 'course', 'week 2', 'part 0', 'file-0.txt'));
    const again = await doneOf(world.get(tracker, 'course/', flags, options));
    expect(again).toMatchObject({ keptFiles: files.size + tools.size - 1 });
    await expectAll();
  },
);
