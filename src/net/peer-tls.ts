/**
 * TLS between peers, both ways: each side shows a certificate of the swarm's own authority and lets in nobody who has none. It says
 * who belongs to the swarm and keeps others from listening; which host a certificate names does not matter here, because peers move
 * and are known by their ids. TLS 1.3 only. Loaded where it is used.
 */
import type { Socket, TcpNetConnectOpts } from 'node:net';
import { connect, createServer, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { KEEPALIVE_DELAY_MS } from './socket-options.ts';
import type { ByteSink, SocketReader } from './socket-reader.ts';

/** PEM: a node's certificate, its key, and the authority by which it knows the others. */
export interface PeerTlsFiles {
  readonly cert: string | Buffer;
  readonly key: string | Buffer;
  readonly ca: string | Buffer;
}

/** `refused`: the handshake was done, but what the other side showed is not of this swarm. */
export type Secured =
  | { readonly type: 'secured' | 'refused'; readonly socket: TLSSocket }
  /** No TLS came of it; the socket is closed or about to be. */
  | { readonly type: 'failed' };

export interface PeerTls {
  /** Dials. The socket emits `secureConnect` when both sides are content, else `error`; nothing is delivered before `resume`. */
  connectReader(options: TcpNetConnectOpts): SocketReader;
  /** The same for dialects of text: an ordinary socket, which emits `secureConnect`. */
  connect(options: TcpNetConnectOpts): Socket;
  /** Takes over an accepted socket, whose first bytes may have been given back to it. `then` is called once. */
  accept(socket: Socket, then: (secured: Secured) => void): void;
}

/** The first byte of a TLS connection: a handshake record. No dialect of ours begins so. */
export const TLS_FIRST_BYTE = 0x16;

/** AES-GCM is what processors do in hardware; with a key of 128 bits it costs a quarter less than with 256. */
const CIPHERS = 'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256';
/** One record is 16 KiB at most, and each is a read of its own: a larger buffer would stay empty. */
const READ_BYTES = 16_384;

/** Throws what Node says of files that are no certificate or key, or do not belong together. */
export function createPeerTls(files: PeerTlsFiles, handshakeTimeoutMs: number): PeerTls {
  const { cert, key, ca } = files;
  const common = { cert, key, ca, minVersion: 'TLSv1.3', ciphers: CIPHERS } as const;
  const waiting = new Map<string, (secured: Secured) => void>();
  const server = createServer({
    ...common,
    requestCert: true,
    // judged by us, so that the other side hears why
    rejectUnauthorized: false,
    handshakeTimeout: handshakeTimeoutMs,
    allowHalfOpen: true,
  });
  server.on('secureConnection', (socket) => {
    const then = waiting.get(fourOf(socket));
    if (then === undefined) socket.destroy();
    else then({ type: socket.authorized ? 'secured' : 'refused', socket });
  });
  // whoever fails the handshake is gone, or speaks something else; `close` of the socket tells
  server.on('tlsClientError', (_error, socket) => socket.destroy());
  const clientOptions = ({ host = '', ...options }: TcpNetConnectOpts): ConnectionOptions => ({
    ...common,
    ...options,
    host,
    checkServerIdentity: () => undefined,
  });
  return {
    connectReader: (options) => secureReader(clientOptions(options)),
    connect: (options) => connect(clientOptions(options)),
    accept(socket, then) {
      // a socket that is gone has no address, and no `close` any more
      if (socket.destroyed || socket.remoteAddress === undefined) {
        socket.destroy();
        then({ type: 'failed' });
        return;
      }
      const four = fourOf(socket);
      const done = (secured: Secured): void => {
        if (!waiting.delete(four)) return;
        socket.off('close', onClose);
        then(secured);
      };
      const onClose = (): void => done({ type: 'failed' });
      waiting.set(four, done);
      socket.once('close', onClose);
      server.emit('connection', socket);
    },
  };
}

/** What tells one connection from all others: TLS hands out another object than it was given. */
function fourOf({ localAddress, localPort, remoteAddress, remotePort }: Socket): string {
  return `${localAddress} ${localPort} ${remoteAddress} ${remotePort}`;
}

function secureReader(options: ConnectionOptions): SocketReader {
  let sink: ByteSink | undefined;
  /** What came before anybody read. */
  let early: Uint8Array[] = [];
  // Node passes on what its types do not name here: all that a plain socket takes
  const reading: Pick<TcpNetConnectOpts, 'onread'> = {
    onread: {
      buffer: new Uint8Array(READ_BYTES),
      callback: (byteCount, bytes) => {
        if (sink !== undefined) return sink.take(bytes, byteCount);
        early.push(bytes.slice(0, byteCount));
        return false;
      },
    },
  };
  const socket = connect({ ...options, ...reading });
  socket.once('connect', () => socket.setNoDelay(true).setKeepAlive(true, KEEPALIVE_DELAY_MS));
  return {
    socket,
    resume(next) {
      sink = next;
      const before = early;
      early = [];
      for (const [index, bytes] of before.entries()) {
        if (sink.take(bytes, bytes.length)) continue;
        early = before.slice(index + 1);
        return;
      }
      socket.resume();
    },
  };
}
