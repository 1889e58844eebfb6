import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { storeContract } from '../../src/tracker/store/store-contract-suite.ts';
import type { TrackerStore } from '../../src/tracker/store/store.ts';
import { openValkeyStore } from '../../src/tracker/store/valkey.ts';
import { eventually } from '../support/deadline.ts';
import { startRedis, startRedisCluster, type RedisNode } from '../support/redis.ts';
import { failOver, pairUnderTest } from '../support/store-failovers.ts';
import { restGet, restPost, type PeerRow } from '../support/rest.ts';
import { isThere, need, REDIS_SERVER } from '../support/system-packages.ts';
import { createWorld, doneOf, type StartedTracker, type World } from '../support/world.ts';

const ends: (() => Promise<void>)[] = [];
const keep = { onTestFinished: (end: () => Promise<void>): void => void ends.push(end) };
const open: TrackerStore[] = [];
afterEach(async () => {
  for (const store of open.splice(0)) await store.close();
});
afterAll(async () => {
  for (const end of ends) await end();
});

// missing servers skip these here and fail them in CI, where .ci/run installs redis-server
describe.skipIf(!isThere(REDIS_SERVER) && process.env['CI'] === undefined)('with redis-server of Debian', () => {
  let single: readonly RedisNode[] = [];
  let cluster: readonly RedisNode[] = [];
  beforeAll(async () => {
    single = [await startRedis(keep)];
    cluster = await startRedisCluster(keep);
  });
  const emptyStore = async (nodes: readonly RedisNode[]): Promise<TrackerStore> => {
    for (const node of nodes) await node.flush();
    const store = await openValkeyStore({ urls: nodes.map(({ url }) => url) });
    open.push(store);
    return store;
  };
  storeContract('valkey (one server)', () => emptyStore(single));
  storeContract('valkey (cluster of three)', () => emptyStore(cluster));

  test('a server that is not there is named in a sentence', async () => {
    await expect(openValkeyStore({ urls: ['redis://user:secret@127.0.0.1:1'] })).rejects.toThrow(
      /^cannot use the store at redis:\/\/127\.0\.0\.1:1: /u,
    );
  });
});

const flagsFor = (nodes: readonly RedisNode[]): string[] => [
  '--port',
  '0',
  '--store',
  nodes.map(({ url }) => url).join(),
];

/** One name for both, as users give it. */
function listOf(first: StartedTracker, ...others: readonly StartedTracker[]): StartedTracker {
  return { ...first, url: [first, ...others].map(({ url }) => url).join() };
}

async function peersAt(tracker: StartedTracker): Promise<readonly PeerRow[]> {
  return (await restGet(tracker.url, '/peers')).json as PeerRow[];
}

function onlineAt(tracker: StartedTracker, count: number): Promise<unknown> {
  return eventually(
    async () => (await peersAt(tracker)).filter(({ state }) => state === 'online').length === count,
    `${count} peers are online at ${tracker.url}`,
  );
}

async function twoTrackers(world: World, nodes: readonly RedisNode[]): Promise<[StartedTracker, StartedTracker]> {
  return [await world.tracker(flagsFor(nodes)), await world.tracker(flagsFor(nodes))];
}

test('two trackers on one server know the same, and a peer of one is found at the other', async (context) => {
  need(context, REDIS_SERVER);
  const node = await startRedis(context); // before the world, so that it ends after the trackers
  const world = await createWorld(context);
  const [a, b] = await twoTrackers(world, [node]);
  const file = await world.file('both.bin', 300_000, 1);
  await world.share(a, [file.paths[0] ?? '']);
  const got = world.get(b, 'both.bin', ['-o', `${await world.dir('got')}/`]);
  expect(await doneOf(got)).toMatchObject({ sha256: file.sha256 });

  // plain peers too, and what one tracker takes out is gone at the other
  const plain = { ip: '192.0.2.1', port: 7001 };
  await restPost(a.url, '/announce', { ...plain, files: [{ name: 'plain.bin', size: 1, sha256: 'ab' }] });
  const plainAtB = async (): Promise<readonly object[]> =>
    ((await restGet(b.url, '/file/plain.bin')).json as { peers?: object[] }).peers ?? [];
  const [known] = await eventually(
    async () => ((await plainAtB()).length === 1 ? plainAtB() : undefined),
    'it is known',
  );
  expect(known).toMatchObject(plain);
  await restPost(b.url, '/leave', plain);
  await eventually(
    async () => ((await restGet(a.url, '/file/plain.bin')).json as { peers: unknown[] }).peers.length === 0,
    'it has left at both',
  );

  // one that starts later asks the others
  const c = await world.tracker(flagsFor([node]));
  await onlineAt(c, (await peersAt(a)).filter(({ state }) => state === 'online').length);
});

test('a tracker that is killed in the middle of a transfer is not missed', async (context) => {
  need(context, REDIS_SERVER);
  const node = await startRedis(context);
  const world = await createWorld(context);
  const [a, b] = await twoTrackers(world, [node]);
  const both = listOf(a, b);
  const file = await world.file('killed.bin', 8_000_000, 2);
  await world.share(both, [file.paths[0] ?? ''], ['--limit-up', '4M']);
  const got = world.get(both, 'killed.bin', ['-o', `${await world.dir('got')}/`]);
  await got.eventWhere(({ event, bytes }) => event === 'progress' && Number(bytes) > 500_000, 'it is under way');
  a.process.kill('SIGKILL');
  await a.process.ended();

  // a node that comes now has only the other tracker
  const late = await world.file('late.bin', 100_000, 3, ['late']);
  await world.share(both, [late.paths[0] ?? '']);
  const listed = world.run(['ls', '--json', '--tracker', both.url]);
  expect(await listed.ended()).toMatchObject({ code: 0 });
  expect(listed.stdout.toString()).toContain('late.bin');
  expect(await doneOf(got)).toMatchObject({ sha256: file.sha256 });
});

test('a node of the cluster that is killed during publishing loses nothing', async (context) => {
  need(context, REDIS_SERVER);
  const nodes = await startRedisCluster(context);
  const world = await createWorld(context);
  const [a, b] = await twoTrackers(world, nodes);
  const both = listOf(a, b);
  const big = await world.file('running.bin', 6_000_000, 4, ['one']);
  await world.share(both, [big.paths[0] ?? ''], ['--limit-up', '2M']);
  const got = world.get(both, 'running.bin', ['-o', `${await world.dir('got')}/`]);
  await got.eventWhere(({ event, bytes }) => event === 'progress' && Number(bytes) > 300_000, 'it is under way');

  const names = Array.from({ length: 40 }, (_, index) => `many-${index}.bin`);
  for (const [index, name] of names.entries()) await world.file(name, 1_000 + index, 100 + index, ['many']);
  await nodes[1]?.kill();
  // publishing goes on until the store has taken all of it
  const sharing = world.run([
    ...['share', '--json', '--tracker', both.url, '--listen', '127.0.0.1:0'],
    await world.dir('many'),
  ]);
  await sharing.event('listening');
  await eventually(
    async () => (await restGet(a.url, '/readyz')).status !== 200,
    'the tracker says that it cannot write',
  );
  await nodes[1]?.start();
  await sharing.event('ready', 40_000);
  expect(await doneOf(got)).toMatchObject({ sha256: big.sha256 });
  for (const tracker of [a, b])
    await eventually(async () => {
      const rows = (await restGet(tracker.url, '/files')).json as { name: string; seeders: number }[];
      return names.every((name) => rows.some((row) => row.name.endsWith(name) && row.seeders === 1));
    }, 'everything is known everywhere');

  // and a tracker that starts on the store alone has it
  for (const tracker of [a, b]) tracker.process.kill('SIGKILL');
  const fresh = await world.tracker(flagsFor(nodes));
  const rows = (await restGet(fresh.url, '/files?all=true')).json as { name: string }[];
  expect(rows.length).toBe(names.length + 1);
});

test('a primary of the cluster that dies during a transfer and publishing is replaced by its replica, and nothing is lost', async (context) => {
  need(context, REDIS_SERVER);
  const nodes = await startRedisCluster(context, 1);
  const world = await createWorld(context);
  const [a, b] = await twoTrackers(world, nodes);
  const both = listOf(a, b);
  const big = await world.file('running.bin', 6_000_000, 5, ['one']);
  await world.share(both, [big.paths[0] ?? ''], ['--limit-up', '1500k']);
  const got = world.get(both, 'running.bin', ['-o', `${await world.dir('got')}/`]);
  await got.eventWhere(({ event, bytes }) => event === 'progress' && Number(bytes) > 300_000, 'it is under way');

  // plain clients that announce until everybody has had his say, one file each, and note what was acknowledged
  const acknowledged: string[] = [];
  const stop = new AbortController();
  const announcing = [a, b].map(async ({ url }, who) => {
    for (let number = 0; !stop.signal.aborted; number++) {
      const name = `said-${who}-${number}.bin`;
      const address = { ip: `192.0.2.${1 + who}`, port: 1 + (number % 60_000) };
      const { status } = await restPost(url, '/announce', { ...address, files: [{ name, size: 1, sha256: name }] });
      if (status === 200) acknowledged.push(name);
    }
  });
  const names = Array.from({ length: 40 }, (_, index) => `many-${index}.bin`);
  for (const [index, name] of names.entries()) await world.file(name, 1_000 + index, 200 + index, ['many']);
  const sharing = world.share(both, [await world.dir('many')]);
  await nodes[0]?.kill();
  await eventually(
    async () => (await promoted(nodes)) && (await restGet(a.url, '/readyz')).status === 200,
    'a replica has taken its place',
  );
  await sharing;
  stop.abort();
  await Promise.all(announcing);
  expect(await doneOf(got)).toMatchObject({ sha256: big.sha256 });

  const known = async ({ url }: StartedTracker): Promise<ReadonlySet<string>> => {
    const rows = (await restGet(url, '/files?all=true&limit=10000')).json as { name: string }[];
    return new Set(rows.map(({ name }) => name.split('/').at(-1) ?? ''));
  };
  const all = [...names, 'running.bin', ...acknowledged];
  expect(acknowledged.length).toBeGreaterThan(10);
  for (const tracker of [a, b])
    await eventually(async () => {
      const there = await known(tracker);
      return all.every((name) => there.has(name));
    }, 'everything is known everywhere');
  // and in the store, for a tracker that has nothing else to go by: nobody can come back to it and say it again
  for (const { process } of [a, b]) {
    process.kill('SIGKILL');
    await process.ended();
  }
  const there = await known(await world.tracker(flagsFor(nodes.slice(1))));
  expect(all.filter((name) => !there.has(name))).toEqual([]);
});

test('a server that dies while its replica lags behind takes nothing with it that was acknowledged', async (context) => {
  need(context, REDIS_SERVER);
  const store = await pairUnderTest(context);
  const world = await createWorld(context);
  const { acknowledged, lost } = await failOver(world, store, { kills: 2, seed: 7 });
  expect(acknowledged).toBeGreaterThan(10);
  expect(lost).toEqual([]);
});

/** Whether three are primaries without the one that died. */
async function promoted(nodes: readonly RedisNode[]): Promise<boolean> {
  const roles = await Promise.all(nodes.slice(1).map((node) => node.info('replication')));
  return roles.filter((role) => role.includes('role:master')).length === 3;
}
