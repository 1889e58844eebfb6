/** Rules for native peers: who is here and which chunks they have. Renew is the hot path: it costs what has changed. */
import { Bitfield } from '../content/bitfield.ts';
import type { ContentId } from '../content/digest.ts';
import type { Reachability } from '../contract/reachability.ts';
import { ShoalError } from '../errors.ts';
import * as limits from '../limits.ts';
import { formatAddress, parseAddress } from './addresses.ts';
import type { Address, ContentRecord, Dialect, Holding, PeerRecord } from './records.ts';
import type { VolunteerOffer } from './copy-state.ts';
import type { ReplicaOrder } from './replicas.ts';
import type { Caller, TrackerState } from './state.ts';

/** What a peer says it has: all chunks, or those of a bitfield as on the wire (empty: none). */
export interface HoldingClaim {
  readonly contentId: ContentId;
  readonly complete: boolean;
  readonly chunks: Uint8Array;
  /** It has them because it was ordered to, as a volunteer. */
  readonly isReplica?: boolean;
}

export interface HoldingChange {
  readonly contentId: ContentId;
  readonly complete: boolean;
  readonly gained: readonly number[];
  readonly lost: readonly number[];
  /** The peer no longer takes part; all else is ignored. */
  readonly dropped: boolean;
  readonly links: number;
}

export interface Registration {
  /** 32 hex digits. */
  readonly peerId: string;
  readonly addresses: readonly Address[];
  readonly dialects: readonly Dialect[];
  readonly agent: string;
  readonly holdings: readonly HoldingClaim[];
  /** Undefined: it is no volunteer. */
  readonly offer?: Offer | undefined;
}

/** What a volunteer says that it offers. */
export type Offer = Pick<VolunteerOffer, 'offeredBytes' | 'usedBytes'>;

export interface SwarmNews {
  readonly contentId: ContentId;
  /** From 0; both 0 while the peer is not complete itself. */
  readonly seederRank: number;
  readonly seederCount: number;
  /** Everybody in the swarm, this peer included. */
  readonly peerCount: number;
}

export interface RenewOutcome {
  /** False: register again. */
  readonly known: boolean;
  readonly news: readonly SwarmNews[];
  readonly unknownContentIds: readonly ContentId[];
  /** Whether others can reach the peer, as far as that is known. */
  readonly reachability: Reachability;
  /** For a volunteer. */
  readonly replicas: readonly ReplicaOrder[];
}

/** Registers a peer and all it has, in place of what was known of it. Gives back the contents that need publishing. */
export function register(state: TrackerState, call: Registration, caller: Caller, nowMs: number): readonly ContentId[] {
  const addresses = parseAddresses(call.addresses, caller);
  const { claims, unknown } = judgeClaims(state, call.holdings);
  state.holdings.checkRoom(state.roster.online(call.peerId), claims.keys());
  const { peer, joined } = state.roster.enter(
    {
      key: call.peerId,
      kind: 'native',
      peerId: call.peerId,
      addresses,
      dialects: call.dialects,
      agent: cleanAgent(call.agent),
    },
    nowMs,
  );
  state.replicas.offered(peer, call.offer && { ...call.offer, isPaused: false });
  for (const holding of peer.holdings.values()) if (!claims.has(holding.content)) state.holdings.end(holding, nowMs);
  for (const [content, { chunks, isReplica }] of claims) state.holdings.put(peer, content, chunks, { isReplica });
  state.dialBack?.announced(peer, caller.observedHost, nowMs);
  if (joined) state.events.append('peer-joined', describePeer(peer));
  return unknown;
}

/** Adds or changes what a registered peer has. undefined: the peer is not known. */
export function registerChunks(
  state: TrackerState,
  peerId: string,
  holdings: readonly HoldingClaim[],
): readonly ContentId[] | undefined {
  const peer = state.roster.online(peerId);
  if (peer === undefined || peer.elsewhere) return undefined;
  const { claims, unknown } = judgeClaims(state, holdings);
  state.holdings.checkRoom(peer, claims.keys());
  for (const [content, { chunks, isReplica }] of claims) state.holdings.put(peer, content, chunks, { isReplica });
  return unknown;
}

/** Renews a lease and applies what has changed. Nothing is applied when any change is not valid. */
export function renew(
  state: TrackerState,
  peerId: string,
  changes: readonly HoldingChange[],
  nowMs: number,
  offer?: Offer,
): RenewOutcome {
  const peer = state.roster.online(peerId);
  // a peer that comes over from another tracker registers: what was told of it here may lag behind what it said there
  if (peer === undefined || peer.elsewhere)
    return { known: false, news: [], unknownContentIds: [], reachability: 'unknown', replicas: [] };
  const unknownContentIds: ContentId[] = [];
  const judged: ContentRecord[] = [];
  const applied: HoldingChange[] = [];
  for (const change of changes) {
    const content = state.catalogue.content(change.contentId);
    if (content !== undefined) {
      checkIndexes(content, change.gained);
      checkIndexes(content, change.lost);
      judged.push(content);
      applied.push(change);
    } else if (!change.dropped) unknownContentIds.push(change.contentId);
  }
  state.roster.renew(peer, nowMs);
  state.dialBack?.renewed(peer, nowMs);
  state.holdings.checkRoom(peer, judged);
  if (offer !== undefined) state.replicas.offered(peer, { ...offer, isPaused: false });
  for (const [index, content] of judged.entries())
    applyChange(state, peer, content, applied[index] as HoldingChange, nowMs);
  const news: SwarmNews[] = [];
  for (const content of judged) {
    const holding = peer.holdings.get(content);
    if (holding !== undefined) tell(holding, news);
  }
  tellRound(peer, news);
  const reachability = state.dialBack?.verdict(peer) ?? 'unknown';
  return { known: true, news, unknownContentIds, reachability, replicas: state.replicas.ordersFor(peer) };
}

export function newsOf(holding: Holding): SwarmNews {
  const { content, chunks, position } = holding;
  const complete = content.swarm?.complete.length ?? 0;
  return {
    contentId: content.contentId as ContentId,
    seederRank: chunks === null ? position : 0,
    seederCount: chunks === null ? complete : 0,
    peerCount: content.swarm?.memberCount ?? 0,
  };
}

export function describePeer(peer: PeerRecord): Record<string, unknown> {
  return {
    peer: peer.peerId,
    addresses: peer.addresses.map(formatAddress),
    dialects: peer.dialects,
    agent: peer.agent,
  };
}

/** Adds what the peer has not been told of this swarm. */
function tell(holding: Holding, news: SwarmNews[]): void {
  const version = holding.content.swarm?.version ?? 0;
  if (holding.toldVersion === version) return;
  holding.toldVersion = version;
  news.push(newsOf(holding));
}

/** A peer that shares very much hears of its swarms in turns, so that a renewal's cost stays bounded. */
function tellRound(peer: PeerRecord, news: SwarmNews[]): void {
  const round = (peer.newsRound ??= peer.holdings.values());
  for (let count = 0; count < limits.RENEW_NEWS_MAX; count++) {
    const next = round.next();
    if (next.done === true) {
      peer.newsRound = undefined;
      return;
    }
    tell(next.value, news);
  }
}

function applyChange(
  state: TrackerState,
  peer: PeerRecord,
  content: ContentRecord,
  change: HoldingChange,
  nowMs: number,
): void {
  const known = peer.holdings.get(content);
  if (change.dropped) {
    if (known !== undefined) state.holdings.end(known, nowMs);
    return;
  }
  const chunks = change.complete ? null : (known?.chunks ?? new Bitfield(content.chunkCount));
  const isReplica = known?.isReplica ?? false;
  const holding =
    known !== undefined && !change.complete ? known : state.holdings.put(peer, content, chunks, { isReplica });
  holding.links = change.links;
  if (!change.complete) state.holdings.change(holding, change.gained, change.lost);
}

function checkIndexes(content: ContentRecord, indexes: readonly number[]): void {
  const outside = indexes.find((index) => index >= content.chunkCount);
  if (outside !== undefined)
    throw new ShoalError(
      'usage',
      `chunk ${outside} is outside content ${content.contentId}, which has ${content.chunkCount} chunks`,
    );
}

function judgeClaims(
  state: TrackerState,
  holdings: readonly HoldingClaim[],
): { readonly claims: ReadonlyMap<ContentRecord, JudgedClaim>; readonly unknown: readonly ContentId[] } {
  const claims = new Map<ContentRecord, JudgedClaim>();
  const unknown: ContentId[] = [];
  for (const { contentId, complete, chunks, isReplica = false } of holdings) {
    const content = state.catalogue.content(contentId);
    if (content === undefined) unknown.push(contentId);
    else if (complete) claims.set(content, { chunks: null, isReplica });
    else if (chunks.length === 0) claims.set(content, { chunks: new Bitfield(content.chunkCount), isReplica });
    else claims.set(content, { chunks: readChunks(chunks, content), isReplica });
  }
  return { claims, unknown };
}

interface JudgedClaim {
  readonly chunks: Bitfield | null;
  readonly isReplica: boolean;
}

function readChunks(bytes: Uint8Array, content: ContentRecord): Bitfield {
  try {
    return Bitfield.fromBytes(bytes, content.chunkCount);
  } catch (error) {
    throw new ShoalError(
      'usage',
      `the chunk map of content ${content.contentId} is refused: ${ShoalError.from(error).message}`,
    );
  }
}

function parseAddresses(addresses: readonly Address[], caller: Caller): readonly Address[] {
  if (addresses.length === 0) throw new ShoalError('usage', 'a peer registers at least one address');
  if (addresses.length > limits.ADDRESSES_PER_PEER_MAX)
    throw new ShoalError(
      'usage',
      `${addresses.length} addresses are more than the ${limits.ADDRESSES_PER_PEER_MAX} a peer may register`,
    );
  const seen = new Map<string, Address>();
  for (const address of addresses) {
    const parsed = parseAddress(address, caller.observedHost);
    seen.set(formatAddress(parsed), parsed);
  }
  return [...seen.values()];
}

function cleanAgent(agent: string): string {
  return agent.replace(/[\p{C}]/gu, '').slice(0, limits.AGENT_CHARS_MAX);
}
