/** Shoal in the loopback benchmark: the command a person would type, a tracker, a sharing peer for each source, a fresh `get` a run. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { sourceFolder, type BenchFile } from './bench-file.ts';
import type { BenchProcess } from './processes.ts';
import { numberOf, textOf, type Reception, type SystemUnderTest } from './system.ts';
import type { Workplace } from './workplace.ts';

export const SHOAL_COMMAND = fileURLToPath(new URL('../bin/shoal', import.meta.url));

export async function createShoalPeers({ path, processes }: Workplace, file: BenchFile): Promise<SystemUnderTest> {
  const data = (name: string): string => join(path, 'shoal', name, 'data');
  const where = ['--host', '127.0.0.1', '--port', '0', '--data', data('tracker')];
  const tracker = processes.start('shoal tracker', SHOAL_COMMAND, ['tracker', '--json', ...where]);
  const url = textOf((await tracker.event('listening')).event, 'url');
  const common = ['--json', '--tracker', url, '--listen', '127.0.0.1:0'];
  const sources: BenchProcess[] = [];

  return {
    name: 'Shoal',
    sourceCountMax: Number.POSITIVE_INFINITY,
    async startSources(count) {
      while (sources.length < count) {
        const name = `source-${sources.length + 1}`;
        const folder = await sourceFolder(file, join(path, 'shoal', name, 'files'));
        const args = ['share', folder, ...common, '--data', data(name)];
        const source = processes.start(`shoal share (${name})`, SHOAL_COMMAND, args);
        sources.push(source);
        await source.event('ready');
      }
    },
    async receive(outputFolder): Promise<Reception> {
      const args = ['get', file.name, '-o', `${outputFolder}/`, ...common];
      const run = await processes.measure('shoal get', SHOAL_COMMAND, args);
      const { event } = await run.event('done');
      return { run, transferSeconds: numberOf(event, 'seconds'), path: textOf(event, 'path') };
    },
    senders: () => [tracker, ...sources],
  };
}
