/**
 * One port for every dialect of the tracker: HTTP/1.1 (REST, Connect, gRPC-Web) and HTTP/2 (gRPC, and the others too), in clear text
 * or, with a certificate, over TLS. The first bytes of a connection choose its server; neither server listens itself. Owns sockets
 * and sessions and closes them in bounded time; knows nothing of what is said over them.
 */
import { createServer as createHttp1, type RequestListener, type Server as Http1Server } from 'node:http';
import {
  createServer as createHttp2,
  type Http2Server,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
} from 'node:http2';
import { createServer as createTcp, type AddressInfo, type Server, type Socket } from 'node:net';
import { createServer as createTls, type Server as TlsServer } from 'node:tls';
import * as limits from '../limits.ts';

export interface OnePortOptions {
  readonly http1: RequestListener;
  readonly http2: (request: Http2ServerRequest, response: Http2ServerResponse) => void;
  /** What is said to a connection whose first request is broken; closes it. */
  readonly onBroken: (error: Error & { code?: string }, socket: Socket) => void;
  /** PEM. With it the port takes TLS only. */
  readonly tls?: { readonly cert: string | Buffer; readonly key: string | Buffer } | undefined;
  /** A connection whose first byte does not come within this is closed. */
  readonly firstBytesMs?: number;
}

export interface OnePort {
  listen(host: string, port: number): Promise<AddressInfo>;
  /** Takes no more connections, lets running calls end, and cuts what is left after `cutAfterMs`. Safe to call twice. */
  close(cutAfterMs: number): Promise<void>;
}

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');
/** No method of HTTP/1.1 in use here begins with these bytes of the preface: as many as it takes to tell them apart. */
const TELLING_BYTES = 4;

export function createOnePort(options: OnePortOptions): OnePort {
  const { firstBytesMs = limits.TRACKER_FIRST_BYTES_MS } = options;
  const one = createOne(options);
  const two = createTwo(options);
  const sessions = new Set<ServerHttp2Session>();
  two.on('session', (session: ServerHttp2Session) => keepSession(session, sessions));
  const sockets = new Set<Socket>();
  const undecided = new Set<Socket>();

  const look = (socket: Socket): void => {
    undecided.add(socket);
    lookAtFirstBytes(socket, firstBytesMs, (isHttp2) => {
      undecided.delete(socket);
      if (isHttp2 !== undefined) (isHttp2 ? two : one).emit('connection', socket);
    });
  };
  const secure = options.tls === undefined ? undefined : createSecure(options.tls, firstBytesMs, look);
  const server = createTcp({ noDelay: true, keepAlive: true }, (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    if (secure === undefined) look(socket);
    else {
      socket.on('error', () => socket.destroy());
      secure.emit('connection', socket);
    }
  });
  server.maxConnections = limits.TRACKER_SOCKETS_MAX;

  let closed: Promise<void> | undefined;
  const close = async (cutAfterMs: number): Promise<void> => {
    const ended = server.listening ? ending(server) : Promise.resolve();
    const sweep = setInterval(() => one.closeIdleConnections(), IDLE_SWEEP_MS);
    const cut = setTimeout(() => sockets.forEach((socket) => socket.destroy()), cutAfterMs);
    for (const socket of undecided) socket.destroy();
    for (const session of sessions) session.close();
    one.closeIdleConnections();
    try {
      await ended;
    } finally {
      clearInterval(sweep);
      clearTimeout(cut);
      one.close();
      two.close();
    }
  };
  return {
    listen: (host, port) => listening(server, host, port),
    close: (cutAfterMs) => (closed ??= close(cutAfterMs)),
  };
}

const IDLE_SWEEP_MS = 20;

function createOne({ http1, onBroken }: OnePortOptions): Http1Server {
  const server = createHttp1({ requestTimeout: limits.TRACKER_REQUEST_TIMEOUT_MS }, http1);
  server.keepAliveTimeout = limits.TRACKER_KEEP_ALIVE_MS;
  server.on('clientError', (error: Error & { code?: string }, socket) => onBroken(error, socket as Socket));
  // a server that never listens has no list of its connections, and without it no timeouts and no idle close
  server.emit('listening');
  return server;
}

function createTwo({ http2 }: OnePortOptions): Http2Server {
  const settings = { maxConcurrentStreams: limits.TRACKER_STREAMS_PER_CONNECTION_MAX };
  return createHttp2({ settings, maxSessionMemory: SESSION_MEMORY_MB }, http2);
}

/** Node takes this in megabytes: room for one body of CALL_BODY_BYTES_MAX and the headers of every stream. */
const SESSION_MEMORY_MB = 10;

function keepSession(session: ServerHttp2Session, sessions: Set<ServerHttp2Session>): void {
  sessions.add(session);
  let streams = 0;
  session.once('close', () => sessions.delete(session));
  session.on('error', () => session.destroy());
  session.on('stream', (stream) => {
    streams++;
    stream.once('close', () => streams--);
    stream.on('error', () => stream.close());
  });
  session.setTimeout(limits.TRACKER_KEEP_ALIVE_MS, () => {
    if (streams === 0) session.close();
  });
}

function createSecure(
  tls: NonNullable<OnePortOptions['tls']>,
  handshakeTimeout: number,
  onSocket: (socket: Socket) => void,
): TlsServer {
  const server = createTls(
    { ...tls, ALPNProtocols: ['h2', 'http/1.1'], minVersion: 'TLSv1.2', handshakeTimeout },
    onSocket,
  );
  // whoever fails the handshake has gone or speaks something else: there is nothing to answer
  server.on('tlsClientError', (_error, socket) => socket.destroy());
  return server;
}

/** Calls back once: HTTP/2 or not, or undefined for a connection that ended or said nothing in time. Bytes seen are given back. */
function lookAtFirstBytes(socket: Socket, timeoutMs: number, then: (isHttp2: boolean | undefined) => void): void {
  let head: Buffer = Buffer.alloc(0);
  const done = (isHttp2: boolean | undefined): void => {
    clearTimeout(timer);
    socket.off('readable', look);
    socket.off('end', drop);
    socket.off('error', drop);
    socket.off('close', drop);
    then(isHttp2);
  };
  const drop = (): void => {
    done(undefined);
    socket.on('error', () => {});
    socket.destroy();
  };
  const look = (): void => {
    for (let bytes = socket.read() as Buffer | null; bytes !== null; bytes = socket.read() as Buffer | null)
      head = head.length === 0 ? bytes : Buffer.concat([head, bytes]);
    if (head.length === 0) return;
    const length = Math.min(head.length, PREFACE.length);
    const alike = PREFACE.compare(head, 0, length, 0, length) === 0;
    if (alike && length < TELLING_BYTES) return; // bytes given back now would make the socket readable at once, again and again
    done(alike);
    socket.unshift(head);
  };
  const timer = setTimeout(drop, timeoutMs);
  socket.on('readable', look);
  socket.on('end', drop);
  socket.on('error', drop);
  socket.on('close', drop);
}

function listening(server: Server, host: string, port: number): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port, backlog: limits.TRACKER_BACKLOG }, () => {
      server.off('error', reject);
      resolve(server.address() as AddressInfo);
    });
  });
}

function ending(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}
