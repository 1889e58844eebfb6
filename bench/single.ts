/**
 * `npm run bench:single`: one source against all of them. Three sources and a receiver, every one a host of its own behind a capped link,
 * in situations where several sources should help much, not at all, and where a choice by latency can be wrong.
 */
import { mkdir, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { humanBytes } from '../src/cli/human.ts';
import { parseCount, parseRate, parseSize } from '../src/cli/rates.ts';
import { alternate } from './alternate.ts';
import { createBenchFile, sourceFolder, type BenchFile } from './bench-file.ts';
import { createCappedNetwork, type CappedHost } from './capped-network.ts';
import { describeMachine, machineLine } from './machine.ts';
import { COMMON, readOptions } from './options.ts';
import { SHOAL_COMMAND } from './shoal-peers.ts';
import { median, summarize, summaryText } from './statistics.ts';
import { numberOf, textOf } from './system.ts';
import { renderMarkdown } from './table.ts';
import { note, runBenchmark, withWorkplace, type Workplace } from './workplace.ts';

interface Situation {
  readonly name: string;
  /** Of the receiver's link, then of each source's. */
  readonly rates: readonly string[];
}

const SITUATIONS: readonly Situation[] = [
  { name: 'the sources are the narrow part', rates: ['1gbit', '100mbit', '100mbit', '100mbit'] },
  { name: 'the receiver is the narrow part', rates: ['100mbit', '100mbit', '100mbit', '100mbit'] },
  { name: 'one source is ten times slower', rates: ['1gbit', '100mbit', '100mbit', '10mbit'] },
];
const MODES = ['--single', 'all sources'] as const;

interface SingleRun {
  readonly situation: string;
  readonly mode: (typeof MODES)[number];
  readonly seconds: number;
  readonly sources: readonly { readonly bytes: number; readonly rttMs: number | null }[];
}

await runBenchmark(async () => {
  const values = readOptions('single', {
    size: { value: 'SIZE', default: '32MiB', about: 'bytes to move' },
    runs: COMMON.runs,
    dir: COMMON.dir,
    json: COMMON.json,
  });
  if (values === undefined) return;
  const size = parseSize(values.size);
  const runCount = parseCount(values.runs);
  const machine = describeMachine();
  const runs: SingleRun[] = [];
  for (const situation of SITUATIONS)
    runs.push(
      ...(await withWorkplace(resolve(values.dir), (place) => runSituation(place, { situation, size, runCount }))),
    );
  process.stdout.write(
    values.json
      ? `${JSON.stringify({ machine, size, runs }, null, 2)}\n`
      : [
          machineLine(machine),
          `${humanBytes(size)} from three sources, medians of ${runCount} (min-max), modes in turns; links: the receiver's, then the sources'`,
          '',
          table(runs),
          '',
        ].join('\n'),
  );
});

async function runSituation(
  { path, processes }: Workplace,
  { situation, size, runCount }: { situation: Situation; size: number; runCount: number },
): Promise<readonly SingleRun[]> {
  const network = await createCappedNetwork({
    hostCount: situation.rates.length,
    bytesPerSecond: situation.rates.map(parseRate),
  });
  try {
    const file = await createBenchFile(join(path, 'original'), 'bench.bin', size);
    const [receiver, ...sources] = network.hosts;
    if (receiver === undefined) throw new Error('a network has hosts');
    const data = (name: string): string[] => ['--data', join(path, name, 'data')];
    const where = ['--host', receiver.address, '--port', '9000', ...data('tracker')];
    const tracker = processes.start(
      'shoal tracker',
      ...receiver.on(SHOAL_COMMAND, ['tracker', '--json', '--no-mdns', ...where]),
    );
    const url = textOf((await tracker.event('listening')).event, 'url');
    for (const [index, host] of sources.entries()) {
      const name = `source-${index + 1}`;
      const folder = await sourceFolder(file, join(path, name, 'files'));
      const share = ['share', folder, '--json', '--tracker', url, '--listen', `${host.address}:9001`, ...data(name)];
      await processes.start(`shoal share (${name})`, ...host.on(SHOAL_COMMAND, share)).event('ready');
    }
    return await alternate(MODES, runCount, async ({ system: mode, counted }) => {
      const run = await receive(receiver, { file, url, mode, path, processes });
      note(`${situation.name}, ${mode}: ${run.seconds.toFixed(2)} s${counted ? '' : '  (warm-up)'}`);
      return { situation: situation.name, mode, ...run };
    });
  } finally {
    await processes.close(); // a namespace with a process in it would stay
    await network.close();
  }
}

interface Receiving extends Pick<Workplace, 'path' | 'processes'> {
  readonly file: BenchFile;
  readonly url: string;
  readonly mode: SingleRun['mode'];
}

/** One download, verified by its `done`; what it wrote is removed. */
async function receive(
  host: CappedHost,
  { file, url, mode, path, processes }: Receiving,
): Promise<Pick<SingleRun, 'seconds' | 'sources'>> {
  const folder = join(path, 'received');
  await mkdir(folder, { recursive: true });
  const target = ['--json', '--tracker', url, '--listen', `${host.address}:0`, '-o', `${folder}/`];
  const words = ['get', file.name, ...target, ...(mode === '--single' ? [mode] : [])];
  const get = processes.start('shoal get', ...host.on(SHOAL_COMMAND, words));
  const { event } = await get.event('done');
  await get.ended();
  await rm(folder, { recursive: true });
  return { seconds: numberOf(event, 'seconds'), sources: event['peers'] as SingleRun['sources'] };
}

function table(runs: readonly SingleRun[]): string {
  const groups = [...Map.groupBy(runs, ({ situation, mode }) => `${situation}\n${mode}`).values()];
  const one = (group: readonly SingleRun[]): SingleRun | undefined => group[0];
  return renderMarkdown(groups, [
    { title: 'situation', value: (group) => one(group)?.situation ?? '' },
    {
      title: 'links',
      value: (group) => SITUATIONS.find(({ name }) => name === one(group)?.situation)?.rates.join(', ') ?? '',
    },
    { title: 'mode', value: (group) => one(group)?.mode ?? '' },
    {
      title: 'seconds',
      align: 'right',
      value: (group) => summaryText(summarize(group.map(({ seconds }) => seconds)), 2),
    },
    {
      title: 'sources used',
      align: 'right',
      value: (group) => String(median(group.map(({ sources }) => sources.filter(({ bytes }) => bytes > 0).length))),
    },
    {
      title: 'rttMs, each run',
      value: (group) =>
        group
          .map(({ sources }) =>
            sources
              .filter(({ bytes }) => bytes > 0)
              .map(({ rttMs }) => rttMs?.toFixed(2) ?? '?')
              .join('/'),
          )
          .join(' '),
    },
  ]);
}
