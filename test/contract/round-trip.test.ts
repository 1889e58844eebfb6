/** Both sides of the contract, tracker and tracker client, over a real port: both stores, closing as on SIGTERM. */
import { createConnectTransport, createGrpcWebTransport } from '@connectrpc/connect-node';
import { createClient } from '@connectrpc/connect';
import { hash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { Bitfield } from '../../src/content/bitfield.ts';
import { createChunkLayout } from '../../src/content/chunk-layout.ts';
import { createManifest, type Manifest } from '../../src/content/manifest.ts';
import * as limits from '../../src/limits.ts';
import { createLog } from '../../src/log.ts';
import { createTrackerClient, type TrackerClient, type TrackerClientOptions } from '../../src/peer/tracker-client.ts';
import { startTracker, type Tracker, type TrackerOptions } from '../../src/tracker/server.ts';
import { TrackerService } from '../../src/contract/gen/shoal/v1/tracker_pb.ts';

const log = createLog({ name: 'test', level: 'silent' });
const ends: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

async function tracker(options: Partial<TrackerOptions> = {}): Promise<Tracker> {
  const started = await startTracker({ host: '127.0.0.1', port: 0, store: 'memory', log, ...options });
  ends.push(() => started.close());
  return started;
}

function client(urls: readonly string[], options: Partial<TrackerClientOptions> = {}): TrackerClient {
  const created = createTrackerClient({ urls, timeoutMs: 5_000, ...options });
  ends.push(() => created.close());
  return created;
}

function sha256(bytes: Uint8Array): Uint8Array {
  return hash('sha256', bytes, 'buffer');
}

function manifestOf(seed: string, chunkCount = 8): Manifest {
  const layout = createChunkLayout(chunkCount * 16_384, 16_384);
  const digests = new Uint8Array(32 * chunkCount).map((_, at) => at % 251);
  return createManifest(layout, sha256(new TextEncoder().encode(seed)), digests, sha256);
}

const peerId = 'ab'.repeat(16);
const registration = {
  peerId,
  addresses: [{ host: '', port: 9001 }],
  dialects: ['native', 'range'],
  agent: 'test',
} as const;
const big = manifestOf('big');

test('every call goes there and back', async () => {
  const { url } = await tracker();
  const rpc = client([url]);
  const registered = await rpc.register({ ...registration, holdings: [{ contentId: big.contentId }] });
  expect(registered).toMatchObject({
    leaseMs: limits.LEASE_MS,
    renewMs: limits.RENEW_MS,
    observedHost: '127.0.0.1',
    unknownContentIds: [big.contentId],
  });
  const published = await rpc.publish(peerId, [
    { name: 'big.bin', manifest: big },
    { name: 'no/../way', manifest: big },
  ]);
  expect(published).toEqual([{ problem: undefined }, { problem: expect.stringMatching(/not allowed/u) }]);

  const leecher = 'cd'.repeat(16);
  const some = new Bitfield(big.chunkCount);
  some.add(3);
  const holdings = [{ contentId: big.contentId, chunks: some }];
  await rpc.register({ ...registration, peerId: leecher, addresses: [{ host: '10.1.1.1', port: 5 }], holdings });
  const located = await rpc.locate({ what: { name: 'big.bin' }, peerId, wantManifest: true });
  expect(located.manifest?.bytes).toEqual(big.bytes);
  expect(located.news).toEqual({ contentId: big.contentId, seederRank: 0, seederCount: 1, peerCount: 2 });
  expect(located.sources).toMatchObject([{ peerId: leecher, dialects: ['native', 'range'], rangeName: '' }]);
  expect([...(located.sources[0]?.chunks ?? [])]).toEqual([3]);

  const change = { contentId: big.contentId, gained: [1], links: 3, bytesDown: 2 ** 40 };
  expect(await rpc.renew(leecher, [change])).toMatchObject({ known: true, news: [{ peerCount: 2, seederCount: 0 }] });
  expect(await rpc.registerChunks(leecher, [{ contentId: big.contentId }])).toEqual({
    known: true,
    unknownContentIds: [],
  });
  const whole = await rpc.locate({ what: { contentId: big.contentId }, peerId });
  expect(whole.entry).toMatchObject({ seeders: 2, leechers: 0 });
  expect(whole.sources[0]?.chunks).toBeUndefined();
  expect((await rpc.manifest(big.contentId)).bytes).toEqual(big.bytes);
  expect((await rpc.listFiles({ query: 'BIG' })).entries).toMatchObject([{ name: 'big.bin', size: big.size }]);
  expect((await rpc.listPeers()).peers).toMatchObject([
    { peerId, online: true, completeContents: 1 },
    { peerId: leecher },
  ]);

  const listed = async (options: Parameters<typeof rpc.listPeers>[0]) =>
    (await rpc.listPeers(options)).peers.map(({ peerId: id }) => id);
  const volunteer = 'ef'.repeat(16);
  const kept = [{ contentId: big.contentId, chunks: some, isReplica: true }];
  const offer = { offeredBytes: 1e9, usedBytes: 16_384 };
  await rpc.register({ ...registration, peerId: volunteer, agent: 'keeps/1', holdings: kept, volunteer: offer });
  await rpc.register({
    ...registration,
    peerId: '01'.repeat(16),
    addresses: [{ host: '10.1.1.2', port: 5 }],
    holdings: [],
  });
  await rpc.leave('01'.repeat(16));
  const withVolunteer = await rpc.locate({ what: { name: 'big.bin' }, peerId });
  expect(withVolunteer.entry).toMatchObject({ seeders: 2, leechers: 0, volunteers: 1 });
  expect(withVolunteer.sources.filter(({ isReplica }) => isReplica).map(({ peerId: id }) => id)).toEqual([volunteer]);
  expect(await listed({ volunteers: true })).toEqual([volunteer]);
  expect(await listed({ query: 'KEEPS' })).toEqual([volunteer]);
  expect(await listed({ query: '10.1.1.1', state: 'online' })).toEqual([leecher]);
  expect(await listed({ state: 'offline' })).toEqual(['01'.repeat(16)]);
  expect(await listed({ what: { name: 'big.bin' } })).toEqual([peerId, leecher, volunteer]);
  expect(await listed({ what: { contentId: big.contentId }, volunteers: true })).toEqual([volunteer]);
  expect(await listed({ banned: true })).toEqual([]);
  await expect(listed({ what: { name: 'nothing' } })).rejects.toMatchObject({ code: 'no-such-name' });
  expect((await rpc.listPeers({ volunteers: true })).peers).toMatchObject([
    { replicaContents: 1, partialContents: 0, volunteer: offer, reachability: 'unknown' },
  ]);
  await rpc.leave(volunteer);

  await rpc.leave(leecher);
  expect(await rpc.unpublish(peerId, ['big.bin'])).toBe(1);
  expect((await rpc.listFiles({ includeOffline: true })).entries).toEqual([]);
});

test('a manifest too large for one call travels in parts, both ways', async () => {
  const { url } = await tracker();
  const rpc = client([url]);
  const huge = manifestOf('huge', 200_000);
  expect(huge.bytes.length).toBeGreaterThan(limits.CALL_BODY_BYTES_MAX);
  await rpc.register({ ...registration, holdings: [] });
  expect(
    await rpc.publish(peerId, [
      { name: 'huge', manifest: huge },
      { name: 'big', manifest: big },
    ]),
  ).toEqual([{ problem: undefined }, { problem: undefined }]);
  expect((await rpc.locate({ what: { name: 'huge' }, wantManifest: true })).manifest).toBeUndefined();
  expect((await rpc.manifest(huge.contentId)).contentId).toBe(huge.contentId);
});

test('more publications than one call takes are sent as several', async () => {
  const { url } = await tracker();
  const rpc = client([url]);
  await rpc.register({ ...registration, holdings: [] });
  const items = Array.from({ length: limits.PUBLISH_ENTRIES_PER_CALL_MAX + 1 }, (_, at) => ({
    name: `n${at}`,
    manifest: big,
  }));
  const published = await rpc.publish(peerId, items);
  expect(published).toHaveLength(items.length);
  expect(published.every(({ problem }) => problem === undefined)).toBe(true);
  expect((await rpc.locate({ what: { name: `n${items.length - 1}` } })).entry.contentId).toBe(big.contentId);
});

test('refusals arrive with code and hint as the tracker made them', async () => {
  const { url } = await tracker();
  const rpc = client([url]);
  await expect(rpc.locate({ what: { name: 'nothing – nada' } })).rejects.toMatchObject({
    code: 'no-such-name',
    message: 'this tracker has no entry "nothing – nada"',
    hint: 'shoal ls shows what there is',
  });
  await expect(rpc.publish(peerId, [{ name: 'x', manifest: big }])).rejects.toMatchObject({ code: 'unknown-peer' });
  const noPort = { ...registration, addresses: [{ host: '', port: 0 }], holdings: [] };
  await expect(rpc.register(noPort)).rejects.toMatchObject({ code: 'usage', exitCode: 2 });
  expect(await rpc.renew(peerId, [])).toMatchObject({ known: false });
});

test('the next tracker is called when one does not answer, and the one that answered is kept', async () => {
  const free = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => free.once('listening', resolve));
  const gone = `http://127.0.0.1:${(free.address() as AddressInfo).port}`;
  await new Promise((resolve) => free.close(resolve));
  const { url } = await tracker();
  const rpc = client([gone, `${url}/`]);
  expect(rpc.url).toBe(gone);
  expect((await rpc.listFiles()).entries).toEqual([]);
  expect(rpc.url).toBe(url);
  await expect(client([gone]).listFiles()).rejects.toMatchObject({
    code: 'tracker-unreachable',
    message: `no tracker answers: ${gone} refuses the connection`,
  });
});

test('a server that says nothing is given up in time, and a call can be cancelled', async () => {
  const silent = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => silent.once('listening', resolve));
  const sockets = new Set<{ destroy(): void }>();
  silent.on('connection', (socket) => sockets.add(socket.on('error', () => socket.destroy())));
  ends.push(() => {
    for (const socket of sockets) socket.destroy();
    silent.close();
  });
  const url = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
  await expect(client([url], { timeoutMs: 100 }).listFiles()).rejects.toMatchObject({
    code: 'tracker-unreachable',
    message: `no tracker answers: ${url} does not answer in time`,
  });
  const stop = new AbortController();
  const call = client([url]).listFiles({}, stop.signal);
  silent.once('connection', () => stop.abort());
  await expect(call).rejects.toMatchObject({ code: 'cancelled' });
});

test('a URL that is none is refused before any call', () => {
  for (const urls of [[], ['127.0.0.1:9000'], ['ftp://x'], ['']])
    expect(() => createTrackerClient({ urls })).toThrow(/tracker/u);
});

test('events are watched as they happen, and resumed', async () => {
  const { url } = await tracker();
  const rpc = client([url]);
  const stop = new AbortController();
  const types: string[] = [];
  let lastId = 0;
  await rpc.register({ ...registration, holdings: [] });
  // id 1 is long gone, so the stream begins with `missed` and then tells all there is
  for await (const event of rpc.watch({ afterId: 1, signal: stop.signal })) {
    types.push(event.type);
    lastId = event.id;
    if (event.type === 'peer-joined') await rpc.publish(peerId, [{ name: 'big.bin', manifest: big }]);
    if (event.type === 'entry-published') stop.abort();
  }
  expect(types).toEqual(['missed', 'peer-joined', 'entry-published']);
  await rpc.leave(peerId);
  const resumed = new AbortController();
  for await (const event of rpc.watch({ afterId: lastId, signal: resumed.signal })) {
    expect(event).toMatchObject({ type: 'peer-left', data: { peer: peerId, reason: 'left' } });
    resumed.abort();
  }
});

test('the event stream of REST resumes with Last-Event-ID', async () => {
  const { url } = await tracker();
  await client([url]).register({ ...registration, holdings: [] });
  const stop = new AbortController();
  const response = await fetch(`${url}/events`, { headers: { 'last-event-id': '1' }, signal: stop.signal });
  expect(response.headers.get('content-type')).toMatch(/^text\/event-stream/u);
  let text = '';
  try {
    for await (const part of response.body ?? []) {
      text += Buffer.from(part).toString();
      if (text.includes('event: peer-joined\ndata: {"type":"peer-joined"') && text.endsWith('\n\n')) stop.abort();
    }
  } catch (error) {
    if (!stop.signal.aborted) throw error;
  }
  expect(text).toMatch(/id: \d+\nevent: missed\n/u);
});

test('the page of the API is served over a real connection, which is kept for the next call', async () => {
  const { url } = await tracker();
  const page = await fetch(`${url}/docs/`);
  expect([page.status, (await page.text()).includes('swagger-ui')]).toEqual([200, true]);
  expect(await (await fetch(`${url}/healthz`)).json()).toEqual({ ok: true });
});

test('Connect with JSON and gRPC-Web reach the same service', async () => {
  const { url } = await tracker();
  const json = createClient(
    TrackerService,
    createConnectTransport({ baseUrl: url, httpVersion: '1.1', useBinaryFormat: false }),
  );
  const web = createClient(TrackerService, createGrpcWebTransport({ baseUrl: url, httpVersion: '1.1' }));
  expect((await json.listPeers({})).peers).toEqual([]);
  expect((await web.listPeers({})).peers).toEqual([]);
  await expect(web.locate({ name: 'x' })).rejects.toThrow(/not_found/u);
  const curl = await fetch(`${url}/shoal.v1.TrackerService/ListFiles`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{}',
  });
  expect(await curl.json()).toEqual({});
});

test('a call larger than the limit is refused and not read to its end', async () => {
  const { url } = await tracker();
  const rpc = createClient(TrackerService, createConnectTransport({ baseUrl: url, httpVersion: '1.1' }));
  const manifest = new Uint8Array(limits.CALL_BODY_BYTES_MAX + 1);
  await expect(rpc.publish({ items: [{ name: 'x', manifest }] })).rejects.toThrow();
  expect((await rpc.listPeers({})).peers).toEqual([]);
});

test('a restart on SQLite keeps the catalogue, and the peer is asked to register again', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'shoal-tracker-'));
  ends.push(() => rmSync(dataDir, { recursive: true, force: true }));
  const before = await tracker({ store: 'sqlite', dataDir });
  const rpc = client([before.url]);
  await rpc.register({ ...registration, holdings: [] });
  await rpc.publish(peerId, [{ name: 'big.bin', manifest: big }]);
  await before.close();
  await expect(rpc.listFiles()).rejects.toMatchObject({ code: 'tracker-unreachable' });

  await tracker({ store: 'sqlite', dataDir, port: before.port });
  expect((await rpc.listFiles()).entries).toEqual([]);
  expect((await rpc.listFiles({ includeOffline: true })).entries).toMatchObject([{ name: 'big.bin' }]);
  expect((await rpc.listPeers()).peers).toMatchObject([{ peerId, online: false }]);
  expect((await rpc.renew(peerId, [])).known).toBe(false);
  const { unknownContentIds } = await rpc.register({ ...registration, holdings: [{ contentId: big.contentId }] });
  expect(unknownContentIds).toEqual([]);
  const located = await rpc.locate({ what: { name: 'big.bin' }, wantManifest: true });
  expect([located.sources.length, located.manifest?.contentId]).toEqual([1, big.contentId]);
});

test('closing ends streams and idle connections in bounded time, twice without harm', async () => {
  const started = await tracker();
  const rpc = client([started.url]);
  await rpc.register({ ...registration, holdings: [] });
  const streams = [1, 2].map(async () => {
    const events = rpc.watch({ afterId: 1, signal: new AbortController().signal });
    for await (const event of events) if (event.type === 'never') return;
  });
  const sse = await fetch(`${started.url}/events`);
  const before = performance.now();
  await Promise.all([started.close(), started.close()]);
  expect(performance.now() - before).toBeLessThan(limits.TRACKER_CLOSE_TIMEOUT_MS + 1_000);
  expect((await Promise.allSettled(streams)).length).toBe(2);
  await sse.body?.cancel().catch(() => undefined);
  await expect(rpc.listFiles()).rejects.toMatchObject({ code: 'tracker-unreachable' });
});

test('a port in use and a host that is not here are refused with a sentence', async () => {
  const { port } = await tracker();
  await expect(tracker({ port })).rejects.toMatchObject({
    code: 'conflict',
    message: `127.0.0.1:${port} is in use already, perhaps by another tracker`,
  });
  await expect(tracker({ host: '192.0.2.1' })).rejects.toMatchObject({ code: 'usage' });
  await expect(tracker({ store: 'sqlite' })).rejects.toMatchObject({ code: 'usage' });
});

test('leases run out by themselves, and those who watch hear of it', async () => {
  const { url } = await tracker({ leaseMs: 50 });
  const rpc = client([url]);
  const stop = new AbortController();
  await rpc.register({ ...registration, holdings: [] });
  for await (const event of rpc.watch({ afterId: 1, signal: stop.signal })) {
    if (event.type !== 'peer-left') continue;
    expect(event.data).toMatchObject({ peer: peerId, reason: 'lease-expired' });
    stop.abort();
  }
});
