/** Some of a tracker's peers, in one process: each with its own client, announcer and connections, as a node has them. Never ends by itself. */
import { Bitfield } from '../../src/content/bitfield.ts';
import { Announcer } from '../../src/peer/announcer.ts';
import { createTrackerClient } from '../../src/peer/tracker-client.ts';
import { manifestOf } from './requests.ts';

const [url = '', first = '0', count = '1'] = process.argv.slice(2);
const manifest = manifestOf(1, 256);
const all = Bitfield.full(manifest.chunkCount);

const announcers: Announcer[] = [];
for (let index = Number(first); index < Number(first) + Number(count); index++) {
  const announcer = new Announcer({
    client: createTrackerClient({ urls: [url] }),
    peerId: index.toString(16).padStart(32, '0'),
    addresses: () => [{ host: '127.0.0.1', port: 10_000 + index }],
    dialects: ['native'],
    random: Math.random,
    onNews: () => undefined,
  });
  // the first one publishes; the others only have it
  announcer.put({ manifest, names: new Set(index === 0 ? ['crowd.bin'] : []), have: () => all, links: () => 0 });
  announcer.start();
  announcers.push(announcer);
  if (index === 0) await announcer.settled();
}
await Promise.all(announcers.map((announcer) => announcer.settled()));
process.stdout.write('{"event":"ready"}\n');
