/** All connections of a node: how many there are, and the one timer that looks at their deadlines. Knows nothing of contents. */
import * as limits from '../limits.ts';
import { createGoodbye } from '../wire/goodbye.ts';
import type { Clock, FramedConnection } from './framed-connection.ts';

export interface ConnectionSetOptions {
  readonly clock?: Clock;
  readonly connectionsMax?: number;
  readonly tickMs?: number;
}

export class ConnectionSet implements Iterable<FramedConnection> {
  readonly clock: Clock;
  readonly connectionsMax: number;
  readonly #tickMs: number;
  readonly #connections = new Set<FramedConnection>();
  readonly #places = new Set<object>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: ConnectionSetOptions = {}) {
    this.clock = options.clock ?? (() => performance.now());
    this.connectionsMax = options.connectionsMax ?? limits.CONNECTIONS_MAX;
    this.#tickMs = options.tickMs ?? limits.CONNECTION_TICK_MS;
  }

  /** Connections there are, and places taken for those that are not framed (yet). */
  get size(): number {
    return this.#connections.size + this.#places.size;
  }

  get isFull(): boolean {
    return this.size >= this.connectionsMax;
  }

  /** Counts a socket that is no framed connection, or not yet. The answer gives the place back; calling it twice does no harm. */
  takePlace(): () => void {
    const place = {};
    this.#places.add(place);
    return () => void this.#places.delete(place);
  }

  /** Keeps a connection until it is gone. */
  add(connection: FramedConnection): void {
    this.#connections.add(connection);
    // the sockets keep the process alive, not the timer
    this.#timer ??= setInterval(() => this.tick(), this.#tickMs).unref();
    void this.#removeWhenGone(connection);
  }

  async #removeWhenGone(connection: FramedConnection): Promise<void> {
    await connection.gone;
    this.#connections.delete(connection);
    if (this.#connections.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Looks at all deadlines now. */
  tick(): void {
    for (const connection of this.#connections) connection.tick();
  }

  [Symbol.iterator](): Iterator<FramedConnection> {
    return this.#connections.values();
  }

  /** Says goodbye to all and resolves when all are gone, which takes CLOSE_TIMEOUT_MS at most. */
  async close(): Promise<void> {
    const goodbye = createGoodbye('leaving');
    const all = [...this.#connections];
    for (const connection of all) connection.close(goodbye);
    await Promise.all(all.map((connection) => connection.gone));
  }
}
