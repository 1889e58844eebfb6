/** What a private tracker answers to gRPC over HTTP/2, gRPC-Web and Connect by those without a token, or without enough of one. */
import { Code, ConnectError, createClient, type Transport } from '@connectrpc/connect';
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from '@connectrpc/connect-node';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { digestBytes } from '../../content/digest.ts';
import { TrackerService } from '../../contract/gen/shoal/v1/tracker_pb.ts';
import { createLog } from '../../log.ts';
import { startTracker, type Tracker } from '../server.ts';
import { manifestOf, peerIdOf } from '../test-fixtures.ts';

const READ = 'the-part-that-reads';
const PUBLISH = `${READ}.the-part-that-publishes`;
const big = manifestOf('big');
const peerId = Uint8Array.fromHex(peerIdOf(1));

let tracker: Tracker;
beforeEach(async () => {
  const log = createLog({ name: 'test', level: 'silent' });
  tracker = await startTracker({ host: '127.0.0.1', port: 0, store: 'memory', log, token: PUBLISH });
});
afterEach(() => tracker.close());

const transports: readonly [string, (baseUrl: string) => Transport][] = [
  ['gRPC over HTTP/2', (baseUrl) => createGrpcTransport({ baseUrl })],
  ['gRPC-Web over HTTP/1.1', (baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion: '1.1' })],
  ['Connect over HTTP/1.1', (baseUrl) => createConnectTransport({ baseUrl, httpVersion: '1.1' })],
  ['Connect over HTTP/2', (baseUrl) => createConnectTransport({ baseUrl, httpVersion: '2' })],
];

describe.each(transports)('%s', (_name, transport) => {
  const rpc = () => createClient(TrackerService, transport(tracker.url));
  const showing = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });
  const publication = {
    peerId,
    items: [{ name: 'big.bin', contentId: digestBytes(big.contentId), manifest: big.bytes }],
  };
  const registration = { peerId, addresses: [{ host: '', port: 9001 }], agent: 'test' };

  test.each([
    ['no token', {}],
    ['a wrong token', showing('another-secret-of-somebody')],
    ['the token without its scheme', { headers: { authorization: PUBLISH } }],
    ['only the part that publishes', showing('the-part-that-publishes')],
  ])('with %s every call is UNAUTHENTICATED', async (_what, call) => {
    const client = rpc();
    const events = client.watch({}, call)[Symbol.asyncIterator]();
    const answers = [
      client.listFiles({}, call),
      client.locate({ name: 'big.bin' }, call),
      client.register(registration, call),
      client.publish(publication, call),
      events.next(),
    ].map(codeOf);
    expect(new Set(await Promise.all(answers))).toEqual(new Set([Code.Unauthenticated]));
  });

  test('the part that reads lists and registers, and is PERMISSION_DENIED where it would publish', async () => {
    const client = rpc();
    await client.register(registration, showing(READ));
    expect((await client.listFiles({}, showing(READ))).entries).toEqual([]);
    const part = { peerId, contentId: digestBytes(big.contentId), totalBytes: big.bytes.length, part: big.bytes };
    expect(await codeOf(client.publish(publication, showing(READ)))).toBe(Code.PermissionDenied);
    expect(await codeOf(client.unpublish({ peerId, names: ['big.bin'] }, showing(READ)))).toBe(Code.PermissionDenied);
    expect(await codeOf(client.uploadManifestPart(part, showing(READ)))).toBe(Code.PermissionDenied);
    expect((await client.publish(publication, showing(PUBLISH))).results).toMatchObject([{ problem: '' }]);
  });
});

async function codeOf(call: Promise<unknown>): Promise<Code | 'answered'> {
  try {
    await call;
    return 'answered';
  } catch (error) {
    return ConnectError.from(error).code;
  }
}
