/**
 * `npm run bench:reregister`: 1,000 peers of one tracker, which is killed (-9) and started again after a while. How long after its start
 * all of them are listed as sources again, and whether it answers others meanwhile. The peers are Shoal's own: its client, its
 * announcer, its backoff and jitter, real sockets, a real SQLite store; only that they have no files and no
 * ports, so the tracker does not dial them back.
 */
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseCount } from '../src/cli/rates.ts';
import { ShoalError } from '../src/errors.ts';
import { describeMachine, machineLine } from './machine.ts';
import { COMMON, readOptions } from './options.ts';
import type { BenchProcess } from './processes.ts';
import { SHOAL_COMMAND } from './shoal-peers.ts';
import { textOf } from './system.ts';
import { renderMarkdown } from './table.ts';
import { note, runBenchmark, withWorkplace, type Workplace } from './workplace.ts';

const CROWD = fileURLToPath(new URL('tracker/crowd-process.ts', import.meta.url));
const PROCESSES = 4;
const POLL_MS = 50;
const PATIENCE_MS = 60_000;

interface Restart {
  readonly awaySeconds: number;
  /** From the start of the process to the first answer, and to all sources listed. */
  readonly secondsToAnswer: number;
  readonly secondsToAll: number;
  /** The longest that a call of somebody else took meanwhile. */
  readonly slowestCallMs: number;
}

await runBenchmark(async () => {
  const values = readOptions('reregister', {
    peers: { value: 'N', default: '1000', about: 'peers of the tracker' },
    away: { value: 'LIST', default: '0,5,30', about: 'seconds between its death and its start, one run each' },
    dir: COMMON.dir,
    json: COMMON.json,
  });
  if (values === undefined) return;
  const machine = describeMachine();
  const peers = parseCount(values.peers);
  const runs = await withWorkplace(resolve(values.dir), async (place) => {
    // what these peers announce is no port that would answer
    const where = ['--host', '127.0.0.1', '--data', join(place.path, 'tracker'), '--no-dial-back'];
    const flags = ['tracker', '--json', ...where];
    let tracker = place.processes.start('shoal tracker', SHOAL_COMMAND, [...flags, '--port', '0']);
    const url = textOf((await tracker.event('listening')).event, 'url');
    const { port } = new URL(url);
    await startCrowd(place, url, peers);
    await untilListed(url, peers);
    const all: Restart[] = [];
    for (const away of values.away.split(',').map(Number)) {
      note(`killed, and away for ${away} s`);
      tracker.signal('SIGKILL');
      await tracker.stop();
      await new Promise((done) => setTimeout(done, away * 1000));
      tracker = place.processes.start('shoal tracker', SHOAL_COMMAND, [...flags, '--port', port]);
      const seen = await untilListed(url, peers);
      const since = (atMs: number): number => (atMs - tracker.startedAtMs) / 1000;
      all.push({
        awaySeconds: away,
        secondsToAnswer: since(seen.answeredAtMs),
        secondsToAll: since(seen.allAtMs),
        slowestCallMs: seen.slowestCallMs,
      });
    }
    return all;
  });
  if (values.json) {
    process.stdout.write(`${JSON.stringify({ machine, peers, runs }, null, 2)}\n`);
    return;
  }
  const table = renderMarkdown(runs, [
    { title: 'away s', align: 'right', value: ({ awaySeconds }) => String(awaySeconds) },
    { title: 'answers after s', align: 'right', value: ({ secondsToAnswer }) => secondsToAnswer.toFixed(2) },
    { title: `all ${peers} listed after s`, align: 'right', value: ({ secondsToAll }) => secondsToAll.toFixed(2) },
    { title: 'slowest other call ms', align: 'right', value: ({ slowestCallMs }) => slowestCallMs.toFixed(0) },
  ]);
  process.stdout.write(`${machineLine(machine)}\nseconds from the start of the tracker's process\n\n${table}\n`);
});

async function startCrowd({ processes }: Workplace, url: string, peers: number): Promise<void> {
  const each = Math.ceil(peers / PROCESSES);
  const crowd: BenchProcess[] = [];
  for (let first = 0; first < peers; first += each) {
    const args = [CROWD, url, String(first), String(Math.min(each, peers - first))];
    const one = processes.start(`peers from ${first}`, process.execPath, args);
    crowd.push(one);
    // the first of all publishes what the others have
    if (first === 0) await one.event('ready');
  }
  await Promise.all(crowd.map((one) => one.event('ready')));
}

interface Listed {
  readonly answeredAtMs: number;
  readonly allAtMs: number;
  readonly slowestCallMs: number;
}

/** Asks as any client would, again and again, until so many sources are listed. */
async function untilListed(url: string, peers: number): Promise<Listed> {
  const givesUpAtMs = performance.now() + PATIENCE_MS;
  let answeredAtMs = Number.NaN;
  let slowestCallMs = 0;
  let seeders = 0;
  while (performance.now() < givesUpAtMs) {
    const askedAtMs = performance.now();
    const answer = await fetch(`${url}/file/crowd.bin`).catch(() => undefined);
    const nowMs = performance.now();
    if (answer?.ok === true) {
      if (Number.isNaN(answeredAtMs)) answeredAtMs = nowMs;
      slowestCallMs = Math.max(slowestCallMs, nowMs - askedAtMs);
      ({ seeders } = ((await answer.json()) as { readonly file: { readonly seeders: number } }).file);
      if (seeders === peers) return { answeredAtMs, allAtMs: nowMs, slowestCallMs };
    }
    await new Promise((done) => setTimeout(done, POLL_MS));
  }
  throw new ShoalError('stalled', `${seeders} of ${peers} peers are listed after ${PATIENCE_MS / 1000} s`);
}
