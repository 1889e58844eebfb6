import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { sha256OfFile } from '../support/contents.ts';
import type { ShoalProcess } from '../support/processes.ts';
import { createWorld, doneOf } from '../support/world.ts';

const MiB = 1024 * 1024;
const SIZE = 16 * MiB;

// the scenarios run side by side: most of their time they wait for sources that are slow on purpose, silent or gone
async function begun(get: ShoalProcess): Promise<void> {
  await get.eventWhere((event) => event.event === 'progress' && Number(event['bytes']) > SIZE / 8, 'its beginning');
}

async function stalled(get: ShoalProcess): Promise<void> {
  await get.eventWhere((event) => event.event === 'progress' && event['stalled'] === 'no-source', 'why it waits');
}

test.concurrent('all sources die and one comes back elsewhere: the download says why it waits, and goes on by itself', async (context) => {
  const world = await createWorld(context);
  const tracker = await world.tracker();
  const file = await world.file('returning.bin', SIZE, 90, ['one', 'two']);
  const shares = await Promise.all(file.paths.map((path) => world.share(tracker, [path], ['--limit-up', '2M'])));
  const get = world.get(tracker, 'returning.bin', ['-o', `${world.folder}/got/`, '--stall-timeout', '60']);
  await begun(get);
  await Promise.all(shares.map((share) => share.process.end('SIGKILL')));
  await stalled(get);
  await world.share(tracker, [file.paths[0] ?? '']);
  const done = await doneOf(get, 60_000);
  expect((await get.ended()).code).toBe(0);
  expect(await sha256OfFile(done.path)).toBe(file.sha256);
});

test.concurrent('the only source dies, with the tracker, and is back where it was: the download goes on without anybody else', async (context) => {
  const world = await createWorld(context);
  const tracker = await world.tracker();
  const file = await world.file('faithful.bin', SIZE, 91);
  const share = await world.share(tracker, file.paths, ['--limit-up', '4M']);
  const get = world.get(tracker, 'faithful.bin', ['-o', `${world.folder}/got/`, '--stall-timeout', '60']);
  await begun(get);
  await Promise.all([share.process.end('SIGKILL'), tracker.process.end('SIGKILL')]);
  await stalled(get);
  const again = world.run(['share', '--json', '--tracker', tracker.url, '--listen', share.address, ...file.paths]);
  await again.event('listening');
  const done = await doneOf(get, 60_000);
  expect(await sha256OfFile(done.path)).toBe(file.sha256);
});

test.concurrent('a source that stands still is given up, and the others finish it', async (context) => {
  const world = await createWorld(context);
  const tracker = await world.tracker();
  const file = await world.file('frozen.bin', SIZE, 92, ['freezes', 'stays']);
  const [freezes, stays] = await Promise.all(
    file.paths.map((path) => world.share(tracker, [path], ['--limit-up', '3M'])),
  );
  const get = world.get(tracker, 'frozen.bin', ['-o', `${world.folder}/got/`]);
  await begun(get);
  freezes?.process.kill('SIGSTOP');
  context.onTestFinished(() => freezes?.process.kill('SIGCONT'));
  const done = await doneOf(get, 60_000);
  freezes?.process.kill('SIGCONT');
  expect(await sha256OfFile(done.path)).toBe(file.sha256);
  expect(done.peers[0]?.peer).toBe(stays?.peer);
});

test.concurrent('a stalled download that is given up keeps its partial file, which nobody has to start over', async (context) => {
  const world = await createWorld(context);
  const tracker = await world.tracker();
  const file = await world.file('kept.bin', SIZE, 93);
  const share = await world.share(tracker, file.paths, ['--limit-up', '4M']);
  const flags = ['-o', `${world.folder}/got/`, '--stall-timeout', '3'];
  const get = world.get(tracker, 'kept.bin', flags);
  await begun(get);
  // its connection stays open, and nothing comes
  share.process.kill('SIGSTOP');
  context.onTestFinished(() => share.process.kill('SIGCONT'));
  expect((await get.ended()).code).toBe(4);
  expect(existsSync(join(world.folder, 'got', 'kept.bin.part'))).toBe(true);
  share.process.kill('SIGCONT');
  const done = await doneOf(world.get(tracker, 'kept.bin', flags));
  expect(done.resumedBytes).toBeGreaterThan(0);
  expect(done.sha256).toBe(file.sha256);
});
