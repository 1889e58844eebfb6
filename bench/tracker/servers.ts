/** The servers that the tracker benchmark measures, each a process of its own on loopback. */
import { execFile, spawnSync } from 'node:child_process';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { connect, createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ShoalError } from '../../src/errors.ts';
import type { BenchProcess } from '../processes.ts';
import { SHOAL_COMMAND } from '../shoal-peers.ts';
import { numberOf, textOf } from '../system.ts';
import { note, type Workplace } from '../workplace.ts';
import { infoHash } from './requests.ts';

export interface Server {
  readonly process: BenchProcess;
  readonly port: number;
}

const BITTORRENT_TRACKER = 'bittorrent-tracker@11.2.3';

export function isInstalled(command: string, ...args: readonly string[]): boolean {
  return spawnSync(command, args).error === undefined;
}

/** @param flags besides the place and the port. */
export async function startShoalTracker(
  { path, processes }: Workplace,
  name: string,
  flags: readonly string[] = [],
): Promise<Server> {
  const where = ['--json', '--host', '127.0.0.1', '--port', '0', '--data', join(path, name)];
  const tracker = processes.start(`shoal tracker (${name})`, SHOAL_COMMAND, ['tracker', ...where, ...flags]);
  return { process: tracker, port: Number(new URL(textOf((await tracker.event('listening')).event, 'url')).port) };
}

/** Keeps nothing on the disk: what is measured is the trackers. */
export async function startRedis({ path, processes }: Workplace): Promise<Server> {
  if (!isInstalled('redis-server', '--version'))
    throw new ShoalError('usage', 'redis-server is not installed', { hint: 'apt install redis-server' });
  const port = await freePort();
  const place = ['--port', String(port), '--bind', '127.0.0.1', '--dir', path];
  const redis = processes.start('redis-server', 'redis-server', [...place, '--save', '', '--appendonly', 'no']);
  await untilListening(port);
  return { process: redis, port };
}

/** Installed for this run only. */
export async function startBittorrentTracker({ path, processes }: Workplace): Promise<Server> {
  const folder = join(path, 'bittorrent-tracker');
  await mkdir(folder);
  await writeFile(join(folder, 'package.json'), '{"private":true,"type":"module"}');
  note(`installing ${BITTORRENT_TRACKER}`);
  await promisify(execFile)('npm', ['install', '--no-audit', '--no-fund', '--ignore-scripts', BITTORRENT_TRACKER], {
    cwd: folder,
  });
  const script = join(folder, 'run.js');
  await writeFile(
    script,
    `import Server from 'bittorrent-tracker/server';
const server = new Server({ udp: false, ws: false, http: true, stats: false });
server.on('error', (error) => { throw error; });
server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ event: 'listening', port: server.http.address().port })));
`,
  );
  const tracker = processes.start('bittorrent-tracker', process.execPath, [script]);
  return { process: tracker, port: numberOf((await tracker.event('listening')).event, 'port') };
}

/** Debian's build serves only listed swarms. It cannot choose a port itself nor say when it listens. */
export async function startOpentracker({ path, processes }: Workplace, swarms: number): Promise<Server> {
  const list = join(path, 'whitelist.txt');
  const hashes = Array.from({ length: swarms }, (_, swarm) => infoHash(swarm).toString('hex'));
  await writeFile(list, `${hashes.join('\n')}\n`, { mode: 0o644 });
  const port = await freePort();
  // it will not run as root, and whom it becomes has to be able to read the list
  await chmod(path, 0o755);
  const user = process.getuid?.() === 0 ? ['-u', 'nobody'] : [];
  const flags = ['-i', '127.0.0.1', '-p', String(port), '-w', list, ...user];
  const tracker = processes.start('opentracker', 'opentracker', flags);
  await untilListening(port);
  return { process: tracker, port };
}

/** A Node server that reads the request and answers with so many bytes, and does nothing else: what Node's own HTTP costs. */
export async function startBareServer({ path, processes }: Workplace, answerBytes: number): Promise<Server> {
  const script = join(path, 'bare.js');
  await writeFile(
    script,
    `const body = Buffer.alloc(${answerBytes});
const server = require('node:http').createServer((request, response) => {
  const parts = [];
  request.on('data', (part) => parts.push(part));
  request.on('end', () => {
    response.writeHead(200, { 'content-type': 'application/proto', 'content-length': body.length });
    response.end(body);
  });
});
server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ event: 'listening', port: server.address().port })));
`,
  );
  const bare = processes.start('a bare Node server', process.execPath, [script]);
  return { process: bare, port: numberOf((await bare.event('listening')).event, 'port') };
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function untilListening(port: number): Promise<void> {
  for (let turn = 0; turn < 100; turn++) {
    const socket = connect(port, '127.0.0.1');
    const isThere = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true));
      socket.once('error', () => resolve(false));
    });
    socket.destroy();
    if (isThere) return;
    await new Promise((wait) => setTimeout(wait, 100));
  }
  throw new ShoalError('bug', `nothing listens on port ${port}`);
}
