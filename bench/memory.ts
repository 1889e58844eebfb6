/**
 * `npm run bench:memory`: how much memory nodes take while they move a large file, 5 GiB unless told otherwise. Needs disk for two of it.
 */
import { rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { humanBytes } from '../src/cli/human.ts';
import { parseCount, parseSize } from '../src/cli/rates.ts';
import { checkContent, createBenchFile } from './bench-file.ts';
import { describeMachine, machineLine } from './machine.ts';
import { COMMON, readOptions } from './options.ts';
import type { Memory } from './process-usage.ts';
import { createShoalPeers } from './shoal-peers.ts';
import { renderMarkdown } from './table.ts';
import { note, runBenchmark, withWorkplace } from './workplace.ts';

interface Row {
  readonly who: string;
  readonly memory: Memory | undefined;
}

const MiB = 1024 * 1024;

await runBenchmark(async () => {
  const values = readOptions('memory', {
    size: { value: 'SIZE', default: '5GiB', about: 'bytes to move' },
    sources: { value: 'N', default: '3', about: 'nodes that share it' },
    dir: COMMON.dir,
    json: COMMON.json,
  });
  if (values === undefined) return;
  const machine = describeMachine();
  const size = parseSize(values.size);
  const rows = await withWorkplace(resolve(values.dir), async (place): Promise<readonly Row[]> => {
    note(`writing ${humanBytes(size)} of random bytes`);
    const file = await createBenchFile(join(place.path, 'original'), 'bench.bin', size);
    const shoal = await createShoalPeers(place, file);
    await shoal.startSources(parseCount(values.sources));
    const hashing = shoal.senders().map((sender) => ({ who: `${sender.name}, ready`, memory: sender.peakMemory() }));
    note('moving it');
    const { run, path, transferSeconds } = await shoal.receive(join(place.path, 'output'));
    note(`${(size / transferSeconds / 1e6).toFixed(0)} MB/s; comparing`);
    await checkContent(file, path);
    await rm(path);
    return [
      ...hashing,
      { who: 'shoal get', memory: run.peakMemory },
      ...shoal.senders().map((sender) => ({ who: `${sender.name}, after`, memory: sender.peakMemory() })),
    ];
  });
  if (values.json) {
    process.stdout.write(`${JSON.stringify({ machine, size, rows }, null, 2)}\n`);
    return;
  }
  const mebibytes = (bytes: number | undefined): string => (bytes === undefined ? '-' : (bytes / MiB).toFixed(0));
  const table = renderMarkdown(rows, [
    { title: 'process', value: ({ who }) => who },
    { title: 'peak RSS MiB', align: 'right', value: ({ memory }) => mebibytes(memory?.residentBytes) },
    { title: 'own MiB', align: 'right', value: ({ memory }) => mebibytes(memory?.ownBytes) },
  ]);
  process.stdout.write(
    `${machineLine(machine)}\n${humanBytes(size)} from ${values.sources} nodes to one: most memory over each process's life so far\n\n${table}\n`,
  );
});
