/** libtorrent in the loopback benchmark: its Python binding, tuned for one machine, with pieces as large as our chunks. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { defaultChunkSize } from '../src/content/chunk-layout.ts';
import { sourceFolder, type BenchFile } from './bench-file.ts';
import type { BenchProcess } from './processes.ts';
import { numberOf, type OtherOptions, type Reception, type SystemUnderTest } from './system.ts';
import type { Workplace } from './workplace.ts';

export const LIBTORRENT_PEER = fileURLToPath(new URL('others/libtorrent_peer.py', import.meta.url));
const MAKE_TORRENT = fileURLToPath(new URL('others/make_torrent.py', import.meta.url));

/** Several peers of one address, and as many slots as ask. */
const SEEDER_SETTINGS = { allow_multiple_connections_per_ip: true, unchoke_slots_limit: 50, connections_limit: 500 };
/** Deep request queues, and the threads of two cores: without these the library is slower on loopback. */
const LEECHER_SETTINGS = {
  allow_multiple_connections_per_ip: true,
  request_queue_time: 3,
  max_out_request_queue: 2000,
  max_allowed_in_request_queue: 4000,
  hashing_threads: 2,
  aio_threads: 4,
};

export const LIBTORRENT_MISSING =
  'libtorrent is not measured: this Python does not have it (apt-get install -y python3-libtorrent)';

const run = promisify(execFile);

/** The version of the library that this Python has; undefined when it has none. */
export async function libtorrentVersion(python: string): Promise<string | undefined> {
  try {
    const { stdout } = await run(python, ['-c', 'import libtorrent; print(libtorrent.version)']);
    return stdout.trim();
  } catch {
    return undefined; // no such Python, or it does not have the library: the same to us
  }
}

/** A torrent with pieces of our chunk size. */
export async function makeTorrent(python: string, file: BenchFile, torrentPath: string): Promise<void> {
  await run(python, [MAKE_TORRENT, file.path, String(defaultChunkSize(file.size)), torrentPath]);
}

export async function createLibtorrentPeers(
  { path, processes }: Workplace,
  file: BenchFile,
  { python, durable }: OtherOptions,
): Promise<SystemUnderTest> {
  const torrentPath = join(path, 'file.torrent');
  await makeTorrent(python, file, torrentPath);
  const sources: BenchProcess[] = [];
  const ports: number[] = [];

  return {
    name: 'libtorrent',
    sourceCountMax: Number.POSITIVE_INFINITY,
    async startSources(count) {
      while (sources.length < count) {
        const name = `source-${sources.length + 1}`;
        const folder = await sourceFolder(file, join(path, 'libtorrent', name));
        const args = [LIBTORRENT_PEER, 'seed', torrentPath, folder, '--settings', JSON.stringify(SEEDER_SETTINGS)];
        const source = processes.start(`libtorrent (${name})`, python, args);
        sources.push(source);
        ports.push(numberOf((await source.event('listening')).event, 'port'));
      }
    },
    async receive(outputFolder): Promise<Reception> {
      const peers = ports.flatMap((port) => ['--peer', `127.0.0.1:${port}`]);
      const settings = ['--settings', JSON.stringify(LEECHER_SETTINGS)];
      const args = [LIBTORRENT_PEER, 'leech', torrentPath, outputFolder, ...settings, ...peers];
      if (durable) args.push('--durable');
      const measured = await processes.measure('libtorrent leecher', python, args);
      const { event } = await measured.event('done');
      return { run: measured, transferSeconds: numberOf(event, 'seconds'), path: join(outputFolder, file.name) };
    },
    senders: () => sources,
  };
}
