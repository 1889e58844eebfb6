/** Shoal in the benchmarks: the command a person would type, a tracker, a sharing peer for each source, a fresh `get` a run. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { LoopDelay } from '../src/cli/loop-delay.ts';
import { sourceFolder, type BenchFile } from './bench-file.ts';
import type { BenchProcess } from './processes.ts';
import { numberOf, textOf, type Reception, type SystemUnderTest } from './system.ts';
import type { Workplace } from './workplace.ts';

export const SHOAL_COMMAND = fileURLToPath(new URL('../bin/shoal', import.meta.url));

export interface ShoalSwarm {
  readonly tracker: BenchProcess;
  readonly url: string;
  readonly sources: readonly BenchProcess[];
  /** Starts another source; resolves when all it shares is announced. */
  share(folder: string): Promise<BenchProcess>;
}

/** A tracker, and a sharing node for each folder, all on loopback. */
export async function startShoalSwarm(
  { path, processes }: Workplace,
  folders: readonly string[] = [],
): Promise<ShoalSwarm> {
  const data = (name: string): string => join(path, 'shoal', name, 'data');
  const where = ['--host', '127.0.0.1', '--port', '0', '--data', data('tracker')];
  const tracker = processes.start('shoal tracker', SHOAL_COMMAND, ['tracker', '--json', ...where]);
  const url = textOf((await tracker.event('listening')).event, 'url');
  const sources: BenchProcess[] = [];
  const share = async (folder: string): Promise<BenchProcess> => {
    const name = `source-${sources.length + 1}`;
    const common = ['--json', '--tracker', url, '--listen', '127.0.0.1:0', '--data', data(name)];
    const source = processes.start(`shoal share (${name})`, SHOAL_COMMAND, ['share', folder, ...common]);
    sources.push(source);
    await source.event('ready');
    return source;
  };
  for (const folder of folders) await share(folder);
  return { tracker, url, sources, share };
}

export async function createShoalPeers(place: Workplace, file: BenchFile): Promise<SystemUnderTest> {
  const { path, processes } = place;
  const swarm = await startShoalSwarm(place);
  return {
    name: 'Shoal',
    sourceCountMax: Number.POSITIVE_INFINITY,
    async startSources(count) {
      while (swarm.sources.length < count)
        await swarm.share(await sourceFolder(file, join(path, 'shoal', `source-${swarm.sources.length + 1}`, 'files')));
    },
    async receive(outputFolder): Promise<Reception> {
      const common = ['--json', '--tracker', swarm.url, '--listen', '127.0.0.1:0'];
      const args = ['get', file.name, '-o', `${outputFolder}/`, ...common];
      const env = { ...process.env, SHOAL_LOOP_DELAY: '1' };
      const run = await processes.measure('shoal get', SHOAL_COMMAND, args, env);
      const { event } = await run.event('done');
      const loopDelay = event['loopDelay'] as LoopDelay;
      return {
        run,
        transferSeconds: numberOf(event, 'seconds'),
        path: textOf(event, 'path'),
        loopDelay: { maxMs: numberOf({ ...loopDelay }, 'maxMs'), p99Ms: numberOf({ ...loopDelay }, 'p99Ms') },
      };
    },
    senders: () => [swarm.tracker, ...swarm.sources],
  };
}
