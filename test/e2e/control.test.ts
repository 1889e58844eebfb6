import { readdir, readFile, realpath } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { eventually } from '../support/deadline.ts';
import type { ShoalProcess } from '../support/processes.ts';
import { restGet } from '../support/rest.ts';
import { createWorld, doneOf, type StartedTracker, type World } from '../support/world.ts';

const MiB = 1024 * 1024;

interface StatusDocument {
  readonly peer: string;
  readonly address: string;
  readonly tracker: { readonly url: string; readonly state: string };
  readonly roots: readonly string[];
  readonly sharedFiles: number;
  readonly transfers: readonly { readonly name: string; readonly state: string; readonly bytes: number }[];
}

async function statusOf(world: World, home: string): Promise<readonly StatusDocument[]> {
  const asked = world.run(['status', '--json'], { home });
  expect((await asked.ended()).code).toBe(0);
  return JSON.parse(asked.stdout.toString()) as StatusDocument[];
}

/** A get without flags about its own node, so that it may be handed over. */
function plainGet(
  world: World,
  tracker: StartedTracker,
  what: string,
  flags: readonly string[],
  home: string,
): ShoalProcess {
  return world.run(['get', what, '--json', '--tracker', tracker.url, ...flags], { home });
}

test('status says when no node runs, and what those that run share', async (context) => {
  const world = await createWorld(context);
  const home = await world.dir('home');
  const nobody = world.run(['status'], { home });
  expect((await nobody.ended()).code).toBe(0);
  expect(nobody.stdout.toString()).toBe('no node is running on this machine\n');
  expect(await statusOf(world, home)).toEqual([]);

  const tracker = await world.tracker();
  await world.file('a.bin', 100_000, 30);
  const folder = await realpath(await world.dir('shared'));
  const first = await world.share(tracker, [folder], [], { home });
  const second = await world.share(tracker, [folder], ['--data', join(world.folder, 'data')], { home });
  const nodes = await statusOf(world, home);
  expect(new Set(nodes.map(({ peer }) => peer))).toEqual(new Set([first.peer, second.peer]));
  for (const node of nodes)
    expect(node).toMatchObject({
      tracker: { url: tracker.url, state: 'connected' },
      roots: [folder],
      sharedFiles: 1,
    });

  // one that was killed is not waited for, and its successor takes its place
  first.process.kill('SIGKILL');
  await first.process.ended();
  expect((await statusOf(world, home)).map(({ peer }) => peer)).toEqual([second.peer]);
  const third = await world.share(tracker, [folder], [], { home });
  expect((await statusOf(world, home)).map(({ peer }) => peer)).toContain(third.peer);
});

test('a get into a shared folder is done by the node that shares it, and shared by it at once', async (context) => {
  const world = await createWorld(context);
  const tracker = await world.tracker();
  const file = await world.file('big.bin', 24 * MiB, 31);
  await world.file('own.bin', 10_000, 32, ['mine']);
  const source = await world.share(tracker, [await world.dir('shared')]);
  const mine = await realpath(await world.dir('mine'));
  const home = await world.dir('home');
  const node = await world.share(tracker, [mine], [], { home });

  const get = plainGet(world, tracker, 'big.bin', ['-o', mine], home);
  const done = await doneOf(get);
  expect((await get.ended()).code).toBe(0);
  expect(done).toMatchObject({ path: join(mine, 'big.bin'), sha256: file.sha256 });
  expect(done.peers.map(({ peer }) => peer)).toEqual([source.peer]);
  const last = get.events.findLast(({ event }) => event.event === 'progress');
  expect(last?.event).toMatchObject({ bytes: file.size, total: file.size });
  expect(
    createHash('sha256')
      .update(await readFile(done.path))
      .digest('hex'),
  ).toBe(file.sha256);
  expect(get.stderr).toBe('');

  // the node shares it under its name, and the tracker knows both sources
  expect(await node.process.eventWhere((event) => event['name'] === 'big.bin', 'big.bin is shared')).toMatchObject({
    event: 'shared',
    content: done.content,
  });
  await eventually(async () => {
    const { json } = await restGet(tracker.url, '/file/big.bin');
    return (json as { peers: unknown[] }).peers.length === 2;
  }, 'both nodes are sources');
  expect((await readdir(mine)).toSorted()).toEqual(['big.bin', 'own.bin']);
  expect(node.process.events.filter(({ event }) => event.event === 'withdrawn')).toEqual([]);

  // it is served from there when the first source has gone
  await source.process.end();
  const other = world.get(tracker, 'big.bin', ['-o', `${await world.dir('other')}/`]);
  expect((await doneOf(other)).peers.map(({ peer }) => peer)).toEqual([node.peer]);

  // for people: one line says who does it
  const again = world.run(['get', 'big.bin', '--tracker', tracker.url, '-o', mine], { home });
  expect((await again.ended()).code).toBe(0);
  expect(again.stderr).toContain(`handed to the node on ${node.address}, which shares ${mine}`);
  expect(again.stdout.toString()).toContain('✔ big.bin verified');
});

test('interrupting a handed-over get cancels it there and keeps the partial file', async (context) => {
  const world = await createWorld(context);
  const tracker = await world.tracker();
  const file = await world.file('slow.bin', 12 * MiB, 33);
  await world.share(tracker, [await world.dir('shared')], ['--limit-up', '3M']);
  const mine = await realpath(await world.dir('mine'));
  const home = await world.dir('home');
  const node = await world.share(tracker, [mine], [], { home });

  const get = plainGet(world, tracker, 'slow.bin', ['-o', mine], home);
  await get.eventWhere((event) => event.event === 'progress' && Number(event['bytes']) > 0, 'some bytes');
  const fetching = (await statusOf(world, home)).find(({ peer }) => peer === node.peer);
  expect(fetching?.transfers[0]).toMatchObject({ name: 'slow.bin', state: 'fetching' });
  expect((await get.end('SIGINT')).code).toBe(130);
  expect(await get.event('error')).toMatchObject({ code: 'cancelled' });
  expect(await readdir(mine)).toContain('slow.bin.part');
  expect((await statusOf(world, home))[0]?.transfers).toEqual([]);

  // a node of its own, for a flag that the running one cannot take, goes on where that stopped
  const resumed = plainGet(world, tracker, 'slow.bin', ['-o', mine, '--limit-down', '1G'], home);
  const done = await doneOf(resumed);
  expect(done).toMatchObject({ sha256: file.sha256, size: file.size });
  expect(done['resumedBytes']).toBeGreaterThan(0);
});

test('errors of a handed-over get end it as its own would', async (context) => {
  const world = await createWorld(context);
  const tracker = await world.tracker();
  const file = await world.file('here.bin', 100_000, 34, ['mine/deep']);
  const mine = await realpath(await world.dir('mine'));
  const home = await world.dir('home');
  await world.share(tracker, [mine], [], { home });
  const missing = plainGet(world, tracker, 'missing.bin', ['-o', mine], home);
  expect((await missing.ended()).code).toBe(3);
  expect(await missing.event('error')).toMatchObject({ code: 'no-such-name', exit: 3 });

  // the node has the content under another path: a second node fetches it from there
  const copy = plainGet(world, tracker, 'deep/here.bin', ['-o', mine], home);
  expect(await doneOf(copy)).toMatchObject({ path: join(mine, 'here.bin'), sha256: file.sha256 });
});

test('a get with a node of its own is seen while it runs, and leaves nothing', async (context) => {
  const world = await createWorld(context);
  const tracker = await world.tracker();
  await world.file('slow.bin', 8 * MiB, 35);
  await world.share(tracker, [await world.dir('shared')], ['--limit-up', '2M']);
  const home = await world.dir('home');
  const get = plainGet(world, tracker, 'slow.bin', ['-o', `${await world.dir('target')}/`], home);
  await get.event('progress');
  expect(await statusOf(world, home)).toMatchObject([{ roots: [], transfers: [{ name: 'slow.bin' }] }]);
  expect((await get.end('SIGINT')).code).toBe(130);
  expect(await readdir(join(home, 'run'))).toEqual([]);
});
