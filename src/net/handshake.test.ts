import { createHmac } from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import { parseContentId } from '../content/digest.ts';
import { encodeHelloBody, encodeMessage } from '../wire/encode.ts';
import { authTranscript } from '../wire/auth-transcript.ts';
import { createGoodbye } from '../wire/goodbye.ts';
import type { HelloMessage } from '../wire/messages.ts';
import { createRecorded, createTestNet, helloOf, SWARM_KEY, until, type TestNet } from './fixtures.ts';
import type { FramedConnection } from './framed-connection.ts';
import { acceptHandshake, dialHandshake, type AcceptAnswer, type HandshakeOutcome } from './handshake.ts';

const nets: TestNet[] = [];
const OTHER_KEY = new Uint8Array(32).fill(9);

async function testNet(): Promise<TestNet> {
  const net = await createTestNet();
  nets.push(net);
  return net;
}

afterEach(async () => {
  await Promise.all(nets.splice(0).map((net) => net.close()));
});

async function firstArrival(net: TestNet): Promise<FramedConnection> {
  await until(() => net.arrivals.length > 0, 'it is accepted');
  return (net.arrivals[0] as (typeof net.arrivals)[number]).connection;
}

interface Meeting {
  readonly dialler: PromiseSettledResult<HandshakeOutcome>;
  readonly listener: PromiseSettledResult<HandshakeOutcome>;
  readonly dialled: FramedConnection;
  readonly accepted: FramedConnection;
}

async function meet(
  options: { readonly hello?: HelloMessage; readonly key?: Uint8Array; readonly accept?: () => AcceptAnswer } = {},
): Promise<Meeting> {
  const net = await testNet();
  const dialled = await net.dial();
  const dialling = dialHandshake(dialled, { hello: options.hello ?? helloOf(1), swarmKey: options.key ?? SWARM_KEY });
  // it may fail before it is looked at
  dialling.catch(() => undefined);
  const accepted = await firstArrival(net);
  const listening = acceptHandshake(accepted, {
    accept: options.accept ?? (() => ({ hello: helloOf(2), swarmKey: SWARM_KEY })),
  });
  const [dialler, listener] = await Promise.allSettled([dialling, listening]);
  return { dialler, listener, dialled, accepted };
}

describe('the handshake', () => {
  it('tells each side who the other is', async () => {
    const { dialler, listener } = await meet({ hello: { ...helloOf(1), listenPort: 9001 } });
    expect(dialler).toMatchObject({ value: { type: 'linked', own: { listenPort: 9001 }, remote: helloLike(2) } });
    expect(listener).toMatchObject({ value: { type: 'linked', own: helloLike(2), remote: { listenPort: 9001 } } });
  });

  it('loses nothing that comes behind it, on either side, however the bytes are cut', async () => {
    const net = await testNet();
    const socket = await net.raw();
    const hello = helloOf(1);
    const own = helloOf(2);
    const mac = createHmac('sha256', SWARM_KEY)
      .update(authTranscript('dialler', encodeHelloBody(hello), encodeHelloBody(own)))
      .digest();
    const stream = Buffer.concat([
      encodeMessage(hello),
      encodeMessage({ type: 'auth', mac }),
      encodeMessage({ type: 'have', chunkIndexes: [4] }),
      encodeMessage({ type: 'cancel', requestId: 5 }).subarray(0, 9),
    ]);
    socket.write(stream.subarray(0, 1));
    const accepted = await firstArrival(net);
    const linking = acceptHandshake(accepted, { accept: () => ({ hello: own, swarmKey: SWARM_KEY }) });
    for (let at = 1; at < 95; at++) {
      await until(() => accepted.bytesReceived === at, 'the byte has come');
      socket.write(stream.subarray(at, at + 1));
    }
    socket.write(stream.subarray(95));
    await linking;
    const recorded = createRecorded();
    accepted.start(recorded);
    expect(recorded.messages).toEqual([]);
    socket.write(Uint8Array.of(5));
    await until(() => recorded.messages.length === 2, 'both have come');
    expect(recorded.messages).toEqual([
      { type: 'have', chunkIndexes: [4] },
      { type: 'cancel', requestId: 5 },
    ]);
  });

  it('keeps what the listener sent behind it until the dialler starts', async () => {
    const { dialled, accepted } = await meet();
    accepted.start(createRecorded());
    accepted.send({ type: 'have-all' });
    await until(() => accepted.unsentBytes === 0 && accepted.bytesSent > 150, 'it has left');
    const recorded = createRecorded();
    dialled.start(recorded);
    await until(() => recorded.messages.length === 1, 'it has come');
  });

  it('ends without a reply when the dialler lacks the key', async () => {
    const { dialler, listener } = await meet({
      accept: () => ({ hello: helloOf(2), swarmKey: OTHER_KEY }),
    });
    // the listener proves itself first, so it is the dialler who finds out
    expect(dialler).toMatchObject({ reason: { code: 'unauthenticated' } });
    expect(listener).toMatchObject({ reason: { code: 'peer-gone' } });
  });

  it('finds out a dialler that sends a wrong proof', async () => {
    const net = await testNet();
    const socket = await net.raw();
    socket.write(encodeMessage(helloOf(1)));
    socket.write(encodeMessage({ type: 'auth', mac: new Uint8Array(32) }));
    const accepted = await firstArrival(net);
    let replied = 0;
    socket.on('data', (bytes) => (replied += bytes.length));
    const linking = acceptHandshake(accepted, { accept: () => ({ hello: helloOf(2), swarmKey: SWARM_KEY }) });
    await expect(linking).rejects.toMatchObject({ code: 'unauthenticated' });
    await accepted.gone;
    await until(() => socket.readableEnded || socket.destroyed, 'the stranger is cut off');
    expect([0, 92 + 40]).toContain(replied);
  });

  it('does not take its own proof for that of the other side', async () => {
    const net = await testNet();
    const socket = await net.raw();
    const hello = helloOf(1);
    socket.write(encodeMessage(hello));
    const accepted = await firstArrival(net);
    const replies: Buffer[] = [];
    socket.on('data', (bytes) => {
      replies.push(Buffer.from(bytes));
      const reply = Buffer.concat(replies);
      if (reply.length === 92 + 40) socket.write(reply.subarray(92));
    });
    const linking = acceptHandshake(accepted, { accept: () => ({ hello: helloOf(2), swarmKey: SWARM_KEY }) });
    await expect(linking).rejects.toMatchObject({ code: 'unauthenticated' });
  });

  it('carries a refusal to the dialler', async () => {
    const refuse = createGoodbye('unknown-content', 'never heard of it', 60_000);
    const { dialler, listener } = await meet({ accept: () => ({ refuse }) });
    expect(dialler).toMatchObject({ value: { type: 'refused', by: 'them', goodbye: refuse } });
    expect(listener).toMatchObject({ value: { type: 'refused', by: 'us', goodbye: refuse } });
  });

  it('refuses itself', async () => {
    const { dialler, listener } = await meet({ accept: () => ({ hello: helloOf(1), swarmKey: SWARM_KEY }) });
    expect(dialler).toMatchObject({ value: { type: 'refused', by: 'them', goodbye: { reason: 'duplicate' } } });
    expect(listener).toMatchObject({ value: { type: 'refused', by: 'us' } });
  });

  it('does not take an answer for another content', async () => {
    const other = parseContentId('0b'.repeat(32));
    const { listener, dialler } = await meet({
      accept: () => ({ hello: helloOf(2, other), swarmKey: SWARM_KEY }),
    });
    expect(listener).toMatchObject({ reason: { code: 'bug' } });
    expect(dialler).toMatchObject({ reason: { code: 'peer-gone' } });
  });

  it.each([
    ['a second hello', [encodeMessage(helloOf(1)), encodeMessage(helloOf(1))]],
    ['a proof before the hello', [encodeMessage({ type: 'auth', mac: new Uint8Array(32) })]],
    ['other messages', [encodeMessage({ type: 'have-all' })]],
    ['a large frame', [encodeMessage({ type: 'bitfield', chunkCount: 80_000, bytes: new Uint8Array(10_000) })]],
    ['garbage', [new Uint8Array(400)]],
  ])('ends at %s, without a reply', async (_what, frames) => {
    const net = await testNet();
    const socket = await net.raw();
    socket.write(Buffer.concat(frames));
    const accepted = await firstArrival(net);
    const linking = acceptHandshake(accepted, { accept: () => ({ hello: helloOf(2), swarmKey: SWARM_KEY }) });
    await expect(linking).rejects.toMatchObject({ code: 'protocol' });
    expect(accepted.end?.type).toBe('violated');
    await accepted.gone;
  });

  it('does not wait for a silent side', async () => {
    const net = await testNet();
    const dialled = await net.dial();
    const linking = dialHandshake(dialled, { hello: helloOf(1), swarmKey: SWARM_KEY, timeoutMs: 10 });
    await expect(linking).rejects.toMatchObject({
      code: 'peer-gone',
      message: expect.stringContaining('within 10 ms'),
    });
    await dialled.gone;
  });

  it('can be cancelled', async () => {
    const net = await testNet();
    const dialled = await net.dial();
    const controller = new AbortController();
    const linking = dialHandshake(dialled, { hello: helloOf(1), swarmKey: SWARM_KEY, signal: controller.signal });
    controller.abort();
    await expect(linking).rejects.toMatchObject({ code: 'cancelled' });
    const again = dialHandshake(await net.dial(), {
      hello: helloOf(1),
      swarmKey: SWARM_KEY,
      signal: AbortSignal.abort(),
    });
    await expect(again).rejects.toMatchObject({ code: 'cancelled' });
  });

  it('fails when the other side goes away', async () => {
    const net = await testNet();
    const dialled = await net.dial();
    const linking = dialHandshake(dialled, { hello: helloOf(1), swarmKey: SWARM_KEY });
    (await firstArrival(net)).destroy();
    await expect(linking).rejects.toMatchObject({ code: 'peer-gone' });
  });
});

function helloLike(peer: number): object {
  return { type: 'hello', peerId: new Uint8Array(16).fill(peer) };
}
