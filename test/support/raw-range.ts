/** The range dialect by hand: what `nc` would do on one side, and a peer that speaks nothing else on the other. */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { within } from './deadline.ts';

const ANSWER_TIMEOUT_MS = 10_000;

/** Sends these bytes and collects everything until the other side closes. A reset counts as a close. */
export async function askRaw(
  address: string,
  request: string | Uint8Array,
  { halfClose = false }: { readonly halfClose?: boolean } = {},
): Promise<Buffer> {
  const [host = '', port = ''] = address.split(':');
  const socket = connect({ host, port: Number(port), allowHalfOpen: true });
  const parts: Buffer[] = [];
  const closed = new Promise<void>((resolve) => {
    socket.on('data', (bytes: Buffer) => parts.push(bytes));
    socket.once('end', () => socket.destroy());
    socket.once('error', () => socket.destroy());
    socket.once('close', () => resolve());
  });
  socket.once('connect', () => {
    if (halfClose) socket.end(request);
    else socket.write(request);
  });
  try {
    await within(
      closed,
      ANSWER_TIMEOUT_MS,
      () => `${address} closes after ${JSON.stringify(String(request).slice(0, 80))}`,
    );
  } finally {
    socket.destroy();
  }
  return Buffer.concat(parts);
}

export interface RangePeer {
  readonly host: string;
  readonly port: number;
  readonly address: string;
  /** Request lines that came, in order. */
  readonly requests: readonly string[];
  close(): Promise<void>;
}

/** A peer of the plain kind: a line `name:start:end` answered by those bytes. `bytesOf` may lie. */
export async function startRangePeer(
  bytesOf: (name: string, start: number, end: number) => Uint8Array,
): Promise<RangePeer> {
  const requests: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    let line = '';
    socket.on('error', () => socket.destroy());
    socket.once('close', () => sockets.delete(socket));
    socket.setEncoding('utf8').on('data', (text: string) => {
      line += text;
      if (!line.includes('\n')) return;
      const [, name = '', start = '', end = ''] = /^(.*):(\d+):(\d+)\n/su.exec(line) ?? [];
      requests.push(line.trimEnd());
      socket.end(bytesOf(name, Number(start), Number(end)));
    });
  });
  server.listen({ host: '127.0.0.1', port: 0 });
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    host: '127.0.0.1',
    port,
    address: `127.0.0.1:${port}`,
    requests,
    async close() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
