/**
 * `npm run bench:small`: many small files against one file of the same size: how soon a node that shares them is ready, and how long it
 * takes to fetch them; beside a tar of them that curl fetches from nginx and tar unpacks. From the start of the process.
 */
import { execFile } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { humanBytes } from '../src/cli/human.ts';
import { parseCount, parseSize } from '../src/cli/rates.ts';
import { alternate } from './alternate.ts';
import { checkContent, createBenchFile, sourceFolder } from './bench-file.ts';
import { describeMachine, machineLine } from './machine.ts';
import { COMMON, readOptions } from './options.ts';
import { SHOAL_COMMAND, startShoalSwarm } from './shoal-peers.ts';
import { checkSameFiles, createSmallFiles } from './small-files.ts';
import { median, summarize, summaryText } from './statistics.ts';
import { renderMarkdown } from './table.ts';
import { hasProgram, startNginx } from './web-peers.ts';
import { note, runBenchmark, withWorkplace, type Workplace } from './workplace.ts';

interface Measured {
  readonly what: string;
  readonly seconds: number;
  readonly cpuSeconds: number | undefined;
}

interface Task {
  readonly what: string;
  /** The task with one file whose time is the measure of this one. */
  readonly than?: string;
  run(checked: boolean): Promise<Omit<Measured, 'what'>>;
}

const run = promisify(execFile);

await runBenchmark(async () => {
  const values = readOptions('small', {
    files: { value: 'N', default: '10000', about: 'how many' },
    size: { value: 'SIZE', default: '10KiB', about: 'of each' },
    runs: COMMON.runs,
    dir: COMMON.dir,
    json: COMMON.json,
  });
  if (values === undefined) return;
  const machine = describeMachine();
  const [fileCount, fileBytes] = [parseCount(values.files), parseSize(values.size)];
  const { runs, tasks } = await withWorkplace(resolve(values.dir), async (place) => {
    const tasks = await createTasks(place, fileCount, fileBytes);
    const runs = await alternate(tasks, parseCount(values.runs), async ({ system, counted }): Promise<Measured> => {
      const measured = await system.run(!counted);
      note(`${system.what}: ${measured.seconds.toFixed(2)} s${counted ? '' : '  (warm-up, content checked)'}`);
      return { what: system.what, ...measured };
    });
    return { runs, tasks };
  });
  if (values.json) {
    process.stdout.write(`${JSON.stringify({ machine, fileCount, fileBytes, runs }, null, 2)}\n`);
    return;
  }
  const secondsOf = (what: string): readonly number[] =>
    runs.filter((one) => one.what === what).map(({ seconds }) => seconds);
  const table = renderMarkdown(tasks, [
    { title: 'what', value: ({ what }) => what },
    { title: 'seconds', align: 'right', value: ({ what }) => summaryText(summarize(secondsOf(what)), 2) },
    {
      title: 'of the speed of one file',
      align: 'right',
      value: ({ what, than }) =>
        than === undefined ? '-' : (median(secondsOf(than)) / median(secondsOf(what))).toFixed(2),
    },
  ]);
  process.stdout.write(
    `${machineLine(machine)}\n${fileCount} files of ${humanBytes(fileBytes)}, and one file of ${humanBytes(fileCount * fileBytes)}; medians of ${values.runs} (min-max), in turns\n\n${table}\n`,
  );
});

async function createTasks(place: Workplace, fileCount: number, fileBytes: number): Promise<readonly Task[]> {
  const { path, processes } = place;
  note('making the files');
  const many = await createSmallFiles(join(path, 'sources', 'many'), fileCount, fileBytes);
  const file = await createBenchFile(join(path, 'original'), 'one.bin', fileCount * fileBytes);
  const one = await sourceFolder(file, join(path, 'sources', 'one'));
  const swarm = await startShoalSwarm(place, [many, one]);

  let shares = 0;
  const share = async (folder: string): Promise<Omit<Measured, 'what'>> => {
    const data = join(path, 'shares', `${++shares}`);
    const args = ['share', folder, '--json', '--tracker', swarm.url, '--listen', '127.0.0.1:0', '--data', data];
    const node = processes.start('shoal share', SHOAL_COMMAND, args);
    const { atMs } = await node.event('ready');
    const cpuSeconds = node.cpuSeconds();
    await node.stop();
    return { seconds: (atMs - node.startedAtMs) / 1000, cpuSeconds };
  };
  let outputs = 0;
  const receive = async (
    name: string,
    command: string,
    args: (output: string) => readonly string[],
    check: ((output: string) => Promise<void>) | undefined,
  ): Promise<Omit<Measured, 'what'>> => {
    // nothing is deleted before the end: ext4 looks at every inode that was freed in the last seconds before it takes another one, which
    // makes the files of the next run up to ten times as slow
    const output = join(path, 'outputs', `${++outputs}`);
    await mkdir(output, { recursive: true });
    const { wallSeconds, cpuSeconds } = await processes.measure(name, command, args(output));
    await check?.(output);
    return { seconds: wallSeconds, cpuSeconds };
  };
  const get = (what: string, check: ((output: string) => Promise<void>) | undefined): Promise<Omit<Measured, 'what'>> =>
    receive(
      'shoal get',
      SHOAL_COMMAND,
      (output) => ['get', what, '-o', `${output}/`, '--json', '--tracker', swarm.url, '--listen', '127.0.0.1:0'],
      check,
    );

  const shareOne = `share one file of ${humanBytes(file.size)}`;
  const getOne = `get one file of ${humanBytes(file.size)}`;
  const sameFiles = (output: string): Promise<void> => checkSameFiles(many, join(output, basename(many)));
  const tasks: Task[] = [
    { what: shareOne, run: () => share(one) },
    { what: `share ${fileCount} files`, than: shareOne, run: () => share(many) },
    {
      what: getOne,
      run: (checked) => get(file.name, checked ? (output) => checkContent(file, join(output, file.name)) : undefined),
    },
    {
      what: `get ${fileCount} files`,
      than: getOne,
      run: (checked) => get(`${basename(many)}/`, checked ? sameFiles : undefined),
    },
  ];
  if (!(await hasProgram('nginx', '-v')) || !(await hasProgram('curl', '--version'))) {
    note('tar over curl is not measured: a program is missing (apt-get install -y nginx-light curl)');
    return tasks;
  }
  const tarFolder = join(path, 'tar');
  await mkdir(tarFolder, { recursive: true });
  await run('tar', ['-cf', join(tarFolder, 'many.tar'), '-C', dirname(many), basename(many)]);
  const { port } = await startNginx(place, { name: 'tar', folder: tarFolder });
  // what `shoal get` promises too: it is on the disk
  const line = `curl -sS --fail http://127.0.0.1:${port}/many.tar | tar -xf - -C "$1" && sync -f "$1"`;
  tasks.push({
    what: 'curl, tar and sync, unverified',
    than: getOne,
    run: (checked) =>
      receive('curl and tar', 'sh', (output) => ['-c', line, 'sh', output], checked ? sameFiles : undefined),
  });
  return tasks;
}
