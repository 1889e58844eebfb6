/**
 * `npm run bench:crowd`: a flash crowd. One source, N leechers that start at once, every one a host of its own behind a capped link. Shoal
 * and libtorrent in turns. Reads the options, composes, prints.
 */
import { join, resolve } from 'node:path';
import { humanBytes } from '../src/cli/human.ts';
import { ShoalError } from '../src/errors.ts';
import { parseCount, parseRate, parseSize } from '../src/cli/rates.ts';
import { createBenchFile } from './bench-file.ts';
import { createCappedNetwork } from './capped-network.ts';
import { fluidBoundSeconds, runCrowds, type CrowdRun } from './crowd-runs.ts';
import { createLibtorrentCrowd, createShoalCrowd } from './crowd-systems.ts';
import { LIBTORRENT_MISSING, libtorrentVersion } from './libtorrent-peers.ts';
import { describeMachine, machineLine } from './machine.ts';
import { plainCopySeconds } from './plain-copy.ts';
import { COMMON, readOptions } from './options.ts';
import { median, summarize, summaryText } from './statistics.ts';
import { renderMarkdown } from './table.ts';
import { note, runBenchmark, withWorkplace } from './workplace.ts';

await runBenchmark(async () => {
  const values = readOptions('crowd', {
    size: { value: 'SIZE', default: '64MiB', about: 'bytes to move' },
    leechers: { value: 'N', default: '8', about: 'hosts that fetch' },
    rate: { value: 'RATE', default: '100mbit', about: 'what each link carries, each way' },
    runs: COMMON.runs,
    only: { about: 'Shoal alone' },
    dir: COMMON.dir,
    python: COMMON.python,
    json: COMMON.json,
  });
  if (values === undefined) return;
  const size = parseSize(values.size);
  const leecherCount = parseCount(values.leechers);
  const bytesPerSecond = parseRate(values.rate);
  const runCount = parseCount(values.runs);
  const machine = describeMachine();
  const boundSeconds = fluidBoundSeconds(size, leecherCount, bytesPerSecond);

  const { runs, libtorrent, copySeconds } = await withWorkplace(resolve(values.dir), async (place) => {
    const { path, processes } = place;
    const { python } = values;
    const libtorrent = values.only ? undefined : await libtorrentVersion(python);
    if (libtorrent === undefined && !values.only) note(LIBTORRENT_MISSING);
    const network = await createCappedNetwork({ hostCount: leecherCount + 1, bytesPerSecond });
    try {
      const file = await createBenchFile(join(path, 'original'), 'bench.bin', size);
      const [from, to] = network.hosts;
      if (from === undefined || to === undefined) throw new ShoalError('bug', 'a crowd without hosts');
      const copySeconds = await plainCopySeconds(place, file, { from, to, python });
      note(`one plain connection: ${copySeconds.toFixed(2)} s`);
      const systems = [createShoalCrowd(file)];
      const torrentPath = join(path, 'file.torrent');
      if (libtorrent !== undefined) systems.push(await createLibtorrentCrowd(file, { torrentPath, python }));
      const onRun = (run: CrowdRun, counted: boolean): void => {
        const seconds = last(run);
        const bound = (seconds / boundSeconds).toFixed(2);
        note(
          `${run.system}: last leecher after ${seconds.toFixed(2)} s, ${bound} of the bound${counted ? '' : '  (warm-up)'}`,
        );
      };
      const runs = await runCrowds(systems, { file, network, bytesPerSecond, processes, path, runCount, onRun });
      return { runs, libtorrent, copySeconds };
    } finally {
      await processes.close(); // a namespace with a process in it would stay
      await network.close();
    }
  });

  if (values.json) {
    const report = {
      machine,
      libtorrent: libtorrent ?? null,
      size,
      leecherCount,
      bytesPerSecond,
      boundSeconds,
      copySeconds,
      runs,
    };
    process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
    return;
  }
  process.stdout.write(
    [
      machineLine(machine),
      `${humanBytes(size)} from one source to ${leecherCount} leechers that start at once, every link ${values.rate} each way; fluid bound ${boundSeconds.toFixed(2)} s, one plain copy ${copySeconds.toFixed(2)} s`,
      `medians of ${runCount} (min-max), systems in turns${libtorrent === undefined ? '' : `; libtorrent ${libtorrent}`}`,
      '',
      crowdTable(runs, { size, boundSeconds, copySeconds }),
      '',
      timelineTable(runs),
      '',
      'Times run from the common start, the start of the processes included; own clock: the slowest by its own count. source sent: everything its host sent, in sizes of the file.',
      'plain copy: one TCP connection carries the file over one such link, which takes longer than the bound by the headers of its packets.',
      'Read from the links: until the first and the last leecher get data, until the source has sent as much as the file, how much of its uplink it used for that, how much',
      'of their downlinks the leechers used from then on, until the links are quiet, and what all sent over what the leechers needed.',
      '',
    ].join('\n'),
  );
});

function crowdTable(
  runs: readonly CrowdRun[],
  { size, boundSeconds, copySeconds }: { size: number; boundSeconds: number; copySeconds: number },
): string {
  const groups = [...Map.groupBy(runs, ({ system }) => system)];
  return renderMarkdown(groups, [
    { title: 'system', value: ([system]) => system },
    { title: 'last leecher s', align: 'right', value: ([, group]) => summaryText(summarize(group.map(last)), 2) },
    {
      title: 'over the bound',
      align: 'right',
      value: ([, group]) => summaryText(summarize(group.map((run) => last(run) / boundSeconds)), 2),
    },
    {
      title: 'over a plain copy',
      align: 'right',
      value: ([, group]) => summaryText(summarize(group.map((run) => last(run) / copySeconds)), 2),
    },
    {
      title: 'first leecher s',
      align: 'right',
      value: ([, group]) => median(group.map(({ doneSeconds }) => doneSeconds[0] ?? Number.NaN)).toFixed(2),
    },
    {
      title: 'own clock s',
      align: 'right',
      value: ([, group]) => median(group.map(({ transferSecondsMax }) => transferSecondsMax)).toFixed(2),
    },
    {
      title: 'source sent',
      align: 'right',
      value: ([, group]) => summaryText(summarize(group.map(({ sourceSentBytes }) => sourceSentBytes / size)), 2),
    },
    { title: 'cores busy', align: 'right', value: ([, group]) => percent(group.map(({ cpuShare }) => cpuShare)) },
    { title: 'all busy', align: 'right', value: ([, group]) => percent(group.map(({ machineShare }) => machineShare)) },
  ]);
}

function timelineTable(runs: readonly CrowdRun[]): string {
  const groups = [...Map.groupBy(runs, ({ system }) => system)];
  const column = (title: string, of: (run: CrowdRun) => number, digits: number, unit = '') => ({
    title,
    align: 'right' as const,
    value: ([, group]: (typeof groups)[number]) => `${median(group.map(of)).toFixed(digits)}${unit}`,
  });
  return renderMarkdown(groups, [
    { title: 'system', value: ([system]) => system },
    column('first byte s', ({ timeline }) => timeline.firstByteSeconds[0] ?? Number.NaN, 2),
    column('everybody s', ({ timeline }) => timeline.firstByteSeconds.at(-1) ?? Number.NaN, 2),
    column('first copy out s', ({ timeline }) => timeline.firstCopySeconds, 2),
    column('uplink used', ({ timeline }) => timeline.sourceUplinkUsed * 100, 0, ' %'),
    column('downlinks used', ({ timeline }) => timeline.downlinksUsed * 100, 0, ' %'),
    column('links quiet s', ({ timeline }) => timeline.lastByteSeconds, 2),
    column('last done s', last, 2),
    column('sent/needed', ({ timeline }) => timeline.sentOverNeeded, 3),
  ]);
}

function last({ doneSeconds }: CrowdRun): number {
  return doneSeconds.at(-1) ?? Number.NaN;
}

function percent(shares: readonly (number | undefined)[]): string {
  const known = shares.filter((value) => value !== undefined);
  return known.length === 0 ? '-' : `${(median(known) * 100).toFixed(0)} %`;
}
