import { Code, ConnectError, createClient } from '@connectrpc/connect';
import { createConnectTransport, createGrpcTransport } from '@connectrpc/connect-node';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { TrackerService } from '../../contract/gen/shoal/v1/tracker_pb.ts';
import { createLog } from '../../log.ts';
import { startTracker, type Tracker } from '../server.ts';
import { callIdOf } from './call-id.ts';

const token = `${'r'.repeat(32)}.${'p'.repeat(32)}`;
const quiet = createLog({ name: 'test', level: 'silent' });
let tracker: Tracker;

beforeEach(async () => {
  tracker = await startTracker({ host: '127.0.0.1', port: 0, store: 'memory', token, log: quiet });
});
afterEach(() => tracker.close());

const bearer = (secret: string) => ({ authorization: `Bearer ${secret}` });

test('a short, plain id of the caller is taken; anything else is replaced', () => {
  expect(callIdOf({ 'x-request-id': '4bf92f35-77b3.A:1' })).toBe('4bf92f35-77b3.A:1');
  const others = [undefined, '', 'a b', 'a\nb', '"', 'é', 'x'.repeat(65)];
  const made = others.map((given) => callIdOf(given === undefined ? {} : { 'x-request-id': given }));
  for (const id of made) expect(id).toMatch(/^[0-9a-f]{16}$/u);
  expect(new Set(made).size).toBe(others.length);
});

test('REST answers and refusals carry it, calls of the short way too', async () => {
  const call = (path: string, init: RequestInit = {}) => fetch(`${tracker.url}${path}`, init);
  const headers = { ...bearer(token), 'x-request-id': 'mine-1', 'content-type': 'application/json' };
  expect((await call('/files', { headers })).headers.get('x-request-id')).toBe('mine-1');
  expect((await call('/files')).headers.get('x-request-id')).toMatch(/^[0-9a-f]{16}$/u);
  const body = JSON.stringify({ ip: '127.0.0.1', port: 7001, files: [] });
  const announced = await call('/announce', { method: 'POST', headers, body });
  expect([announced.status, announced.headers.get('x-request-id')]).toEqual([200, 'mine-1']);
});

describe.each([
  ['gRPC over HTTP/2', () => createGrpcTransport({ baseUrl: tracker.url })],
  ['Connect over HTTP/1.1', () => createConnectTransport({ baseUrl: tracker.url, httpVersion: '1.1' })],
] as const)('%s', (_name, transport) => {
  const failed = async (call: Promise<unknown>): Promise<ConnectError> =>
    ConnectError.from(
      await call.then(
        () => new Error('it was answered'),
        (error: unknown) => error,
      ),
    );

  test('answers and refusals carry the id', async () => {
    const client = createClient(TrackerService, transport());
    let id = '';
    const headers = { ...bearer(token), 'x-request-id': 'mine-2' };
    await client.listFiles({}, { headers, onHeader: (answer) => (id = answer.get('x-request-id') ?? '') });
    expect(id).toBe('mine-2');
    const refused = await failed(client.locate({ name: 'nothing' }, { headers }));
    expect([refused.code, refused.metadata.get('x-request-id')]).toEqual([Code.NotFound, 'mine-2']);
  });
});
