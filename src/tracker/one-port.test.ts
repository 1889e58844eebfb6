import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, describe, expect, test } from 'vitest';
import { createOnePort, type OnePort } from './one-port.ts';

let port: OnePort | undefined;
afterEach(() => port?.close(0));

const GET = 'GET /x HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n';

async function open(firstBytesMs = 60_000): Promise<number> {
  port = createOnePort({
    http1: (request, response) => void response.end(`one ${request.method} ${request.url}`),
    http2: (request, response) => void response.end(`two ${request.method} ${request.url}`),
    onBroken: (_error, socket) => void socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'),
    refusal: (why) => ({ status: 403, headers: {}, body: why }),
    firstBytesMs,
  });
  return (await port.listen('127.0.0.1', 0)).port;
}

async function dial(at: number): Promise<Socket> {
  const socket = connect(at, '127.0.0.1');
  await once(socket, 'connect');
  socket.setNoDelay(true);
  return socket;
}

async function overHttp2(session: ReturnType<typeof connectHttp2>, path: string): Promise<string> {
  return text(session.request({ ':path': path }));
}

describe('one port', () => {
  test('takes HTTP/1.1 and HTTP/2', async () => {
    const at = await open();
    const socket = await dial(at);
    socket.write(GET);
    expect(await text(socket)).toMatch(/one GET \/x$/u);
    const session = connectHttp2(`http://127.0.0.1:${at}`);
    expect(await overHttp2(session, '/y')).toBe('two GET /y');
    session.close();
  });

  test('tells POST from the preface although both begin with P, byte by byte', async () => {
    const at = await open();
    const socket = await dial(at);
    const call = GET.replace('GET', 'POST').replace('connection', 'content-length: 0\r\nconnection');
    const answer = text(socket);
    for (const byte of call) {
      socket.write(byte);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await answer).toMatch(/one POST \/x$/u);
  });

  test('takes a preface that comes in two parts', async () => {
    const at = await open();
    const socket = await dial(at);
    const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0', 'latin1');
    socket.write(preface.subarray(0, 2));
    await new Promise((resolve) => setImmediate(resolve));
    socket.write(preface.subarray(2));
    const [settings] = (await once(socket, 'data')) as [Buffer];
    expect(settings[3]).toBe(4); // the server's own SETTINGS frame
    socket.destroy();
  });

  test('answers what is not HTTP with a refusal, and drops who says nothing', async () => {
    const at = await open(50);
    const garbage = await dial(at);
    garbage.write('\x16\x03\x01garbage');
    expect(await text(garbage)).toMatch(/^HTTP\/1\.1 400/u);
    const silent = await dial(at);
    silent.resume();
    await once(silent, 'close');
  });

  test('closes at once when nothing runs, whatever is connected', async () => {
    const at = await open();
    const silent = await dial(at);
    const kept = await dial(at);
    kept.write(GET.replace('connection: close\r\n', ''));
    await once(kept, 'data');
    const session = connectHttp2(`http://127.0.0.1:${at}`);
    expect(await overHttp2(session, '/z')).toBe('two GET /z');
    const gone = Promise.all([silent, kept].map((socket) => once(socket.resume(), 'close')));
    await port?.close(60_000);
    await gone;
    session.destroy();
  });
});
