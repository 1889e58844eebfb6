/**
 * What a session needs of a connection to another peer, whatever speaks on it: the framed protocol, or the range dialect behind an
 * adapter. The owner of the connection reports what happens on it through `LinkEvents`.
 */
import type { CloseReason, SwarmMessage } from '../swarm/facts.ts';
import type { IncomingFragment } from '../swarm/requests.ts';

export interface PeerLink {
  /** Peer id in hex; for a range source its address. */
  readonly key: string;
  /** `host:port` for people: where the other side listens, if that is known. */
  readonly address: string;
  /** `host:port` where the other side says that it accepts connections, with an IP address; undefined: others could not dial it. */
  readonly listensAt?: string | undefined;
  /** The other side keeps to a pace that it is asked for. Default false. */
  readonly paces?: boolean;
  /** Most bytes of the next fragment. Default FRAGMENT_BYTES_MAX. */
  readonly fragmentBytesMax?: number;
  /** Bytes handed over and not yet taken by the kernel. */
  readonly unsentBytes: number;
  send(message: SwarmMessage): void;
  /** Sends one fragment; `flushed` when its bytes may be reused, also when the connection has ended. */
  sendFragment(fragment: IncomingFragment, bytes: Uint8Array, flushed: () => void): void;
  /** Says goodbye and closes; `closed` is not reported for it. */
  close(reason: CloseReason, text: string): void;
}

export interface LinkEvents {
  message(message: SwarmMessage): void;
  /** Where to put a fragment's bytes (exactly `byteCount` long), or undefined to throw them away. Throws `protocol`. */
  fragment(fragment: IncomingFragment): Uint8Array | undefined;
  /** All bytes of the fragment have been put there. */
  fragmentEnd(fragment: IncomingFragment): void;
  /** The link has room again. */
  writable(): void;
  rtt(rttMs: number): void;
  /** The connection has ended without `close`. `misbehaved`: the other side broke the protocol; `reason`: what it gave as one. */
  closed(misbehaved: boolean, reason?: CloseReason): void;
}
