/** Scenarios that wait for renewals of leases, which take some ten seconds: side by side, so that they wait together. */
import { createServer } from 'node:net';
import { once } from 'node:events';
import { describe, expect, test } from 'vitest';
import { eventually } from '../support/deadline.ts';
import { restGet, type ChunkRows, type PeerRow } from '../support/rest.ts';
import { createWorld, doneOf } from '../support/world.ts';

const MiB = 1024 * 1024;

describe.concurrent('in the time of a renewal', () => {
  test('who is still fetching serves what it has: the tracker shows it, and others fetch from it', async (context) => {
    const world = await createWorld(context);
    const tracker = await world.tracker();
    const file = await world.file('spreading.bin', 36 * MiB, 50);
    const seeder = await world.share(tracker, file.paths, ['--limit-up', '6M']);

    const fourth = world.get(tracker, file.name, ['-o', `${world.folder}/fourth/`, '--limit-down', '2M']);
    const rows = await eventually(
      async () => {
        const { json } = await restGet(tracker.url, `/file/${file.name}/chunks`);
        const { chunks } = json as ChunkRows;
        return chunks.some(({ sources }) => sources === 2) ? chunks : undefined;
      },
      'the tracker knows chunks of who is still fetching',
      20_000,
    );
    expect(fourth.exit).toBeUndefined();
    expect(rows.some(({ sources }) => sources === 1)).toBe(true);
    const addresses = new Set(rows.flatMap(({ peers }) => peers));
    addresses.delete(seeder.address);
    expect(addresses.size).toBe(1);
    const [fourthAddress] = addresses;

    const fifth = await doneOf(world.get(tracker, file.name, ['-o', `${world.folder}/fifth/`]));
    expect(fourth.exit).toBeUndefined();
    const given = fifth.peers.find(({ address }) => address === fourthAddress);
    expect(given?.chunks).toBeGreaterThan(0);
    expect(given?.peer).toMatch(/^[0-9a-f]{32}$/u);
    expect(given?.peer).not.toBe(seeder.peer);
    expect(fifth.sha256).toBe(file.sha256);
    await fourth.end('SIGINT');
  });

  test('a tracker that was killed and comes back learns of every node without a command', async (context) => {
    const world = await createWorld(context);
    const data = await world.dir('tracker');
    const port = String(await freePort());
    const flags = ['--port', port, '--data', data, '--store', 'sqlite'];
    const tracker = await world.tracker(flags);
    const files = await Promise.all([1, 2].map((n) => world.file(`kept ${n}.bin`, 200_000, 60 + n, [`peer-${n}`])));
    const shares = await Promise.all(files.map(({ paths }) => world.share(tracker, paths)));
    await tracker.process.end('SIGKILL');
    for (const { process } of shares) expect(await process.event('tracker')).toMatchObject({ state: 'away' });

    const again = await world.tracker(flags);
    expect(again.url).toBe(tracker.url);
    const catalogue = (await restGet(again.url, '/files?all=true')).json as { name: string }[];
    expect(catalogue.map(({ name }) => name)).toEqual(['kept 1.bin', 'kept 2.bin']);
    const online = await eventually(
      async () => {
        const rows = (await restGet(again.url, '/peers')).json as PeerRow[];
        const there = rows.filter(({ state, complete }) => state === 'online' && complete === 1);
        return there.length === shares.length ? there : undefined;
      },
      'both nodes are registered again',
      30_000,
    );
    expect(online.map(({ peer }) => peer).toSorted()).toEqual(shares.map(({ peer }) => peer).toSorted());
    const done = await doneOf(world.get(again, 'kept 1.bin', ['-o', `${world.folder}/`]));
    expect(done.sha256).toBe(files[0]?.sha256);
    for (const { process } of shares) {
      const told = process.events.map(({ event }) => event).filter(({ event }) => event === 'tracker');
      expect(told).toEqual([
        { event: 'tracker', state: 'away', url: tracker.url },
        { event: 'tracker', state: 'connected', url: tracker.url },
      ]);
    }
  });
});

/** A port that was free a moment ago: the tracker has to come back on the one it had. */
async function freePort(): Promise<number> {
  const server = createServer().listen({ host: '127.0.0.1', port: 0 });
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address !== null ? address.port : 0;
}
