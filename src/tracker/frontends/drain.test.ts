import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { refuseWhileClosing } from './drain.ts';

test('over a connection that is kept, what began before is answered and what comes then is refused, in both dialects', async () => {
  const closing = new AbortController();
  const begun = Promise.withResolvers<void>();
  const finish = Promise.withResolvers<void>();
  const server = createServer(
    refuseWhileClosing((_request, response) => {
      begun.resolve();
      void finish.promise.then(() => response.end('answered'));
    }, closing.signal),
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  socket.write('GET /1 HTTP/1.1\r\nhost: a\r\n\r\n');
  await begun.promise;
  closing.abort();
  socket.write('POST /2 HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nbody');
  finish.resolve();
  // the server closes it, so that this ends
  const answers = await text(socket);
  expect(answers).toMatch(/^HTTP\/1\.1 200 OK[^]*answered.*HTTP\/1\.1 503 Service Unavailable\r\n/su);
  expect(answers).toMatch(/\r\nshoal-code: tracker-unreachable\r\n/u);
  expect(answers).toMatch(/\r\nconnection: close\r\n/iu);
  expect(JSON.parse(answers.slice(answers.lastIndexOf('\r\n\r\n')))).toEqual({
    error: { code: 'tracker-unreachable', message: 'the tracker is shutting down' },
    code: 'unavailable',
    message: 'the tracker is shutting down',
  });
  server.close();
});
