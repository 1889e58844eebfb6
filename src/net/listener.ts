/**
 * The one port of a node: accepts, looks at the first bytes, hands the connection to a frontend. With TLS the port takes nothing else,
 * and the dialects are told apart inside it. Owns the limits on strangers; what a frontend does with its connection is its own affair.
 */
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { ShoalError, systemErrorCode } from '../errors.ts';
import * as limits from '../limits.ts';
import { encodeMessage } from '../wire/encode.ts';
import { createGoodbye } from '../wire/goodbye.ts';
import { formatAddress, normalHost, type Address } from './address.ts';
import type { ConnectionSet } from './connection-set.ts';
import { dialectOf } from './first-bytes.ts';
import { FramedConnection } from './framed-connection.ts';
import { TLS_FIRST_BYTE, type PeerTls } from './peer-tls.ts';
import { socketError } from './socket-error.ts';
import { KEEPALIVE_DELAY_MS } from './socket-options.ts';
import { acceptedReader } from './socket-reader.ts';
import { UNPROVEN_LIMITS, UnprovenConnections, type UnprovenLimits } from './unproven.ts';

export interface Arrival {
  readonly remoteAddress: Address;
  /** To be called when the connection has proved itself (handshake done, valid request): it no longer counts as a stranger. */
  proven(): void;
}

/** A connection of a dialect that is text. The socket is paused and half-open capable; the frontend listens to its `error`. */
export interface TextArrival extends Arrival {
  readonly socket: Socket;
  /** What has been read already, at least one byte. */
  readonly head: Uint8Array;
}

export interface ListenOptions extends Address {
  readonly connections: ConnectionSet;
  /** Undefined: in clear text. */
  readonly tls?: PeerTls | undefined;
  /** The connection waits for `acceptHandshake`. */
  onNative(connection: FramedConnection, arrival: Arrival): void;
  onRange(arrival: TextArrival): void;
  /** Without it, HTTP requests are closed. */
  onHttp?: ((arrival: TextArrival) => void) | undefined;
  /** The system could not accept a connection (too many open files, ...). The listener goes on. */
  onAcceptError?: ((error: ShoalError) => void) | undefined;
  readonly unproven?: UnprovenLimits | undefined;
  readonly firstByteTimeoutMs?: number | undefined;
  readonly lineSilenceMs?: number | undefined;
}

export interface ListenerCounts {
  accepted: number;
  native: number;
  range: number;
  http: number;
  /** Closed at once: too many connections. */
  refusedFull: number;
  /** Closed before they had proved themselves, to let others in: too many strangers, too many of them from one address. */
  displacedUnproven: number;
  displacedAddress: number;
  /** Closed: nothing came in time; what came was of no dialect. */
  silent: number;
  unusable: number;
  /** Closed: clear text where TLS is spoken or the other way round; a certificate that is not of this swarm. */
  notAllowed: number;
  acceptErrors: number;
}

export interface Listener {
  /** Where it listens, with the port that was chosen. */
  readonly address: Address;
  readonly counts: Readonly<ListenerCounts>;
  /** Accepted connections that have not proved themselves. */
  readonly unprovenCount: number;
  /** Accepts no more, ends every accepted connection and resolves when none is left. Idempotent. */
  close(): Promise<void>;
}

/** Resolves when it listens; rejects with `usage` (the port is in use), `not-allowed` or the like. */
export async function listen(options: ListenOptions): Promise<Listener> {
  const server = createServer({
    pauseOnConnect: true,
    // a range request may be followed by the end of its sender's stream, and still wants its answer
    allowHalfOpen: true,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: KEEPALIVE_DELAY_MS,
  });
  try {
    await listening(server, options.host, options.port);
  } catch (error) {
    throw socketError(`cannot listen on ${formatAddress(options)}`, error);
  }
  return new PortListener(server, options);
}

/** `::` is all addresses of both families; on a machine without IPv6, those of IPv4. */
async function listening(server: Server, host: string, port: number): Promise<void> {
  try {
    server.listen({ host, port });
    await once(server, 'listening');
  } catch (error) {
    if (host !== '::' || !['EAFNOSUPPORT', 'EADDRNOTAVAIL'].includes(systemErrorCode(error))) throw error;
    await listening(server, '0.0.0.0', port);
  }
}

class PortListener implements Listener {
  readonly address: Address;
  readonly #server: Server;
  readonly #options: ListenOptions;
  readonly #unproven: UnprovenConnections;
  /** Every accepted socket there is, with the way to end it. */
  readonly #accepted = new Map<Socket, () => void>();
  readonly #counts: ListenerCounts = {
    accepted: 0,
    native: 0,
    range: 0,
    http: 0,
    refusedFull: 0,
    displacedUnproven: 0,
    displacedAddress: 0,
    silent: 0,
    unusable: 0,
    notAllowed: 0,
    acceptErrors: 0,
  };
  #closed: Promise<void> | undefined;

  constructor(server: Server, options: ListenOptions) {
    this.#server = server;
    this.#options = options;
    this.#unproven = new UnprovenConnections(options.unproven ?? UNPROVEN_LIMITS);
    const bound = server.address();
    if (bound === null || typeof bound === 'string') throw new ShoalError('bug', 'a TCP listener has no TCP address');
    this.address = { host: normalHost(bound.address), port: bound.port };
    server.on('connection', (socket) => this.#onConnection(socket));
    server.on('error', (error) => {
      this.#counts.acceptErrors++;
      options.onAcceptError?.(socketError('cannot accept a connection', error));
    });
  }

  get counts(): Readonly<ListenerCounts> {
    return this.#counts;
  }

  get unprovenCount(): number {
    return this.#unproven.count;
  }

  close(): Promise<void> {
    this.#closed ??= this.#closeAll();
    return this.#closed;
  }

  async #closeAll(): Promise<void> {
    const all: Promise<unknown>[] = [once(this.#server, 'close')];
    this.#server.close();
    for (const [socket, end] of this.#accepted) {
      // not once(): it would take an error on the way for the end
      all.push(new Promise((resolve) => socket.once('close', resolve)));
      end();
    }
    await Promise.all(all);
  }

  #onConnection(socket: Socket): void {
    // a reset before a frontend listens: `close` follows, and that is all there is to do
    socket.on('error', ignoreBecauseCloseFollows);
    const { connections } = this.#options;
    const host = normalHost(socket.remoteAddress ?? '');
    if (this.#closed !== undefined || socket.remoteAddress === undefined) {
      socket.destroy();
      return;
    }
    if (connections.isFull) {
      this.#counts.refusedFull++;
      socket.destroy();
      return;
    }
    const proven = this.#unproven.admit(host, (why) => {
      if (why === 'full') this.#counts.displacedUnproven++;
      else this.#counts.displacedAddress++;
      socket.destroy();
    });
    this.#counts.accepted++;
    const leavePlace = connections.takePlace();
    this.#accepted.set(socket, () => socket.destroy());
    socket.once('close', () => {
      proven();
      leavePlace();
      this.#accepted.delete(socket);
    });
    const arrival: Arrival = { remoteAddress: { host, port: socket.remotePort ?? 0 }, proven };
    const plain: Accepted = { accepted: socket, socket, arrival, leavePlace };
    this.#readFirstBytes(plain, doorOf, (head, dialect) => {
      if (dialect === 'tls') this.#secure(plain, head);
      else if (this.#options.tls === undefined) this.#dispatch(plain, head, dialect);
      else this.#refuse(socket, dialect, 'this node takes TLS only: give --tls');
    });
  }

  #secure(plain: Accepted, head: Uint8Array): void {
    const { socket } = plain;
    const { tls } = this.#options;
    if (tls === undefined) {
      this.#refuse(socket, 'native', 'this node does not speak TLS');
      return;
    }
    socket.unshift(head);
    tls.accept(socket, (secured) => {
      if (secured.type === 'failed') return;
      secured.socket.on('error', ignoreBecauseCloseFollows);
      if (secured.type === 'refused') {
        const why = 'your certificate is not by the authority of this swarm, or has run out';
        this.#refuse(secured.socket, 'native', why);
        return;
      }
      const inside: Accepted = { ...plain, socket: secured.socket };
      this.#readFirstBytes(inside, dialectOf, (first, dialect) => this.#dispatch(inside, first, dialect));
    });
  }

  /** Calls back once, with the first bytes and what they are, unless the connection ends or is silent before. */
  #readFirstBytes<D extends Door>(
    { socket }: Accepted,
    judge: (head: Uint8Array, complete: boolean) => D | 'unclear',
    then: (head: Uint8Array, dialect: D) => void,
  ): void {
    const { firstByteTimeoutMs = limits.FIRST_BYTE_TIMEOUT_MS, lineSilenceMs = limits.RANGE_LINE_SILENCE_MS } =
      this.#options;
    let head: Uint8Array = new Uint8Array(0);
    // of the whole decision: bytes that dribble in do not prolong it
    const deadline = setTimeout(() => {
      this.#counts.silent++;
      socket.destroy();
    }, firstByteTimeoutMs);
    let silence: NodeJS.Timeout | undefined;
    const stopReading = (): void => {
      clearTimeout(deadline);
      clearTimeout(silence);
      socket.off('data', onData).off('end', onEnd).off('close', stopReading);
      socket.pause();
    };
    const decide = (complete: boolean): void => {
      const dialect = judge(head, complete);
      if (dialect === 'unclear') {
        clearTimeout(silence);
        silence = setTimeout(() => decide(true), lineSilenceMs);
        return;
      }
      stopReading();
      then(head, dialect);
    };
    const onData = (bytes: Uint8Array): void => {
      head = head.length === 0 ? bytes : Buffer.concat([head, bytes]);
      decide(false);
    };
    const onEnd = (): void => {
      if (head.length > 0) {
        decide(true);
        return;
      }
      stopReading();
      socket.destroy();
    };
    socket.on('data', onData).on('end', onEnd).on('close', stopReading);
    socket.resume();
  }

  #dispatch(accepted: Accepted, head: Uint8Array, dialect: Exclude<Door, 'tls'>): void {
    const { socket, arrival } = accepted;
    const { onHttp } = this.#options;
    if (dialect === 'unusable' || (dialect === 'http' && onHttp === undefined)) {
      this.#counts.unusable++;
      socket.destroy();
      return;
    }
    this.#counts[dialect]++;
    const text: TextArrival = { ...arrival, socket, head };
    if (dialect === 'range') this.#options.onRange(text);
    if (dialect === 'http') onHttp?.(text);
    if (dialect === 'native') this.#onNative(accepted, head);
  }

  #onNative({ accepted, socket, arrival, leavePlace }: Accepted, head: Uint8Array): void {
    const { connections } = this.#options;
    const reader = acceptedReader(socket);
    const connection = new FramedConnection({ reader, outbound: false, clock: connections.clock, head });
    connections.add(connection);
    leavePlace();
    this.#accepted.set(accepted, () => connection.close(createGoodbye('leaving')));
    this.#options.onNative(connection, arrival);
  }

  /** Ends a connection with a word in its own dialect, where that has room for one. */
  #refuse(socket: Socket, dialect: Exclude<Door, 'tls'>, why: string): void {
    this.#counts.notAllowed++;
    if (dialect === 'native') socket.end(encodeMessage(createGoodbye('not-allowed', why)));
    else if (dialect === 'http') socket.end(`HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n${why}\n`);
    else {
      socket.destroy();
      return;
    }
    // what is left unread would turn our end into a reset, which can overtake the word
    socket.resume();
    const cut = setTimeout(() => socket.destroy(), limits.CLOSE_TIMEOUT_MS);
    socket.once('close', () => clearTimeout(cut));
    if (socket.readableEnded) socket.destroySoon();
    else socket.once('end', () => socket.destroySoon());
  }
}

/** A connection on its way to a frontend. */
interface Accepted {
  /** As it was accepted; `socket` is the same, or the TLS inside it. */
  readonly accepted: Socket;
  readonly socket: Socket;
  readonly arrival: Arrival;
  /** Its place among all connections is taken by the framed connection. */
  readonly leavePlace: () => void;
}

type Door = 'native' | 'range' | 'http' | 'unusable' | 'tls';

/** What comes in at the port: TLS, or one of the dialects in clear text. */
function doorOf(head: Uint8Array, complete: boolean): Door | 'unclear' {
  return head[0] === TLS_FIRST_BYTE ? 'tls' : dialectOf(head, complete);
}

function ignoreBecauseCloseFollows(): void {}
