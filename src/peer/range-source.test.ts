import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import type { SwarmMessage } from '../swarm/facts.ts';
import { createContent, KiB, until } from './fixtures.ts';
import { RangeSource } from './range-source.ts';

const content = createContent(4 * 16 * KiB + 100);
const { manifest } = content;

/** A source over a server whose answer to a request line the test decides. */
async function createBench(answer: (socket: Socket, start: number, end: number) => void) {
  const sockets = new Set<Socket>();
  const lines: string[] = [];
  const server = createServer((socket) => {
    sockets.add(socket);
    socket
      .on('error', () => socket.destroy())
      .once('data', (bytes) => {
        const line = bytes.toString();
        lines.push(line);
        const [, start, end] = /:(\d+):(\d+)\n$/u.exec(line) ?? [];
        answer(socket, Number(start), Number(end));
      });
  }).listen({ host: '127.0.0.1', port: 0 });
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const source = new RangeSource({ host: '127.0.0.1', port, name: 'a:b.bin', layout: manifest });
  const messages: SwarmMessage[] = [];
  const received = new Map<number, Uint8Array>();
  let closed = 0;
  source.start({
    message: (message) => void messages.push(message),
    fragment: ({ requestId, offset, byteCount }) => {
      const buffer = received.get(requestId) ?? new Uint8Array(manifest.chunkSize);
      received.set(requestId, buffer);
      return buffer.subarray(offset, offset + byteCount);
    },
    fragmentEnd: ({ requestId, byteCount }) => void counts.set(requestId, (counts.get(requestId) ?? 0) + byteCount),
    writable: () => undefined,
    rtt: () => undefined,
    closed: () => void closed++,
  });
  const counts = new Map<number, number>();
  onTestFinished(async () => {
    source.close('leaving', '');
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, 'close');
  });
  const grants = () => messages.filter(({ type }) => type === 'grant').length;
  const rejects = () => messages.flatMap((one) => (one.type === 'reject' ? [`${one.requestId} ${one.reason}`] : []));
  const request = (requestId: number, chunkIndex: number): void =>
    source.send({ type: 'request', grantId: requestId, requestId, chunkIndex });
  return { source, port, lines, messages, received, counts, grants, rejects, request, closed: () => closed };
}

const honest = (socket: Socket, start: number, end: number): void =>
  void socket.end(content.bytes.subarray(start, end));

test('it has everything and grants two chunks at a time', async () => {
  const { source, port, messages, grants } = await createBench(honest);
  expect(messages[0]).toEqual({ type: 'have-all' });
  expect(grants()).toBe(2);
  expect(source.key).toBe(`127.0.0.1:${port}`);
});

test('a request becomes one line, and its bytes fragments', async () => {
  const { lines, received, counts, grants, rejects, request } = await createBench(honest);
  request(0, 1);
  request(1, 4);
  await until(() => counts.get(0) === 16 * KiB && counts.get(1) === 100, 'both chunks are whole');
  expect(lines.toSorted()).toEqual(['a:b.bin:16384:32768\n', 'a:b.bin:65536:65636\n']);
  expect(received.get(0)).toEqual(content.chunk(1));
  expect(received.get(1)?.subarray(0, 100)).toEqual(content.chunk(4));
  await until(() => grants() === 4, 'new credits');
  expect(rejects()).toEqual([]);
});

test('too few bytes, too many bytes and no bytes end in a reject, and the third in a row is the end', async () => {
  const { rejects, request, closed } = await createBench((socket, start, end) => {
    if (start === 0) socket.end(content.bytes.subarray(0, 10));
    else if (start === 16 * KiB) socket.end(Buffer.alloc(end - start + 1));
    else socket.destroy();
  });
  request(0, 0);
  await until(() => rejects().length === 1, 'the first reject');
  request(1, 1);
  await until(() => rejects().length === 2, 'the second reject');
  expect(closed()).toBe(0);
  request(2, 2);
  await until(() => closed() === 1, 'it counts as gone');
  expect(rejects()).toEqual(['0 busy', '1 busy']);
});

test('a good answer between failures makes them forgotten', async () => {
  let failing = true;
  const { rejects, counts, request, closed } = await createBench((socket, start, end) => {
    if (failing) socket.destroy();
    else honest(socket, start, end);
    failing = !failing;
  });
  for (let requestId = 0; requestId < 8; requestId++) {
    request(requestId, 1);
    await until(() => rejects().length + counts.size === requestId + 1, 'the request ends');
    await until(() => (counts.get(requestId) ?? 16 * KiB) === 16 * KiB, 'whole or rejected');
  }
  expect(rejects()).toHaveLength(4);
  expect(closed()).toBe(0);
});

test('a cancelled request is answered by a reject, and its late bytes are nobody’s', async () => {
  const held: Socket[] = [];
  const { source, rejects, counts, request } = await createBench((socket) => void held.push(socket));
  request(5, 0);
  await until(() => held.length === 1, 'it is asked');
  source.send({ type: 'cancel', requestId: 5 });
  expect(rejects()).toEqual(['5 cancelled']);
  held[0]?.write(content.chunk(0));
  await once(held[0] as Socket, 'close');
  expect(counts.size).toBe(0);
});

test('who is not interested gets no more credits until it is', async () => {
  const { source, grants } = await createBench(honest);
  source.send({ type: 'decline', grantId: 0, reason: 'nothing-needed' });
  source.send({ type: 'decline', grantId: 1, reason: 'nothing-needed' });
  expect(grants()).toBe(2);
  source.send({ type: 'interest', interested: true, wantedCount: 1 });
  expect(grants()).toBe(4);
});

test('nobody at the address is the same as gone', async () => {
  const source = new RangeSource({ host: '127.0.0.1', port: 1, name: 'a', layout: manifest });
  let closed = 0;
  source.start({
    message: (message) => {
      if (message.type !== 'grant' || message.grantId > 2) return;
      setImmediate(() => source.send({ type: 'request', grantId: 0, requestId: message.grantId, chunkIndex: 0 }));
    },
    fragment: () => undefined,
    fragmentEnd: () => undefined,
    writable: () => undefined,
    rtt: () => undefined,
    closed: () => void closed++,
  });
  await until(() => closed === 1, 'it is given up');
});
