import type { Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { createTestNet, until, type TestNet } from './fixtures.ts';
import { listen, type TextArrival } from './listener.ts';

const nets: TestNet[] = [];

interface Frontends {
  readonly range: string[];
  readonly http: string[];
}

async function testNet(
  options: Parameters<typeof createTestNet>[0] = {},
  withHttp = true,
): Promise<TestNet & { readonly seen: Frontends }> {
  const seen: Frontends = { range: [], http: [] };
  const net = await createTestNet({
    onRange: keep(seen.range),
    ...(withHttp ? { onHttp: keep(seen.http) } : {}),
    ...options,
  });
  nets.push(net);
  return { ...net, seen };
}

/** A frontend that keeps what comes, and answers at the end. */
function keep(heads: string[]): (arrival: TextArrival) => void {
  return ({ head, socket }) => {
    heads.push(Buffer.from(head).toString());
    socket.on('data', (bytes) => heads.push(bytes.toString()));
    socket.on('end', () => socket.end('answer'));
    socket.resume();
  };
}

async function over(socket: Socket): Promise<void> {
  socket.resume();
  await until(() => socket.readableEnded || socket.destroyed, 'the connection is closed');
}

afterEach(async () => {
  for (const net of nets.splice(0)) {
    await net.close();
    expect(net.listener.unprovenCount).toBe(0);
    expect(net.connections.size).toBe(0);
  }
});

describe('listen()', () => {
  it('knows a native connection by its first byte', async () => {
    const net = await testNet();
    (await net.raw()).write(Uint8Array.of(0));
    await until(() => net.arrivals.length === 1, 'it is accepted');
    const [{ connection, arrival }] = net.arrivals as [(typeof net.arrivals)[number]];
    expect(connection.outbound).toBe(false);
    expect(arrival.remoteAddress.host).toBe('127.0.0.1');
    expect(net.listener.unprovenCount).toBe(1);
    arrival.proven();
    arrival.proven();
    expect(net.listener.unprovenCount).toBe(0);
    expect(net.connections.size).toBe(1);
  });

  it('gives a line to the range frontend, with all bytes that came', async () => {
    const net = await testNet();
    (await net.raw()).write('big.bin:0:100\n');
    await until(() => net.seen.range.length === 1, 'it has come');
    expect(net.seen.range).toEqual(['big.bin:0:100\n']);
  });

  it('answers a range request whose sender has ended its stream', async () => {
    const net = await testNet();
    const socket = await net.raw();
    const answers: string[] = [];
    socket.on('data', (bytes) => answers.push(bytes.toString()));
    socket.end('big.bin:0:100');
    await over(socket);
    expect(answers.join('')).toBe('answer');
  });

  it('tells an HTTP request from a file that is called like one', async () => {
    const net = await testNet({ lineSilenceMs: 60_000 });
    const [http, range] = [await net.raw(), await net.raw()];
    for (const piece of ['G', 'ET /content/x HT', 'TP/1.1\r', '\nHost: y\r\n']) http.write(piece);
    range.write('GET lost:0:10\n');
    await until(() => net.seen.http.join('').length === 34 && net.seen.range.length === 1, 'both have come');
    expect(net.seen.http.join('')).toBe('GET /content/x HTTP/1.1\r\nHost: y\r\n');
    expect(net.seen.range).toEqual(['GET lost:0:10\n']);
  });

  it('takes a line that stays unfinished as it is, after a silence or at the end', async () => {
    const net = await testNet({ lineSilenceMs: 5 });
    (await net.raw()).write('GE');
    await until(() => net.seen.range.length === 1, 'it is given to the frontend');
    const ended = await testNet({ lineSilenceMs: 60_000 });
    (await ended.raw()).end('GET x:0:1');
    await until(() => ended.seen.range.length === 1, 'it is given to the frontend');
    expect([net.seen.range, ended.seen.range]).toEqual([['GE'], ['GET x:0:1']]);
  });

  it.each([
    ['what no dialect begins with', Uint8Array.of(0x17, 0x03, 0x01)],
    ['an endless line', Buffer.from(`GET ${'x'.repeat(10_000)}`)],
    ['HTTP, when nobody serves it,', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
  ])('closes and counts %s', async (_what, bytes) => {
    const net = await testNet({}, false);
    const socket = await net.raw();
    socket.write(bytes);
    await over(socket);
    expect(net.listener.counts).toMatchObject({ accepted: 1, unusable: 1 });
  });

  it('closes and counts a silent connection', async () => {
    const net = await testNet({ firstByteTimeoutMs: 10 });
    await over(await net.raw());
    expect(net.listener.counts.silent).toBe(1);
  });

  it('does not let bytes that dribble in prolong the decision', async () => {
    const net = await testNet({ firstByteTimeoutMs: 20, lineSilenceMs: 60_000 });
    const socket = await net.raw();
    socket.write('GET ');
    const dribble = setInterval(() => socket.write('x'), 1);
    await over(socket);
    clearInterval(dribble);
    expect(net.listener.counts.silent).toBe(1);
  });

  it('closes the longest silent stranger to let another in, and counts that', async () => {
    const net = await testNet({ unproven: { inAll: 10, perAddress: 1, loopback: 2 } });
    const first = await net.raw();
    await net.raw();
    await until(() => net.listener.unprovenCount === 2, 'two are there');
    (await net.raw()).write(Uint8Array.of(0));
    await over(first);
    await until(() => net.arrivals.length === 1, 'the third is let in');
    expect(net.listener.counts).toMatchObject({ accepted: 3, displacedAddress: 1, displacedUnproven: 0 });
  });

  it('closes strangers over the limit in all', async () => {
    const net = await testNet({ unproven: { inAll: 1, perAddress: 5, loopback: 5 } });
    const first = await net.raw();
    await until(() => net.listener.unprovenCount === 1, 'one is there');
    await net.raw();
    await over(first);
    expect(net.listener.counts).toMatchObject({ accepted: 2, displacedUnproven: 1 });
  });

  it('closes connections beyond what the node may have', async () => {
    const net = await testNet({ set: { connectionsMax: 2 } });
    for (let count = 0; count < 2; count++) (await net.raw()).write(Uint8Array.of(0));
    await until(() => net.arrivals.length === 2, 'two are accepted');
    await over(await net.raw());
    expect(net.listener.counts).toMatchObject({ accepted: 2, refusedFull: 1 });
  });

  it('closes everything it has accepted, whatever state it is in', async () => {
    const net = await testNet();
    const { dialled, accepted } = await net.pair();
    const [silent, unclear, range] = [await net.raw(), await net.raw(), await net.raw()];
    unclear.write('GET ');
    range.write('big.bin:0:1');
    await until(() => net.seen.range.length === 1, 'the range request is there');
    const closing = net.listener.close();
    expect(net.listener.close()).toBe(closing);
    dialled.close();
    await closing;
    await Promise.all([over(silent), over(unclear), over(range)]);
    expect(accepted.end).toMatchObject({ type: 'closed-here', goodbye: { reason: 'leaving' } });
    await expect(net.dial()).rejects.toMatchObject({ code: 'peer-gone' });
  });

  it('says that a port is in use', async () => {
    const net = await testNet();
    const { address } = net.listener;
    const again = listen({
      ...address,
      connections: net.connections,
      onNative: () => undefined,
      onRange: () => undefined,
    });
    await expect(again).rejects.toMatchObject({
      code: 'usage',
      message: `cannot listen on 127.0.0.1:${address.port}: the port is in use (EADDRINUSE)`,
    });
  });
});
