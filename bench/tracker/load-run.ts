/** One load on one server, from the load generator's process, with what it cost the server. */
import { fileURLToPath } from 'node:url';
import type { BenchProcess } from '../processes.ts';
import { summarize, summaryText } from '../statistics.ts';
import { renderMarkdown } from '../table.ts';
import type { Workplace } from '../workplace.ts';
import type { LoadFigures } from './http-load.ts';
import type { Server } from './servers.ts';

const LOAD = fileURLToPath(new URL('load-process.ts', import.meta.url));

export interface LoadRun extends LoadFigures {
  /** Of the server, a call. */
  readonly cpuMicroseconds: number;
}

export interface LoadRow {
  readonly what: string;
  readonly runs: readonly LoadRun[];
}

export type LoadFlags = Readonly<Record<string, string | true>>;

/** @param what which requests: `--what` of the generator. */
export async function loadOnce(place: Workplace, server: Server, what: string, flags: LoadFlags): Promise<LoadRun> {
  return (await loadTogether(place, [{ server, flags: { what, ...flags } }])).runs[0] as LoadRun;
}

export interface LoadTogether {
  readonly runs: readonly LoadRun[];
  /** Of the process beside them, in cores, while the load went on. */
  readonly besideCores: number;
}

/** The same moment for all: each generator prepares, and all begin when the last is ready. */
export async function loadTogether(
  { processes }: Workplace,
  loads: readonly { readonly server: Server; readonly flags: LoadFlags }[],
  beside?: BenchProcess,
): Promise<LoadTogether> {
  const started = loads.map(({ server, flags }) => {
    const args = Object.entries({ port: String(server.port), ...flags, 'await-signal': true }).flatMap(
      ([name, value]) => (value === true ? [`--${name}`] : [`--${name}`, String(value)]),
    );
    return { server, generator: processes.start('load', process.execPath, [LOAD, ...args]) };
  });
  await Promise.all(started.map(({ generator }) => generator.event('prepared')));
  for (const { generator } of started) generator.signal('SIGUSR2');
  await Promise.all(started.map(({ generator }) => generator.event('begins')));
  const begunAtMs = performance.now();
  const usedBeside = beside?.cpuSeconds() ?? Number.NaN;
  const runs = await Promise.all(
    started.map(async ({ server, generator }) => {
      const before = server.process.cpuSeconds() ?? Number.NaN;
      const figures = (await generator.event('figures')).event as unknown as LoadFigures;
      const after = server.process.cpuSeconds() ?? Number.NaN;
      await generator.ended();
      return { ...figures, cpuMicroseconds: ((after - before) * 1e6) / figures.answers };
    }),
  );
  const seconds = (performance.now() - begunAtMs) / 1000;
  return { runs, besideCores: ((beside?.cpuSeconds() ?? Number.NaN) - usedBeside) / seconds };
}

export function loadTable(rows: readonly LoadRow[]): string {
  const of = (pick: (figures: LoadRun) => number, digits: number) => (row: LoadRow) =>
    summaryText(summarize(row.runs.map(pick)), digits);
  return renderMarkdown(rows, [
    { title: 'what', value: (row) => row.what },
    { title: 'a second', align: 'right', value: of(({ perSecond }) => perSecond, 0) },
    { title: 'CPU µs a call', align: 'right', value: of(({ cpuMicroseconds }) => cpuMicroseconds, 1) },
    { title: 'generator µs', align: 'right', value: of((run) => run.generatorCpuMicroseconds, 1) },
    { title: 'p50 ms', align: 'right', value: of(({ p50Ms }) => p50Ms, 2) },
    { title: 'p99 ms', align: 'right', value: of(({ p99Ms }) => p99Ms, 2) },
    { title: 'refused', align: 'right', value: of(({ refused }) => refused, 0) },
    { title: 'lost', align: 'right', value: of(({ lost }) => lost, 0) },
    { title: 'reconnects', align: 'right', value: of(({ reconnects }) => reconnects, 0) },
    { title: 'bytes an answer', align: 'right', value: of(({ answers, answerBytes }) => answerBytes / answers, 0) },
  ]);
}
