import { createServer, type Server, type Socket } from 'node:net';
import { once } from 'node:events';
import { afterEach, describe, expect, it } from 'vitest';
import { toHex } from '../content/digest.ts';
import type { Address } from './address.ts';
import { createTestNet, helloOf, until, type TestNet } from './fixtures.ts';
import { acceptHandshake, NO_CONTENT } from './handshake.ts';
import { createPeerProbe, type ExpectedPeer } from './peer-probe.ts';
import { createPeerTls, type PeerTls } from './peer-tls.ts';
import { openSwarmKey, type SwarmKeys } from './swarm-key.ts';
import { testCertificates } from './tls-fixtures.ts';

const nets: TestNet[] = [];
const servers: Server[] = [];
afterEach(async () => {
  for (const net of nets.splice(0)) {
    await net.close();
    expect(net.connections.size).toBe(0);
  }
  for (const server of servers.splice(0)) await new Promise((resolve) => server.close(resolve));
});

const PEER = 7;
const native: ExpectedPeer = { kind: 'native', peerId: toHex(helloOf(PEER).peerId) };
const anywhere = (): boolean => true;
const soon = (): AbortSignal => AbortSignal.timeout(2_000);

/** A node that says who it is to whoever asks. */
async function node(swarmKeys: SwarmKeys = openSwarmKey, tls?: PeerTls): Promise<TestNet> {
  const net = await createTestNet({
    tls,
    onNative: (connection) =>
      void acceptHandshake(connection, {
        accept: ({ contentId }) => {
          expect(toHex(contentId)).toBe(NO_CONTENT);
          return { hello: helloOf(PEER, NO_CONTENT), swarmKey: swarmKeys(NO_CONTENT) };
        },
      }).catch(() => undefined), // whoever asks hangs up
  });
  nets.push(net);
  return net;
}

/** A server of plain bytes. */
async function server(onSocket: (socket: Socket) => void): Promise<Address> {
  const one = createServer((socket) => {
    socket.on('error', () => undefined);
    onSocket(socket);
  });
  servers.push(one);
  await once(one.listen(0, '127.0.0.1'), 'listening');
  return { host: '127.0.0.1', port: (one.address() as { port: number }).port };
}

describe('the probe of an announced address', () => {
  it('finds the peer that is there, and hangs up', async () => {
    const net = await node();
    const probe = createPeerProbe({ swarmKeys: openSwarmKey });
    expect(await probe(net.listener.address, native, anywhere, soon())).toBe(true);
    await until(() => net.connections.size === 0, 'the connection is gone');
    expect(await probe({ ...net.listener.address, host: 'localhost' }, native, anywhere, soon())).toBe(true);
  });

  it('takes nobody else for it', async () => {
    const probe = createPeerProbe({ swarmKeys: openSwarmKey });
    const net = await node();
    const other: ExpectedPeer = { kind: 'native', peerId: toHex(helloOf(8).peerId) };
    expect(await probe(net.listener.address, other, anywhere, soon())).toBe(false);
    const stranger = await node((contentId) => openSwarmKey(contentId).fill(0));
    expect(await probe(stranger.listener.address, native, anywhere, soon())).toBe(false);
    const web = await server((socket) => socket.resume().end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    expect(await probe(web, native, anywhere, soon())).toBe(false);
    const closed = await server(() => undefined);
    await new Promise((resolve) => servers.pop()?.close(resolve));
    expect(await probe(closed, native, anywhere, soon())).toBe(false);
  });

  it('goes only where it may, whatever a name stands for', async () => {
    const net = await node();
    const probe = createPeerProbe({ swarmKeys: openSwarmKey });
    const judged: string[] = [];
    const nowhere = (ip: string): boolean => judged.push(ip) < 0;
    expect(await probe({ ...net.listener.address, host: 'localhost' }, native, nowhere, soon())).toBe(false);
    expect(judged).toContain('127.0.0.1');
    expect(net.listener.counts.accepted).toBe(0);
  });

  it('ends with its signal, while somebody is silent', async () => {
    const sockets: Socket[] = [];
    const silent = await server((socket) => void sockets.push(socket.resume()));
    const probe = createPeerProbe({ swarmKeys: openSwarmKey });
    const abort = new AbortController();
    const answers = [native, { kind: 'range', name: 'a', byteCount: 4 } as const].map((expected) =>
      probe(silent, expected, anywhere, abort.signal),
    );
    await until(() => sockets.length === 2, 'both are connected');
    abort.abort();
    expect(await Promise.all(answers)).toEqual([false, false]);
    await until(() => sockets.every(({ destroyed }) => destroyed), 'nothing is left');
  });

  it('speaks TLS in an encrypted swarm', async () => {
    const { own, foreign } = await testCertificates();
    const net = await node(openSwarmKey, createPeerTls(own, 5_000));
    const by = (tls: PeerTls | undefined) =>
      createPeerProbe({ swarmKeys: openSwarmKey, tls })(net.listener.address, native, anywhere, soon());
    expect(await by(createPeerTls(own, 5_000))).toBe(true);
    expect(await by(createPeerTls(foreign, 5_000))).toBe(false);
    expect(await by(undefined)).toBe(false);
  });

  it.each([
    ['exactly the bytes asked for', 'abcd', true],
    ['too few', 'abc', false],
    ['too many', 'abcde', false],
    ['none', '', false],
  ])('of a range peer wants the bytes of its file: %s', async (_what, bytes, ok) => {
    const lines: string[] = [];
    const at = await server((socket) =>
      socket.once('data', (line) => {
        lines.push(line.toString());
        socket.end(bytes);
      }),
    );
    const probe = createPeerProbe({ swarmKeys: openSwarmKey });
    const expected: ExpectedPeer = { kind: 'range', name: 'my file:1', byteCount: 4 };
    expect(await probe(at, expected, anywhere, soon())).toBe(ok);
    expect(lines).toEqual(['my file:1:0:4\n']);
  });
});
