/**
 * Finds out who is at an address, for a tracker that is about to send others there: natively by a handshake about no content, in which
 * only the listener proves itself, and in the range dialect by the first bytes of a file. Joins nothing and keeps no connection.
 */
import { randomBytes } from 'node:crypto';
import { lookup } from 'node:dns/promises';
import { connect, isIP } from 'node:net';
import { toHex } from '../content/digest.ts';
import * as limits from '../limits.ts';
import type { Address } from './address.ts';
import { ConnectionSet } from './connection-set.ts';
import { dial } from './dial.ts';
import { createHello, NO_CONTENT, probeHandshake } from './handshake.ts';
import type { PeerTls } from './peer-tls.ts';
import type { SwarmKeys } from './swarm-key.ts';

export interface PeerProbeOptions {
  readonly swarmKeys: SwarmKeys;
  /** Of an encrypted swarm. */
  readonly tls?: PeerTls | undefined;
}

export type ExpectedPeer =
  /** 32 hex digits. */
  | { readonly kind: 'native'; readonly peerId: string }
  | { readonly kind: 'range'; readonly name: string; readonly byteCount: number };

/** Whether it answers there. `mayDial` judges each address that a name stands for. Never rejects; ends with the signal. */
export type PeerProbe = (
  address: Address,
  expected: ExpectedPeer,
  mayDial: (ip: string) => boolean,
  signal: AbortSignal,
) => Promise<boolean>;

export function createPeerProbe(options: PeerProbeOptions): PeerProbe {
  const connections = new ConnectionSet({ connectionsMax: limits.DIAL_BACKS_MAX });
  return async (address, expected, mayDial, signal) => {
    for (const host of await hostsOf(address.host, signal)) {
      if (signal.aborted) return false;
      if (!mayDial(host)) continue;
      const at = { host, port: address.port };
      const answers =
        expected.kind === 'native'
          ? await answersNatively(at, expected.peerId, { ...options, connections }, signal)
          : await answersRange(at, expected, options.tls, signal);
      if (answers) return true;
    }
    return false;
  };
}

/** Addresses of a name that are tried. */
const NAME_ADDRESSES_MAX = 4;

async function hostsOf(host: string, signal: AbortSignal): Promise<readonly string[]> {
  if (isIP(host) !== 0) return [host];
  const aborted = new Promise<never>((_, reject) =>
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true }),
  );
  try {
    const found = await Promise.race([lookup(host, { all: true }), aborted]);
    return found.slice(0, NAME_ADDRESSES_MAX).map(({ address }) => address);
  } catch {
    return []; // a name that means nothing leads to nobody
  }
}

async function answersNatively(
  at: Address,
  peerId: string,
  { connections, swarmKeys, tls }: PeerProbeOptions & { readonly connections: ConnectionSet },
  signal: AbortSignal,
): Promise<boolean> {
  try {
    const connection = await dial({ ...at, connections, tls, signal });
    const hello = createHello({
      contentId: NO_CONTENT,
      complete: false,
      uploadDisabled: true,
      listenPort: 0,
      features: 0,
      peerId: randomBytes(16),
      inFlightBytesMax: 0,
      grantsMax: 0,
    });
    const outcome = await probeHandshake(connection, { hello, swarmKey: swarmKeys(NO_CONTENT), signal });
    connection.destroy();
    return outcome.type === 'linked' && toHex(outcome.remote.peerId) === peerId;
  } catch {
    // whatever it was that answered, or did not, it was not that peer
    return false;
  }
}

/** Exactly the bytes that were asked for, and then the end. */
function answersRange(
  at: Address,
  { name, byteCount }: { readonly name: string; readonly byteCount: number },
  tls: PeerTls | undefined,
  signal: AbortSignal,
): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = tls === undefined ? connect(at) : tls.connect(at);
    const onAbort = (): void => void socket.destroy();
    let received = 0;
    signal.addEventListener('abort', onAbort, { once: true });
    socket.once(tls === undefined ? 'connect' : 'secureConnect', () => socket.write(`${name}:0:${byteCount}\n`));
    socket.on('data', (bytes: Uint8Array) => {
      received += bytes.length;
      if (received > byteCount) socket.destroy();
    });
    socket.on('error', () => socket.destroy());
    socket.once('close', (hadError) => {
      signal.removeEventListener('abort', onAbort);
      resolve(!hadError && !signal.aborted && received === byteCount && byteCount > 0);
    });
  });
}
