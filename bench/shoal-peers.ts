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

/** Where a swarm keeps its data, and what all of its commands are given. */
export interface SwarmPlace {
  readonly folder?: string;
  readonly flags?: readonly string[];
}

/** A tracker, and a sharing node for each folder, all on loopback. */
export async function startShoalSwarm(
  { path, processes }: Workplace,
  folders: readonly string[] = [],
  { folder = 'shoal', flags = [] }: SwarmPlace = {},
): Promise<ShoalSwarm> {
  const data = (name: string): string => join(path, folder, name, 'data');
  const where = ['--host', '127.0.0.1', '--port', '0', '--data', data('tracker')];
  const tracker = processes.start('shoal tracker', SHOAL_COMMAND, ['tracker', '--json', ...where, ...flags]);
  const url = textOf((await tracker.event('listening')).event, 'url');
  const sources: BenchProcess[] = [];
  const share = async (shared: string): Promise<BenchProcess> => {
    const name = `source-${sources.length + 1}`;
    const common = ['--json', '--tracker', url, '--listen', '127.0.0.1:0', '--data', data(name), ...flags];
    const source = processes.start(`shoal share (${name})`, SHOAL_COMMAND, ['share', shared, ...common]);
    sources.push(source);
    await source.event('ready');
    return source;
  };
  for (const one of folders) await share(one);
  return { tracker, url, sources, share };
}

export function createShoalPeers(place: Workplace, file: BenchFile): Promise<SystemUnderTest> {
  return createPeers(place, file, 'Shoal', { folder: 'shoal', flags: [] });
}

/** The same, encrypted, with certificates that are made for this run. */
export async function createShoalTlsPeers(place: Workplace, file: BenchFile): Promise<SystemUnderTest> {
  const { path, processes } = place;
  const dir = join(path, 'certificates');
  await processes.measure('shoal cert', SHOAL_COMMAND, ['cert', 'node', 'bench', '--dir', dir]);
  return createPeers(place, file, 'Shoal, TLS', { folder: 'shoal-tls', flags: ['--tls', join(dir, 'bench')] });
}

async function createPeers(
  place: Workplace,
  file: BenchFile,
  name: string,
  { folder, flags }: Required<SwarmPlace>,
): Promise<SystemUnderTest> {
  const { path, processes } = place;
  const swarm = await startShoalSwarm(place, [], { folder, flags });
  return {
    name,
    sourceCountMax: Number.POSITIVE_INFINITY,
    async startSources(count) {
      while (swarm.sources.length < count)
        await swarm.share(await sourceFolder(file, join(path, folder, `source-${swarm.sources.length + 1}`, 'files')));
    },
    async receive(outputFolder): Promise<Reception> {
      const common = ['--json', '--tracker', swarm.url, '--listen', '127.0.0.1:0', ...flags];
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
