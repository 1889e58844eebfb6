/** Copies that volunteers keep: real peers, and a tracker with short leases, so that who is gone is gone soon. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createLog } from '../../src/log.ts';
import { startTracker } from '../../src/tracker/server.ts';
import { sha256OfFile } from '../support/contents.ts';
import { eventually } from '../support/deadline.ts';
import { restGet } from '../support/rest.ts';
import { createWorld, doneOf, type StartedTracker, type World } from '../support/world.ts';

const GONE_MS = 4_000;
const PATIENCE_MS = 40_000;

interface Row {
  readonly replicas: number;
  readonly replicas_reached: number;
  readonly replica_chunks_missing: number;
}

test('copies outlive their publisher, are repaired when a volunteer is gone for good, and trimmed when it returns', async (context) => {
  const tracker = await startTracker({
    ...{ host: '127.0.0.1', port: 0, store: 'memory', leaseMs: 3_000, replicaGoneMs: GONE_MS },
    log: createLog({ name: 'test', level: 'silent' }),
  });
  context.onTestFinished(() => tracker.close());
  const world = await createWorld(context);
  const at = { url: tracker.url } as StartedTracker;
  const file = await world.file('kept.bin', 3_000_000, 31);
  const homes = await Promise.all(['one', 'two', 'three'].map((name) => world.dir(name)));
  const start = (home: string) =>
    world.run(['volunteer', '1G', '--json', '--tracker', tracker.url, '--listen', '127.0.0.1:0'], { home });
  const volunteers = homes.map(start);
  for (const one of volunteers) await one.event('ready');
  const publisher = await world.share(at, file.paths, ['--replicas', '2']);
  await reached(tracker.url);
  for (const one of volunteers) expect((await one.event('replica'))['chunks']).toBeGreaterThan(0);
  const info = world.run(['info', 'kept.bin', '--tracker', tracker.url]);
  await info.ended();
  expect(info.stdout.toString()).toContain('2 of 2');
  const parts = await Promise.all(homes.map((home) => transfersOf(world, home)));
  const states = parts.flat().map(({ bytes, size, state }) => ({ isWhole: bytes === size, state }));
  expect(states).toContainEqual({ isWhole: false, state: 'serving' });
  expect(states).not.toContainEqual({ isWhole: false, state: 'seeding' });

  publisher.process.kill('SIGKILL');
  await publisher.process.ended();
  await getWhole(world, at, file.sha256, 'from-volunteers');

  // one is gone for good: the others have all of it then
  volunteers[0]?.kill('SIGKILL');
  await volunteers[0]?.ended();
  const repaired = (one: (typeof volunteers)[number]) =>
    one.eventWhere(({ event, chunks, of }) => event === 'replica' && chunks === of, 'it keeps all', PATIENCE_MS);
  for (const one of volunteers.slice(1)) await repaired(one);
  await reached(tracker.url);

  // and back, with what it had: what is too much goes
  const back = start(homes[0] ?? '');
  expect((await back.event('volunteering'))['used']).toBeGreaterThan(0);
  const all = [back, ...volunteers.slice(1)];
  await Promise.any(all.map((one) => one.event('replica-dropped', PATIENCE_MS)));
  const chunkCopies = async (): Promise<readonly number[]> => {
    const { json } = await restGet(tracker.url, '/file/kept.bin/chunks');
    return (json as { chunks: { sources: number }[] }).chunks.map(({ sources }) => sources);
  };
  await eventually(
    async () => (await chunkCopies()).every((sources) => sources === 2),
    'every chunk is kept twice',
    PATIENCE_MS,
  );
  await getWhole(world, at, file.sha256, 'after-all');
  const metrics = await (await fetch(`${tracker.url}/metrics`)).text();
  expect(metrics).toContain('shoal_tracker_volunteers 3');
  expect(metrics).toContain('shoal_tracker_replica_chunks_missing 0');
}, 150_000);

interface Transfer {
  readonly bytes: number;
  readonly size: number;
  readonly state: string;
}

async function transfersOf(world: World, home: string): Promise<readonly Transfer[]> {
  const status = world.run(['status', '--json'], { home });
  await status.ended();
  const nodes = JSON.parse(status.stdout.toString()) as readonly { readonly transfers: readonly Transfer[] }[];
  return nodes.flatMap(({ transfers }) => transfers);
}

async function reached(url: string): Promise<void> {
  await eventually(
    async () => {
      const { json } = await restGet(url, '/file/kept.bin');
      const { file } = json as { file: Row };
      return file.replicas === 2 && file.replicas_reached === 2 && file.replica_chunks_missing === 0;
    },
    'volunteers keep every chunk twice',
    PATIENCE_MS,
  );
}

async function getWhole(world: World, at: StartedTracker, sha256: string, folder: string): Promise<void> {
  const path = join(await world.dir(folder), 'kept.bin');
  expect(await doneOf(world.get(at, 'kept.bin', ['-o', path]))).toMatchObject({ sha256 });
  expect(await sha256OfFile(path)).toBe(sha256);
  await rm(path);
}
