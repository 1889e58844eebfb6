/**
 * What peers cost a tracker: registers them at a registry of this process, half of the contents complete and half in parts, and prints
 * the memory that this took, how long Locate takes then, and how long a scrape of the figures holds the loop when all are volunteers.
 */
import { hash } from 'node:crypto';
import { Bitfield } from '../../src/content/bitfield.ts';
import { createMetrics } from '../../src/tracker/frontends/metrics.ts';
import { createRegistry } from '../../src/tracker/registry.ts';
import { createMemoryStore } from '../../src/tracker/store/memory.ts';
import { manifestOf } from './requests.ts';

const [peers = 100_000, contentsEach = 10] = process.argv.slice(2).map(Number);
const CONTENTS = 1_000;
const CHUNKS = 256;
const CALLER = { observedHost: '127.0.0.1' };

const registry = await createRegistry({
  store: createMemoryStore(),
  now: () => Date.now(),
  sha256: (bytes) => hash('sha256', bytes, 'buffer'),
  leaseMs: 3_600_000,
});
const ids = Array.from({ length: CONTENTS }, (_, index) => manifestOf(index, CHUNKS));
const settledBytes = (): number => {
  globalThis.gc?.();
  globalThis.gc?.();
  return process.memoryUsage.rss();
};
const idOf = (peer: number): string => (peer + 1).toString(16).padStart(32, '0');
const register = (peer: number, holdings: Parameters<typeof registry.register>[0]['holdings']): void => {
  const addresses = [{ host: `10.${peer >> 16}.${(peer >> 8) & 255}.${peer & 255}`, port: 4_000 }];
  registry.register({ peerId: idOf(peer), addresses, dialects: ['native', 'range'], agent: 'bench', holdings }, CALLER);
};
register(0, []);
for (const [index, manifest] of ids.entries()) {
  const item = { name: `content-${index}`, manifest: manifest.bytes, contentId: manifest.contentId, partial: true };
  await registry.publish(idOf(0), [item]);
}

const before = settledBytes();
const startedAtMs = performance.now();
const bytes = new Uint8Array(CHUNKS / 8);
for (let peer = 0; peer < peers; peer++) {
  const holdings = Array.from({ length: contentsEach }, (_, index) => {
    const content = ids[(peer * 7 + index * 101) % CONTENTS] as (typeof ids)[number];
    const complete = index % 2 === 0;
    if (!complete) for (let at = 0; at < bytes.length; at++) bytes[at] = (peer * 31 + index * 17 + at * 131) & 0xff;
    const chunks = complete ? new Uint8Array(0) : Bitfield.fromBytes(bytes, CHUNKS).toBytes();
    return { contentId: content.contentId, complete, chunks };
  });
  register(peer, holdings);
}
const seconds = (performance.now() - startedAtMs) / 1000;
const after = settledBytes();

const times: number[] = [];
for (let turn = 0; turn < 20_000; turn++) {
  const what = ids[(turn * 37) % CONTENTS]?.contentId ?? '';
  const atMs = performance.now();
  await registry.locate({ what, peerId: idOf((turn * 13) % peers), limit: 0, wantManifest: false }, CALLER);
  times.push(performance.now() - atMs);
}
times.sort((a, b) => a - b);
// everybody a volunteer, every content asked for: what a scrape could have to look at
for (const [index, { contentId }] of ids.entries()) {
  const item = { name: `content-${index}`, manifest: new Uint8Array(0), contentId, partial: true, replicas: 2 };
  await registry.publish(idOf(0), [item]);
}
for (let peer = 0; peer < peers; peer++)
  registry.renew(idOf(peer), [], undefined, { offeredBytes: 50e9, usedBytes: 1e9 });
const metrics = createMetrics(registry, () => Date.now());
const scrapes = Array.from({ length: 101 }, () => {
  const atMs = performance.now();
  metrics.text();
  return performance.now() - atMs;
}).toSorted((a, b) => a - b);
const pairs = peers * contentsEach;
process.stdout.write(
  `${JSON.stringify({
    event: 'figures',
    peers,
    contentsEach,
    residentBytes: after,
    bytesPerPeer: (after - before) / peers,
    bytesPerPair: (after - before) / pairs,
    registersPerSecond: peers / seconds,
    scrapeP50Ms: scrapes[50],
    scrapeMaxMs: scrapes.at(-1),
    locateP50Ms: times[Math.floor(times.length / 2)],
    locateP99Ms: times[Math.floor(times.length * 0.99)],
  })}\n`,
);
