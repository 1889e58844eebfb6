/**
 * One port for every dialect of the tracker: HTTP/1.1 (REST, Connect, gRPC-Web) and HTTP/2 (gRPC, and the others too), in clear text
 * or, with a certificate, over TLS. The first bytes of a connection choose its server; neither server listens itself. Owns sockets
 * and sessions and closes them in bounded time; knows nothing of what is said over them.
 */
import { once } from 'node:events';
import { createServer as createHttp1, STATUS_CODES, type RequestListener, type Server as Http1Server } from 'node:http';
import {
  createServer as createHttp2,
  type Http2Server,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
} from 'node:http2';
import { createServer as createTcp, type AddressInfo, type Server, type Socket } from 'node:net';
import { createServer as createTls, type Server as TlsServer, type TLSSocket } from 'node:tls';
import { systemErrorCode } from '../errors.ts';
import * as limits from '../limits.ts';
import type { HotConnections } from './frontends/hot-connection.ts';

export interface OnePortOptions {
  readonly http1: RequestListener;
  /** Takes connections of HTTP/1.1 first, and gives up those that it does not understand; undefined: all are for `http1`. */
  readonly hot?: HotConnections | undefined;
  readonly http2: (request: Http2ServerRequest, response: Http2ServerResponse) => void;
  /** What is said to a connection whose first request is broken; closes it. */
  readonly onBroken: (error: Error & { code?: string }, socket: Socket) => void;
  /** PEM. With it the port takes TLS only; with an authority, only from those who have a certificate by it. */
  readonly tls?: TrackerTls | undefined;
  /** What is answered, in clear text or over TLS, to the first request of a connection that is not taken. */
  readonly refusal: (why: NotTaken) => Refusal;
  /** A connection whose first byte does not come within this is closed. */
  readonly firstBytesMs?: number;
}

export type NotTaken = 'clear-text' | 'certificate';

export interface Refusal {
  readonly status: number;
  /** In small letters, without the length. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface TrackerTls {
  readonly cert: string | Buffer;
  readonly key: string | Buffer;
  readonly ca?: string | Buffer | undefined;
}

export interface OnePort {
  listen(host: string, port: number): Promise<AddressInfo>;
  /** Takes no more connections, lets running calls end, and cuts what is left after `cutAfterMs`. Safe to call twice. */
  close(cutAfterMs: number): Promise<void>;
}

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');
const POST = Buffer.from('POST ', 'latin1');
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
    lookAtFirstBytes(socket, firstBytesMs, (head) => {
      undecided.delete(socket);
      if (head === undefined) return;
      if (isPreface(head)) two.emit('connection', socket);
      else if (options.hot === undefined || !isPost(head)) one.emit('connection', socket);
      else options.hot.take(socket, (given) => one.emit('connection', given));
    });
  };
  const refuse = (why: NotTaken, socket: Socket): void => {
    socket.on('error', () => socket.destroy());
    // an answer that comes before the question is not read by everybody
    lookAtFirstBytes(socket, firstBytesMs, (head) => {
      if (head === undefined) return;
      const cut = setTimeout(() => socket.destroy(), REFUSED_CUT_MS);
      socket.once('close', () => clearTimeout(cut));
      const refusal = options.refusal(why);
      if (isPreface(head)) refusingHttp2(refusal).emit('connection', socket);
      else {
        socket.resume();
        socket.end(refusalText(refusal));
      }
    });
  };
  const { tls } = options;
  const secure =
    tls === undefined
      ? undefined
      : createSecure(tls, firstBytesMs, (socket) => {
          if (tls.ca === undefined || socket.authorized) look(socket);
          else refuse('certificate', socket);
        });
  const server = createTcp({ noDelay: true, keepAlive: true }, (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    if (secure === undefined) look(socket);
    else {
      socket.on('error', () => socket.destroy());
      undecided.add(socket);
      lookAtFirstBytes(socket, firstBytesMs, (head) => {
        undecided.delete(socket);
        if (head === undefined) return;
        if (head[0] === TLS_FIRST_BYTE) secure.emit('connection', socket);
        else refuse('clear-text', socket);
      });
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
    options.hot?.close();
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
/** Whoever is refused may read the answer for so long. */
const REFUSED_CUT_MS = 1_000;
/** A handshake record. */
const TLS_FIRST_BYTE = 0x16;

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

/** HTTP/2 that says the same to every request. */
function refusingHttp2({ status, headers, body }: Refusal): Http2Server {
  const server = createHttp2((_request, response) => {
    response.writeHead(status, headers);
    response.end(body);
  });
  server.on('session', (session: ServerHttp2Session) => session.on('error', () => session.destroy()));
  return server;
}

/** The same as an answer of HTTP/1.1, with the end of the connection. */
function refusalText({ status, headers, body }: Refusal): string {
  const all = { ...headers, 'content-length': String(Buffer.byteLength(body)), connection: 'close' };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${lines.join('')}\r\n${body}`;
}

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

function createSecure(tls: TrackerTls, handshakeTimeout: number, onSocket: (socket: TLSSocket) => void): TlsServer {
  const server = createTls(
    {
      ...tls,
      ALPNProtocols: ['h2', 'http/1.1'],
      minVersion: 'TLSv1.2',
      handshakeTimeout,
      requestCert: tls.ca !== undefined,
      // judged by us, so that the other side hears why
      rejectUnauthorized: false,
    },
    onSocket,
  );
  // whoever fails the handshake has gone or speaks something else: there is nothing to answer
  server.on('tlsClientError', (_error, socket) => socket.destroy());
  return server;
}

/** Whether it begins as HTTP/2 does, as far as it goes. */
function isPreface(head: Buffer): boolean {
  const length = Math.min(head.length, PREFACE.length);
  return PREFACE.compare(head, 0, length, 0, length) === 0;
}

/** Whether it may begin a POST. */
function isPost(head: Buffer): boolean {
  return POST.compare(head, 0, Math.min(head.length, POST.length), 0, Math.min(head.length, POST.length)) === 0;
}

/** Calls back once: with what came first, or undefined for a connection that ended or said nothing in time. Bytes seen are given back. */
function lookAtFirstBytes(socket: Socket, timeoutMs: number, then: (head: Buffer | undefined) => void): void {
  let head: Buffer = Buffer.alloc(0);
  const done = (seen: Buffer | undefined): void => {
    clearTimeout(timer);
    socket.off('readable', look);
    socket.off('end', drop);
    socket.off('error', drop);
    socket.off('close', drop);
    then(seen);
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
    // bytes given back now would make the socket readable at once, again and again
    if (isPreface(head) && head.length < TELLING_BYTES) return;
    done(head);
    socket.unshift(head);
  };
  const timer = setTimeout(drop, timeoutMs);
  socket.on('readable', look);
  socket.on('end', drop);
  socket.on('error', drop);
  socket.on('close', drop);
}

/** `::` is all addresses of both families; on a machine without IPv6, those of IPv4. */
async function listening(server: Server, host: string, port: number): Promise<AddressInfo> {
  try {
    server.listen({ host, port, backlog: limits.TRACKER_BACKLOG });
    await once(server, 'listening');
    return server.address() as AddressInfo;
  } catch (error) {
    if (host !== '::' || !['EAFNOSUPPORT', 'EADDRNOTAVAIL'].includes(systemErrorCode(error))) throw error;
    return listening(server, '0.0.0.0', port);
  }
}

function ending(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}
