/**
 * Who is here: peers with their leases, and those that have gone but are still listed. A lease that is not renewed runs out; that is
 * found when the next call comes or the tracker's sweep does, not by a timer for each peer. What a peer had goes with its lease,
 * through `onGone`.
 *
 * When very many leases run out at once they are ended in parts. Until its turn comes such a peer is *overdue*: it still has its place
 * and its holdings, but is not online any more, so nobody may be sent to it.
 */
import { ShoalError } from '../errors.ts';
import * as limits from '../limits.ts';
import { formatAddress } from './addresses.ts';
import { DueQueue } from './due-queue.ts';
import type { Address, Dialect, PeerRecord } from './records.ts';
import type { StoreChange, StoredPeer } from './store/store.ts';

export type GoneReason = 'left' | 'lease-expired';

export interface PeerDescription {
  readonly key: string;
  readonly kind: 'native' | 'plain';
  readonly peerId: string;
  readonly addresses: readonly Address[];
  /** Of a peer that is elsewhere: where others may be sent. */
  readonly reachable?: readonly Address[] | undefined;
  readonly dialects: readonly Dialect[];
  readonly agent: string;
  readonly elsewhere?: boolean;
}

export interface RosterOptions {
  readonly record: (change: StoreChange) => void;
  /** It is new here, or something that it says of itself is. */
  readonly onEnter?: ((peer: PeerRecord) => void) | undefined;
  readonly onRenew?: ((peer: PeerRecord) => void) | undefined;
  /** Called while the peer still has its holdings; the callee ends them. */
  readonly onGone: (peer: PeerRecord, reason: GoneReason, nowMs: number) => void;
  readonly leaseMs?: number | undefined;
  readonly plainLeaseMs?: number | undefined;
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
  readonly #plainLeaseMs: number;
  readonly #options: RosterOptions;
  readonly #peersMax: number;
  readonly #offlineKeptMax: number;
  /** In the order of their sequence numbers. */
  readonly #peers = new Map<string, PeerRecord>();
  /** One queue for each span, as a queue of its kind needs. */
  readonly #leases = { native: new DueQueue<PeerRecord>(), plain: new DueQueue<PeerRecord>() } as const;
  /** Addresses of native peers that are here, each with how many of them claim it. */
  readonly #nativeAddresses = new Map<string, number>();
  /** Longest gone first. */
  readonly #offline = new Set<PeerRecord>();
  #nextSequence = 1;
  #nowMs = 0;

  constructor(options: RosterOptions) {
    this.#options = options;
    this.leaseMs = options.leaseMs ?? limits.LEASE_MS;
    this.#plainLeaseMs = options.plainLeaseMs ?? limits.PLAIN_LEASE_MS;
    this.#peersMax = options.peersMax ?? limits.TRACKER_PEERS_MAX;
    this.#offlineKeptMax = options.offlineKeptMax ?? limits.OFFLINE_PEERS_KEPT_MAX;
  }

  /** Overdue peers count until their turn comes. */
  get onlineCount(): number {
    return this.#leases.native.size + this.#leases.plain.size;
  }

  get offlineCount(): number {
    return this.#offline.size;
  }

  /** Whether some leases have run out that `expire` has not ended yet. */
  get hasOverdue(): boolean {
    const { native, plain } = this.#leases;
    return native.isDue(this.#nowMs) || plain.isDue(this.#nowMs);
  }

  isOnline(peer: PeerRecord): boolean {
    return peer.lease !== undefined && peer.lease.dueMs > this.#nowMs;
  }

  /** An online peer; undefined for one that is not known. A lease that has run out is ended first, so that the peer may come anew. */
  online(key: string): PeerRecord | undefined {
    const peer = this.#peers.get(key);
    if (peer === undefined || this.isOnline(peer)) return peer;
    if (peer.lease !== undefined) this.#goOffline(peer, 'lease-expired', this.#nowMs);
    return undefined;
  }

  /** Whether a native peer that is here has registered this address, as `formatAddress` writes it. */
  hasNativeAt(address: string): boolean {
    return this.#nativeAddresses.has(address);
  }

  /** Makes a peer known, or renews what is known of it, and starts its lease. `joined`: it was not online before. */
  enter(description: PeerDescription, nowMs: number): { peer: PeerRecord; joined: boolean } {
    const joined = this.online(description.key) === undefined;
    if (joined && this.onlineCount >= this.#peersMax)
      throw new ShoalError(
        'limit',
        `this tracker has ${this.onlineCount} peers, which is all it takes: try again later`,
      );
    const peer = this.#peers.get(description.key) ?? this.#add(description, nowMs);
    const { elsewhere = false } = description;
    if (elsewhere) peer.reachable = description.reachable;
    else if (peer.elsewhere) peer.reachable = undefined;
    if (!joined && peer.elsewhere === elsewhere && saysTheSame(peer, description)) {
      this.renew(peer, nowMs);
      return { peer, joined };
    }
    if (!joined) this.#countAddresses(peer, -1);
    peer.addresses = description.addresses;
    peer.dialects = description.dialects;
    peer.agent = description.agent;
    peer.elsewhere = elsewhere;
    this.#countAddresses(peer, 1);
    this.#options.onEnter?.(peer);
    this.renew(peer, nowMs);
    this.#options.record({ type: 'put-peer', peer: storedPeer(peer) });
    return { peer, joined };
  }

  /** Starts the lease anew. */
  renew(peer: PeerRecord, nowMs: number): void {
    const leases = this.#leases[peer.kind];
    const dueMs = nowMs + (peer.kind === 'plain' ? this.#plainLeaseMs : this.leaseMs);
    peer.lastSeenMs = nowMs;
    this.#options.onRenew?.(peer);
    if (peer.lease !== undefined) leases.renew(peer.lease, dueMs);
    else {
      peer.lease = leases.push(peer, dueMs);
      this.#offline.delete(peer);
    }
  }

  /** A peer that was known from another tracker goes on with this one. */
  claim(peer: PeerRecord): void {
    if (!peer.elsewhere) return;
    peer.elsewhere = false;
    this.#options.onEnter?.(peer);
  }

  all(): IterableIterator<PeerRecord> {
    return this.#peers.values();
  }

  leave(peer: PeerRecord, nowMs: number): void {
    if (peer.lease === undefined) return;
    peer.lastSeenMs = nowMs;
    this.#goOffline(peer, 'left', nowMs);
  }

  /** Says what time it is and ends leases that have run out, up to `countMax`; `hasOverdue` tells whether that was all. */
  expire(nowMs: number, countMax: number): void {
    this.#nowMs = nowMs;
    const { native, plain } = this.#leases;
    for (let count = 0; count < countMax; count++) {
      const peer = native.takeDue(nowMs) ?? plain.takeDue(nowMs);
      if (peer === undefined) return;
      this.#goOffline(peer, 'lease-expired', nowMs);
    }
  }

  /** Those that are wanted. A page that has looked at very many ends early, and says where to go on. */
  page(limit: number, after: string, isWanted: (peer: PeerRecord) => boolean): PeerPage {
    const afterSequence = Number(after) || 0;
    const peers: PeerRecord[] = [];
    let looked = 0;
    let last = 0;
    for (const peer of this.#peers.values()) {
      if (peer.sequence <= afterSequence) continue;
      if (peers.length >= limit || looked >= limits.LIST_SCAN_NAMES_MAX) return { peers, nextAfter: String(last) };
      looked++;
      last = peer.sequence;
      if (isWanted(peer)) peers.push(peer);
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
      reachable: undefined,
      proofs: new Map(),
      dialBackDueMs: Number.POSITIVE_INFINITY,
      observedHost: '',
      dialects: description.dialects,
      agent: description.agent,
      lastSeenMs,
      elsewhere: description.elsewhere ?? false,
      offer: undefined,
      lease: undefined,
      holdings: new Map(),
      newsRound: undefined,
    };
    this.#peers.set(peer.key, peer);
    return peer;
  }

  #countAddresses(peer: PeerRecord, by: 1 | -1): void {
    if (peer.kind !== 'native') return;
    for (const address of peer.addresses.map(formatAddress)) {
      const count = (this.#nativeAddresses.get(address) ?? 0) + by;
      if (count > 0) this.#nativeAddresses.set(address, count);
      else this.#nativeAddresses.delete(address);
    }
  }

  #goOffline(peer: PeerRecord, reason: GoneReason, nowMs: number): void {
    if (peer.lease !== undefined) this.#leases[peer.kind].remove(peer.lease);
    peer.lease = undefined;
    this.#countAddresses(peer, -1);
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

function saysTheSame(peer: PeerRecord, { addresses, dialects, agent }: PeerDescription): boolean {
  return (
    agent === peer.agent &&
    dialects.length === peer.dialects.length &&
    dialects.every((dialect, index) => dialect === peer.dialects[index]) &&
    addresses.length === peer.addresses.length &&
    addresses.every(
      ({ host, port }, index) => host === peer.addresses[index]?.host && port === peer.addresses[index].port,
    )
  );
}

export function storedPeer(peer: PeerRecord): StoredPeer {
  const { key, kind, peerId, addresses, reachable, dialects, agent, lastSeenMs, offer } = peer;
  const known = { key, kind, peerId, addresses, dialects, agent, lastSeenMs };
  return {
    ...known,
    ...(reachable === undefined ? {} : { reachable }),
    ...(offer === undefined ? {} : { offer }),
  };
}
