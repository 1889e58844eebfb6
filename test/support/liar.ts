/**
 * A peer of the native protocol that lies: it proves the handshake, says it has everything, grants generously, and does not keep what it
 * promises. Built from the rooms that real peers use, so that only what it is meant to lie about is a lie.
 */
import { randomBytes } from 'node:crypto';
import { chunkBytes, type ChunkLayout } from '../../src/content/chunk-layout.ts';
import { contentIdFromBytes, toHex, type ContentId } from '../../src/content/digest.ts';
import {
  FRAGMENT_BYTES_MAX,
  GRANTS_PER_LINK_MAX,
  IN_FLIGHT_BYTES_MAX,
  MANIFEST_PART_BYTES_MAX,
} from '../../src/limits.ts';
import { formatAddress } from '../../src/net/address.ts';
import { ConnectionSet } from '../../src/net/connection-set.ts';
import type { FramedConnection } from '../../src/net/framed-connection.ts';
import { acceptHandshake, createHello, NO_CONTENT } from '../../src/net/handshake.ts';
import { openSwarmKey } from '../../src/net/swarm-key.ts';
import { listen, type Arrival } from '../../src/net/listener.ts';
import type { HelloMessage } from '../../src/wire/messages.ts';

export interface Liar {
  readonly host: string;
  readonly port: number;
  readonly address: string;
  readonly peerId: string;
  /** Chunks it was asked for and lied about. */
  readonly liesTold: number;
  close(): Promise<void>;
}

/** Wrong bytes; a map of chunks of another length; requests refused one after another. */
export type Lie = 'wrong-bytes' | 'wrong-map' | 'refuses';

export interface LiarOptions {
  readonly lie?: Lie;
  /** The bytes it gives for the manifest. */
  readonly manifestBytes?: Uint8Array<ArrayBuffer>;
}

export async function startLiar(
  contentId: ContentId,
  layout: ChunkLayout,
  { lie = 'wrong-bytes', manifestBytes }: LiarOptions = {},
): Promise<Liar> {
  const connections = new ConnectionSet();
  const peerId = randomBytes(16);
  const swarmKey = openSwarmKey(contentId);
  const garbage = randomBytes(FRAGMENT_BYTES_MAX);
  let liesTold = 0;

  const accept = async (connection: FramedConnection, arrival: Arrival): Promise<void> => {
    const helloOf = (about: ContentId): HelloMessage =>
      createHello({
        contentId: about,
        complete: true,
        uploadDisabled: false,
        listenPort: listener.address.port,
        features: 0,
        peerId,
        inFlightBytesMax: IN_FLIGHT_BYTES_MAX,
        grantsMax: GRANTS_PER_LINK_MAX,
      });
    // the tracker asks who is here: about that it tells the truth
    const outcome = await acceptHandshake(connection, {
      accept: (hello) =>
        contentIdFromBytes(hello.contentId) === NO_CONTENT
          ? { hello: helloOf(NO_CONTENT), swarmKey: openSwarmKey(NO_CONTENT) }
          : { hello: helloOf(contentId), swarmKey },
    });
    if (outcome.type !== 'linked') return;
    arrival.proven();
    let nextGrantId = 0;
    const grant = (): void => {
      connection.send({ type: 'grant', grantId: nextGrantId++ % 0x10000, etaMs: 0, suggestions: [] });
    };
    connection.start({
      message: (message) => {
        if (message.type === 'interest' && message.interested) grant();
        if (message.type === 'manifest-request' && manifestBytes !== undefined) {
          liesTold++;
          const bytes = manifestBytes.subarray(message.offset, message.offset + MANIFEST_PART_BYTES_MAX);
          connection.send({ type: 'manifest-part', offset: message.offset, totalBytes: manifestBytes.length, bytes });
        }
        if (message.type !== 'request') return;
        liesTold++;
        if (lie === 'refuses') {
          connection.send({ type: 'reject', requestId: message.requestId, reason: 'no-chunk', retryMs: 0 });
          grant();
          return;
        }
        const total = chunkBytes(layout, message.chunkIndex);
        for (let offset = 0; offset < total; offset += FRAGMENT_BYTES_MAX) {
          const byteCount = Math.min(FRAGMENT_BYTES_MAX, total - offset);
          const { requestId, chunkIndex } = message;
          const header = { requestId, chunkIndex, offset, byteCount };
          connection.sendFragment(header, garbage.subarray(0, byteCount), () => undefined);
        }
        grant();
      },
      fragment: () => undefined,
      fragmentEnd: () => undefined,
      closed: () => undefined,
    });
    if (lie === 'wrong-map') {
      liesTold++;
      const bytes = new Uint8Array(Math.ceil(layout.chunkCount / 8) + 1);
      connection.send({ type: 'bitfield', chunkCount: layout.chunkCount + 8, bytes });
      return;
    }
    connection.send({ type: 'have-all' });
    grant();
  };
  const listener = await listen({
    host: '127.0.0.1',
    port: 0,
    connections,
    // whoever hangs up on a liar is right
    onNative: (connection, arrival) => void accept(connection, arrival).catch(() => undefined),
    onRange: ({ socket }) => void socket.destroy(),
  });
  return {
    ...listener.address,
    address: formatAddress(listener.address),
    peerId: toHex(peerId),
    get liesTold() {
      return liesTold;
    },
    async close() {
      await Promise.all([connections.close(), listener.close()]);
    },
  };
}
