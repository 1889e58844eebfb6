import fc from 'fast-check';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { entryNameProblem } from '../../content/entry-name.ts';
import { createContent, until } from '../fixtures.ts';
import { parseRangeRequest, RangeFrontend, type RangeFrontendOptions } from './range.ts';

describe('a request line', () => {
  test('is divided by its last two colons', () => {
    expect(parseRangeRequest('a: b:c.bin:0:10')).toEqual({ name: 'a: b:c.bin', start: 0, end: 10 });
    expect(parseRangeRequest('día/東京.txt:5:5')).toEqual({ name: 'día/東京.txt', start: 5, end: 5 });
  });

  test.each([
    ['without numbers', 'a.bin'],
    ['with one number', 'a.bin:1'],
    ['reversed', 'a.bin:10:9'],
    ['with a sign', 'a.bin:-1:5'],
    ['with a plus', 'a.bin:+1:5'],
    ['with a fraction', 'a.bin:0:1.5'],
    ['with an exponent', 'a.bin:0:1e3'],
    ['with hex digits', 'a.bin:0:0x10'],
    ['beyond what a number holds', 'a.bin:0:9007199254740993'],
    ['with 17 digits', 'a.bin:0:00000000000000001'],
    ['with spaces around numbers', 'a.bin: 0:1'],
    ['without a name', ':0:1'],
    ['that climbs', '../a.bin:0:1'],
    ['that climbs in the middle', 'a/../../b:0:1'],
    ['absolute', '/etc/passwd:0:1'],
    ['with a NUL', 'a\0b:0:1'],
    ['with a line break', 'a\nb:0:1'],
    ['empty', ''],
  ])('%s is none', (_what, line) => {
    expect(parseRangeRequest(line)).toBeUndefined();
  });

  test('of any name and range comes out as it went in', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'grapheme', minLength: 1, maxLength: 60 }),
        fc.maxSafeNat(),
        fc.maxSafeNat(),
        (name, one, other) => {
          const [start, end] = [Math.min(one, other), Math.max(one, other)];
          const request = parseRangeRequest(`${name}:${start}:${end}`);
          if (entryNameProblem(name) === undefined)
            expect(request).toEqual({ name: name.normalize('NFC'), start, end });
          else expect(request).toBeUndefined();
        },
      ),
    );
  });

  test('that is anything at all never throws, and never names a path outside', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array().map((bytes) => String.fromCharCode(...bytes)),
          fc.string().map((text) => `${text}:0:1`),
        ),
        (line) => {
          const request = parseRangeRequest(line);
          if (request === undefined) return;
          expect(request.start).toBeLessThanOrEqual(request.end);
          expect(request.name.split('/')).not.toContain('..');
          expect(request.name.startsWith('/')).toBe(false);
        },
      ),
    );
  });
});

async function startFrontend(options: Partial<RangeFrontendOptions> = {}) {
  const content = createContent(600_000);
  const sent: number[] = [];
  const frontend = new RangeFrontend({
    open: (name) =>
      Promise.resolve(
        name === 'a.bin'
          ? {
              size: content.bytes.length,
              read: (offset, into) => {
                into.set(content.bytes.subarray(offset, offset + into.length));
                return Promise.resolve();
              },
            }
          : undefined,
      ),
    reserve: () => Promise.resolve(),
    pieceBytes: () => 10_000,
    onSent: (byteCount) => void sent.push(byteCount),
    ...options,
  });
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) =>
    frontend.serve(socket, new Uint8Array(0)),
  );
  server.listen({ host: '127.0.0.1', port: 0 });
  await once(server, 'listening');
  onTestFinished(async () => {
    frontend.close();
    server.close();
    await once(server, 'close');
  });
  const { port } = server.address() as AddressInfo;
  const ask = async (...parts: string[]): Promise<Buffer> => {
    const socket = connect({ host: '127.0.0.1', port });
    const answer: Buffer[] = [];
    socket.on('data', (bytes: Buffer) => answer.push(bytes)).on('error', () => socket.destroy());
    await once(socket, 'connect');
    for (const part of parts) {
      socket.write(part);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await once(socket, 'close');
    return Buffer.concat(answer);
  };
  return { content, frontend, ask, sent };
}

test('a line is answered by its bytes, in one piece or many, ended by a newline or by silence', async () => {
  const { content, ask, sent, frontend } = await startFrontend();
  const wanted = Buffer.from(content.bytes.subarray(10, 500_010));
  expect(await ask('a.bin:10:500010\n')).toEqual(wanted);
  expect(await ask('a.', 'bin:10', ':5000', '10\r\n')).toEqual(wanted);
  expect(await ask('a.bin:10:500010')).toEqual(wanted);
  expect(sent.reduce((sum, byteCount) => sum + byteCount, 0)).toBe(3 * wanted.length);
  await until(() => frontend.connectionCount === 0, 'every connection is closed');
});

test('what is refused gets no byte', async () => {
  const { ask } = await startFrontend();
  for (const line of ['a.bin:0:600001\n', 'b.bin:0:1\n', 'a.bin\n', 'x'.repeat(10_000)])
    expect((await ask(line)).length).toBe(0);
});

test('bytes that cannot be read end the connection, and nobody else is harmed', async () => {
  let broken = true;
  const { ask } = await startFrontend({
    open: () =>
      Promise.resolve({
        size: 100,
        read: () => (broken ? Promise.reject(new Error('bad sector')) : Promise.resolve()),
      }),
  });
  expect((await ask('a.bin:0:100\n')).length).toBe(0);
  broken = false;
  expect((await ask('a.bin:0:100\n')).length).toBe(100);
});
