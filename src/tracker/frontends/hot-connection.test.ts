import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { FastifyInstance } from 'fastify';
import { createServer, request, type Server } from 'node:http';
import { connect, createServer as createTcp, type AddressInfo, type Server as TcpServer, type Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { digestBytes } from '../../content/digest.ts';
import {
  LocateRequestSchema,
  LocateResponseSchema,
  RenewRequestSchema,
} from '../../contract/gen/shoal/v1/tracker_pb.ts';
import { createLog } from '../../log.ts';
import { OPEN_ACCESS, privateAccess, type Access } from '../access.ts';
import { createTrackerApp } from '../server.ts';
import { claimOf, createBench, manifestOf, peerIdOf, type Bench } from '../test-fixtures.ts';
import { hotCalls, type HotCall } from './hot-calls.ts';
import { createHotConnections, type HotConnections } from './hot-connection.ts';
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
/** One with the short way, which falls back on the other, and Node's own. */
let servers: readonly TcpServer[];
let node: Server;
let hot: HotConnections;
let handedOver: number;
/** What passed by the app. */
let metricsText: () => string;

async function start(access: Access): Promise<void> {
  bench = await createBench();
  const now = (): number => bench.clock.nowMs;
  const metrics = createMetrics(bench.registry, now);
  metricsText = () => metrics.text();
  app = await createTrackerApp({ registry: bench.registry, now, log, access, closing: new AbortController().signal });
  await app.ready();
  hot = createHotConnections({ calls: hotCalls(bench.registry), access, metrics });
  handedOver = 0;
  node = createServer((call, response) => app.routing(call, response));
  const short = createTcp((socket) =>
    hot.take(socket, (given) => {
      handedOver++;
      node.emit('connection', given);
    }),
  );
  servers = [short, node];
  await Promise.all(servers.map((server) => new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))));
}

beforeEach(() => start(OPEN_ACCESS));
afterEach(async () => {
  hot.close();
  for (const server of servers) server.close();
  node.closeAllConnections();
  await app.close();
});

function call(
  server: TcpServer,
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
  const [hot, plain] = servers as [TcpServer, TcpServer];
  const fast = await call(hot, path, body, { ...all, ...length });
  expect(fast).toEqual(await call(plain, path, body, { ...all, ...length }));
  return fast;
}

const announcement = (more: object = {}): string =>
  JSON.stringify({ ip: '10.0.0.1', port: 7001, files: [{ name: 'a.bin', size: 7, sha256: 'ab' }], ...more });

describe('a hot connection answers as the app does', () => {
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

  test('with the runs of chunks to whoever reads them, where those are short, and with bits to everybody else', async () => {
    bench.join(0);
    const wide = manifestOf('wide', 1_024);
    await bench.publish(peerIdOf(0), 'wide.bin', wide);
    bench.registry.leave(peerIdOf(0));
    const inOrder = Array.from({ length: 600 }, (_, index) => index);
    bench.join(1, claimOf(wide, inOrder));
    const scattered = inOrder.filter((index) => index % 3 > 0);
    bench.join(2, claimOf(wide, scattered));
    const maps = async (readsRuns: boolean): Promise<readonly (readonly [number, number])[]> => {
      const request = create(LocateRequestSchema, { name: 'wide.bin', readsRuns });
      const { body } = await both(`${RPC}Locate`, toBinary(LocateRequestSchema, request));
      const { sources } = fromBinary(LocateResponseSchema, body);
      return sources.map(({ holding }) => [holding?.chunks.length ?? 0, holding?.runs.length ?? 0] as const);
    };
    expect(await maps(false)).toEqual([
      [128, 0],
      [128, 0],
    ]);
    expect(await maps(true)).toEqual([
      [0, 3],
      [128, 0],
    ]);
  });

  test('on a private tracker, with and without its token', async () => {
    hot.close();
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

function portOfShort(): number {
  const [short] = servers as [TcpServer, TcpServer];
  return (short.address() as AddressInfo).port;
}

/** What comes back for these bytes, written in these pieces, until there are so many answers. */
async function answersTo(pieces: readonly string[], count: number): Promise<string> {
  const socket = connect(portOfShort(), '127.0.0.1');
  socket.setNoDelay(true);
  let text = '';
  const done = new Promise<void>((resolve, reject) => {
    socket.on('error', reject);
    socket.on('close', () => resolve());
    socket.on('data', (part: Buffer) => {
      text += part.toString('latin1');
      if (text.split('HTTP/1.1 ').length > count && text.endsWith('}')) resolve();
    });
  });
  for (const piece of pieces) {
    socket.write(piece);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await done;
  socket.destroy();
  return text.replaceAll(/^(?:date|keep-alive|connection): .*\r\n/gimu, '');
}

const announceOf = (body: string, headers = '', path = '/announce'): string =>
  `POST ${path} HTTP/1.1\r\nhost: t\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n${headers}\r\n${body}`;
const FINE =
  'HTTP/1.1 200 OK\r\ncontent-type: application/json; charset=utf-8\r\ncontent-length: 11\r\n\r\n{"ok":true}';

describe('a hot connection', () => {
  test('takes a call however it is cut, and several that come at once in their order', async () => {
    const one = announceOf(announcement());
    expect(await answersTo([one.slice(0, 20), one.slice(20, 200), one.slice(200)], 1)).toBe(FINE);
    const named = announceOf(announcement({ port: 7002 }), '', '/announce?peers=1');
    const text = await answersTo([one + named + one], 3);
    expect(text.split('HTTP/1.1 ').map((answer) => answer.split('\r\n\r\n')[1])).toEqual([
      undefined,
      '{"ok":true}',
      '{"ok":true,"files":[{"name":"a.bin","peers":[{"ip":"10.0.0.1","port":7001}]}]}',
      '{"ok":true}',
    ]);
    expect(handedOver).toBe(0);
  });

  test('names a call as its caller does', async () => {
    expect(await answersTo([announceOf(announcement(), 'X-Request-Id: mine-1\r\n')], 1)).toContain(
      'x-request-id: mine-1\r\n',
    );
    expect(handedOver).toBe(0);
  });

  test('goes to the app with everything that was not answered, and stays there', async () => {
    const one = announceOf(announcement());
    const text = await answersTo([one + announceOf(announcement({ port: 0 })) + one + announceOf('{"ip":1}')], 4);
    expect(text.match(/HTTP\/1\.1 \d+/gu)).toEqual(['200', '400', '200', '400'].map((code) => `HTTP/1.1 ${code}`));
    expect(handedOver).toBe(1);
  });

  test.each([
    ['of many small pieces', announceOf(announcement()).split(''), 200],
    [
      'in chunks',
      [
        'POST /announce HTTP/1.1\r\nhost: t\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n',
      ],
      400,
    ],
    ['with two lengths', [announceOf(announcement(), 'content-length: 5\r\n')], 400],
    ['with a folded header', [announceOf(announcement(), 'a: b\r\n c\r\n')], 400],
    ['with a name that is no token', [announceOf(announcement(), 'a b: c\r\n')], 400],
    ['without a host', [announceOf(announcement()).replace('host: t\r\n', '')], 400],
    ['of HTTP/1.0', [announceOf(announcement()).replace('HTTP/1.1', 'HTTP/1.0')], 200],
    ['that expects a word first', [announceOf(announcement(), 'expect: 100-continue\r\n')], 100],
    ['that wants to close', [announceOf(announcement(), 'connection: close\r\n')], 200],
    ['with a call id that could be anything', [announceOf(announcement(), 'x-request-id: a b\r\n')], 200],
    ['of another path', [announceOf('{"ip":"10.0.0.1","port":7001}', '', '/heartbeat')], 404],
  ])('leaves to Node a call %s', async (_what, pieces, status) => {
    const text = await answersTo(pieces, 1);
    expect(text).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `, 'u'));
    expect(handedOver).toBe(1);
  });

  test('ends at once when it is closed, with its answer when a call has begun, in part or whole', async () => {
    const gate = Promise.withResolvers<string>();
    const begun = Promise.withResolvers<void>();
    const slow: HotCall = {
      ...{ route: '/slow', need: 'read', contentType: 'application/json' },
      run() {
        begun.resolve();
        return gate.promise;
      },
    };
    const metrics = createMetrics(bench.registry, () => 0);
    const calls = new Map([...hotCalls(bench.registry), ['/slow', slow] as const]);
    const ours = createHotConnections({ calls, access: OPEN_ACCESS, metrics });
    const server = createTcp((socket) => ours.take(socket, (given) => node.emit('connection', given)));
    servers = [...servers, server];
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const open = async (): Promise<Socket> => {
      const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
      await new Promise((resolve) => socket.once('connect', resolve));
      return socket;
    };
    const [idle, busy, late] = [await open(), await open(), await open()];
    idle.write(announceOf(announcement()));
    await new Promise((resolve) => idle.once('data', resolve));
    late.write(announceOf(announcement()).slice(0, 30));
    busy.write(announceOf('{}', '', '/slow'));
    await begun.promise;
    const gone = new Promise((resolve) => idle.once('close', resolve));
    ours.close();
    await gone;
    gate.resolve('{"late":true}');
    expect((await buffer(busy)).toString()).toMatch(/Connection: close[^]*\{"late":true\}$/u);
    late.write(announceOf(announcement()).slice(30));
    expect((await buffer(late)).toString()).toContain('{"ok":true}');
  });
});
