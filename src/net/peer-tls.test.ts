import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { ShoalError } from '../errors.ts';
import { ConnectionSet } from './connection-set.ts';
import { dial } from './dial.ts';
import { createRecorded, createTestNet, helloOf, SWARM_KEY, until, type TestNet } from './fixtures.ts';
import { acceptHandshake, dialHandshake } from './handshake.ts';
import type { TextArrival } from './listener.ts';
import { createPeerTls, type PeerTls } from './peer-tls.ts';
import { testCertificates } from './tls-fixtures.ts';

let own: PeerTls;
let foreign: PeerTls;
let over: PeerTls;
const nets: TestNet[] = [];
const dialSide = new ConnectionSet();

beforeAll(async () => {
  const files = await testCertificates();
  [own, foreign, over] = [files.own, files.foreign, files.over].map((one) => createPeerTls(one, 5_000)) as [
    PeerTls,
    PeerTls,
    PeerTls,
  ];
});

afterEach(async () => {
  await dialSide.close();
  for (const net of nets.splice(0)) {
    await net.close();
    expect(net.listener.unprovenCount).toBe(0);
    expect(net.connections.size).toBe(0);
  }
});

async function listening(options: Parameters<typeof createTestNet>[0]): Promise<TestNet> {
  const net = await createTestNet(options);
  nets.push(net);
  return net;
}

/** What becomes of dialling and of the handshake after it: the refusal, in words. */
async function refusalOf(net: TestNet, tls: PeerTls | undefined): Promise<string> {
  try {
    const connection = await dial({ ...net.listener.address, connections: dialSide, tls });
    const outcome = await dialHandshake(connection, { hello: helloOf(1), swarmKey: SWARM_KEY });
    return outcome.type === 'refused' ? `${outcome.goodbye.reason}: ${outcome.goodbye.text}` : outcome.type;
  } catch (error) {
    const { code, message } = error as ShoalError;
    return `${code}: ${message}`;
  }
}

describe('TLS between peers', () => {
  it('carries the native protocol, and large fragments whole', async () => {
    const net = await listening({ tls: own });
    const dialled = await dial({ ...net.listener.address, connections: dialSide, tls: own });
    const linking = dialHandshake(dialled, { hello: helloOf(1), swarmKey: SWARM_KEY });
    await until(() => net.arrivals.length === 1, 'the connection is accepted');
    const [{ connection: accepted, arrival }] = net.arrivals as [(typeof net.arrivals)[number]];
    expect(arrival.remoteAddress.host).toBe('127.0.0.1');
    await acceptHandshake(accepted, { accept: () => ({ hello: helloOf(2), swarmKey: SWARM_KEY }) });
    arrival.proven();
    expect((await linking).type).toBe('linked');
    const [here, there] = [createRecorded(), createRecorded()];
    dialled.start(here);
    accepted.start(there);
    const bytes = randomBytes(65_536);
    const header = { requestId: 1, chunkIndex: 0, offset: 0, byteCount: bytes.length };
    for (const sender of [accepted, dialled])
      for (let count = 0; count < 4; count++) sender.sendFragment({ ...header, offset: count * bytes.length }, bytes);
    await until(() => here.fragments.length === 4 && there.fragments.length === 4, 'all fragments are there');
    for (const { payload } of [...here.fragments, ...there.fragments]) expect(bytes.equals(payload)).toBe(true);
    expect(dialled.rttMs).toBeGreaterThan(0);
    dialled.close();
    await until(() => there.end !== undefined, 'the other side has seen the end');
    expect(there.end?.type).toBe('closed-there');
    await Promise.all([dialled.gone, accepted.gone]);
  });

  it('tells the dialects of text apart inside it', async () => {
    const heads: string[] = [];
    const answer = ({ head, socket }: TextArrival): void => {
      heads.push(Buffer.from(head).toString());
      socket.end('answer');
    };
    const net = await listening({ tls: own, onRange: answer, onHttp: answer });
    for (const line of ['a.bin:0:5\n', 'GET /a HTTP/1.1\r\n\r\n', 'no newline:0:5']) {
      const socket = own.connect(net.listener.address);
      await once(socket, 'secureConnect');
      socket.write(line);
      expect(await text(socket)).toBe('answer');
    }
    expect(heads).toEqual(['a.bin:0:5\n', 'GET /a HTTP/1.1\r\n\r\n', 'no newline:0:5']);
    expect(net.listener.counts).toMatchObject({ range: 2, http: 1 });
  });

  it('says no to clear text, in the words of each dialect', async () => {
    const net = await listening({ tls: own });
    expect(await refusalOf(net, undefined)).toBe('not-allowed: this node takes TLS only: give --tls');
    const http = await net.raw();
    http.write('GET / HTTP/1.1\r\n\r\n');
    expect(await text(http)).toMatch(/^HTTP\/1\.1 400 .*this node takes TLS only/su);
    const range = await net.raw();
    range.write('a.bin:0:5\n');
    expect(await text(range)).toBe('');
    expect(net.listener.counts).toMatchObject({ notAllowed: 3, native: 0 });
  });

  it('is told so by a node that does not speak it', async () => {
    const net = await listening({});
    expect(await refusalOf(net, own)).toMatch(/^not-allowed: cannot connect to .*does not speak TLS/u);
    expect(net.listener.counts).toMatchObject({ notAllowed: 1, unusable: 0 });
  });

  it('does not trust a node of another swarm', async () => {
    const net = await listening({ tls: foreign });
    expect(await refusalOf(net, own)).toMatch(/^not-allowed: .*not by the authority of this swarm/u);
  });

  it('does not let in a node of another swarm, nor one whose certificate has run out, and says why', async () => {
    const net = await listening({ tls: own });
    const { own: ours, foreign: theirs, over: late } = await testCertificates();
    for (const { cert, key } of [theirs, late]) {
      const stranger = createPeerTls({ cert, key, ca: ours.ca }, 5_000);
      expect(await refusalOf(net, stranger)).toMatch(/^not-allowed: your certificate is not by the authority/u);
    }
    expect(net.listener.counts).toMatchObject({ notAllowed: 2, native: 0 });
    const late2 = await listening({ tls: over });
    expect(await refusalOf(late2, own)).toMatch(/^not-allowed: .*has run out/u);
  });

  it('does not wait for ever: for the first byte, the handshake, or what comes after it', async () => {
    const quick = createPeerTls((await testCertificates()).own, 50);
    const net = await listening({ tls: quick, firstByteTimeoutMs: 50 });
    const silent = await net.raw();
    const half = await net.raw();
    half.write(Uint8Array.of(0x16, 3, 1));
    for (const socket of [silent, half]) {
      socket.resume();
      await until(() => socket.readableEnded || socket.destroyed, 'it is closed');
    }
    const mute = own.connect(net.listener.address);
    mute.on('error', () => undefined);
    await once(mute, 'secureConnect');
    mute.resume();
    await once(mute, 'close');
    expect(net.listener.counts.silent).toBe(2);
  });
});
