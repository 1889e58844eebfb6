/**
 * `npm run bench:limits`: how exactly and how smoothly a rate limit is kept, up and down, while it is changed with `shoal limit`. One
 * sharing peer and one download, real processes, a relay between them that counts what passes. For each rate: the mean over ten seconds,
 * and the most that passed in any 100 ms, over the limit. A rate beyond what the machine moves shows that the limit costs nothing there.
 */
import { join, resolve } from 'node:path';
import { tmpdir } from 'node:os';
import { parseArgs } from 'node:util';
import { humanRate } from '../src/cli/human.ts';
import { parseRate } from '../src/cli/rates.ts';
import { createBenchFile, sourceFolder } from './bench-file.ts';
import { meanRate, mostWithin, openRelay } from './counting-relay.ts';
import { describeMachine, machineLine } from './machine.ts';
import { SHOAL_COMMAND } from './shoal-peers.ts';
import { textOf } from './system.ts';
import { renderMarkdown } from './table.ts';
import { note, runBenchmark, withWorkplace, type Workplace } from './workplace.ts';

type Direction = 'up' | 'down';

interface Row {
  readonly direction: Direction;
  readonly rate: number;
  readonly meanRate: number;
  readonly windowShare: number;
  readonly seconds: number;
}

const MIB = 1024 * 1024;
const WINDOW_MS = 100;
/** What was saved up under the last limit, and what was under way, has passed after this. */
const SETTLE_MS = 1_500;

await runBenchmark(async () => {
  const { values } = parseArgs({
    options: {
      rates: { type: 'string', default: '100k,1M,10M,50M,10G' },
      seconds: { type: 'string', default: '10' },
      dir: { type: 'string', default: tmpdir() },
    },
  });
  const rates = values.rates.split(',').map(parseRate);
  const rows: Row[] = [];
  for (const direction of ['up', 'down'] as const) {
    rows.push(
      ...(await withWorkplace(resolve(values.dir), (place) =>
        measure(place, direction, rates, Number(values.seconds)),
      )),
    );
  }
  const columns = [
    { title: 'limit', value: ({ direction, rate }: Row) => `${direction} ${humanRate(rate)}` },
    { title: 'mean', align: 'right' as const, value: (row: Row) => humanRate(row.meanRate) },
    { title: 'off by', align: 'right' as const, value: (row: Row) => percent(row.meanRate / row.rate - 1) },
    {
      title: `fullest ${WINDOW_MS} ms`,
      align: 'right' as const,
      value: (row: Row) => `${Math.round(row.windowShare * 100)} %`,
    },
    { title: 'seconds', align: 'right' as const, value: ({ seconds }: Row) => seconds.toFixed(1) },
  ];
  process.stdout.write(`${machineLine(describeMachine())}\nbytes on the wire\n\n${renderMarkdown(rows, columns)}`);
});

/** Changes the limit of one transfer from rate to rate. */
async function measure(
  { path, processes }: Workplace,
  direction: Direction,
  rates: readonly number[],
  seconds: number,
): Promise<Row[]> {
  const env = { ...process.env, SHOAL_DATA_HOME: join(path, 'home') };
  const start = (name: string, args: readonly string[]) => processes.start(name, SHOAL_COMMAND, args, env);
  const where = ['--host', '127.0.0.1', '--port', '0', '--store', 'memory'];
  const tracker = start('shoal tracker', ['tracker', '--json', ...where]);
  const url = textOf((await tracker.event('listening')).event, 'url');
  const moved = rates.reduce((sum, rate) => sum + Math.min(rate * (seconds + SETTLE_MS / 1000), 512 * MIB), 0);
  const file = await createBenchFile(path, 'limited.bin', Math.ceil((moved * 1.1) / MIB) * MIB);
  const folder = await sourceFolder(file, join(path, 'files'));
  const data = ['--data', join(path, 'data'), '--chunk-size', '64KiB'];
  const common = ['--json', '--listen', '127.0.0.1:0'];
  const share = start('shoal share', ['share', folder, '--tracker', url, ...common, ...data]);
  const source = textOf((await share.event('listening')).event, 'address');
  const content = textOf((await share.event('shared')).event, 'content');
  await share.event('ready');
  const relay = await openRelay(source);
  try {
    const first = String(Math.round(rates[0] ?? 0));
    const output = ['-o', join(path, 'received.bin'), '--from', relay.address];
    // without a tracker the relay is the only way
    const get = start('shoal get', [
      'get',
      content,
      '--tracker',
      'http://127.0.0.1:9',
      ...common,
      ...output,
      ...(direction === 'down' ? ['--limit-down', first] : []),
    ]);
    let ended = false;
    const over = get.ended(600_000).then(
      () => void (ended = true),
      () => void (ended = true),
    );
    const limited = direction === 'up' ? share : get;
    const rows: Row[] = [];
    await get.event('progress');
    for (const rate of rates) {
      note(`${direction} ${humanRate(rate)}`);
      const change = ['limit', `--${direction}`, String(Math.round(rate)), '--node', String(limited.pid), '--json'];
      await start('shoal limit', change).ended();
      await Promise.race([over, wait(SETTLE_MS)]);
      const fromMs = performance.now();
      relay.take();
      await Promise.race([over, wait(seconds * 1000)]);
      const passed = relay.take();
      const untilMs = ended ? (passed.at(-1)?.atMs ?? fromMs + 1) : performance.now();
      rows.push({
        direction,
        rate,
        meanRate: meanRate(passed, fromMs, untilMs),
        windowShare: mostWithin(passed, fromMs, untilMs, WINDOW_MS) / ((rate * WINDOW_MS) / 1000),
        seconds: (untilMs - fromMs) / 1000,
      });
      if (ended) break;
    }
    return rows;
  } finally {
    relay.close();
  }
}

function wait(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function percent(share: number): string {
  return `${share < 0 ? '-' : '+'}${Math.abs(share * 100).toFixed(1)} %`;
}
