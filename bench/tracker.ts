/**
 * `npm run bench:tracker`: announces a second with 50 peers back, over HTTP with connections kept open, for Shoal's plain REST call
 * (SQLite store) and, in the same run, bittorrent-tracker from npm and opentracker from Debian where it is installed; then Shoal's own
 * mix (nine renewals with four gained chunks each, one locate), its latency at half that load, and what peers cost in memory.
 */
import { execFile, spawnSync } from 'node:child_process';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { describeMachine, machineLine } from './machine.ts';
import type { BenchProcess } from './processes.ts';
import { SHOAL_COMMAND } from './shoal-peers.ts';
import { summarize, summaryText } from './statistics.ts';
import { numberOf, textOf } from './system.ts';
import { renderMarkdown } from './table.ts';
import type { LoadFigures } from './tracker/http-load.ts';
import { infoHash } from './tracker/requests.ts';
import { note, runBenchmark, withWorkplace, type Workplace } from './workplace.ts';

const BITTORRENT_TRACKER = 'bittorrent-tracker@11.2.3';
const LOAD = fileURLToPath(new URL('tracker/load-process.ts', import.meta.url));
const MEMORY = fileURLToPath(new URL('tracker/memory.ts', import.meta.url));
const SWARMS = 100;
const PEERS_EACH = 200;

interface Server {
  readonly process: BenchProcess;
  readonly port: number;
}

/** A load, and what it cost the server. */
interface Run extends LoadFigures {
  readonly cpuMicroseconds: number;
}

interface Row {
  readonly what: string;
  readonly runs: readonly Run[];
}

await runBenchmark(async () => {
  const { values } = parseArgs({
    options: {
      seconds: { type: 'string', default: '4' },
      runs: { type: 'string', default: '3' },
      only: { type: 'string', default: 'announce,mix,memory' },
      dir: { type: 'string', default: tmpdir() },
    },
  });
  const parts = values.only.split(',');
  const text = await withWorkplace(resolve(values.dir), async (place) => {
    const told: string[] = [];
    const how = { seconds: values.seconds, runs: Number(values.runs) };
    if (parts.includes('announce')) told.push(await announces(place, how));
    if (parts.includes('mix')) told.push(await mix(place, how));
    if (parts.includes('memory')) told.push(await memory(place));
    return told.join('\n\n');
  });
  process.stdout.write(`${machineLine(describeMachine())}\n\n${text}\n`);
});

interface How {
  readonly seconds: string;
  readonly runs: number;
}

async function announces(place: Workplace, how: How): Promise<string> {
  const servers: [string, string, Server][] = [
    ['shoal tracker, POST /announce?peers=50', 'announce', await startShoal(place, 'announce')],
    ['bittorrent-tracker (npm), HTTP', 'bittorrent', await startBittorrentTracker(place)],
  ];
  if (spawnSync('opentracker', ['-h']).error === undefined)
    servers.push(['opentracker (Debian), HTTP', 'bittorrent', await startOpentracker(place)]);
  else note('opentracker is not installed: left out');
  const rows = servers.map(([what]) => ({ what, runs: [] as Run[] }));
  for (let run = 0; run < how.runs; run++)
    for (const [index, [what, kind, server]] of servers.entries()) {
      note(`run ${run + 1}: ${what}`);
      const figures = await load(place, server, kind, { seconds: how.seconds });
      rows[index]?.runs.push(figures);
    }
  await Promise.all(servers.map(([, , server]) => server.process.stop()));
  return `Announces a second, 50 peers back, ${SWARMS} swarms of ${PEERS_EACH}, 64 connections\n\n${table(rows)}`;
}

async function mix(place: Workplace, how: How): Promise<string> {
  const server = await startShoal(place, 'mix');
  const rows: Row[] = [];
  const measure = async (what: string, kind: string, more: Record<string, string> = {}): Promise<number> => {
    note(what);
    const runs: Run[] = [];
    for (let run = 0; run < how.runs; run++)
      runs.push(await load(place, server, kind, { peers: '5000', seconds: how.seconds, ...more }));
    rows.push({ what, runs });
    return summarize(runs.map(({ perSecond }) => perSecond)).median;
  };
  const renewals = await measure('renew', 'renew');
  await measure('renew at half that load', 'renew', { rate: String(Math.floor(renewals / 2)) });
  await measure('locate (25 sources)', 'locate');
  await measure('9 renew : 1 locate', 'mix');
  await server.process.stop();
  return `Calls a second of 5,000 peers with 10 contents each, in 50 contents of 256 chunks\n\n${table(rows)}`;
}

async function memory({ processes }: Workplace): Promise<string> {
  note('memory');
  const bench = processes.start('memory', process.execPath, ['--expose-gc', MEMORY, '100000', '10']);
  const { event } = await bench.event('figures');
  await bench.ended();
  const of = (field: string): number => numberOf(event, field);
  return [
    `100,000 peers with 10 contents each (5 whole, 5 in parts of 256 chunks), 1,000 contents:`,
    `${(of('residentBytes') / 1e6).toFixed(0)} MB resident; ${of('bytesPerPeer').toFixed(0)} bytes a peer, ${of('bytesPerPair').toFixed(0)} a (peer, content);`,
    `${of('registersPerSecond').toFixed(0)} registrations a second; locate p50 ${of('locateP50Ms').toFixed(3)} ms, p99 ${of('locateP99Ms').toFixed(3)} ms`,
  ].join('\n');
}

async function load(
  { processes }: Workplace,
  server: Server,
  what: string,
  flags: Readonly<Record<string, string>>,
): Promise<Run> {
  const all = { port: String(server.port), what, swarms: String(SWARMS), peers: String(PEERS_EACH), ...flags };
  const args = Object.entries(all).flatMap(([name, value]) => [`--${name}`, value]);
  const generator = processes.start('load', process.execPath, [LOAD, ...args]);
  await generator.event('begins');
  const before = server.process.cpuSeconds() ?? Number.NaN;
  const figures = (await generator.event('figures')).event as unknown as LoadFigures;
  const after = server.process.cpuSeconds() ?? Number.NaN;
  await generator.ended();
  return { ...figures, cpuMicroseconds: ((after - before) * 1e6) / figures.answers };
}

async function startShoal({ path, processes }: Workplace, name: string): Promise<Server> {
  // its peers are made up: there is nobody to dial
  const flags = ['--json', '--host', '127.0.0.1', '--port', '0', '--data', join(path, name), '--no-dial-back'];
  const tracker = processes.start('shoal tracker', SHOAL_COMMAND, ['tracker', ...flags]);
  return { process: tracker, port: Number(new URL(textOf((await tracker.event('listening')).event, 'url')).port) };
}

/** Installed for this run only. */
async function startBittorrentTracker({ path, processes }: Workplace): Promise<Server> {
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
async function startOpentracker({ path, processes }: Workplace): Promise<Server> {
  const list = join(path, 'whitelist.txt');
  const hashes = Array.from({ length: SWARMS }, (_, swarm) => infoHash(swarm).toString('hex'));
  await writeFile(list, `${hashes.join('\n')}\n`, { mode: 0o644 });
  const port = 20_000 + (process.pid % 20_000);
  // it will not run as root, and whom it becomes has to be able to read the list
  await chmod(path, 0o755);
  const user = process.getuid?.() === 0 ? ['-u', 'nobody'] : [];
  const flags = ['-i', '127.0.0.1', '-p', String(port), '-w', list, ...user];
  const tracker = processes.start('opentracker', 'opentracker', flags);
  for (let turn = 0; turn < 50; turn++) {
    const answer = await fetch(`http://127.0.0.1:${port}/stats`).catch(() => undefined);
    if (answer !== undefined) break;
    await new Promise((wait) => setTimeout(wait, 100));
  }
  return { process: tracker, port };
}

function table(rows: readonly Row[]): string {
  const of = (pick: (figures: Run) => number, digits: number) => (row: Row) =>
    summaryText(summarize(row.runs.map(pick)), digits);
  return renderMarkdown(rows, [
    { title: 'what', value: (row) => row.what },
    { title: 'a second', align: 'right', value: of(({ perSecond }) => perSecond, 0) },
    { title: 'CPU µs a call', align: 'right', value: of(({ cpuMicroseconds }) => cpuMicroseconds, 1) },
    { title: 'p50 ms', align: 'right', value: of(({ p50Ms }) => p50Ms, 2) },
    { title: 'p99 ms', align: 'right', value: of(({ p99Ms }) => p99Ms, 2) },
    { title: 'refused', align: 'right', value: of(({ refused }) => refused, 0) },
    { title: 'lost', align: 'right', value: of(({ lost }) => lost, 0) },
    { title: 'reconnects', align: 'right', value: of(({ reconnects }) => reconnects, 0) },
    { title: 'bytes an answer', align: 'right', value: of(({ answers, answerBytes }) => answerBytes / answers, 0) },
  ]);
}
