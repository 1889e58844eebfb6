import { createHash } from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import { ShoalError } from '../errors.ts';
import * as limits from '../limits.ts';
import { encodeMessage } from '../wire/encode.ts';
import { createGoodbye } from '../wire/goodbye.ts';
import { createManualClock, createRecorded, createTestNet, until, type Recorded, type TestNet } from './fixtures.ts';
import type { ConnectionHandler, FramedConnection } from './framed-connection.ts';

const KiB = 1024;
const nets: TestNet[] = [];

async function testNet(options: Parameters<typeof createTestNet>[0] = {}): Promise<TestNet> {
  const net = await createTestNet(options);
  nets.push(net);
  return net;
}

async function startedPair(net: TestNet): Promise<{
  dialled: FramedConnection;
  accepted: FramedConnection;
  atDialler: Recorded;
  atListener: Recorded;
}> {
  const { dialled, accepted } = await net.pair();
  const atDialler = createRecorded();
  const atListener = createRecorded();
  dialled.start(atDialler);
  accepted.start(atListener);
  return { dialled, accepted, atDialler, atListener };
}

function fragment(offset: number, byteCount = 64 * KiB): Parameters<FramedConnection['sendFragment']>[0] {
  return { requestId: 1, chunkIndex: 0, offset, byteCount };
}

/** Sends fragments as fast as `canSendFragment` allows; says how many were produced. */
function produce(
  connection: FramedConnection,
  payload: Uint8Array,
  count: number,
): { produced: number; flushed: number } {
  const state = { produced: 0, flushed: 0 };
  const more = (): void => {
    while (state.produced < count && connection.canSendFragment) {
      state.produced++;
      connection.sendFragment(fragment(0, payload.length), payload, () => {
        state.flushed++;
        process.nextTick(more);
      });
    }
  };
  more();
  return state;
}

function thrown(code: 'protocol'): never {
  throw new ShoalError(code, 'it broke a rule');
}

/** Resolves when a number has not changed for many turns of the event loop: the kernel's buffers are full. */
async function settled(value: () => number): Promise<void> {
  let last = value();
  let sameCount = 0;
  await until(() => {
    sameCount = value() === last ? sameCount + 1 : 0;
    last = value();
    return sameCount > 300;
  }, 'nothing moves any more');
}

afterEach(async () => {
  for (const net of nets.splice(0)) {
    await net.close();
    expect(net.connections.size).toBe(0);
  }
});

describe('FramedConnection', () => {
  it('carries messages and fragments both ways, and counts their bytes', async () => {
    const { dialled, accepted, atDialler, atListener } = await startedPair(await testNet());
    const payload = new Uint8Array(1000).fill(7);
    dialled.send({ type: 'have', chunkIndexes: [1, 2, 3] });
    accepted.sendFragment(fragment(0, 1000), payload);
    await until(() => atListener.messages.length === 1 && atDialler.fragments.length === 1, 'both have arrived');
    expect(atListener.messages).toEqual([{ type: 'have', chunkIndexes: [1, 2, 3] }]);
    expect(atDialler.fragments).toEqual([{ header: fragment(0, 1000), payload }]);
    await until(() => dialled.bytesSent === accepted.bytesReceived, 'the counts agree');
    await until(() => accepted.bytesSent === dialled.bytesReceived, 'the counts agree');
    expect(dialled.remoteAddress.host).toBe('127.0.0.1');
    expect(dialled.outbound).toBe(true);
    expect(accepted.outbound).toBe(false);
  });

  it('measures the round-trip time without being asked', async () => {
    const { dialled, atDialler, atListener } = await startedPair(await testNet());
    await until(() => atDialler.rtts.length > 0 && atListener.rtts.length > 0, 'both have a sample');
    expect(dialled.rttMs).toBeGreaterThanOrEqual(0);
    expect(dialled.rttMs).toBeLessThan(5000);
  });

  it('writes a control message before the fragments that wait', async () => {
    const { dialled, accepted, atDialler } = await startedPair(await testNet());
    for (let offset = 0; offset < 8; offset++)
      accepted.sendFragment(fragment(offset * 64 * KiB), new Uint8Array(64 * KiB));
    accepted.send({ type: 'have-all' });
    await until(() => atDialler.order.length === 9, 'all has arrived');
    expect(atDialler.order[0]).toBe('have-all');
    expect(atDialler.order.slice(1)).toEqual(Array.from({ length: 8 }, (_, index) => `fragment ${index * 64 * KiB}`));
    expect(dialled.isOpen).toBe(true);
  });

  it('lets a control message overtake when the other side reads slowly', async () => {
    const net = await testNet();
    const { dialled, accepted } = await net.pair();
    accepted.start(createRecorded());
    // the dialler is held, so it reads nothing until the kernel has had enough
    const state = produce(accepted, new Uint8Array(64 * KiB), 10_000);
    await settled(() => state.produced);
    const produced = state.produced;
    accepted.send({ type: 'have-all' });
    expect(produced).toBeLessThan(1000);
    const atDialler = createRecorded();
    dialled.start(atDialler);
    await until(() => atDialler.messages.length === 1, 'the message has arrived');
    const before = atDialler.order.indexOf('have-all');
    expect(before).toBeLessThan(produced);
    expect(before).toBeGreaterThan(0);
  });

  it('stops the producer when the other side does not read, and tells when there is room again', async () => {
    const net = await testNet();
    const { dialled, accepted } = await net.pair();
    const atListener = createRecorded();
    accepted.start(atListener);
    const payload = new Uint8Array(64 * KiB).fill(1);
    const state = produce(accepted, payload, 1000);
    await settled(() => state.produced);
    expect(accepted.canSendFragment).toBe(false);
    expect(accepted.unsentBytes).toBeLessThanOrEqual(limits.SOCKET_UNSENT_BYTES_MAX + 65_556 + 100);
    const { writableCount } = atListener;
    let received = 0;
    const destination = new Uint8Array(64 * KiB);
    dialled.start({ ...createRecorded(), fragment: () => destination, fragmentEnd: () => void received++ });
    await until(() => atListener.writableCount > writableCount, 'there is room again');
    await until(() => received === 1000, 'all fragments have arrived');
    expect(state).toEqual({ produced: 1000, flushed: 1000 });
  });

  it('gives every fragment back once, when the connection is lost too', async () => {
    const net = await testNet();
    const { accepted } = await net.pair();
    const atListener = createRecorded();
    accepted.start(atListener);
    const state = produce(accepted, new Uint8Array(64 * KiB), 1000);
    await settled(() => state.produced);
    expect(state.flushed).toBeLessThan(state.produced);
    const { produced } = state;
    accepted.destroy();
    await until(() => state.flushed === produced, 'all are given back');
    accepted.sendFragment(fragment(0, 10), new Uint8Array(10), () => void state.flushed++);
    await until(() => state.flushed === produced + 1, 'a late one is given back too');
    expect(atListener.end).toEqual({ type: 'closed-here', goodbye: undefined });
  });

  it('closes when control messages pile up for a side that does not read', async () => {
    const net = await testNet();
    const { accepted } = await net.pair();
    const atListener = createRecorded();
    accepted.start(atListener);
    const part = { type: 'manifest-part', offset: 0, totalBytes: 65_536, bytes: new Uint8Array(65_536) } as const;
    await until(() => {
      accepted.send(part);
      return atListener.end !== undefined;
    }, 'the queue is full');
    expect(atListener.end).toMatchObject({ type: 'failed', error: { code: 'limit' } });
  });

  it('flushes what waits before it says goodbye and ends', async () => {
    const { dialled, accepted, atDialler, atListener } = await startedPair(await testNet());
    for (let offset = 0; offset < 3; offset++)
      accepted.sendFragment(fragment(offset * 64 * KiB), new Uint8Array(64 * KiB));
    const goodbye = createGoodbye('leaving', 'see you', 1000);
    accepted.close(goodbye);
    accepted.close();
    accepted.send({ type: 'have-all' });
    await Promise.all([dialled.gone, accepted.gone]);
    expect(atDialler.order).toEqual([0, 1, 2].map((index) => `fragment ${index * 64 * KiB}`));
    expect(atDialler.end).toEqual({ type: 'closed-there', goodbye });
    expect(atListener.end).toEqual({ type: 'closed-here', goodbye });
  });

  it('destroys a closing connection whose other side does not go along', async () => {
    const clock = createManualClock();
    const net = await testNet({ set: { clock } });
    const { accepted } = await net.pair();
    accepted.start(createRecorded());
    produce(accepted, new Uint8Array(64 * KiB), 100);
    accepted.close(createGoodbye('useless'));
    accepted.tick();
    clock.advance(limits.CLOSE_TIMEOUT_MS);
    accepted.tick();
    await accepted.gone;
  });

  it('says goodbye to a side that breaks the protocol, and names what it did', async () => {
    const { dialled, atDialler, atListener } = await startedPair(await testNet());
    dialled.send({ type: 'auth', mac: new Uint8Array(32) });
    await until(() => atDialler.end !== undefined && atListener.end !== undefined, 'both ends are known');
    const error = expect.objectContaining({ code: 'protocol', message: 'a auth frame came after the handshake' });
    expect(atListener.end).toEqual({ type: 'violated', error });
    expect(atDialler.end).toMatchObject({
      type: 'closed-there',
      goodbye: { reason: 'protocol-error', text: 'a auth frame came after the handshake' },
    });
  });

  it.each<readonly [string, Partial<ConnectionHandler>]>([
    ['message', { message: () => thrown('protocol') }],
    ['fragment', { fragment: () => thrown('protocol') }],
    ['fragmentEnd', { fragmentEnd: () => thrown('protocol') }],
  ])('takes a protocol error that %s() throws as one of the other side', async (_what, partial) => {
    const net = await testNet();
    const { dialled, accepted } = await net.pair();
    const atDialler = createRecorded();
    const atListener = createRecorded();
    dialled.start(atDialler);
    accepted.start({ ...atListener, ...partial });
    dialled.send({ type: 'have-all' });
    dialled.sendFragment(fragment(0, 10), new Uint8Array(10));
    await until(() => atDialler.end !== undefined && atListener.end !== undefined, 'both ends are known');
    expect(atListener.end?.type).toBe('violated');
    expect(atDialler.end).toMatchObject({ goodbye: { reason: 'protocol-error', text: 'it broke a rule' } });
  });

  it('reports a bug of a handler as a failure, not as the other side of the connection at fault', async () => {
    const net = await testNet();
    const { dialled, accepted } = await net.pair();
    const atListener = createRecorded();
    const atDialler = createRecorded();
    dialled.start(atDialler);
    accepted.start({
      ...atListener,
      message: () => {
        throw new TypeError('undefined is not a function');
      },
    });
    dialled.send({ type: 'have-all' });
    await until(() => atDialler.end !== undefined && atListener.end !== undefined, 'both ends are known');
    expect(atListener.end).toMatchObject({ type: 'failed', error: { code: 'bug' } });
    expect(atDialler.end).toMatchObject({ goodbye: { reason: 'leaving' } });
  });

  it('delivers nothing after the handler has closed it, not even from the same packet', async () => {
    const net = await testNet();
    const { dialled, accepted } = await net.pair();
    dialled.start(createRecorded());
    const atListener = createRecorded();
    accepted.start({
      ...atListener,
      message: (message) => {
        atListener.message(message);
        accepted.close();
      },
    });
    for (let count = 0; count < 5; count++) dialled.send({ type: 'have-all' });
    await Promise.all([dialled.gone, accepted.gone]);
    expect(atListener.messages).toHaveLength(1);
  });

  it('sees the other side vanish', async () => {
    const { dialled, accepted, atDialler, atListener } = await startedPair(await testNet());
    dialled.destroy();
    await accepted.gone;
    await until(() => atListener.end !== undefined && atDialler.end !== undefined, 'the ends are known');
    expect(['closed-there', 'failed']).toContain(atListener.end?.type);
  });

  it('tells a handler that starts after the end', async () => {
    const net = await testNet();
    const { dialled, accepted } = await net.pair();
    accepted.destroy();
    dialled.destroy();
    const late = createRecorded();
    accepted.start(late);
    expect(late.end).toBeUndefined();
    await until(() => late.end !== undefined, 'it is told');
  });

  it('pings in silence, and closes when nothing comes back', async () => {
    const clock = createManualClock();
    const net = await testNet({ set: { clock } });
    const { dialled, accepted } = await net.pair();
    const atListener = createRecorded();
    accepted.start(atListener); // the dialler is held: it neither reads nor answers
    await until(() => accepted.bytesSent > 0, 'the first ping has left');
    clock.advance(limits.IDLE_CLOSE_MS - 1);
    accepted.tick();
    expect(accepted.isOpen).toBe(true);
    clock.advance(1);
    accepted.tick();
    await until(() => atListener.end !== undefined, 'it is closed');
    expect(atListener.end).toMatchObject({ type: 'failed', error: { code: 'peer-gone' } });
    dialled.destroy();
  });

  it('keeps a silent connection whose other side answers pings', async () => {
    const clock = createManualClock();
    const net = await testNet({ set: { clock } });
    const { accepted, atListener } = await startedPair(net);
    for (let round = 1; round <= 6; round++) {
      await until(() => atListener.rtts.length === round, `pong ${round} has come`);
      clock.advance(limits.IDLE_PING_MS);
      net.connections.tick();
    }
    expect(accepted.isOpen).toBe(true);
  });

  it('closes a side that leaves a frame unfinished, however often it adds a byte', async () => {
    const clock = createManualClock();
    const net = await testNet({ set: { clock } });
    const socket = await net.raw();
    socket.write(encodeMessage({ type: 'auth', mac: new Uint8Array(32) }).subarray(0, 9));
    await until(() => net.arrivals.length === 1, 'it is accepted');
    const { connection } = net.arrivals[0] as (typeof net.arrivals)[number];
    let ended = false;
    connection.beginHandshake({ message: () => undefined, closed: () => void (ended = true) });
    for (let byteCount = 10; byteCount < 20; byteCount++) {
      await until(() => connection.bytesReceived === byteCount - 1, 'the byte has come');
      clock.advance(limits.PARTIAL_FRAME_TIMEOUT_MS / 10);
      connection.tick();
      socket.write(Uint8Array.of(0));
    }
    await until(() => ended, 'it is closed');
    expect(connection.end).toMatchObject({ type: 'failed', error: { message: expect.stringContaining('not whole') } });
  });

  it('closes a side that floods it with control frames', async () => {
    const clock = createManualClock();
    const net = await testNet({ set: { clock } });
    const { dialled, atListener } = await startedPair(net);
    for (let count = 0; count < limits.CONTROL_FRAMES_BURST + 1; count++) dialled.send({ type: 'have-none' });
    await until(() => atListener.end !== undefined, 'it is closed');
    expect(atListener.end).toMatchObject({ type: 'violated', error: { code: 'protocol' } });
    expect(atListener.messages.length).toBeLessThanOrEqual(limits.CONTROL_FRAMES_BURST);
  });

  it('keeps 200 connections apart that share one memory for reading', async () => {
    const unproven = { inAll: 300, perAddress: 300, loopback: 300 };
    const net = await testNet({ unproven });
    const [rounds, payloadBytes] = [12, 10_007];
    const pairs: Awaited<ReturnType<TestNet['pair']>>[] = [];
    while (pairs.length < 200) pairs.push(await net.pair());
    const jobs = pairs.map(async ({ dialled, accepted }, job) => {
      const received = createHash('sha256');
      let fragmentCount = 0;
      const destination = new Uint8Array(payloadBytes);
      dialled.start({
        ...createRecorded(),
        fragment: () => destination,
        fragmentEnd: () => {
          received.update(destination);
          fragmentCount++;
        },
      });
      accepted.start(createRecorded());
      const sent = createHash('sha256');
      for (let round = 0; round < rounds; round++) {
        const payload = new Uint8Array(payloadBytes).map((_byte, at) => job * 31 + round * 7 + at);
        sent.update(payload);
        await until(() => accepted.canSendFragment, 'there is room');
        accepted.sendFragment(fragment(round, payloadBytes), payload);
      }
      await until(() => fragmentCount === rounds, `all of connection ${job}`, 30_000);
      expect(received.digest('hex')).toBe(sent.digest('hex'));
    });
    await Promise.all(jobs);
  }, 60_000);

  it('refuses a payload that does not fit its header as a bug', async () => {
    const { dialled } = await startedPair(await testNet());
    expect(() => dialled.sendFragment(fragment(0, 10), new Uint8Array(9))).toThrow('given 9 bytes');
  });
});
