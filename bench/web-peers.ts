/**
 * Files from a web server in the loopback benchmark: nginx as the source, fetched by curl and then checked by openssl, as people do it by
 * hand, or by aria2 over several connections and from several mirrors, which checks the digest itself.
 */
import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { connect, createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { ShoalError } from '../src/errors.ts';
import { sourceFolder, type BenchFile } from './bench-file.ts';
import { inSuccession, type BenchProcess, type MeasuredRun } from './processes.ts';
import type { OtherOptions, Reception, SystemUnderTest } from './system.ts';
import type { Workplace } from './workplace.ts';

/** Connections to each server. */
const ARIA2_CONNECTIONS = 4;
const START_TIMEOUT_MS = 5_000;
const START_RETRY_MS = 20;

const run = promisify(execFile);

/** Whether a program of this name can be started. */
export async function hasProgram(name: string, versionFlag: string): Promise<boolean> {
  try {
    await run(name, [versionFlag]);
    return true;
  } catch {
    return false; // not there, or it does not run: the same to us
  }
}

/** A process that serves the folder of one source. */
export async function startNginx(
  { path, processes }: Workplace,
  options: { readonly name: string; readonly folder: string },
): Promise<{ readonly process: BenchProcess; readonly port: number }> {
  const port = await freePort();
  const prefix = join(path, `nginx-${options.name}`);
  await mkdir(prefix, { recursive: true });
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((kind) => `${kind}_temp_path ${prefix}/${kind};`)
    .join(' ');
  const config = [
    'daemon off; master_process off;',
    `pid ${prefix}/pid; error_log stderr;`,
    'events { worker_connections 256; }',
    `http { access_log off; sendfile on; ${temporary}`,
    `  server { listen 127.0.0.1:${port}; root "${options.folder}"; } }`,
  ].join('\n');
  await writeFile(join(prefix, 'nginx.conf'), config);
  const args = ['-p', prefix, '-e', 'stderr', '-c', join(prefix, 'nginx.conf')];
  const process = processes.start(`nginx (${options.name})`, 'nginx', args);
  await whenListening(port, process);
  return { process, port };
}

/** curl from one nginx, then openssl over what it wrote. */
export function createCurl(place: Workplace, file: BenchFile, { durable }: OtherOptions): SystemUnderTest {
  return createWebSystem(place, file, {
    name: 'curl, then openssl',
    sourceCountMax: 1,
    receive: async (output, [url = '']) => {
      const fetched = await place.processes.measure('curl', 'curl', ['-sS', '--fail', '-o', output, url]);
      const digest = await place.processes.measure('openssl', 'openssl', ['dgst', '-sha256', '-r', output]);
      if (!digest.output.startsWith(file.sha256)) throw new ShoalError('integrity', 'openssl found another digest');
      const checked = inSuccession(fetched, digest);
      return durable ? await thenSync(place, checked, output) : checked;
    },
  });
}

export function createAria2(place: Workplace, file: BenchFile, { durable }: OtherOptions): SystemUnderTest {
  return createWebSystem(place, file, {
    name: 'aria2',
    sourceCountMax: Number.POSITIVE_INFINITY,
    receive: async (output, urls) => {
      const args = [
        '--quiet',
        '--no-conf',
        '--file-allocation=none',
        '--min-split-size=1M',
        `--max-connection-per-server=${ARIA2_CONNECTIONS}`,
        `--split=${ARIA2_CONNECTIONS * urls.length}`,
        `--checksum=sha-256=${file.sha256}`,
        '--dir=/',
        `--out=${output.slice(1)}`,
        ...urls,
      ];
      const fetched = await place.processes.measure('aria2', 'aria2c', args);
      return durable ? await thenSync(place, fetched, output) : fetched;
    },
  });
}

/** For systems that do not sync by themselves. */
export async function thenSync({ processes }: Workplace, run: MeasuredRun, path: string): Promise<MeasuredRun> {
  return inSuccession(run, await processes.measure('sync', 'sync', [path]));
}

function createWebSystem(
  place: Workplace,
  file: BenchFile,
  how: {
    readonly name: string;
    readonly sourceCountMax: number;
    receive(output: string, urls: readonly string[]): Promise<MeasuredRun>;
  },
): SystemUnderTest {
  const sources: BenchProcess[] = [];
  const urls: string[] = [];
  return {
    name: how.name,
    sourceCountMax: how.sourceCountMax,
    async startSources(count) {
      while (sources.length < count) {
        const name = `${how.name.split(',')[0]}-${sources.length + 1}`;
        const folder = await sourceFolder(file, join(place.path, 'web', name));
        const { process, port } = await startNginx(place, { name, folder });
        sources.push(process);
        urls.push(`http://127.0.0.1:${port}/${file.name}`);
      }
    },
    async receive(outputFolder): Promise<Reception> {
      const output = join(outputFolder, file.name);
      const measured = await how.receive(output, urls);
      return { run: measured, transferSeconds: measured.wallSeconds, path: output };
    },
    senders: () => sources,
  };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function whenListening(port: number, process: BenchProcess): Promise<void> {
  const untilMs = performance.now() + START_TIMEOUT_MS;
  const gone = process.ended().then(() => {
    throw new ShoalError('bug', `${process.name} ended before it served`);
  });
  gone.catch(() => undefined); // awaited below, as long as we wait
  while (!(await Promise.race([accepts(port), gone]))) {
    if (performance.now() > untilMs)
      throw new ShoalError('bug', `${process.name} does not listen after ${START_TIMEOUT_MS / 1000} s`);
    await sleep(START_RETRY_MS);
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}
