import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { createDirectReader, type ByteSink } from './direct-read.ts';

const reader = createDirectReader();

async function socketPair(): Promise<[Socket, Socket]> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const near = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [far] = (await once(server, 'connection')) as [Socket];
  server.close();
  near.pause();
  onTestFinished(() => {
    near.destroy();
    far.destroy();
  });
  return [near, far];
}

/** Takes payloads of `roomBytes`, each followed by `gapBytes` that have no place of their own. */
function sinkOf(roomBytes: number, gapBytes: number): ByteSink & { readonly got: Buffer[]; stop: boolean } {
  const shared = new Uint8Array(new SharedArrayBuffer(roomBytes));
  let room = roomBytes;
  let gap = gapBytes;
  const sink = {
    got: [] as Buffer[],
    stop: false,
    room: () => (room > 0 ? shared.subarray(roomBytes - room) : undefined),
    filled(byteCount: number) {
      sink.got.push(Buffer.from(shared.slice(roomBytes - room, roomBytes - room + byteCount)));
      room -= byteCount;
      return !sink.stop;
    },
    take(bytes: Uint8Array, byteCount: number) {
      expect(byteCount).toBeLessThanOrEqual(gap + roomBytes);
      sink.got.push(Buffer.from(bytes.slice(0, byteCount)));
      gap -= byteCount;
      if (gap <= 0) {
        room = roomBytes + gap;
        gap = gapBytes;
      }
      return !sink.stop;
    },
  };
  return sink;
}

async function readAll(near: Socket, sink: ByteSink & { readonly got: Buffer[] }, byteCount: number): Promise<Buffer> {
  const { promise, resolve } = Promise.withResolvers<Buffer>();
  const look = (): void => {
    reader?.read(near, sink);
    const got = Buffer.concat(sink.got);
    if (got.length >= byteCount) resolve(got);
    else setImmediate(look);
  };
  look();
  return await promise;
}

it.runIf(reader !== undefined)('puts bytes to their place and hands on what comes behind, in order', async () => {
  const [near, far] = await socketPair();
  const sent = Buffer.from(Array.from({ length: 70_000 }, (_, at) => (at * 7 + (at >> 8)) & 0xff));
  far.write(sent);
  // what is handed on fits behind every payload, so that there is always room again
  expect(await readAll(near, sinkOf(980, 20), sent.length)).toEqual(sent);
});

it.runIf(reader !== undefined)('leaves the end of the stream for Node to find', async () => {
  const [near, far] = await socketPair();
  const sink = sinkOf(1_000, 20);
  far.end('abc');
  expect((await readAll(near, sink, 3)).toString()).toBe('abc');
  const ended = once(near, 'end');
  expect(reader?.read(near, sink)).toBe(true);
  near.resume();
  await ended;
});

it.runIf(reader !== undefined)(
  'stops when the sink says so, and reads nothing from a socket that is closed',
  async () => {
    const [near, far] = await socketPair();
    const sink = sinkOf(10, 20);
    far.write('0123456789');
    while (sink.got.length === 0) {
      sink.stop = true;
      const goesOn = reader?.read(near, sink);
      expect(goesOn).toBe(sink.got.length === 0);
      await new Promise((resolve) => setImmediate(resolve));
    }
    near.destroy();
    expect(reader?.read(near, sinkOf(10, 20))).toBe(true);
  },
);
