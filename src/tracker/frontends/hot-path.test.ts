import { create, toBinary } from '@bufbuild/protobuf';
import type { FastifyInstance } from 'fastify';
import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { digestBytes } from '../../content/digest.ts';
import { LocateRequestSchema, RenewRequestSchema } from '../../contract/gen/shoal/v1/tracker_pb.ts';
import { createLog } from '../../log.ts';
import { OPEN_ACCESS, privateAccess, type Access } from '../access.ts';
import { createTrackerApp } from '../server.ts';
import { claimOf, createBench, manifestOf, peerIdOf, type Bench } from '../test-fixtures.ts';
import { createHotPath } from './hot-path.ts';
import { createMetrics } from './metrics.ts';

const RPC = '/shoal.v1.TrackerService/';
const big = manifestOf('big', 5);
const log = createLog({ name: 'test', level: 'silent' });

interface Answer {
  readonly status: number;
  readonly type: string | undefined;
  readonly body: Buffer;
}

let bench: Bench;
let app: FastifyInstance;
let servers: readonly Server[];
/** What passed by the app. */
let metricsText: () => string;

async function start(access: Access): Promise<void> {
  bench = await createBench();
  const now = (): number => bench.clock.nowMs;
  const metrics = createMetrics(bench.registry, now);
  metricsText = () => metrics.text();
  app = await createTrackerApp({ registry: bench.registry, now, log, access, closing: new AbortController().signal });
  await app.ready();
  const hot = createHotPath({ app, registry: bench.registry, access, metrics });
  servers = [createServer(hot), createServer((call, response) => app.routing(call, response))];
  await Promise.all(servers.map((server) => new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))));
}

beforeEach(() => start(OPEN_ACCESS));
afterEach(async () => {
  for (const server of servers) server.close().closeAllConnections();
  await app.close();
});

function call(
  server: Server,
  path: string,
  body: Uint8Array | string,
  headers: Record<string, string>,
): Promise<Answer> {
  const { port } = server.address() as AddressInfo;
  return new Promise((resolve, reject) => {
    const sent = request({ port, path, method: 'POST', headers }, (response) => {
      const { statusCode: status = 0, headers: got } = response;
      buffer(response).then((bytes) => resolve({ status, type: got['content-type'], body: bytes }), reject);
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

/** The answer, which has to be the same with the hot path and without. */
async function both(path: string, body: Uint8Array | string, headers: Record<string, string> = {}): Promise<Answer> {
  const all = { 'content-type': path.startsWith(RPC) ? 'application/proto' : 'application/json', ...headers };
  const length = { 'content-length': String(Buffer.byteLength(body)) };
  const [hot, plain] = servers as [Server, Server];
  const fast = await call(hot, path, body, { ...all, ...length });
  expect(fast).toEqual(await call(plain, path, body, { ...all, ...length }));
  return fast;
}

const announcement = (more: object = {}): string =>
  JSON.stringify({ ip: '10.0.0.1', port: 7001, files: [{ name: 'a.bin', size: 7, sha256: 'ab' }], ...more });

describe('the hot path answers as the app does', () => {
  test('to an announce', async () => {
    expect((await both('/announce', announcement())).body.toString()).toBe('{"ok":true}');
    await both('/announce', announcement({ port: 7002 }));
    const named = await both('/announce?peers=50', announcement());
    expect(JSON.parse(named.body.toString())).toEqual({
      ok: true,
      files: [{ name: 'a.bin', peers: [{ ip: '10.0.0.1', port: 7002 }] }],
    });
    expect(metricsText()).toMatch(/calls_total\{method="POST",route="\/announce",status="200"\} 3/u);
  });

  test.each([
    ['no JSON', '{'],
    ['nothing', ''],
    ['no object', '[]'],
    ['no port', announcement({ port: undefined })],
    ['a port that is text', announcement({ port: '7001' })],
    ['a port beyond', announcement({ port: 70_000 })],
    ['a host that is none', announcement({ ip: 'a b' })],
    ['a name that leaves the folder', announcement({ files: [{ name: '../x', size: 1, sha256: 'a' }] })],
    ['a size below zero', announcement({ files: [{ name: 'x', size: -1, sha256: 'a' }] })],
    ['a file without its digest', announcement({ files: [{ name: 'x', size: 1 }] })],
  ])('to an announce with %s', async (_what, body) => {
    expect((await both('/announce', body)).status).toBe(400);
  });

  test('to queries that the call does not have', async () => {
    expect((await both('/announce?peers=x', announcement())).status).toBe(400);
    expect((await both('/announce?other=1', announcement())).status).toBe(200);
    expect((await both('/announce?peers=50', announcement(), { 'content-type': 'text/plain' })).status).toBe(200);
  });

  test('to Renew and Locate, and to what they refuse', async () => {
    bench.join(0);
    await bench.publish(peerIdOf(0), 'big.bin', big);
    bench.join(1, claimOf(big, [0, 2]));
    const peerId = Uint8Array.fromHex(peerIdOf(1));
    bench.registry.renew(peerIdOf(1), []); // news of a swarm is told once
    const contentId = digestBytes(big.contentId);
    const renew = (changes: object[]): Uint8Array =>
      toBinary(RenewRequestSchema, create(RenewRequestSchema, { peerId, changes }));
    expect((await both(`${RPC}Renew`, renew([]))).status).toBe(200);
    expect((await both(`${RPC}Renew`, renew([{ contentId, gained: [1], links: 3 }]))).status).toBe(200);
    expect((await both(`${RPC}Renew`, renew([{ contentId, gained: [99] }]))).status).toBe(400);
    expect((await both(`${RPC}Renew`, renew([{ contentId: new Uint8Array(3) }]))).status).toBe(400);
    expect((await both(`${RPC}Renew`, Uint8Array.of(0xff, 0xff))).status).toBeGreaterThanOrEqual(400);
    const locate = (name: string): Uint8Array =>
      toBinary(LocateRequestSchema, create(LocateRequestSchema, { name, peerId, wantManifest: true }));
    expect((await both(`${RPC}Locate`, locate('big.bin'))).body.length).toBeGreaterThan(200);
    expect((await both(`${RPC}Locate`, locate('nothing'))).status).toBe(404);
    expect((await both(`${RPC}Leave`, renew([]))).status).toBe(200);
  });

  test('on a private tracker, with and without its token', async () => {
    for (const server of servers) server.close();
    await app.close();
    const token = `${'r'.repeat(24)}.${'p'.repeat(24)}`;
    await start(privateAccess(token, log));
    expect((await both('/announce', announcement())).status).toBe(401);
    expect((await both('/announce', announcement(), { authorization: `Bearer ${token}` })).status).toBe(200);
    const reading = `Bearer ${token.split('.')[0]}`;
    expect((await both('/announce', announcement(), { authorization: reading })).status).toBe(403);
    const nobody = toBinary(RenewRequestSchema, create(RenewRequestSchema, { peerId: new Uint8Array(16) }));
    expect((await both(`${RPC}Renew`, nobody)).status).toBe(401);
    expect((await both(`${RPC}Renew`, nobody, { authorization: reading })).status).toBe(200);
  });
});
