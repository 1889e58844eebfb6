/**
 * Who is here: peers with their leases, and those that have gone but are still listed. A lease that is not renewed runs out; that is
 * found when the next call comes or the tracker's sweep does, not by a timer for each peer. What a peer had goes with its lease,
 * through `onGone`.
 */
import { ShoalError } from '../errors.ts';
import * as limits from '../limits.ts';
import { DueQueue } from './due-queue.ts';
import type { Address, Dialect, PeerRecord } from './records.ts';
import type { StoreChange, StoredPeer } from './store/store.ts';

export type GoneReason = 'left' | 'lease-expired';

export interface PeerDescription {
  readonly key: string;
  readonly kind: 'native' | 'plain';
  readonly peerId: string;
  readonly addresses: readonly Address[];
  readonly dialects: readonly Dialect[];
  readonly agent: string;
}

export interface RosterOptions {
  readonly record: (change: StoreChange) => void;
  /** Called while the peer still has its holdings; the callee ends them. */
  readonly onGone: (peer: PeerRecord, reason: GoneReason, nowMs: number) => void;
  readonly leaseMs?: number | undefined;
  readonly peersMax?: number | undefined;
  readonly offlineKeptMax?: number | undefined;
}

export interface PeerPage {
  readonly peers: readonly PeerRecord[];
  /** Give this as `after` for the next page; '' on the last. */
  readonly nextAfter: string;
}

export class Roster {
  readonly leaseMs: number;
  readonly #options: RosterOptions;
  readonly #peersMax: number;
  readonly #offlineKeptMax: number;
  /** In the order of their sequence numbers. */
  readonly #peers = new Map<string, PeerRecord>();
  readonly #leases = new DueQueue<PeerRecord>();
  /** Longest gone first. */
  readonly #offline = new Set<PeerRecord>();
  #nextSequence = 1;

  constructor(options: RosterOptions) {
    this.#options = options;
    this.leaseMs = options.leaseMs ?? limits.LEASE_MS;
    this.#peersMax = options.peersMax ?? limits.TRACKER_PEERS_MAX;
    this.#offlineKeptMax = options.offlineKeptMax ?? limits.OFFLINE_PEERS_KEPT_MAX;
  }

  get onlineCount(): number {
    return this.#leases.size;
  }

  get offlineCount(): number {
    return this.#offline.size;
  }

  /** An online peer; undefined for one that is not known or whose lease has run out. */
  online(key: string): PeerRecord | undefined {
    const peer = this.#peers.get(key);
    return peer?.lease === undefined ? undefined : peer;
  }

  /** Makes a peer known, or renews what is known of it, and starts its lease. `joined`: it was not online before. */
  enter(description: PeerDescription, nowMs: number): { peer: PeerRecord; joined: boolean } {
    const known = this.#peers.get(description.key);
    if (known?.lease === undefined && this.onlineCount >= this.#peersMax)
      throw new ShoalError(
        'limit',
        `this tracker has ${this.onlineCount} peers, which is all it takes: try again later`,
      );
    const peer = known ?? this.#add(description, nowMs);
    peer.addresses = description.addresses;
    peer.dialects = description.dialects;
    peer.agent = description.agent;
    const joined = peer.lease === undefined;
    this.renew(peer, nowMs);
    this.#options.record({ type: 'put-peer', peer: storedPeer(peer) });
    return { peer, joined };
  }

  /** Starts the lease anew. */
  renew(peer: PeerRecord, nowMs: number): void {
    peer.lastSeenMs = nowMs;
    if (peer.lease !== undefined) this.#leases.renew(peer.lease, nowMs + this.leaseMs);
    else {
      peer.lease = this.#leases.push(peer, nowMs + this.leaseMs);
      this.#offline.delete(peer);
    }
  }

  leave(peer: PeerRecord, nowMs: number): void {
    if (peer.lease === undefined) return;
    peer.lastSeenMs = nowMs;
    this.#goOffline(peer, 'left', nowMs);
  }

  /** Ends the leases that have run out. */
  expire(nowMs: number): void {
    for (let peer = this.#leases.takeDue(nowMs); peer !== undefined; peer = this.#leases.takeDue(nowMs))
      this.#goOffline(peer, 'lease-expired', nowMs);
  }

  page(limit: number, after: string): PeerPage {
    const afterSequence = Number(after) || 0;
    const peers: PeerRecord[] = [];
    for (const peer of this.#peers.values()) {
      if (peer.sequence <= afterSequence) continue;
      if (peers.length >= limit) return { peers, nextAfter: String(peers.at(-1)?.sequence ?? '') };
      peers.push(peer);
    }
    return { peers, nextAfter: '' };
  }

  /** A peer the store remembers; offline until it comes again. Call for the longest gone first. */
  restore(stored: StoredPeer): void {
    const peer = this.#add(stored, stored.lastSeenMs);
    this.#offline.add(peer);
  }

  /** Notes for the store when each online peer was seen last; for an orderly end. */
  recordLastSeen(): void {
    for (const peer of this.#peers.values())
      if (peer.lease !== undefined) this.#options.record({ type: 'put-peer', peer: storedPeer(peer) });
  }

  #add(description: PeerDescription, lastSeenMs: number): PeerRecord {
    const peer: PeerRecord = {
      key: description.key,
      kind: description.kind,
      peerId: description.peerId,
      sequence: this.#nextSequence++,
      addresses: description.addresses,
      dialects: description.dialects,
      agent: description.agent,
      lastSeenMs,
      lease: undefined,
      holdings: new Map(),
      newsRound: undefined,
    };
    this.#peers.set(peer.key, peer);
    return peer;
  }

  #goOffline(peer: PeerRecord, reason: GoneReason, nowMs: number): void {
    if (peer.lease !== undefined) this.#leases.remove(peer.lease);
    peer.lease = undefined;
    this.#options.onGone(peer, reason, nowMs);
    this.#offline.add(peer);
    this.#options.record({ type: 'put-peer', peer: storedPeer(peer) });
    for (const oldest of this.#offline) {
      if (this.#offline.size <= this.#offlineKeptMax) break;
      this.#offline.delete(oldest);
      this.#peers.delete(oldest.key);
      this.#options.record({ type: 'remove-peer', key: oldest.key });
    }
  }
}

function storedPeer(peer: PeerRecord): StoredPeer {
  const { key, kind, peerId, addresses, dialects, agent, lastSeenMs } = peer;
  return { key, kind, peerId, addresses, dialects, agent, lastSeenMs };
}
