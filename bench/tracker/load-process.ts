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
    swarms: { type: 'string', default: '100' },
    peers: { type: 'string', default: '200' },
    want: { type: 'string', default: '50' },
  },
});
const crowd = { swarms: Number(values.swarms), peersEach: Number(values.peers) };
const port = Number(values.port);
const connections = Number(values.connections);
const contents = Array.from({ length: 50 }, (_, index) => requests.manifestOf(index, 256));

async function once(all: readonly Buffer[]): Promise<void> {
  // one connection for each, as many as there are requests: every one is sent at least once
  const part = 1_000;
  for (let at = 0; at < all.length; at += part) {
    const { refused } = await load({ port, connections: 1, seconds: 0.4, rate: 0, requests: all.slice(at, at + part) });
    if (refused > 0) throw new Error(`${refused} calls of the preparation were refused`);
  }
}

function prepared(): readonly Buffer[] {
  switch (values.what) {
    case 'bittorrent':
      return requests.bittorrentAnnounces(crowd, Number(values.want));
    case 'announce':
      return requests.restAnnounces(crowd, Number(values.want));
    case 'renew':
      return requests.renewals(crowd.peersEach, contents);
    case 'locate':
      return requests.locates(crowd.peersEach, contents);
    case 'mix': {
      const located = requests.locates(crowd.peersEach, contents);
      return requests
        .renewals(crowd.peersEach, contents)
        .flatMap((renewal, peer) => (peer % 10 === 0 ? [renewal, located[peer] as Buffer] : [renewal]));
    }
    default:
      throw new Error('--what bittorrent, announce, renew, locate or mix');
  }
}

if (values.what !== 'bittorrent' && values.what !== 'announce') {
  await once(requests.registers(1, contents));
  await once([requests.publication(0, contents)]);
  await once(requests.registers(crowd.peersEach, contents.slice(0, 10)));
}
const all = prepared();
// the swarms fill before the clock runs
await load({ port, connections, seconds: 1.5, rate: 0, requests: all });
process.stdout.write('{"event":"begins"}\n');
const seconds = Number(values.seconds);
const figures = await load({ port, connections, seconds, rate: Number(values.rate), requests: all });
process.stdout.write(`${JSON.stringify({ event: 'figures', ...figures })}\n`);
