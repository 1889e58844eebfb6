/**
 * A peer that speaks only the range dialect, made to look like a native neighbour: it has every chunk, grants a few credits at a
 * time, and answers each request by one `name:start:end` connection whose bytes are passed on as fragments. What it sends is
 * verified like anything else; it is never asked to take part in more.
 */
import { connect, type Socket } from 'node:net';
import { chunkBytes, chunkOffset, type ChunkLayout } from '../content/chunk-layout.ts';
import type { PeerTls } from '../net/peer-tls.ts';
import { DIAL_TIMEOUT_MS, FRAGMENT_BYTES_MAX, RANGE_STALL_TIMEOUT_MS } from '../limits.ts';
import type { CloseReason, SwarmMessage } from '../swarm/facts.ts';
import type { IncomingFragment } from '../swarm/requests.ts';
import type { LinkEvents, PeerLink } from './peer-link.ts';

/** Credits out at a time: one connection transfers while the next is being opened. */
const CREDITS = 2;
/** Failed requests in a row after which the source counts as gone. */
const FAILURES_MAX = 3;

export interface RangeSourceOptions {
  readonly host: string;
  readonly port: number;
  /** Of an encrypted swarm. */
  readonly tls?: PeerTls | undefined;
  /** The name under which this source shares the content. */
  readonly name: string;
  readonly layout: ChunkLayout;
}

export class RangeSource implements PeerLink {
  readonly key: string;
  readonly address: string;
  readonly unsentBytes = 0;
  readonly #options: RangeSourceOptions;
  readonly #sockets = new Map<number, Socket>();
  #events: LinkEvents | undefined;
  #nextGrantId = 0;
  #grantsOut = 0;
  #wanted = true;
  #failures = 0;
  #closed = false;

  constructor(options: RangeSourceOptions) {
    this.#options = options;
    this.address = options.host.includes(':') ? `[${options.host}]:${options.port}` : `${options.host}:${options.port}`;
    this.key = this.address;
  }

  /** Begins to play its part once the session has taken it in. */
  start(events: LinkEvents): void {
    this.#events = events;
    events.message({ type: 'have-all' });
    this.#grant();
  }

  send(message: SwarmMessage): void {
    if (this.#closed) return;
    switch (message.type) {
      case 'request':
        this.#grantsOut--;
        this.#fetch(message.requestId, message.chunkIndex);
        return;
      case 'decline':
        this.#grantsOut--;
        this.#wanted = false;
        return;
      case 'interest':
        this.#wanted = message.interested;
        this.#grant();
        return;
      case 'cancel': {
        const socket = this.#sockets.get(message.requestId);
        if (socket === undefined) return;
        this.#sockets.delete(message.requestId);
        socket.destroy();
        this.#events?.message({ type: 'reject', requestId: message.requestId, reason: 'cancelled', retryMs: 0 });
        this.#grant();
        return;
      }
      default: // maps and news are of no interest to a source of this kind
    }
  }

  sendFragment(_fragment: IncomingFragment, _bytes: Uint8Array, flushed: () => void): void {
    flushed(); // never asked for: this neighbour requests nothing
  }

  close(_reason: CloseReason, _text: string): void {
    this.#closed = true;
    for (const socket of this.#sockets.values()) socket.destroy();
    this.#sockets.clear();
  }

  #grant(): void {
    while (!this.#closed && this.#wanted && this.#grantsOut + this.#sockets.size < CREDITS) {
      this.#grantsOut++;
      const grantId = this.#nextGrantId;
      this.#nextGrantId = (grantId + 1) % 0x10000;
      this.#events?.message({ type: 'grant', grantId, etaMs: 0, suggestions: [] });
    }
  }

  #fetch(requestId: number, chunkIndex: number): void {
    const { host, port, tls, name, layout } = this.#options;
    const start = chunkOffset(layout, chunkIndex);
    const total = chunkBytes(layout, chunkIndex);
    const askedAtMs = performance.now();
    const where = { host, port };
    const socket = (tls === undefined ? connect(where) : tls.connect(where)).setTimeout(DIAL_TIMEOUT_MS);
    this.#sockets.set(requestId, socket);
    let received = 0;
    socket.once(tls === undefined ? 'connect' : 'secureConnect', () => {
      socket.setTimeout(RANGE_STALL_TIMEOUT_MS);
      socket.write(`${name}:${start}:${start + total}\n`);
    });
    socket.on('data', (bytes: Buffer) => {
      if (this.#sockets.get(requestId) !== socket) return;
      if (received === 0) this.#events?.rtt((performance.now() - askedAtMs) / 2);
      if (received + bytes.length > total) {
        socket.destroy(); // more than was asked for: not a source to rely on
        return;
      }
      this.#pass(requestId, chunkIndex, received, bytes);
      received += bytes.length;
      if (received < total) return;
      this.#failures = 0;
      this.#sockets.delete(requestId);
      socket.destroy();
      this.#grant();
    });
    socket.on('timeout', () => socket.destroy());
    socket.on('error', () => socket.destroy());
    socket.once('close', () => {
      if (this.#sockets.get(requestId) !== socket) return;
      this.#sockets.delete(requestId);
      this.#failed(requestId);
    });
  }

  #pass(requestId: number, chunkIndex: number, offset: number, bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; at += FRAGMENT_BYTES_MAX) {
      const byteCount = Math.min(FRAGMENT_BYTES_MAX, bytes.length - at);
      const fragment = { requestId, chunkIndex, offset: offset + at, byteCount };
      this.#events?.fragment(fragment)?.set(bytes.subarray(at, at + byteCount));
      this.#events?.fragmentEnd(fragment);
    }
  }

  #failed(requestId: number): void {
    if (this.#closed) return;
    if (++this.#failures >= FAILURES_MAX) {
      this.#closed = true;
      this.close('timeout', '');
      this.#events?.closed(false);
      return;
    }
    this.#events?.message({ type: 'reject', requestId, reason: 'busy', retryMs: 0 });
    this.#grant();
  }
}
