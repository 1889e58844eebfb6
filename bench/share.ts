/**
 * `npm run bench:share`: how soon `shoal share` is ready: 2,000 small files, one large file, and the same again after a restart,
 * from the start of the process to its `ready` event; and how long `shoal ls` takes to list the small ones.
 */
import { join, resolve } from 'node:path';
import { humanBytes } from '../src/cli/human.ts';
import { parseCount, parseSize } from '../src/cli/rates.ts';
import { createBenchFile, sourceFolder } from './bench-file.ts';
import { describeMachine, machineLine } from './machine.ts';
import { COMMON, readOptions } from './options.ts';
import { SHOAL_COMMAND, startShoalSwarm } from './shoal-peers.ts';
import { createSmallFiles } from './small-files.ts';
import { summarize, summaryText } from './statistics.ts';
import { renderMarkdown } from './table.ts';
import { note, runBenchmark, withWorkplace, type Workplace } from './workplace.ts';

interface Row {
  readonly what: string;
  readonly seconds: readonly number[];
}

const SMALL_FILE_BYTES = 10 * 1024;

await runBenchmark(async () => {
  const values = readOptions('share', {
    size: { value: 'SIZE', default: '1GiB', about: 'of the large file' },
    files: { value: 'N', default: '2000', about: 'how many small ones' },
    runs: COMMON.runs,
    dir: COMMON.dir,
  });
  if (values === undefined) return;
  const fileCount = parseCount(values.files);
  const machine = machineLine(describeMachine());
  const rows = await withWorkplace(resolve(values.dir), (place) =>
    measure(place, fileCount, parseSize(values.size), parseCount(values.runs)),
  );
  const columns = [
    { title: 'what', value: (row: Row) => row.what },
    { title: 'seconds', align: 'right' as const, value: (row: Row) => summaryText(summarize(row.seconds), 2) },
  ];
  process.stdout.write(
    `${machine}\nmedians (min-max), from the start of the process\n\n${renderMarkdown(rows, columns)}`,
  );
});

async function measure(place: Workplace, fileCount: number, size: number, runs: number): Promise<Row[]> {
  const { path, processes } = place;
  const { url } = await startShoalSwarm(place);
  note('making the files');
  const many = await createSmallFiles(join(path, 'many'), fileCount, SMALL_FILE_BYTES);
  const one = await sourceFolder(await createBenchFile(path, 'big.bin', size), join(path, 'one'));

  const share = async (folder: string, data: string, whenReady?: () => Promise<void>): Promise<number> => {
    const args = ['share', folder, '--json', '--tracker', url, '--listen', '127.0.0.1:0', '--data', join(path, data)];
    const node = processes.start('shoal share', SHOAL_COMMAND, args);
    const { atMs } = await node.event('ready');
    await whenReady?.();
    await node.stop();
    return (atMs - node.startedAtMs) / 1000;
  };

  const first: number[] = [];
  const listed: number[] = [];
  const large: number[] = [];
  const again: number[] = [];
  await share(one, 'one-again');
  for (let run = 0; run < runs; run++) {
    note(`run ${run + 1} of ${runs}`);
    const list = async (): Promise<void> => {
      const { wallSeconds } = await processes.measure('shoal ls', SHOAL_COMMAND, ['ls', '--json', '--tracker', url]);
      listed.push(wallSeconds);
    };
    first.push(await share(many, `many-${run}`, list));
    large.push(await share(one, `one-${run}`));
    again.push(await share(one, 'one-again'));
  }
  return [
    { what: `share ${fileCount} files of 10 KiB, first time`, seconds: first },
    { what: `ls of these ${fileCount}`, seconds: listed },
    { what: `share one file of ${humanBytes(size)}, first time`, seconds: large },
    { what: 'share it again, unchanged', seconds: again },
  ];
}
