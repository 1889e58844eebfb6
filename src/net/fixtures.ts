/** Real sockets on loopback for tests: pairs of connections, handlers that write down what happens, waiting without sleeping. */
import { connect, type Socket } from 'node:net';
import { once } from 'node:events';
import { parseContentId } from '../content/digest.ts';
import type { FragmentHeader, HelloMessage } from '../wire/messages.ts';
import type { ConnectionEnd } from './connection-end.ts';
import { ConnectionSet, type ConnectionSetOptions } from './connection-set.ts';
import { dial } from './dial.ts';
import type { ConnectionHandler, FramedConnection, PeerMessage } from './framed-connection.ts';
import { acceptHandshake, createHello, dialHandshake } from './handshake.ts';
import { openSwarmKey } from './swarm-key.ts';
import { listen, type Arrival, type Listener, type ListenOptions } from './listener.ts';

export const CONTENT = parseContentId('c1'.repeat(32));
export const SWARM_KEY = openSwarmKey(CONTENT);

export function helloOf(peer: number, contentId = CONTENT): HelloMessage {
  return createHello({
    contentId,
    complete: false,
    uploadDisabled: false,
    listenPort: 0,
    features: 0,
    peerId: new Uint8Array(16).fill(peer),
    inFlightBytesMax: 1 << 20,
    grantsMax: 8,
  });
}

/** Resolves when the condition holds; looks after every turn of the event loop, and fails after the deadline. */
export async function until(condition: () => boolean, what: string, timeoutMs = 10_000): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() > deadlineMs) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

export interface Recorded extends ConnectionHandler {
  readonly messages: PeerMessage[];
  readonly fragments: { readonly header: FragmentHeader; readonly payload: Uint8Array }[];
  /** Messages and fragments in the order they came, as short words. */
  readonly order: string[];
  readonly rtts: number[];
  writableCount: number;
  end: ConnectionEnd | undefined;
}

export function createRecorded(): Recorded {
  let payload = new Uint8Array(0);
  const recorded: Recorded = {
    messages: [],
    fragments: [],
    order: [],
    rtts: [],
    writableCount: 0,
    end: undefined,
    message: (message) => {
      recorded.messages.push(message);
      recorded.order.push(message.type);
    },
    fragment: (header) => {
      payload = new Uint8Array(header.byteCount);
      return payload;
    },
    fragmentEnd: (header) => {
      recorded.fragments.push({ header, payload });
      recorded.order.push(`fragment ${header.offset}`);
    },
    writable: () => void recorded.writableCount++,
    rtt: (rttMs) => void recorded.rtts.push(rttMs),
    closed: (end) => {
      if (recorded.end !== undefined) throw new Error('closed was called twice');
      recorded.end = end;
    },
  };
  return recorded;
}

export interface ManualClock {
  (): number;
  advance(byMs: number): void;
}

export function createManualClock(): ManualClock {
  let nowMs = 1000;
  return Object.assign(() => nowMs, { advance: (byMs: number) => void (nowMs += byMs) });
}

export interface TestNet {
  readonly connections: ConnectionSet;
  readonly listener: Listener;
  /** Native connections accepted so far, in order. */
  readonly arrivals: { readonly connection: FramedConnection; readonly arrival: Arrival }[];
  dial(): Promise<FramedConnection>;
  /** A socket without any protocol. */
  raw(): Promise<Socket>;
  /** A pair that has finished its handshake; neither is started. */
  pair(): Promise<{ readonly dialled: FramedConnection; readonly accepted: FramedConnection }>;
  close(): Promise<void>;
}

export async function createTestNet(
  options: Partial<ListenOptions> & { readonly set?: ConnectionSetOptions } = {},
): Promise<TestNet> {
  const connections = new ConnectionSet(options.set);
  const dialSide = new ConnectionSet(options.set);
  const arrivals: TestNet['arrivals'] = [];
  const raws = new Set<Socket>();
  const listener = await listen({
    host: '127.0.0.1',
    port: 0,
    connections,
    onNative: (connection, arrival) => void arrivals.push({ connection, arrival }),
    onRange: ({ socket }) => void socket.destroy(),
    ...options,
  });
  const net: TestNet = {
    connections,
    listener,
    arrivals,
    dial: () => dial({ ...listener.address, connections: dialSide }),
    raw: async () => {
      const socket = connect({ ...listener.address, allowHalfOpen: true });
      raws.add(socket.on('error', () => undefined));
      await once(socket, 'connect');
      return socket;
    },
    pair: async () => {
      const nth = arrivals.length;
      const dialled = await net.dial();
      const linking = dialHandshake(dialled, { hello: helloOf(1), swarmKey: SWARM_KEY });
      await until(() => arrivals.length > nth, 'the connection is accepted');
      const { connection: accepted, arrival } = arrivals[nth] as (typeof arrivals)[number];
      const outcome = await acceptHandshake(accepted, {
        accept: () => ({ hello: helloOf(2), swarmKey: SWARM_KEY }),
      });
      if (outcome.type !== 'linked' || (await linking).type !== 'linked') throw new Error('the handshake failed');
      arrival.proven();
      return { dialled, accepted };
    },
    close: async () => {
      for (const socket of raws) socket.destroy();
      await Promise.all([listener.close(), connections.close(), dialSide.close()]);
    },
  };
  return net;
}
