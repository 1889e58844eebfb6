import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { TRACKER_ANSWER_BYTES_MAX } from '../limits.ts';
import { CallProblem, openTrackerHttp, type TrackerHttp } from './tracker-http.ts';

const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

/** A server that answers every call in this way. */
async function answering(listener: RequestListener, token?: string, onLost?: () => void): Promise<TrackerHttp> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const tracker = openTrackerHttp(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`, { token, onLost });
  ends.push(async () => {
    tracker.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return tracker;
}

const running = new AbortController().signal;

/** What becomes of a call. */
async function problemOf(tracker: TrackerHttp, timeoutMs = 5_000): Promise<unknown> {
  return await tracker.call('leave', {}, { signal: running, timeoutMs }).then(
    () => undefined,
    (error: unknown) => error,
  );
}

test('a call names the method, the version of the protocol and the token, and says how long it waits', async () => {
  let seen: unknown;
  const tracker = await answering(({ method, url, headers }, response) => {
    seen = { method, url, ...headers };
    response.setHeader('content-type', 'application/proto').end();
  }, 'secret');
  await tracker.call('leave', { peerId: new Uint8Array(16) }, { signal: running, timeoutMs: 1_234 });
  expect(seen).toMatchObject({
    method: 'POST',
    url: '/shoal.v1.TrackerService/Leave',
    'content-type': 'application/proto',
    'content-length': '18',
    'connect-protocol-version': '1',
    'connect-timeout-ms': '1234',
    'x-request-id': expect.stringMatching(/^[0-9a-f]{8}-1$/u) as string,
    authorization: 'Bearer secret',
  });
});

test.each([
  ['a page of a web server', 200, 'text/html', '<html></html>', 'stranger'],
  ['a page that says no', 404, 'text/html', '<html></html>', 'stranger'],
  ['JSON that is no error', 500, 'application/json', '[1]', 'stranger'],
  ['a method it does not have', 501, 'application/json', '{"code":"unimplemented","message":"no"}', 'stranger'],
  ['that it took too long', 504, 'application/json', '{"code":"deadline_exceeded","message":"slow"}', 'late'],
  ['another failure', 500, 'application/json', '{"code":"internal","message":"broken"}', 'failed'],
])('a server that answers with %s is no tracker that refuses', async (_what, status, type, body, kind) => {
  const tracker = await answering((_request, response) =>
    response.writeHead(status, { 'content-type': type }).end(body),
  );
  const problem = await problemOf(tracker);
  expect(problem).toBeInstanceOf(CallProblem);
  expect((problem as CallProblem).kind).toBe(kind);
});

test('a refusal keeps its code and its hint', async () => {
  const tracker = await answering((_request, response) =>
    response
      .writeHead(404, {
        'content-type': 'application/json',
        'shoal-code': 'no-such-name',
        'shoal-hint': 'look%20again',
      })
      .end('{"code":"not_found","message":"there is no x"}'),
  );
  expect(await problemOf(tracker)).toMatchObject({
    code: 'no-such-name',
    message: 'there is no x',
    hint: 'look again',
  });
});

test('where the tracker failed, the message names the call as its log does', async () => {
  const tracker = await answering(({ headers }, response) =>
    response
      .writeHead(500, {
        'content-type': 'application/json',
        'shoal-code': 'bug',
        'x-request-id': headers['x-request-id'] as string,
      })
      .end('{"code":"internal","message":"it failed"}'),
  );
  const message = expect.stringMatching(/^it failed \(call [0-9a-f]{8}-1\)$/u) as string;
  expect(await problemOf(tracker)).toMatchObject({ code: 'bug', message });
});

test('silence, a broken answer and an answer without end are given up', async () => {
  expect(await problemOf(await answering(() => undefined), 50)).toMatchObject({ kind: 'late' });
  const cut = await answering((_request, response) => {
    response.writeHead(200, { 'content-type': 'application/proto', 'content-length': '10' });
    response.write('12345', () => response.destroy());
  });
  expect(await problemOf(cut)).toMatchObject({ kind: 'connection' });
  const block = Buffer.alloc(1024 * 1024);
  let sentBytes = 0;
  const endless = await answering((_request, response) => {
    response.writeHead(200, { 'content-type': 'application/proto' });
    const more = (error?: Error | null): void => {
      sentBytes += block.length;
      if (!error && !response.destroyed) response.write(block, more);
    };
    more();
  });
  expect(await problemOf(endless, 60_000)).toMatchObject({ kind: 'stranger' });
  expect(sentBytes).toBeLessThan(TRACKER_ANSWER_BYTES_MAX + 64 * block.length);
});

test('a stream is read whatever its pieces, ends when the tracker says so, and throws when it is cut off', async () => {
  const message = (flags: number, ...bytes: number[]): number[] => [flags, 0, 0, 0, bytes.length, ...bytes];
  const end = message(2, ...Buffer.from('{}'));
  const bytes = [...message(0, 8, 1), ...message(0, 8, 2), ...message(0), ...end];
  const whole = await answering((_request, response) => {
    response.writeHead(200, { 'content-type': 'application/connect+proto' });
    const rest = [...bytes];
    const next = (): void => {
      const byte = rest.shift();
      if (byte === undefined) response.end();
      else response.write(Buffer.of(byte), next);
    };
    next();
  });
  const ids: number[] = [];
  for await (const { id } of whole.stream('watch', {}, running)) ids.push(id);
  expect(ids).toEqual([1, 2, 0]);

  const collect = async (tracker: TrackerHttp): Promise<void> => {
    for await (const _event of tracker.stream('watch', {}, running));
  };
  const cut = await answering((_request, response) => response.end(Buffer.from(bytes.slice(0, -end.length))));
  await expect(collect(cut)).rejects.toMatchObject({ kind: 'connection' });
  const large = await answering((_request, response) => response.end(Buffer.from([0, 255, 255, 255, 255])));
  await expect(collect(large)).rejects.toMatchObject({ kind: 'stranger' });
});

test('a kept connection that the other side closes is told of, one that we close is not', async () => {
  const closeIdle: (() => void)[] = [];
  let lost = 0;
  const { promise: isLost, resolve } = Promise.withResolvers<void>();
  const onLost = (): void => {
    lost++;
    resolve();
  };
  const listener: RequestListener = ({ socket }, response) => {
    closeIdle.push(() => socket.destroy());
    response.setHeader('content-type', 'application/proto').end();
  };
  const tracker = await answering(listener, undefined, onLost);
  expect(await problemOf(tracker)).toBeUndefined();
  expect(await problemOf(tracker)).toBeUndefined();
  for (const close of closeIdle) close();
  await isLost;
  expect(lost).toBe(1);
  expect(await problemOf(tracker)).toBeUndefined();
  tracker.close();
  await new Promise((done) => setImmediate(done));
  expect(lost).toBe(1);
});
