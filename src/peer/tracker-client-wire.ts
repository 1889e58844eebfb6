/** The tracker's messages as domain values, and back. What a tracker sends is checked here: it is input from outside as any other. */
import { Bitfield } from '../content/bitfield.ts';
import { decodeRuns } from '../content/chunk-runs.ts';
import { contentIdFromBytes, digestBytes, fromHex, toHex, type ContentId } from '../content/digest.ts';
import { dialectsFromWire, type Dialect } from '../contract/dialects.ts';
import type {
  AddressMessage,
  EntryMessage,
  PeerInfoMessage,
  ReplicaOrderMessage,
  SourceMessage,
  SwarmNewsMessage,
  WatchMessage,
} from '../contract/messages.ts';
import { reachabilityFromWire, type Reachability } from '../contract/reachability.ts';
import { ShoalError } from '../errors.ts';
import * as limits from '../limits.ts';

export interface TrackerAddress {
  /** '' in a registration: the host the tracker sees. */
  readonly host: string;
  readonly port: number;
}

/** What a peer has of a content; `chunks` undefined: all of it. */
export interface HoldingReport {
  readonly contentId: ContentId;
  readonly chunks?: Bitfield | undefined;
  /** It has them because the tracker ordered it, as a volunteer. */
  readonly isReplica?: boolean | undefined;
}

/** Space for replicas, in bytes. */
export interface VolunteerOffer {
  readonly offeredBytes: number;
  readonly usedBytes: number;
}

/** What a volunteer is to fetch and keep of a content, and what it need not keep any longer. */
export interface ReplicaOrder {
  readonly contentId: ContentId;
  readonly hold: readonly number[];
  readonly drop: readonly number[];
}

export interface HoldingChangeReport {
  readonly contentId: ContentId;
  readonly complete?: boolean;
  /** Chunks gained and lost since the last renewal. */
  readonly gained?: readonly number[];
  readonly lost?: readonly number[];
  /** True: this peer no longer takes part in the content. */
  readonly dropped?: boolean;
  /** Connections in this content's swarm. */
  readonly links?: number;
  readonly bytesUp?: number;
  readonly bytesDown?: number;
}

export interface TrackerEntry {
  readonly name: string;
  readonly size: number;
  readonly sha256: string;
  /** '' for an entry without a manifest. */
  readonly contentId: ContentId | '';
  readonly chunkSize: number;
  readonly chunkCount: number;
  readonly publishedAtMs: number;
  readonly seeders: number;
  readonly leechers: number;
  /** Copies of every chunk that volunteers are to keep, those they keep of the rarest, and chunks with fewer than asked for. */
  readonly replicas: number;
  readonly replicasReached: number;
  readonly replicaChunksMissing: number;
  /** Online peers that keep some chunks as replicas; they are not among the leechers. */
  readonly volunteers: number;
}

export interface TrackerSource {
  /** 32 hex digits; '' for a peer that speaks only the range dialect. */
  readonly peerId: string;
  /** In the order in which to try them. */
  readonly addresses: readonly TrackerAddress[];
  readonly dialects: readonly Dialect[];
  /** undefined: all chunks. */
  readonly chunks: Bitfield | undefined;
  /** The name under which a range-only peer serves the content; '' for others. */
  readonly rangeName: string;
  /** It only keeps these chunks as replicas. */
  readonly isReplica: boolean;
}

export interface SwarmNews {
  readonly contentId: ContentId;
  /** From 0 among `seederCount` complete peers; both 0 while this peer is not complete. */
  readonly seederRank: number;
  readonly seederCount: number;
  readonly peerCount: number;
}

export interface TrackerPeer {
  readonly peerId: string;
  readonly addresses: readonly TrackerAddress[];
  readonly dialects: readonly Dialect[];
  readonly agent: string;
  readonly online: boolean;
  /** Several peers have reported it: the tracker names it to nobody for a while. */
  readonly banned: boolean;
  readonly lastSeenMs: number;
  readonly completeContents: number;
  readonly partialContents: number;
  /** Of which it keeps some chunks as replicas; they are not among the partial ones. */
  readonly replicaContents: number;
  readonly reachability: Reachability;
  /** As a volunteer; undefined: it is none. */
  readonly volunteer?: VolunteerOffer | undefined;
}

export interface TrackerNews {
  readonly id: number;
  readonly atMs: number;
  readonly type: string;
  /** The JSON of GET /events. */
  readonly data: unknown;
}

const PEER_ID_HEX = /^[0-9a-f]{32}$/u;

export function peerIdBytes(peerId: string): Uint8Array<ArrayBuffer> {
  if (PEER_ID_HEX.test(peerId)) return fromHex(peerId);
  throw new ShoalError('bug', 'a peer id is written with 32 hex digits');
}

export function entryFromWire(entry: EntryMessage | undefined): TrackerEntry {
  if (entry === undefined) throw broken('an answer without the entry');
  const { name, sha256, chunkSize, chunkCount, seeders, leechers } = entry;
  const { replicas, replicasReached, replicaChunksMissing, volunteers } = entry;
  if (chunkCount > limits.CHUNK_COUNT_MAX) throw broken(`an entry of ${chunkCount} chunks`);
  return {
    name,
    size: entry.size,
    sha256,
    contentId: entry.contentId.length === 0 ? '' : idFromWire(entry.contentId),
    chunkSize,
    chunkCount,
    publishedAtMs: entry.publishedAtMs,
    seeders,
    leechers,
    replicas,
    replicasReached,
    replicaChunksMissing,
    volunteers,
  };
}

export function sourceFromWire(source: SourceMessage, chunkCount: number): TrackerSource {
  const { holding, rangeName } = source;
  if (holding === undefined) throw broken('a source that does not say what it has');
  return {
    peerId: toHex(source.peerId),
    addresses: addressesFromWire(source.addresses),
    dialects: dialectsFromWire(source.dialects),
    chunks: chunksFromWire(holding, chunkCount),
    rangeName,
    isReplica: holding.replica,
  };
}

function chunksFromWire(
  { complete, chunks, runs }: NonNullable<SourceMessage['holding']>,
  chunkCount: number,
): Bitfield | undefined {
  if (complete) return undefined;
  if (chunks.length > 0) return Bitfield.fromBytes(chunks, chunkCount);
  return decodeRuns(runs, chunkCount);
}

export function newsFromWire(news: SwarmNewsMessage): SwarmNews {
  const { seederRank, seederCount, peerCount } = news;
  return { contentId: idFromWire(news.contentId), seederRank, seederCount, peerCount };
}

export function peerFromWire(peer: PeerInfoMessage): TrackerPeer {
  const { agent, online, banned, completeContents, partialContents, replicaContents } = peer;
  return {
    peerId: toHex(peer.peerId),
    addresses: addressesFromWire(peer.addresses),
    dialects: dialectsFromWire(peer.dialects),
    agent,
    online,
    banned,
    lastSeenMs: peer.lastSeenMs,
    completeContents,
    partialContents,
    replicaContents,
    reachability: reachabilityFromWire(peer.reachability),
    volunteer: peer.volunteer,
  };
}

export function eventFromWire({ id, atMs, type, data }: WatchMessage): TrackerNews {
  let parsed: unknown;
  try {
    parsed = JSON.parse(data);
  } catch (error) {
    throw broken('an event that is not JSON', error);
  }
  return { id, atMs, type, data: parsed };
}

export function idFromWire(bytes: Uint8Array): ContentId {
  try {
    return contentIdFromBytes(bytes);
  } catch (error) {
    throw broken('a content id that is none', error);
  }
}

export function orderFromWire({ contentId, hold, drop }: ReplicaOrderMessage): ReplicaOrder {
  const max = limits.REPLICA_ORDER_CHUNKS_MAX;
  return { contentId: idFromWire(contentId), hold: hold.slice(0, max), drop: drop.slice(0, max) };
}

export function holdingToWire({ contentId, chunks, isReplica = false }: HoldingReport) {
  const complete = chunks === undefined || chunks.isFull;
  const bytes = complete || chunks.count === 0 ? new Uint8Array(0) : chunks.toBytes();
  return { contentId: digestBytes(contentId), complete, chunks: bytes, replica: isReplica };
}

export function changeToWire(change: HoldingChangeReport) {
  return {
    contentId: digestBytes(change.contentId),
    complete: change.complete ?? false,
    gained: [...(change.gained ?? [])],
    lost: [...(change.lost ?? [])],
    dropped: change.dropped ?? false,
    links: change.links ?? 0,
    bytesUp: change.bytesUp ?? 0,
    bytesDown: change.bytesDown ?? 0,
  };
}

export function broken(what: string, cause?: unknown): ShoalError {
  return new ShoalError('protocol', `the tracker sent ${what}`, { cause });
}

function addressesFromWire(addresses: readonly AddressMessage[]): readonly TrackerAddress[] {
  return addresses
    .slice(0, limits.ADDRESSES_PER_PEER_MAX)
    .filter(({ host, port }) => host !== '' && port >= 1 && port <= 65_535)
    .map(({ host, port }) => ({ host, port }));
}
