/**
 * `npm run bench:start`: what it costs to start the command: `--help`, `ls`, a `get` of a tiny file, the first byte of a large one to
 * standard output, and eight tiny ones at once, as a class room does; beside a Node that runs nothing. From the start of the process to its end, and its CPU time.
 */
import { rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { humanBytes } from '../src/cli/human.ts';
import { parseCount } from '../src/cli/rates.ts';
import { alternate } from './alternate.ts';
import { createBenchFile } from './bench-file.ts';
import { describeMachine, machineLine } from './machine.ts';
import { COMMON, readOptions } from './options.ts';
import { cpuSecondsOfEnded } from './process-usage.ts';
import { SHOAL_COMMAND, startShoalSwarm } from './shoal-peers.ts';
import { summarize, summaryText } from './statistics.ts';
import { renderMarkdown } from './table.ts';
import { note, runBenchmark, withWorkplace, type Workplace } from './workplace.ts';

interface Measured {
  readonly what: string;
  readonly wallSeconds: number;
  readonly cpuSeconds: number | undefined;
}

interface Start {
  readonly what: string;
  run(): Promise<Measured>;
}

const TINY_BYTES = 10 * 1024;
const LARGE_BYTES = 1024 * 1024 * 1024;
const AT_ONCE = 8;

await runBenchmark(async () => {
  const values = readOptions('start', {
    runs: { ...COMMON.runs, default: '9' },
    dir: COMMON.dir,
    json: COMMON.json,
  });
  if (values === undefined) return;
  const machine = describeMachine();
  const runs = await withWorkplace(resolve(values.dir), async (place) => {
    const starts = await createStarts(place);
    return await alternate(starts, parseCount(values.runs), async ({ system, round }) => {
      if (system === starts[0]) note(round === 0 ? 'warm-up' : `round ${round} of ${values.runs}`);
      return await system.run();
    });
  });
  if (values.json) {
    process.stdout.write(`${JSON.stringify({ machine, runs }, null, 2)}\n`);
    return;
  }
  const rows = [...Map.groupBy(runs, ({ what }) => what).values()];
  const table = renderMarkdown(rows, [
    { title: 'what', value: ([first]) => first?.what ?? '' },
    {
      title: 'process s',
      align: 'right',
      value: (group) => summaryText(summarize(group.map(({ wallSeconds }) => wallSeconds)), 3),
    },
    {
      title: 'CPU s',
      align: 'right',
      value: (group) => {
        const seconds = group.map(({ cpuSeconds }) => cpuSeconds).filter((value) => value !== undefined);
        return seconds.length === 0 ? '-' : summaryText(summarize(seconds), 2);
      },
    },
  ]);
  process.stdout.write(
    `${machineLine(machine)}\nmedians of ${values.runs} (min-max), in turns, from the start of the process to its end\n\n${table}\n`,
  );
});

async function createStarts(place: Workplace): Promise<readonly Start[]> {
  const { path, processes } = place;
  const file = await createBenchFile(join(path, 'files'), 'tiny.bin', TINY_BYTES);
  const large = await createBenchFile(join(path, 'files'), 'large.bin', LARGE_BYTES);
  const { url } = await startShoalSwarm(place, [join(path, 'files')]);
  let outputs = 0;
  const getArgs = (): string[] => {
    const output = join(path, 'out', `${++outputs}`, '/');
    return ['get', file.name, '-o', output, '--json', '--tracker', url, '--listen', '127.0.0.1:0'];
  };
  const one = (what: string, command: string, args: () => readonly string[]): Start => ({
    what,
    async run() {
      const { wallSeconds, cpuSeconds } = await processes.measure(what, command, args());
      await rm(join(path, 'out'), { recursive: true, force: true });
      return { what, wallSeconds, cpuSeconds };
    },
  });
  const firstByte: Start = {
    what: `\`shoal get -o -\`, ${humanBytes(LARGE_BYTES)}, the first byte`,
    async run() {
      const args = ['get', large.name, '-o', '-', '--tracker', url, '--listen', '127.0.0.1:0'];
      // head ends with the first byte, and the get ends with head
      const line = ['-c', 'exec head -c 1 < <("$@" 2>/dev/null)', 'bash', SHOAL_COMMAND, ...args];
      const { wallSeconds } = await processes.measure('the first byte', 'bash', line);
      return { what: firstByte.what, wallSeconds, cpuSeconds: undefined };
    },
  };
  const together: Start = {
    what: `${AT_ONCE} \`shoal get\` at once, the last`,
    async run() {
      const before = cpuSecondsOfEnded();
      const started = Array.from({ length: AT_ONCE }, () => processes.start('shoal get', SHOAL_COMMAND, getArgs()));
      const ends = await Promise.all(started.map((process) => process.ended()));
      const after = cpuSecondsOfEnded();
      await rm(join(path, 'out'), { recursive: true, force: true });
      return {
        what: together.what,
        wallSeconds: (Math.max(...ends.map(({ atMs }) => atMs)) - (started[0]?.startedAtMs ?? 0)) / 1000,
        cpuSeconds: before === undefined || after === undefined ? undefined : after - before,
      };
    },
  };
  return [
    one('Node, nothing to do', process.execPath, () => ['-e', '0']),
    one('`shoal --help`', SHOAL_COMMAND, () => ['--help']),
    one('`shoal ls`', SHOAL_COMMAND, () => ['ls', '--json', '--tracker', url]),
    one('`shoal get`, 10 KiB', SHOAL_COMMAND, getArgs),
    firstByte,
    together,
  ];
}
