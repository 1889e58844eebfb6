/** What can be asked of the tracker without changing it (but for whose turn it is to be named). Every answer is bounded. */
import type { Bitfield } from '../content/bitfield.ts';
import { toHex, type ContentId } from '../content/digest.ts';
import { isFolderName, quote } from '../content/entry-name.ts';
import { chunkDigest, MANIFEST_HEADER_BYTES, type Manifest } from '../content/manifest.ts';
import type { Reachability } from '../contract/reachability.ts';
import { ShoalError } from '../errors.ts';
import * as limits from '../limits.ts';
import { addressesFor, formatAddress, routesTo } from './addresses.ts';
import type { ListOptions } from './catalogue.ts';
import type { VolunteerOffer } from './copy-state.ts';
import { newsOf, type SwarmNews } from './membership.ts';
import { noSuchName } from './plain-calls.ts';
import type { Address, Dialect, EntryRecord, Holding, PeerRecord } from './records.ts';
import { chooseSources, newSources } from './source-choice.ts';
import { onlineMembers, viewEntry, type Caller, type EntryView, type TrackerState } from './state.ts';

export interface LocateQuery {
  /** `name`, `name@hex`, or a contentId. */
  readonly what: string;
  /** Who asks, in hex; '' for somebody unknown. */
  readonly peerId: string;
  /** 0: the tracker's own limit. */
  readonly limit: number;
  readonly wantManifest: boolean;
  /** The swarm's version up to which the asking peer knows it: only newer sources are named where that can be said. */
  readonly sinceVersion?: number | undefined;
}

export interface SourceView {
  /** '' for a plain peer. */
  readonly peerId: string;
  readonly addresses: readonly Address[];
  readonly dialects: readonly Dialect[];
  /** null: all chunks. Not to be changed by the caller. */
  readonly chunks: Bitfield | null;
  readonly rangeName: string;
  /** It only keeps these chunks as replicas. */
  readonly isReplica: boolean;
}

export interface Located {
  readonly entry: EntryView;
  readonly sources: readonly SourceView[];
  /** `sources` are only those that are new since what the query said. */
  readonly isIncremental: boolean;
  /** What the swarm had come to; undefined: nobody is there. */
  readonly version: number | undefined;
  /** Only when wanted and small enough. */
  readonly manifest: Manifest | undefined;
  /** What the asking peer should know about the swarm. */
  readonly news: SwarmNews | undefined;
}

export async function locate(state: TrackerState, query: LocateQuery, caller: Caller): Promise<Located> {
  const located = locateSources(state, query, caller);
  const { contentId, chunkCount } = located.entry;
  const inline = MANIFEST_HEADER_BYTES + 32 * chunkCount <= limits.MANIFEST_INLINE_BYTES_MAX;
  const wanted = query.wantManifest && inline && contentId !== '';
  return wanted ? { ...located, manifest: await state.shelf.get(contentId) } : located;
}

/** Everything but the manifest. */
export function locateSources(state: TrackerState, query: LocateQuery, caller: Caller): Located {
  const entry = findEntry(state, query.what);
  const { content } = entry;
  const asking = state.roster.online(query.peerId);
  const limit = query.limit === 0 ? limits.LOCATE_SOURCES_MAX : Math.min(query.limit, limits.LOCATE_SOURCES_MAX);
  const members = onlineMembers(state, content);
  const canUse = ({ peer }: Holding): boolean => routesTo(peer, caller.observedHost).length > 0;
  const choice = { limit, asking, canUse };
  const fresh =
    members === undefined || query.sinceVersion === undefined
      ? undefined
      : newSources(members, query.sinceVersion, choice);
  const chosen = fresh ?? (members === undefined ? [] : chooseSources(members, choice));
  const own = asking?.holdings.get(content);
  return {
    entry: viewEntry(entry),
    sources: chosen.map((holding) => viewSource(holding, caller)),
    isIncremental: fresh !== undefined,
    version: members?.version,
    manifest: undefined,
    news: own === undefined || content.contentId === '' ? undefined : newsOf(own),
  };
}

export interface FileSources {
  readonly entry: EntryView;
  /** Peers that have the whole file, each address once: what a plain client can use. */
  readonly sources: readonly SourceView[];
  /** Some of the peers that have a part of it, for people. */
  readonly partial: readonly SourceView[];
}

export function fileSources(state: TrackerState, what: string, caller: Caller): FileSources {
  const entry = findEntry(state, what);
  const members = onlineMembers(state, entry.content);
  if (members === undefined) return { entry: viewEntry(entry), sources: [], partial: [] };
  const turn = members.nextTurn();
  const canUse = ({ peer }: Holding): boolean => routesTo(peer, caller.observedHost).length > 0;
  const byAddress = new Map<string, SourceView>();
  for (const holding of inTurn(members.complete, turn, canUse)) {
    const source = viewSource(holding, caller);
    const address = source.addresses[0];
    if (address !== undefined && !byAddress.has(formatAddress(address))) byAddress.set(formatAddress(address), source);
  }
  const hasSome = (holding: Holding): boolean => (holding.chunks?.count ?? 0) > 0 && canUse(holding);
  const partial = inTurn(members.partial, turn, hasSome);
  return {
    entry: viewEntry(entry),
    sources: [...byAddress.values()],
    partial: partial.map((holding) => viewSource(holding, caller)),
  };
}

/** Those that are of use: all when they are few; else so many, from where the turn stands, and some more looked at for them. */
function inTurn(list: readonly Holding[], turn: number, isOfUse: (holding: Holding) => boolean): readonly Holding[] {
  const count = limits.LOCATE_SOURCES_MAX;
  if (list.length <= count) return list.filter(isOfUse);
  const chosen: Holding[] = [];
  const steps = Math.min(list.length, limits.LOCATE_LOOKED_AT_MAX);
  for (let step = 0; step < steps && chosen.length < (step < LOOKED_AT_FACTOR * count ? count : 1); step++) {
    const holding = list[(turn * count + step) % list.length] as Holding;
    if (isOfUse(holding)) chosen.push(holding);
  }
  return chosen;
}

/** Members looked at for each that is wanted, where some cannot be used; and as many as it takes until one can. */
const LOOKED_AT_FACTOR = 4;

/** Every version of a name, newest first; of `name@hex`, all of `name`. */
export function versions(state: TrackerState, what: string): readonly EntryView[] {
  return state.catalogue.history(findEntry(state, what).name).map(viewEntry);
}

export function list(state: TrackerState, options: ListOptions): { entries: readonly EntryView[]; nextAfter: string } {
  const page = state.catalogue.list({ ...options, limit: pageRows(options.limit) });
  return { entries: page.entries.map(viewEntry), nextAfter: page.nextAfter };
}

export interface ChunkRow {
  readonly index: number;
  readonly sha256: string;
  /** Online peers that have it. */
  readonly sourceCount: number;
  /** Addresses of some of them. */
  readonly sources: readonly string[];
}

export interface ChunkPage {
  readonly entry: EntryView;
  readonly chunks: readonly ChunkRow[];
  /** Give this as `from` for the next page; undefined on the last. */
  readonly nextFrom: number | undefined;
}

export interface ChunkQuery {
  readonly from: number;
  /** 0: as many as one page takes. */
  readonly limit: number;
  /** Only chunks that no more online peers have than this. */
  readonly sourcesMax?: number | undefined;
}

export async function chunkRows(
  state: TrackerState,
  what: string,
  { from, limit, sourcesMax = Number.POSITIVE_INFINITY }: ChunkQuery,
  caller: Caller,
): Promise<ChunkPage> {
  const entry = findEntry(state, what);
  const { content } = entry;
  const manifest = await manifestOfEntry(state, entry);
  const rowsMax = Math.min(limit || limits.CHUNK_ROWS_MAX, limits.CHUNK_ROWS_MAX);
  // a bounded sample of the swarm answers "which"; "how many" is exact
  const { complete = [], partial = [] } = onlineMembers(state, content) ?? {};
  const sample = [...partial.slice(0, limits.LOCATE_SOURCES_MAX), ...complete.slice(0, limits.CHUNK_SOURCES_NAMED_MAX)]
    .map((holding) => ({ holding, address: firstAddress(holding.peer, caller) }))
    .filter(({ address }) => address !== '');
  const chunks: ChunkRow[] = [];
  let index = from;
  for (; index < content.chunkCount && chunks.length < rowsMax; index++) {
    const sourceCount = content.swarm?.sourceCount(index) ?? 0;
    if (sourceCount > sourcesMax) continue;
    const having = sample.filter(({ holding }) => holding.chunks?.has(index) ?? true);
    chunks.push({
      index,
      sha256: toHex(chunkDigest(manifest, index)),
      sourceCount,
      sources: having.slice(0, limits.CHUNK_SOURCES_NAMED_MAX).map(({ address }) => address),
    });
  }
  return { entry: viewEntry(entry), chunks, nextFrom: index < content.chunkCount ? index : undefined };
}

/** The entry and its manifest. Throws `no-such-name` for an entry that was announced without one. */
export async function describe(state: TrackerState, what: string): Promise<{ entry: EntryView; manifest: Manifest }> {
  const entry = findEntry(state, what);
  return { entry: viewEntry(entry), manifest: await manifestOfEntry(state, entry) };
}

export async function manifestOf(state: TrackerState, contentId: ContentId): Promise<Manifest> {
  if (state.catalogue.content(contentId) === undefined)
    throw new ShoalError('no-such-name', `this tracker does not have content ${contentId}`);
  return state.shelf.get(contentId);
}

export interface PeerView {
  readonly peerId: string;
  readonly addresses: readonly Address[];
  readonly dialects: readonly Dialect[];
  readonly agent: string;
  readonly online: boolean;
  /** Reported by several: named to nobody for a while. */
  readonly banned: boolean;
  readonly lastSeenMs: number;
  readonly completeContents: number;
  /** Those that it is fetching. */
  readonly partialContents: number;
  /** Those of which it keeps some chunks as replicas, and no more. */
  readonly replicaContents: number;
  /** Whether others can reach it. */
  readonly reachability: Reachability;
  /** As a volunteer; undefined: it is none. */
  readonly offer: VolunteerOffer | undefined;
  /** Names of some of what it shares. */
  readonly names: readonly string[];
}

/** Which peers; what is left out does not matter. */
export interface PeerQuery {
  readonly limit: number;
  /** `nextAfter` of the page before. */
  readonly after: string;
  /** Part of its id, an address or its agent, in any case. */
  readonly query?: string | undefined;
  readonly online?: boolean | undefined;
  readonly banned?: boolean | undefined;
  readonly volunteer?: boolean | undefined;
  /** `name`, `name@hex`, or a contentId: who is online and has it, or some of it. */
  readonly what?: string | undefined;
}

export interface PeerListing {
  readonly peers: readonly PeerView[];
  readonly nextAfter: string;
}

/** In the order in which the tracker first heard of them, which never changes: paging misses nobody who stays. Throws `no-such-name`. */
export function peers(state: TrackerState, query: PeerQuery, caller: Caller): PeerListing {
  const found = state.roster.page(pageRows(query.limit), query.after, wantedPeers(state, query, caller));
  return { peers: found.peers.map((peer) => viewPeer(state, peer, caller)), nextAfter: found.nextAfter };
}

function wantedPeers(state: TrackerState, query: PeerQuery, caller: Caller): (peer: PeerRecord) => boolean {
  const { online, banned, volunteer, what } = query;
  const content = what === undefined ? undefined : findEntry(state, what).content;
  const part = query.query?.toLowerCase();
  return (peer) =>
    (content === undefined || peer.holdings.has(content)) &&
    (online === undefined || state.roster.isOnline(peer) === online) &&
    (banned === undefined || state.reports.isBanned(peer) === banned) &&
    (volunteer === undefined || (peer.offer !== undefined) === volunteer) &&
    (part === undefined || saysOfItself(peer, part, caller));
}

function saysOfItself({ peerId, agent, addresses }: PeerRecord, part: string, caller: Caller): boolean {
  if (peerId.includes(part) || agent.toLowerCase().includes(part)) return true;
  return addressesFor(addresses, caller.observedHost).some((address) => formatAddress(address).includes(part));
}

function viewPeer(state: TrackerState, peer: PeerRecord, caller: Caller): PeerView {
  const { peerId, dialects, agent, lastSeenMs, offer } = peer;
  let completeContents = 0;
  let replicaContents = 0;
  const names: string[] = [];
  for (const { chunks, content, isReplica } of peer.holdings.values()) {
    if (chunks === null) completeContents++;
    else if (isReplica) replicaContents++;
    const name = content.entries.at(-1)?.name;
    if (name !== undefined && !isFolderName(name) && names.length < limits.PEER_FILES_NAMED_MAX) names.push(name);
  }
  return {
    peerId,
    dialects,
    agent,
    lastSeenMs,
    offer,
    names,
    completeContents,
    addresses: addressesFor(peer.addresses, caller.observedHost),
    online: state.roster.isOnline(peer),
    banned: state.reports.isBanned(peer),
    replicaContents,
    partialContents: peer.holdings.size - completeContents - replicaContents,
    reachability: state.dialBack?.verdict(peer) ?? 'unknown',
  };
}

function findEntry(state: TrackerState, what: string): EntryRecord {
  const entry = state.catalogue.find(what);
  if (entry === undefined) throw noSuchName(what);
  return entry;
}

async function manifestOfEntry(state: TrackerState, { name, content }: EntryRecord): Promise<Manifest> {
  if (content.contentId !== '') return state.shelf.get(content.contentId);
  throw new ShoalError('no-such-name', `${quote(name)} was announced without a manifest: its chunks are not known`, {
    hint: 'share the file with shoal share to publish its manifest',
  });
}

function viewSource({ peer, chunks, rangeName, isReplica }: Holding, caller: Caller): SourceView {
  const { peerId, dialects } = peer;
  return { peerId, dialects, chunks, rangeName, isReplica, addresses: routesTo(peer, caller.observedHost) };
}

function firstAddress(peer: PeerRecord, caller: Caller): string {
  const first = routesTo(peer, caller.observedHost)[0];
  return first === undefined ? '' : formatAddress(first);
}

function pageRows(limit: number): number {
  return limit === 0 ? limits.PAGE_ROWS_DEFAULT : Math.min(limit, limits.PAGE_ROWS_MAX);
}
