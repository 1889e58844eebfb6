/**
 * `npm run bench:recovery`: the time from a source's death to full speed again. Three sources, of which two would do for the receiver's
 * limit; in the middle of the transfer one of them dies (-9), stands still (SIGSTOP: its connection stays open and nothing comes),
 * slows to a trickle, or loses its file. Says how long the receiver was below nine tenths of its speed before, and what that cost.
 */
import { rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parseCount } from '../src/cli/rates.ts';
import { createBenchFile, sourceFolder, type BenchFile } from './bench-file.ts';
import { describeMachine, machineLine } from './machine.ts';
import { COMMON, readOptions } from './options.ts';
import type { BenchProcess } from './processes.ts';
import { SHOAL_COMMAND } from './shoal-peers.ts';
import { summarize, summaryText } from './statistics.ts';
import { numberOf, textOf } from './system.ts';
import { renderMarkdown } from './table.ts';
import { recoveryOf, type Arrived, type Recovery } from './recovery-time.ts';
import { note, runBenchmark, withWorkplace, type Workplace } from './workplace.ts';

const SOURCES = 3;
const LIMIT_UP = '12M';
const LIMIT_DOWN = '16M';
const SIZE = 320 * 1024 * 1024;
/** Full speed is measured for this long before the fault, and looked for so long after it. */
const BEFORE_MS = 3_000;
const AFTER_MS = 8_000;

interface Source {
  readonly process: BenchProcess;
  readonly home: string;
  readonly path: string;
}

interface Fault {
  readonly what: string;
  befall(source: Source, place: Workplace): Promise<void> | void;
}

const FAULTS: readonly Fault[] = [
  { what: 'dies (kill -9)', befall: ({ process }) => process.signal('SIGKILL') },
  { what: 'stands still (SIGSTOP)', befall: ({ process }) => process.signal('SIGSTOP') },
  {
    what: 'slows to a trickle (20 kB/s)',
    async befall({ home }, { processes }) {
      const env = { ...process.env, SHOAL_DATA_HOME: home };
      await processes.start('shoal limit', SHOAL_COMMAND, ['limit', '--up', '20k', '--json'], env).ended();
    },
  },
  { what: 'loses its file', befall: ({ path }) => rm(path) },
];

await runBenchmark(async () => {
  const values = readOptions('recovery', {
    runs: { ...COMMON.runs, default: '3' },
    dir: COMMON.dir,
    json: COMMON.json,
  });
  if (values === undefined) return;
  const machine = describeMachine();
  const runs = await withWorkplace(resolve(values.dir), async (place) => {
    const file = await createBenchFile(join(place.path, 'file'), 'wanted.bin', SIZE);
    const all: { readonly what: string; readonly recovery: Recovery }[] = [];
    for (let round = 1; round <= parseCount(values.runs); round++)
      for (const fault of FAULTS) {
        note(`round ${round}: one of ${SOURCES} sources ${fault.what}`);
        all.push({ what: fault.what, recovery: await runOne(place, file, fault, `${round}-${FAULTS.indexOf(fault)}`) });
      }
    return all;
  });
  if (values.json) {
    process.stdout.write(`${JSON.stringify({ machine, runs }, null, 2)}\n`);
    return;
  }
  const groups = [...Map.groupBy(runs, ({ what }) => what).values()];
  const column = (title: string, pick: (one: Recovery) => number) => ({
    title,
    align: 'right' as const,
    value: (group: (typeof groups)[number]) => summaryText(summarize(group.map(({ recovery }) => pick(recovery))), 2),
  });
  const table = renderMarkdown(groups, [
    { title: `one of ${SOURCES} sources`, value: ([first]) => first?.what ?? '' },
    column('full speed again after s', ({ secondsToFullSpeed }) => secondsToFullSpeed),
    column('time lost s', ({ secondsLost }) => secondsLost),
    column('MB/s before', ({ bytesPerSecondBefore }) => bytesPerSecondBefore / 1e6),
  ]);
  process.stdout.write(
    `${machineLine(machine)}\nsources of ${LIMIT_UP}, receiver of ${LIMIT_DOWN}; medians of ${values.runs} (min-max)\n\n${table}\n`,
  );
});

async function runOne(place: Workplace, file: BenchFile, fault: Fault, name: string): Promise<Recovery> {
  const { processes } = place;
  const path = join(place.path, name);
  const data = join(path, 'tracker');
  const where = ['--host', '127.0.0.1', '--port', '0', '--data', data];
  const tracker = processes.start('shoal tracker', SHOAL_COMMAND, ['tracker', '--json', ...where]);
  const url = textOf((await tracker.event('listening')).event, 'url');
  const sources = await Promise.all(
    Array.from({ length: SOURCES }, async (_, index): Promise<Source> => {
      const home = join(path, `home-${index}`);
      const folder = await sourceFolder(file, join(path, `source-${index}`));
      const args = ['share', folder, '--json', '--tracker', url, '--listen', '127.0.0.1:0', '--limit-up', LIMIT_UP];
      const env = { ...process.env, SHOAL_DATA_HOME: home };
      const source = processes.start(`source ${index}`, SHOAL_COMMAND, args, env);
      await source.event('ready');
      return { process: source, home, path: join(folder, file.name) };
    }),
  );
  const out = join(path, 'out');
  const args = ['get', file.name, '-o', `${out}/`, '--json', '--tracker', url, '--listen', '127.0.0.1:0'];
  const get = processes.start('shoal get', SHOAL_COMMAND, [...args, '--limit-down', LIMIT_DOWN]);
  const arrived: Arrived[] = [];
  get.watch(({ event, atMs }) => {
    if (event['event'] === 'progress') arrived.push({ atMs, bytes: numberOf(event, 'bytes') });
  });
  const begun = await get.event('progress');
  await until(begun.atMs + BEFORE_MS + 1_000);
  const [victim] = sources as [Source, ...Source[]];
  const faultAtMs = performance.now();
  await fault.befall(victim, place);
  await until(faultAtMs + AFTER_MS);
  const recovery = recoveryOf(arrived, { faultAtMs, beforeMs: BEFORE_MS, afterMs: AFTER_MS });
  victim.process.signal('SIGKILL');
  await Promise.all([get, tracker, ...sources.map((source) => source.process)].map((one) => one.stop()));
  await rm(path, { recursive: true, force: true });
  return recovery;
}

function until(atMs: number): Promise<void> {
  return new Promise((done) => setTimeout(done, Math.max(0, atMs - performance.now())));
}
