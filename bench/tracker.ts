/**
 * `npm run bench:tracker`: the tracker under load, in parts that can be run alone:
 *
 *     announce      announces a second with 50 peers back, over HTTP with connections kept open: Shoal's plain REST call (SQLite store),
 *                   bittorrent-tracker from npm, and opentracker from Debian where it is installed
 *     mix           renewals with four gained chunks, at full and at half load; locate; nine of one to one of the other; and a Node server
 *                   that does nothing, under the same load
 *     memory        what 100,000 peers cost, and how long Locate takes among them
 *     two-trackers  two trackers on one Valkey against one
 *     failover      the tracker of running transfers is killed
 */
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseCount } from '../src/cli/rates.ts';
import { ShoalError } from '../src/errors.ts';
import { describeMachine, machineLine } from './machine.ts';
import { COMMON, readOptions } from './options.ts';
import { summarize } from './statistics.ts';
import { numberOf } from './system.ts';
import { measureFailover } from './tracker/failover.ts';
import { loadOnce, loadTable, type LoadFlags, type LoadRow, type LoadRun } from './tracker/load-run.ts';
import {
  isInstalled,
  startBareServer,
  startBittorrentTracker,
  startOpentracker,
  startShoalTracker,
  type Server,
} from './tracker/servers.ts';
import { measureTwoTrackers } from './tracker/two-trackers.ts';
import { note, runBenchmark, withWorkplace, type Workplace } from './workplace.ts';

const MEMORY = fileURLToPath(new URL('tracker/memory.ts', import.meta.url));
const SWARMS = 100;
const PEERS_EACH = 200;

interface How {
  readonly seconds: string;
  readonly runs: number;
}

const PARTS: Readonly<Record<string, (place: Workplace, how: How) => Promise<string>>> = {
  announce: announces,
  mix,
  memory,
  'two-trackers': measureTwoTrackers,
  failover: (place, { runs }) => measureFailover(place, runs),
};

await runBenchmark(async () => {
  const values = readOptions('tracker', {
    only: { value: 'LIST', default: Object.keys(PARTS).join(','), about: 'the parts to run' },
    seconds: { value: 'N', default: '4', about: 'of each load' },
    runs: { ...COMMON.runs, default: '3' },
    dir: COMMON.dir,
  });
  if (values === undefined) return;
  const how = { seconds: values.seconds, runs: parseCount(values.runs) };
  const parts = values.only.split(',').map((name) => {
    const part = PARTS[name];
    if (part === undefined)
      throw new ShoalError('usage', `${name} is no part: there are ${Object.keys(PARTS).join(', ')}`);
    return part;
  });
  process.stdout.write(`${machineLine(describeMachine())}\n`);
  for (const part of parts) {
    const text = await withWorkplace(resolve(values.dir), (place) => part(place, how));
    process.stdout.write(`\n${text}\n`);
  }
});

async function announces(place: Workplace, { seconds, runs }: How): Promise<string> {
  // its peers are made up: there is nobody to dial
  const shoal = await startShoalTracker(place, 'announce', ['--no-dial-back']);
  const servers: [string, string, Server][] = [
    ['shoal tracker, POST /announce?peers=50', 'announce', shoal],
    ['bittorrent-tracker (npm), HTTP', 'bittorrent', await startBittorrentTracker(place)],
  ];
  if (isInstalled('opentracker', '-h'))
    servers.push(['opentracker (Debian), HTTP', 'bittorrent', await startOpentracker(place, SWARMS)]);
  else note('opentracker is not installed: left out');
  const rows = servers.map(([what]) => ({ what, runs: [] as LoadRun[] }));
  const crowd = { swarms: String(SWARMS), peers: String(PEERS_EACH) };
  for (let run = 0; run < runs; run++)
    for (const [index, [what, kind, server]] of servers.entries()) {
      note(`run ${run + 1}: ${what}`);
      rows[index]?.runs.push(await loadOnce(place, server, kind, { seconds, ...crowd }));
    }
  await Promise.all(servers.map(([, , server]) => server.process.stop()));
  return `Announces a second, 50 peers back, ${SWARMS} swarms of ${PEERS_EACH}, 64 connections\n\n${loadTable(rows)}`;
}

async function mix(place: Workplace, { seconds, runs }: How): Promise<string> {
  const server = await startShoalTracker(place, 'mix', ['--no-dial-back']);
  const rows: LoadRow[] = [];
  const measure = async (what: string, kind: string, at: Server, more: LoadFlags = {}): Promise<readonly LoadRun[]> => {
    note(what);
    const measured: LoadRun[] = [];
    for (let run = 0; run < runs; run++)
      measured.push(await loadOnce(place, at, kind, { peers: '5000', seconds, ...more }));
    rows.push({ what, runs: measured });
    return measured;
  };
  const renewed = await measure('renew', 'renew', server);
  const renewals = summarize(renewed.map(({ perSecond }) => perSecond)).median;
  const half = { rate: String(Math.floor(renewals / 2)), published: true, registered: true } as const;
  await measure('renew at half that load', 'renew', server, half);
  await measure('locate (25 sources)', 'locate', server);
  await measure('9 renew : 1 locate', 'mix', server);
  const bare = await startBareServer(place, 60);
  await measure('renew, to a Node server that does nothing', 'renew', bare, { published: true });
  // what of the slowest answers is the machine's: a virtual machine may lose a core for tens of milliseconds
  await measure('the same at half the load of renew', 'renew', bare, half);
  await Promise.all([server, bare].map(({ process }) => process.stop()));
  return `Calls a second of 5,000 peers with 10 contents each, in 50 contents of 256 chunks\n\n${loadTable(rows)}`;
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
    `${of('registersPerSecond').toFixed(0)} registrations a second; locate p50 ${of('locateP50Ms').toFixed(3)} ms, p99 ${of('locateP99Ms').toFixed(3)} ms;`,
    `the text of /metrics, all of them volunteers and all contents asking for copies: ${of('scrapeP50Ms').toFixed(3)} ms, ${of('scrapeMaxMs').toFixed(3)} at most`,
  ].join('\n');
}
