/** Two nodes that dial each other in the same moment, over real sockets: one connection is left, and it carries chunks both ways. */
import { expect, test } from 'vitest';
import { Bitfield } from '../../content/bitfield.ts';
import { toHex } from '../../content/digest.ts';
import { formatAddress } from '../../net/address.ts';
import { ConnectionSet } from '../../net/connection-set.ts';
import { listen } from '../../net/listener.ts';
import { openSwarmKey } from '../../net/swarm-key.ts';
import { createReceiveBuffers, createSendBuffers } from '../chunk-buffers.ts';
import { ContentSession } from '../content-session.ts';
import { createContent, KiB, until, type MemoryContent } from '../fixtures.ts';
import { Uploader } from '../uploader.ts';
import { NativeFrontend } from './native.ts';

const ROUNDS = 20;
const CHUNKS = 25;

/** A node with the chunks of one parity, but the last: so neither is ever complete, and the link stays. */
async function openPeer(peerId: Uint8Array, content: MemoryContent, parity: number) {
  const { manifest } = content;
  const have = new Bitfield(manifest.chunkCount);
  for (let chunk = parity; chunk < CHUNKS - 1; chunk += 2) have.add(chunk);
  const clock = (): number => performance.now();
  const uploader = new Uploader(createSendBuffers(), Number.POSITIVE_INFINITY, clock);
  const connections = new ConnectionSet({ clock });
  const stored = new Map<number, Uint8Array>();
  const banned: string[] = [];
  const session = new ContentSession({
    layout: manifest,
    ownKey: toHex(peerId),
    have,
    store: {
      read: (chunkIndex, into) => Promise.resolve(into.set(stored.get(chunkIndex) ?? content.chunk(chunkIndex))),
      write: (chunkIndex, bytes) => Promise.resolve(void stored.set(chunkIndex, bytes.slice())),
    },
    verify: (chunkIndex, bytes) => content.verify(chunkIndex, bytes),
    buffers: createReceiveBuffers(() => undefined),
    uploader,
    clock,
    seed: parity,
    order: 'rarest',
    single: false,
    upload: true,
    upBytesPerSecond: Number.POSITIVE_INFINITY,
    downBytesPerSecond: Number.POSITIVE_INFINITY,
    events: {
      dial: () => undefined,
      needPeers: () => undefined,
      banned: ({ reason }) => void banned.push(reason),
    },
  });
  const native = new NativeFrontend({
    peerId,
    connections,
    swarmKeys: openSwarmKey,
    listenPort: () => listener.address.port,
    sessionOf: () => session,
    manifestOf: () => manifest,
  });
  const listener = await listen({
    host: '127.0.0.1',
    port: 0,
    connections,
    onNative: (connection, arrival) => void native.accept(connection, arrival),
    onRange: (arrival) => void arrival.socket.destroy(),
  });
  return {
    key: toHex(peerId),
    session,
    banned,
    connections,
    dial: (other: string, key: string) =>
      native.dial(session, manifest.contentId, [other], key, AbortSignal.timeout(10_000)),
    address: formatAddress(listener.address),
    close: async () => {
      await session.close();
      await connections.close();
      await listener.close();
      uploader.close();
    },
  };
}

test(
  `crossing dials end in the connection that the smaller id dialled, ${ROUNDS} times`,
  { timeout: 60_000 },
  async () => {
    const content = createContent(CHUNKS * 16 * KiB);
    let crossed = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const ids = [new Uint8Array(16).fill(1 + (round % 2)), new Uint8Array(16).fill(2 - (round % 2))] as const;
      const [a, b] = await Promise.all([openPeer(ids[0], content, 0), openPeer(ids[1], content, 1)]);
      try {
        // a dial that the other side was faster with may be refused: what counts is what is left
        const dials = await Promise.allSettled([a.dial(b.address, b.key), b.dial(a.address, a.key)]);
        const nodes = [a, b];
        await until(
          () => nodes.every(({ session }) => session.swarm.have.count === CHUNKS - 1),
          'both have what the other had',
        );
        await until(
          () => nodes.every(({ session, connections }) => session.linkCount === 1 && connections.size === 1),
          'one connection is left',
        );
        if (dials.every(({ status }) => status === 'fulfilled')) {
          crossed++;
          expect([...a.connections].map(({ outbound }) => outbound)).toEqual([a.key < b.key]);
          expect([...b.connections].map(({ outbound }) => outbound)).toEqual([b.key < a.key]);
        }
        expect(a.banned.concat(b.banned)).toEqual([]);
        expect([a.session.sources, b.session.sources].map((all) => all.map(({ chunks }) => chunks))).toEqual([
          [12],
          [12],
        ]);
      } finally {
        await Promise.all([a.close(), b.close()]);
      }
    }
    expect(crossed).toBeGreaterThan(0);
  },
);
