/**
 * Two trackers on one Valkey; the one that a sharing node and several downloads have registered with is killed (-9) while the downloads
 * run. How long after that each of them is registered with the other one, how long a call of somebody new takes, and how many of the
 * downloads failed.
 */
import { join } from 'node:path';
import { createBenchFile, sourceFolder } from '../bench-file.ts';
import { SHOAL_COMMAND } from '../shoal-peers.ts';
import { summarize, summaryText } from '../statistics.ts';
import { textOf } from '../system.ts';
import { note, type Workplace } from '../workplace.ts';
import { startRedis, startShoalTracker, type Server } from './servers.ts';

const GETS = 4;
const SIZE = 48 * 1024 * 1024;
/** So that the downloads take longer than a failover is allowed to. */
const LIMIT_DOWN = '6M';
const POLL_MS = 10;
const PATIENCE_MS = 60_000;

interface Failover {
  /** From the kill until the first, and the last, of the nodes has registered with the second tracker. */
  readonly firstSeconds: number;
  readonly lastSeconds: number;
  /** Of an `ls` that begins at the kill, from the start of its process. */
  readonly lsSeconds: number;
  readonly failed: number;
}

export async function measureFailover(place: Workplace, runs: number): Promise<string> {
  const { path } = place;
  const store = await startRedis(place);
  const file = await createBenchFile(join(path, 'file'), 'wanted.bin', SIZE);
  const folder = await sourceFolder(file, join(path, 'source'));
  const all: Failover[] = [];
  for (let run = 1; run <= runs; run++) {
    note(`run ${run}: the first tracker is killed`);
    all.push(await killOne(place, { store, folder, fileName: file.name, sha256: file.sha256, name: `run-${run}` }));
  }
  await store.process.stop();
  const of = (pick: (one: Failover) => number): string => summaryText(summarize(all.map(pick)), 2);
  const failed = all.reduce((sum, one) => sum + one.failed, 0);
  return [
    `A tracker of two is killed (-9) while a node shares and ${GETS} downloads run, ${runs} times; seconds from the kill\n`,
    `the first of the ${GETS + 1} nodes is registered with the other tracker: ${of(({ firstSeconds }) => firstSeconds)}`,
    `all are: ${of(({ lastSeconds }) => lastSeconds)}`,
    `shoal ls of somebody new, the whole process: ${of(({ lsSeconds }) => lsSeconds)}`,
    `downloads failed: ${failed} of ${runs * GETS}`,
  ].join('\n');
}

interface Scene {
  readonly store: Server;
  readonly folder: string;
  readonly fileName: string;
  readonly sha256: string;
  readonly name: string;
}

async function killOne(place: Workplace, { store, folder, fileName, sha256, name }: Scene): Promise<Failover> {
  const { path, processes } = place;
  const flags = ['--store', `valkey://127.0.0.1:${store.port}`];
  const [first, second] = [
    await startShoalTracker(place, `${name}-a`, flags),
    await startShoalTracker(place, `${name}-b`, flags),
  ];
  const both = `http://127.0.0.1:${first.port},http://127.0.0.1:${second.port}`;
  const common = ['--json', '--tracker', both];
  const node = [...common, '--listen', '127.0.0.1:0'];
  const source = processes.start('source', SHOAL_COMMAND, [
    ...['share', folder, ...node, '--data', join(path, name, 'source')],
  ]);
  await source.event('ready');
  const gets = Array.from({ length: GETS }, (_, index) =>
    processes.start(`get ${index}`, SHOAL_COMMAND, [
      ...['get', fileName, '-o', `${join(path, name, `out-${index}`)}/`, ...node, '--limit-down', LIMIT_DOWN],
    ]),
  );
  await Promise.all(gets.map((get) => get.event('progress')));
  await new Promise((wait) => setTimeout(wait, 1_000));

  const killedAtMs = performance.now();
  first.process.signal('SIGKILL');
  const ls = processes.measure('ls', SHOAL_COMMAND, ['ls', ...common]);
  const [firstSeconds, lastSeconds] = await Promise.all([
    untilRegistered(second.port, 1, killedAtMs),
    untilRegistered(second.port, GETS + 1, killedAtMs),
  ]);
  const { wallSeconds } = await ls;
  const ends = await Promise.allSettled(
    gets.map(async (get) => {
      await get.ended();
      if (textOf((await get.event('done')).event, 'sha256') !== sha256) throw new Error('other bytes');
    }),
  );
  await first.process.stop();
  await Promise.all([source.stop(), second.process.stop()]);
  return {
    firstSeconds,
    lastSeconds,
    lsSeconds: wallSeconds,
    failed: ends.filter(({ status }) => status === 'rejected').length,
  };
}

/** Seconds until so many nodes have registered there, by the tracker's own count of calls. */
async function untilRegistered(port: number, count: number, sinceMs: number): Promise<number> {
  const calls = /^shoal_tracker_calls_total\{[^}]*Register"[^}]*status="200"\} (\d+)$/mu;
  for (;;) {
    const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    const seconds = (performance.now() - sinceMs) / 1000;
    if (Number(calls.exec(text)?.[1] ?? 0) >= count) return seconds;
    if (seconds * 1000 > PATIENCE_MS) throw new Error(`fewer than ${count} nodes have come to the second tracker`);
    await new Promise((wait) => setTimeout(wait, POLL_MS));
  }
}
