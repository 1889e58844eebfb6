/**
 * `npm run bench`: one file over loopback, from one and from three sources, by Shoal and others in turns, all of them real processes.
 * Reads the options, composes, prints.
 */
import { join, resolve } from 'node:path';
import { humanBytes } from '../src/cli/human.ts';
import { parseCount, parseSize } from '../src/cli/rates.ts';
import { ShoalError } from '../src/errors.ts';
import { createBenchFile, type BenchFile } from './bench-file.ts';
import { createLibtorrentPeers, LIBTORRENT_MISSING, libtorrentVersion } from './libtorrent-peers.ts';
import { costTable, speedTable, summarizeRuns } from './loopback-report.ts';
import { runAll } from './loopback-runs.ts';
import { describeMachine, machineLine } from './machine.ts';
import { COMMON, readOptions } from './options.ts';
import { createPlainPeers } from './plain-peers.ts';
import { createShoalPeers, createShoalTlsPeers } from './shoal-peers.ts';
import type { OtherOptions, SystemUnderTest } from './system.ts';
import { createAria2, createCurl, hasProgram } from './web-peers.ts';
import { createWebtorrentPeers } from './webtorrent-peers.ts';
import { note, runBenchmark, withWorkplace, type Workplace } from './workplace.ts';

const SYSTEMS = 'shoal,shoal-tls,libtorrent,aria2,curl,webtorrent,plain';

await runBenchmark(async () => {
  const values = readOptions('loopback', {
    size: { value: 'SIZE', default: '1GiB', about: 'bytes to move, as 1GiB or 500M' },
    runs: COMMON.runs,
    sources: { value: 'N,N', default: '1,3', about: 'numbers of sources to fetch from' },
    systems: { value: 'A,B', default: SYSTEMS, about: 'whom to measure' },
    durable: { about: 'the others sync their file to the disk before it counts, as Shoal always does' },
    dir: COMMON.dir,
    python: COMMON.python,
    json: COMMON.json,
  });
  if (values === undefined) return;
  const size = parseSize(values.size);
  const runCount = parseCount(values.runs);
  const sourceCounts = values.sources.split(',').map(parseCount);
  const machine = describeMachine();

  const { file, runs, libtorrent } = await withWorkplace(resolve(values.dir), async (place) => {
    const { python, durable } = values;
    const libtorrent = await libtorrentVersion(python);
    note(`writing ${humanBytes(size)} of random bytes in ${place.path}`);
    const file = await createBenchFile(join(place.path, 'original'), 'bench.bin', size);
    const systems = await createSystems(place, file, values.systems.split(','), {
      python,
      durable,
      libtorrent: libtorrent !== undefined,
    });
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

/** Those that can be had here; what is missing is named, and the others are measured without it. */
async function createSystems(
  place: Workplace,
  file: BenchFile,
  wanted: readonly string[],
  options: OtherOptions & { readonly libtorrent: boolean },
): Promise<readonly SystemUnderTest[]> {
  const systems: SystemUnderTest[] = [];
  for (const name of wanted) {
    switch (name) {
      case 'shoal':
        systems.push(await createShoalPeers(place, file));
        break;
      case 'shoal-tls':
        systems.push(await createShoalTlsPeers(place, file));
        break;
      case 'libtorrent':
        if (options.libtorrent) systems.push(await createLibtorrentPeers(place, file, options));
        else note(LIBTORRENT_MISSING);
        break;
      case 'aria2':
        if (!(await hasProgram('nginx', '-v'))) note(missing('aria2', 'nginx-light'));
        else if (await hasProgram('aria2c', '--version')) systems.push(createAria2(place, file, options));
        else note(missing('aria2', 'aria2'));
        break;
      case 'curl':
        if (!(await hasProgram('nginx', '-v'))) note(missing('curl', 'nginx-light'));
        else if ((await hasProgram('curl', '--version')) && (await hasProgram('openssl', 'version')))
          systems.push(createCurl(place, file, options));
        else note(missing('curl', 'curl openssl'));
        break;
      case 'webtorrent':
        if (!options.libtorrent) note('WebTorrent is not measured: libtorrent makes its torrent');
        else systems.push(...(await webtorrentIfAny(place, file, options)));
        break;
      case 'plain':
        systems.push(createPlainPeers(place, file, options));
        break;
      default:
        throw new ShoalError('usage', `${name} is not a system: they are ${SYSTEMS}`);
    }
  }
  return systems;
}

async function webtorrentIfAny(
  place: Workplace,
  file: BenchFile,
  options: OtherOptions,
): Promise<readonly SystemUnderTest[]> {
  note('installing WebTorrent from npm, for this run only');
  try {
    return [await createWebtorrentPeers(place, file, options)];
  } catch (error) {
    const [line = ''] = ShoalError.from(error).message.split('\n');
    note(`WebTorrent is not measured: npm did not install it (${line})`);
    return [];
  }
}

function missing(name: string, packages: string): string {
  return `${name} is not measured: a program is missing (apt-get install -y ${packages})`;
}
