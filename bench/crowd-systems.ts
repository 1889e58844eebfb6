/** Shoal and libtorrent as crowds: how a source is started on the first host, and a leecher that stays on each of the others. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { sourceFolder, type BenchFile } from './bench-file.ts';
import type { CappedHost } from './capped-network.ts';
import { LIBTORRENT_PEER, makeTorrent } from './libtorrent-peers.ts';
import type { BenchProcess, ProcessGroup } from './processes.ts';
import { SHOAL_COMMAND } from './shoal-peers.ts';
import { textOf } from './system.ts';

export interface CrowdPlace {
  /** A folder for one run. */
  readonly path: string;
  readonly hosts: readonly CappedHost[];
  readonly processes: ProcessGroup;
}

export interface Leecher {
  /** Says `done` when its file is whole, and goes on serving. */
  readonly process: BenchProcess;
  readonly filePath: string;
}

export interface Crowd {
  /** The source, with what coordinates it. */
  readonly sources: readonly BenchProcess[];
  /** Returns at once: the process starts, and finds the others by itself. */
  startLeecher(hostIndex: number): Leecher;
}

export interface CrowdSystem {
  readonly name: string;
  /** Starts everything but the leechers; resolves when the source can serve. */
  start(place: CrowdPlace): Promise<Crowd>;
}

const PORT = 9001;
const TRACKER_PORT = 9000;

/** The tracker runs beside the source and shares its link. Leechers know its address and nothing else. */
export function createShoalCrowd(file: BenchFile): CrowdSystem {
  return {
    name: 'Shoal',
    async start({ path, hosts, processes }) {
      const data = (name: string): string => join(path, name, 'data');
      const first = hostAt(hosts, 0);
      const where = ['--host', first.address, '--port', String(TRACKER_PORT), '--data', data('tracker')];
      const tracker = processes.start('shoal tracker', ...first.on(SHOAL_COMMAND, ['tracker', '--json', ...where]));
      const url = textOf((await tracker.event('listening')).event, 'url');
      const common = (host: CappedHost): string[] => [
        '--json',
        '--tracker',
        url,
        '--listen',
        `${host.address}:${PORT}`,
      ];
      const folder = await sourceFolder(file, join(path, 'source', 'files'));
      const share = ['share', folder, ...common(first), '--data', data('source')];
      const source = processes.start('shoal share', ...first.on(SHOAL_COMMAND, share));
      await source.event('ready');
      return {
        sources: [tracker, source],
        startLeecher(hostIndex) {
          const host = hostAt(hosts, hostIndex);
          const filePath = join(path, `h${hostIndex}`, file.name);
          const get = ['get', file.name, '-o', filePath, '--seed', ...common(host)];
          return { process: processes.start(`shoal get (h${hostIndex})`, ...host.on(SHOAL_COMMAND, get)), filePath };
        },
      };
    },
  };
}

/** No tracker: every leecher is told the addresses of all. Settings are the library's own defaults. */
export async function createLibtorrentCrowd(
  file: BenchFile,
  options: { readonly torrentPath: string; readonly python: string },
): Promise<CrowdSystem> {
  const { torrentPath, python } = options;
  await makeTorrent(python, file, torrentPath);
  return {
    name: 'libtorrent',
    async start({ path, hosts, processes }) {
      const first = hostAt(hosts, 0);
      const folder = await sourceFolder(file, join(path, 'source'));
      const seed = [LIBTORRENT_PEER, 'seed', torrentPath, folder, '--listen', endpoint(first)];
      const source = processes.start('libtorrent seeder', ...first.on(python, seed));
      await source.event('listening');
      return {
        sources: [source],
        startLeecher(hostIndex) {
          const host = hostAt(hosts, hostIndex);
          const output = join(path, `h${hostIndex}`);
          const peers = hosts.filter((other) => other !== host).flatMap((other) => ['--peer', endpoint(other)]);
          const leech = [LIBTORRENT_PEER, 'leech', torrentPath, output, '--stay', '--listen', endpoint(host), ...peers];
          const started = processes.start(`libtorrent leecher (h${hostIndex})`, ...host.on(python, leech));
          return { process: started, filePath: join(output, file.name) };
        },
      };
    },
  };
}

/** The folders in which leechers leave their files. */
export async function makeLeecherFolders(path: string, hostCount: number): Promise<void> {
  for (let hostIndex = 1; hostIndex < hostCount; hostIndex++)
    await mkdir(join(path, `h${hostIndex}`), { recursive: true });
}

function hostAt(hosts: readonly CappedHost[], index: number): CappedHost {
  const host = hosts[index];
  if (host === undefined) throw new RangeError(`there is no host ${index}`);
  return host;
}

function endpoint(host: CappedHost): string {
  return `${host.address}:${PORT}`;
}
