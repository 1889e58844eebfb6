/**
 * Servers of a shared store that are killed outright while plain clients announce at two trackers, again and again, each time at a moment
 * nobody chose. A replica takes the place of the one that died; then everything that was acknowledged is in the store.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { expect } from 'vitest';
import { createRandom, type Random } from '../../src/swarm/random.ts';
import { openValkeyStore } from '../../src/tracker/store/valkey.ts';
import { eventually } from './deadline.ts';
import { openHeldRelay, type HeldRelay } from './held-relay.ts';
import { follow, hasReplica, startRedisCluster, startRedisPair, type RedisNode, type RedisTest } from './redis.ts';
import { restGet, restPost } from './rest.ts';
import type { StartedTracker, World } from './world.ts';

const CLIENTS_PER_TRACKER = 3;
/** From the first announcement to the kill, and how long the replica may have been cut off from what it follows by then. */
const LIFE_MS_MAX = 600;
const LAG_MS_MAX = 300;

export interface FailoverStory {
  readonly kills: number;
  readonly acknowledged: number;
  /** Answered otherwise, and sent again by nobody. */
  readonly refused: number;
  /** Acknowledged and not in the store after a failover. */
  readonly lost: readonly string[];
}

export interface StoreUnderTest {
  readonly urls: readonly string[];
  /** Ends when a replica has taken the place of a primary that was killed. */
  killPrimary(random: Random): Promise<void>;
  /** Brings back the one that was killed, as a replica. */
  restore(): Promise<void>;
}

/** @param flags more flags of the trackers. */
export async function failOver(
  world: World,
  store: StoreUnderTest,
  { kills, seed, flags = [] }: { readonly kills: number; readonly seed: number; readonly flags?: readonly string[] },
): Promise<FailoverStory> {
  const random = createRandom(seed);
  const all = ['--port', '0', '--no-dial-back', '--store', store.urls.join(), ...flags];
  const trackers = [await world.tracker(all), await world.tracker(all)];
  const acknowledged = new Set<string>();
  const lost = new Set<string>();
  let refused = 0;
  let count = 0;
  for (let kill = 0; kill < kills; kill++) {
    const stop = new AbortController();
    const announcing = trackers.flatMap(({ url }) =>
      Array.from({ length: CLIENTS_PER_TRACKER }, async () => {
        while (!stop.signal.aborted) {
          const name = `said-${++count}.bin`;
          const address = { ip: '192.0.2.1', port: 1 + (count % 60_000) };
          const { status } = await restPost(url, '/announce', { ...address, files: [{ name, size: 1, sha256: name }] });
          if (status === 200) acknowledged.add(name);
          else refused++;
        }
      }),
    );
    await pause(random.next() * LIFE_MS_MAX);
    await store.killPrimary(random);
    await areReady(trackers);
    stop.abort();
    await Promise.all(announcing);
    const there = await namesIn(store.urls);
    for (const name of acknowledged) if (!there.has(name)) lost.add(name);
    await store.restore();
    await areReady(trackers);
  }
  for (const tracker of trackers) expect(tracker.process.exit).toBeUndefined();
  return { kills, acknowledged: acknowledged.size, refused, lost: [...lost] };
}

/** Three primaries with a replica each, that look after themselves. */
export async function clusterUnderTest(test: RedisTest): Promise<StoreUnderTest> {
  const nodes = await startRedisCluster(test, 1);
  let killed: RedisNode | undefined;
  const roles = (some: readonly RedisNode[]): Promise<string[]> =>
    Promise.all(some.map((node) => node.info('replication')));
  return {
    urls: nodes.map(({ url }) => url),
    async killPrimary(random) {
      const said = await roles(nodes);
      const primaries = nodes.filter((_, index) => said[index]?.includes('role:master'));
      killed = primaries[random.below(primaries.length)] as RedisNode;
      await killed.kill();
      const others = nodes.filter((node) => node !== killed);
      await eventually(
        async () => (await roles(others)).filter((role) => role.includes('role:master')).length === 3,
        'a replica has taken its place',
      );
    },
    async restore() {
      await killed?.start();
      await eventually(async () => {
        const said = await roles(nodes);
        return said.filter((role) => role.includes('role:slave') && role.includes('link_status:up')).length === 3;
      }, 'every primary has a replica again');
    },
  };
}

/** One with a replica, which falls behind it before it dies; what somebody else would do, the test does. */
export async function pairUnderTest(test: RedisTest): Promise<StoreUnderTest> {
  let [primary, replica] = await startRedisPair(test);
  let relay: HeldRelay | undefined;
  const link = async (): Promise<void> => {
    await relay?.close();
    relay = await openHeldRelay(primary.port);
    await follow(replica, primary, relay.port);
  };
  test.onTestFinished(async () => relay?.close());
  await link();
  return {
    urls: [primary.url, replica.url],
    async killPrimary(random) {
      relay?.hold();
      await pause(random.next() * LAG_MS_MAX);
      await primary.kill();
      relay?.cut();
      await replica.command('replicaof', 'no', 'one');
      [primary, replica] = [replica, primary];
    },
    async restore() {
      await replica.start();
      await link();
      await eventually(() => hasReplica(primary), 'it has its replica');
    },
  };
}

async function areReady(trackers: readonly StartedTracker[]): Promise<void> {
  for (const { url } of trackers)
    await eventually(async () => (await restGet(url, '/readyz')).status === 200, `${url} takes calls`);
}

/** What a tracker would find that has nothing else to go by. */
async function namesIn(urls: readonly string[]): Promise<ReadonlySet<string>> {
  const store = await eventually(() => openValkeyStore({ urls }).catch(() => undefined), 'the store can be read');
  try {
    const names = new Set<string>();
    await store.load({ content() {}, entry: ({ name }) => void names.add(name), peer() {} });
    return names;
  } finally {
    await store.close();
  }
}
