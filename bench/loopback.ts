/**
 * `npm run bench`: one file over loopback, from one and from three sources, by Shoal, libtorrent and plain sockets in turns, all of them
 * real processes. Reads the options, composes, prints.
 */
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { humanBytes } from '../src/cli/human.ts';
import { parseCount, parseSize } from '../src/cli/rates.ts';
import { createBenchFile, type BenchFile } from './bench-file.ts';
import { createLibtorrentPeers, LIBTORRENT_MISSING, libtorrentVersion } from './libtorrent-peers.ts';
import { costTable, speedTable, summarizeRuns } from './loopback-report.ts';
import { runAll } from './loopback-runs.ts';
import { describeMachine, machineLine } from './machine.ts';
import { createPlainPeers } from './plain-peers.ts';
import { createShoalPeers } from './shoal-peers.ts';
import type { OtherOptions, SystemUnderTest } from './system.ts';
import { note, runBenchmark, withWorkplace, type Workplace } from './workplace.ts';

const HELP = `usage: node bench/loopback.ts [options]

  --size SIZE        bytes to move, as 1GiB or 500M (default: 1GiB)
  --runs N           counted runs of each system (default: 5)
  --sources N,N      numbers of sources to fetch from (default: 1,3)
  --durable          the others sync their file to the disk before it counts, as Shoal always does
  --dir PATH         where everything happens (default: the system's temporary folder)
  --python PATH      the Python that runs the other systems (default: /usr/bin/python3)
  --json             one JSON document with every run instead of the tables
`;

await runBenchmark(async () => {
  const { values } = parseArgs({
    options: {
      size: { type: 'string', default: '1GiB' },
      runs: { type: 'string', default: '5' },
      sources: { type: 'string', default: '1,3' },
      dir: { type: 'string', default: tmpdir() },
      python: { type: 'string', default: '/usr/bin/python3' },
      durable: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return;
  }
  const size = parseSize(values.size);
  const runCount = parseCount(values.runs);
  const sourceCounts = values.sources.split(',').map(parseCount);
  const machine = describeMachine();

  const { file, runs, libtorrent } = await withWorkplace(resolve(values.dir), async (place) => {
    const { python, durable } = values;
    const libtorrent = await libtorrentVersion(python);
    if (libtorrent === undefined) note(LIBTORRENT_MISSING);
    note(`writing ${humanBytes(size)} of random bytes in ${place.path}`);
    const file = await createBenchFile(join(place.path, 'original'), 'bench.bin', size);
    const systems = await createSystems(place, file, { python, durable, libtorrent: libtorrent !== undefined });
    const runs = await runAll({
      systems,
      file,
      outputParent: place.path,
      sourceCounts,
      runCount,
      onRun: ({ system, sourceCount, transferSeconds, wallSeconds }, counted) =>
        note(
          `${sourceCount} -> 1  ${system}: ${transferSeconds.toFixed(2)} s, process ${wallSeconds.toFixed(2)} s${counted ? '' : '  (warm-up, content checked)'}`,
        ),
    });
    return { file, runs, libtorrent };
  });

  const results = summarizeRuns(runs, size);
  if (values.json) {
    const report = {
      machine,
      libtorrent: libtorrent ?? null,
      durable: values.durable,
      size,
      runCount,
      sha256: file.sha256,
      results,
      runs,
    };
    process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
    return;
  }
  process.stdout.write(
    [
      machineLine(machine),
      `${humanBytes(size)} over loopback; medians of ${runCount} (min-max), systems in turns${libtorrent === undefined ? '' : `; libtorrent ${libtorrent}`}`,
      '',
      speedTable(results),
      '',
      costTable(results),
      '',
      values.durable
        ? 'Every system syncs the file to the disk before it counts as done.'
        : 'Shoal syncs the file to the disk before it counts as done, the others do not (--durable makes them).',
      'transfer: by each system itself, from asking to having the file. process: from starting the receiver to its exit.',
      "Shoal/other: ratio of speeds by medians, above 1 Shoal is faster. own/RSS: a process's own memory / with file pages it maps.",
      '',
    ].join('\n'),
  );
});

async function createSystems(
  place: Workplace,
  file: BenchFile,
  options: OtherOptions & { readonly libtorrent: boolean },
): Promise<readonly SystemUnderTest[]> {
  const systems = [await createShoalPeers(place, file)];
  if (options.libtorrent) systems.push(await createLibtorrentPeers(place, file, options));
  systems.push(createPlainPeers(place, file, options));
  return systems;
}
