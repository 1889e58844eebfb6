/** The load generator as a process: takes its orders from the command line and prints its figures as one event. */
import { parseArgs } from 'node:util';
import { load } from './http-load.ts';
import * as requests from './requests.ts';

const { values } = parseArgs({
  options: {
    port: { type: 'string' },
    what: { type: 'string' },
    seconds: { type: 'string', default: '5' },
    connections: { type: 'string', default: '64' },
    rate: { type: 'string', default: '0' },
    /** Requests under way at a time on each connection. */
    pipelined: { type: 'string', default: '1' },
    swarms: { type: 'string', default: '100' },
    peers: { type: 'string', default: '200' },
    want: { type: 'string', default: '50' },
    /** The first of its peers, so that two generators have different ones. */
    first: { type: 'string', default: '0' },
    /** The contents are there already. */
    published: { type: 'boolean', default: false },
    /** So are the peers, since a moment ago: registering 5,000 anew leaves the server with garbage to collect while the clock runs. */
    registered: { type: 'boolean', default: false },
    'await-signal': { type: 'boolean', default: false },
  },
});
const crowd = { swarms: Number(values.swarms), peersEach: Number(values.peers) };
const port = Number(values.port);
const first = Number(values.first);
const connections = Number(values.connections);
/** None of the peers that renew. */
const PUBLISHER = 1_000_000;
const contents = Array.from({ length: 50 }, (_, index) => requests.manifestOf(index, 256));

/** Every one of them, in their order. */
async function once(all: readonly Buffer[]): Promise<void> {
  const how = { port, connections: 1, seconds: 60, rate: 0, requests: all, answersMax: all.length };
  const { answers, refused } = await load(how);
  if (answers !== all.length || refused > 0)
    throw new Error(`of ${all.length} calls of the preparation ${answers} were answered, and ${refused} refused`);
}

function prepared(): readonly Buffer[] {
  switch (values.what) {
    case 'bittorrent':
      return requests.bittorrentAnnounces(crowd, Number(values.want));
    case 'announce':
      return requests.restAnnounces(crowd, Number(values.want));
    case 'renew':
      return requests.renewals(crowd.peersEach, contents, first);
    case 'locate':
      return requests.locates(crowd.peersEach, contents, first);
    case 'mix': {
      const located = requests.locates(crowd.peersEach, contents, first);
      return requests
        .renewals(crowd.peersEach, contents, first)
        .flatMap((renewal, at) => (at % 9 === 0 ? [renewal, located[at % located.length] as Buffer] : [renewal]));
    }
    default:
      throw new Error('--what bittorrent, announce, renew, locate or mix');
  }
}

if (values.what !== 'bittorrent' && values.what !== 'announce') {
  if (!values.published) {
    await once(requests.registers(1, contents, PUBLISHER));
    await once([requests.publication(PUBLISHER, contents)]);
  }
  if (!values.registered) await once(requests.registers(crowd.peersEach, contents.slice(0, 10), first));
}
const all = prepared();
if (values['await-signal']) {
  const begun = new Promise((resolve) => process.once('SIGUSR2', resolve));
  // a signal alone keeps no process alive
  const alive = setInterval(() => undefined, 1_000);
  process.stdout.write('{"event":"prepared"}\n');
  await begun;
  clearInterval(alive);
}
// the swarms fill before the clock runs
const how = { port, connections, requests: all, pipelined: Number(values.pipelined) };
await load({ ...how, seconds: 1.5, rate: 0 });
process.stdout.write('{"event":"begins"}\n');
const figures = await load({ ...how, seconds: Number(values.seconds), rate: Number(values.rate) });
process.stdout.write(`${JSON.stringify({ event: 'figures', ...figures })}\n`);
