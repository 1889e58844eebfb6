import { createServer } from 'node:net';
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { ShoalError } from '../errors.ts';
import { ConnectionSet } from './connection-set.ts';
import { dial } from './dial.ts';
import { createTestNet, until } from './fixtures.ts';
import { listen } from './listener.ts';
import { socketError } from './socket-error.ts';

async function unusedPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const bound = server.address();
  server.close();
  await once(server, 'close');
  return typeof bound === 'object' && bound !== null ? bound.port : 0;
}

describe('dial()', () => {
  it('says that nothing accepts connections there', async () => {
    const connections = new ConnectionSet();
    const port = await unusedPort();
    const dialling = dial({ host: '127.0.0.1', port, connections });
    await expect(dialling).rejects.toMatchObject({
      code: 'peer-gone',
      message: `cannot connect to 127.0.0.1:${port}: nothing accepts connections there (ECONNREFUSED)`,
    });
    expect(connections.size).toBe(0);
  });

  it('connects to a name, whichever family listens', async () => {
    const net = await createTestNet();
    const connections = new ConnectionSet();
    const connection = await dial({ host: 'localhost', port: net.listener.address.port, connections });
    expect(connection.remoteAddress).toEqual(net.listener.address);
    connection.destroy();
    await connection.gone;
    await until(() => connections.size === 0, 'it has left the set');
    await net.close();
  });

  it('connects over IPv6', async () => {
    const connections = new ConnectionSet();
    const listener = await listen({
      host: '::1',
      port: 0,
      connections: new ConnectionSet(),
      onNative: () => undefined,
      onRange: () => undefined,
    });
    const connection = await dial({ ...listener.address, connections });
    expect(connection.remoteAddress).toEqual({ host: '::1', port: listener.address.port });
    connection.destroy();
    await Promise.all([connection.gone, listener.close()]);
  });

  it('can be cancelled, before and while it connects', async () => {
    const net = await createTestNet();
    const connections = new ConnectionSet();
    const options = { ...net.listener.address, connections };
    await expect(dial({ ...options, signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'cancelled' });
    const controller = new AbortController();
    const dialling = dial({ ...options, signal: controller.signal });
    controller.abort();
    await expect(dialling).rejects.toMatchObject({ code: 'cancelled' });
    expect(connections.size).toBe(0);
    await net.close();
  });

  it('does not wait longer than it may', async () => {
    const net = await createTestNet();
    const dialling = dial({ ...net.listener.address, timeoutMs: 1, connections: new ConnectionSet() });
    // timers come before sockets in a turn of the event loop, so the deadline is over before the answer is seen
    for (const startMs = performance.now(); performance.now() < startMs + 5;);
    await expect(dialling).rejects.toMatchObject({
      code: 'peer-gone',
      message: expect.stringContaining('no answer within 1 ms'),
    });
    await net.close();
  });

  it('refuses when there are too many connections already', async () => {
    const net = await createTestNet();
    const connections = new ConnectionSet({ connectionsMax: 1 });
    const first = await dial({ ...net.listener.address, connections });
    await expect(dial({ ...net.listener.address, connections })).rejects.toMatchObject({ code: 'limit' });
    first.destroy();
    await first.gone;
    await net.close();
  });
});

describe('socketError()', () => {
  it('keeps the cause, and errors of ours as they are', () => {
    const cause = Object.assign(new Error('connect EMFILE'), { code: 'EMFILE' });
    expect(socketError('cannot do it', cause)).toMatchObject({ code: 'limit', cause });
    const own = new ShoalError('protocol', 'x');
    expect(socketError('cannot do it', own)).toBe(own);
    expect(socketError('cannot do it', Object.assign(new Error('?'), { code: 'toString' })).code).toBe('peer-gone');
  });
});
