/** WebTorrent in the loopback benchmark: installed from npm into the benchmark's own folder when it runs, and no part of Shoal. */
import { execFile } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { sourceFolder, type BenchFile } from './bench-file.ts';
import { makeTorrent } from './libtorrent-peers.ts';
import type { BenchProcess } from './processes.ts';
import { numberOf, type OtherOptions, type Reception, type SystemUnderTest } from './system.ts';
import { thenSync } from './web-peers.ts';
import type { Workplace } from './workplace.ts';

const VERSION = '3.0.21';
const PEER = fileURLToPath(new URL('others/webtorrent_peer.mjs', import.meta.url));
const INSTALL_TIMEOUT_MS = 120_000;

const run = promisify(execFile);

/** Throws what npm said when it cannot be had. The torrent is made by libtorrent, so that both have the same one. */
export async function createWebtorrentPeers(
  place: Workplace,
  file: BenchFile,
  { python, durable }: OtherOptions,
): Promise<SystemUnderTest> {
  const { path, processes } = place;
  const home = join(path, 'webtorrent');
  await mkdir(home, { recursive: true });
  // no scripts: its native parts are for browsers' WebRTC, which nobody here speaks
  const install = ['install', '--prefix', home, '--no-save', '--no-audit', '--no-fund', '--ignore-scripts'];
  await run('npm', [...install, `webtorrent@${VERSION}`], { timeout: INSTALL_TIMEOUT_MS });
  const modules = join(home, 'node_modules');
  const torrentPath = join(path, 'webtorrent.torrent');
  await makeTorrent(python, file, torrentPath);
  const sources: BenchProcess[] = [];
  const ports: number[] = [];

  return {
    name: `WebTorrent ${VERSION}`,
    sourceCountMax: Number.POSITIVE_INFINITY,
    async startSources(count) {
      while (sources.length < count) {
        const name = `source-${sources.length + 1}`;
        const folder = await sourceFolder(file, join(path, 'webtorrent-files', name));
        const args = [PEER, modules, 'seed', torrentPath, folder];
        const source = processes.start(`WebTorrent (${name})`, process.execPath, args);
        sources.push(source);
        ports.push(numberOf((await source.event('listening', INSTALL_TIMEOUT_MS)).event, 'port'));
      }
    },
    async receive(outputFolder): Promise<Reception> {
      const peers = ports.map((port) => `127.0.0.1:${port}`);
      const args = [PEER, modules, 'leech', torrentPath, outputFolder, ...peers];
      const measured = await processes.measure('WebTorrent leecher', process.execPath, args);
      const { event } = await measured.event('done');
      const output = join(outputFolder, file.name);
      const all = durable ? await thenSync(place, measured, output) : measured;
      const transferSeconds = numberOf(event, 'seconds') + all.wallSeconds - measured.wallSeconds;
      return { run: all, transferSeconds, path: output };
    },
    senders: () => sources,
  };
}
