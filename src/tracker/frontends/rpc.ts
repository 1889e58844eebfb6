/**
 * shoal.v1.TrackerService on the same registry: Connect and gRPC-Web over the port of the REST calls. Parses every field at this
 * edge (ids, counts, lengths), translates, and holds no rule of its own.
 */
import {
  ConnectError,
  createContextKey,
  type ConnectRouter,
  type HandlerContext,
  type ServiceImpl,
} from '@connectrpc/connect';
import type { Bitfield } from '../../content/bitfield.ts';
import { encodeRuns } from '../../content/chunk-runs.ts';
import { contentIdFromBytes, digestBytes, toHex, type ContentId } from '../../content/digest.ts';
import { dialectsFromWire, dialectsToWire } from '../../contract/dialects.ts';
import { offenceFromWire } from '../../contract/offences.ts';
import {
  PeerState,
  TrackerService,
  type ListPeersRequest,
  type PeerReport as PeerReportMessage,
} from '../../contract/gen/shoal/v1/tracker_pb.ts';
import type { InputOf } from '../../contract/message-codec.ts';
import type { CALLS } from '../../contract/messages.ts';
import { reachabilityToWire } from '../../contract/reachability.ts';
import { ERROR_TABLE, ShoalError } from '../../errors.ts';
import * as limits from '../../limits.ts';
import type { Logger } from '../../log.ts';
import { eventTypesIn } from '../event-log.ts';
import type { Located, LocateQuery, PeerQuery, SourceView } from '../lookups.ts';
import type { HoldingChange, HoldingClaim, Offer, SwarmNews } from '../membership.ts';
import type { Registry } from '../registry.ts';
import type { PeerReport } from '../reporting.ts';
import type { Caller, EntryView } from '../state.ts';
import { eventData } from './rest-events.ts';
import { callIdKey } from './call-id.ts';
import { toConnectError } from './rpc-errors.ts';

/** Who calls; set by the server that owns the connection. */
export const callerKey = createContextKey<Caller>({ observedHost: '127.0.0.1' }, { description: 'caller' });

const PEER_ID_BYTES = 16;
const LINKS_MAX = 65_535;

export interface RpcOptions {
  readonly registry: Registry;
  readonly log: Logger;
  /** Whether peers may tell each other of peers. */
  readonly peerExchange: boolean;
  /** The tracker ends: streams say so and end with it. */
  readonly closing: AbortSignal;
}

export function rpcRoutes({ registry, log, peerExchange, closing }: RpcOptions): (router: ConnectRouter) => void {
  const service: ServiceImpl<typeof TrackerService> = {
    async register(request, context) {
      const caller = context.values.get(callerKey);
      const peerId = peerIdIn(request.peerId);
      const unknown = registry.register(
        {
          peerId,
          addresses: request.addresses.map(({ host, port }) => ({ host, port })),
          dialects: dialectsFromWire(request.dialects),
          agent: request.agent,
          holdings: request.holdings.map(claimIn),
          offer: offerIn(offerWithNumbers(request.volunteer)),
        },
        caller,
      );
      return {
        leaseMs: registry.leaseMs,
        renewMs: Math.min(limits.RENEW_MS, Math.ceil(registry.leaseMs / 3)),
        observedHost: caller.observedHost,
        unknownContentIds: unknown.map(digestBytes),
        peerExchangeOff: !peerExchange,
        reachability: reachabilityToWire(await registry.reachability(peerId)),
      };
    },

    renew(request) {
      const changes = request.changes.map((change) => ({
        ...change,
        bytesUp: Number(change.bytesUp),
        bytesDown: Number(change.bytesDown),
      }));
      return renewCall(registry, { ...request, changes, volunteer: offerWithNumbers(request.volunteer) });
    },

    leave(request) {
      registry.leave(peerIdIn(request.peerId));
      return {};
    },

    async publish(request) {
      const items = request.items.map(({ name, manifest, contentId, partial, replicas }) => ({
        name,
        manifest,
        contentId: contentId.length === 0 ? undefined : contentIdFromBytes(contentId),
        partial,
        replicas: replicas?.copies,
      }));
      const outcomes = await registry.publish(peerIdIn(request.peerId), items);
      return {
        results: outcomes.map((outcome) => {
          if (!('entry' in outcome)) return { problem: outcome.problem };
          return request.problemsOnly ? {} : { entry: withBigints(entryOut(outcome.entry)) };
        }),
      };
    },

    uploadManifestPart(request) {
      const { totalBytes, offset, part } = request;
      const contentId = contentIdFromBytes(request.contentId);
      const uploader = peerIdIn(request.peerId);
      return { complete: registry.uploadManifestPart({ uploader, contentId, totalBytes, offset, part }) };
    },

    async unpublish(request) {
      return { removed: await registry.unpublish(peerIdIn(request.peerId), request.names) };
    },

    listFiles({ query, limit, after, includeOffline, includeFolders }) {
      const { entries, nextAfter } = registry.list({ query, limit, after, includeOffline, includeFolders });
      return { entries: entries.map((entry) => withBigints(entryOut(entry))), nextAfter };
    },

    async locate(request, context) {
      const { entry, ...located } = await locateCall(registry, request, context.values.get(callerKey));
      return { ...located, entry: withBigints(entry) };
    },

    registerChunks(request) {
      const unknown = registry.registerChunks(peerIdIn(request.peerId), request.holdings.map(claimIn));
      return { known: unknown !== undefined, unknownContentIds: (unknown ?? []).map(digestBytes) };
    },

    async getManifest(request) {
      const { bytes } = await registry.manifest(contentIdFromBytes(request.contentId));
      if (request.offset > bytes.length)
        throw new ShoalError(
          'usage',
          `offset ${request.offset} is behind the end of a manifest of ${bytes.length} bytes`,
        );
      const part = bytes.subarray(request.offset, request.offset + limits.MANIFEST_UPLOAD_PART_BYTES);
      return { totalBytes: bytes.length, part };
    },

    listPeers(request, context) {
      const { peers, nextAfter } = registry.peers(peerQuery(request), context.values.get(callerKey));
      return {
        peers: peers.map((peer) => ({
          peerId: idBytes(peer.peerId),
          addresses: peer.addresses.map(({ host, port }) => ({ host, port })),
          dialects: dialectsToWire(peer.dialects),
          agent: peer.agent,
          online: peer.online,
          lastSeenMs: BigInt(Math.floor(peer.lastSeenMs)),
          completeContents: peer.completeContents,
          partialContents: peer.partialContents,
          banned: peer.banned,
          replicaContents: peer.replicaContents,
          reachability: reachabilityToWire(peer.reachability),
          ...(peer.offer === undefined
            ? {}
            : {
                volunteer: {
                  offeredBytes: BigInt(peer.offer.offeredBytes),
                  usedBytes: BigInt(peer.offer.usedBytes),
                },
              }),
        })),
        nextAfter,
      };
    },

    reportPeers(request, context) {
      const reports = request.reports.map(reportIn).filter((report) => report !== undefined);
      const counted = registry.reportPeers(peerIdIn(request.peerId), reports, context.values.get(callerKey));
      return { known: counted !== undefined, counted: counted ?? 0 };
    },

    async *watch({ afterId, types: names }, context) {
      if (afterId > BigInt(Number.MAX_SAFE_INTEGER)) throw new ShoalError('usage', 'that is not the id of an event');
      const { signal } = context;
      const types = names.length === 0 ? undefined : eventTypesIn(names);
      // the first message says that the stream is open and from where; without it a client would see nothing until something happens
      const silenceMs = limits.EVENT_KEEPALIVE_MS;
      let lastId = Number(afterId) || registry.events.lastId;
      const events = registry.events.watch({ afterId: lastId, signal, closing, types, silenceMs });
      yield watching(lastId);
      for await (const event of events) {
        if (event === undefined) {
          yield watching(lastId);
          continue;
        }
        const { id, atMs, type } = event;
        lastId = id;
        yield { id: BigInt(id), atMs: BigInt(Math.floor(atMs)), type, data: eventData(event) };
      }
    },
  };
  return (router) => router.service(TrackerService, withOneErrorTable(service, log));
}

function peerQuery({ limit, after, query, state, name, contentId, banned, volunteers }: ListPeersRequest): PeerQuery {
  const what = contentId.length > 0 ? contentIdFromBytes(contentId) : name;
  return {
    ...{ limit, after, query },
    what: what === '' ? undefined : what,
    online: onlineIn(state),
    banned: banned || undefined,
    volunteer: volunteers || undefined,
  };
}

/** undefined: both. A state that this version does not know cannot be answered for. */
function onlineIn(state: PeerState): boolean | undefined {
  switch (state) {
    case PeerState.UNSPECIFIED:
      return undefined;
    case PeerState.ONLINE:
      return true;
    case PeerState.OFFLINE:
      return false;
    default:
      throw new ShoalError('usage', `${String(state)} is not a state of peers that this tracker knows`);
  }
}

interface ChangeMessage {
  readonly contentId: Uint8Array;
  readonly complete: boolean;
  readonly gained: readonly number[];
  readonly lost: readonly number[];
  readonly dropped: boolean;
  readonly links: number;
}

interface RenewRequest {
  readonly peerId: Uint8Array;
  readonly changes: readonly (ChangeMessage & { readonly bytesUp: number; readonly bytesDown: number })[];
  readonly volunteer?: Offer | undefined;
}

/** Renew, for whoever has the request as a message. */
export function renewCall(registry: Registry, request: RenewRequest) {
  const moved = { up: 0, down: 0 };
  for (const { bytesUp, bytesDown } of request.changes) {
    moved.up += bytesUp;
    moved.down += bytesDown;
  }
  const changes = request.changes.map(changeIn);
  const peerId = peerIdIn(request.peerId);
  const outcome = registry.renew(peerId, changes, moved, offerIn(request.volunteer));
  const { known, news, unknownContentIds, reachability, replicas } = outcome;
  return {
    known,
    leaseMs: registry.leaseMs,
    swarms: news.map(newsOut),
    unknownContentIds: unknownContentIds.map(digestBytes),
    reachability: reachabilityToWire(reachability),
    replicas: replicas.map(({ contentId, hold, drop }) => ({
      contentId: digestBytes(contentId),
      hold: [...hold],
      drop: [...drop],
    })),
  } satisfies InputOf<typeof CALLS.renew.answer>;
}

interface LocateRequest {
  readonly name: string;
  readonly contentId: Uint8Array;
  readonly peerId: Uint8Array;
  readonly limit: number;
  readonly wantManifest: boolean;
  readonly since: Uint8Array;
  readonly readsRuns: boolean;
}

/** Locate, for whoever has the request as a message. */
export async function locateCall(registry: Registry, request: LocateRequest, caller: Caller) {
  return locatedOut(registry, await registry.locate(locateQuery(registry, request), caller), request.readsRuns);
}

/** The same without waiting; undefined where it has to wait for something. */
export function locateAtOnce(registry: Registry, request: LocateRequest, caller: Caller) {
  const located = registry.locateAtOnce(locateQuery(registry, request), caller);
  return located === undefined ? undefined : locatedOut(registry, located, request.readsRuns);
}

function locateQuery(registry: Registry, request: LocateRequest): LocateQuery {
  const { name, contentId, peerId, limit, wantManifest, since } = request;
  return {
    what: contentId.length > 0 ? contentIdFromBytes(contentId) : name,
    peerId: peerId.length === 0 ? '' : peerIdIn(peerId),
    limit,
    wantManifest,
    sinceVersion: registry.revisions.decode(since),
  };
}

function locatedOut({ revisions }: Registry, located: Located, readsRuns: boolean) {
  // once for all sources: making bytes of digits was a tenth of a Locate
  const contentId = contentIdBytes(located.entry.contentId);
  return {
    entry: entryOut(located.entry),
    sources: located.sources.map((source) => sourceOut(source, contentId, readsRuns)),
    incremental: located.isIncremental,
    ...(located.version === undefined ? {} : { revision: revisions.encode(located.version) }),
    ...(located.manifest === undefined ? {} : { manifest: located.manifest.bytes }),
    ...(located.news === undefined ? {} : { swarm: newsOut(located.news) }),
  } satisfies InputOf<typeof CALLS.locate.answer>;
}

/** A sign of life: nothing has happened after event `id`. */
function watching(id: number) {
  return { id: BigInt(id), type: 'watching', data: '{}' };
}

/** Every handler throws ShoalErrors; callers see them as the error table says, and of anything else only that it failed. */
function withOneErrorTable(
  service: ServiceImpl<typeof TrackerService>,
  log: Logger,
): ServiceImpl<typeof TrackerService> {
  const refuse = (thrown: unknown, context: HandlerContext): ConnectError => {
    if (thrown instanceof ConnectError) return thrown;
    const error = ShoalError.from(thrown);
    if (ERROR_TABLE[error.code].http >= 500)
      log.error({ err: error, rpc: context.method.name, callId: context.values.get(callIdKey) }, 'a call failed');
    return toConnectError(
      error.code === 'bug' ? new ShoalError('bug', 'the tracker failed at this; its log says why') : error,
    );
  };
  const { watch, ...unary } = service;
  const wrapped = Object.fromEntries(
    Object.entries(unary).map(([name, handler]) => [
      name,
      async (request: never, context: HandlerContext): Promise<unknown> => {
        try {
          return await (handler as (request: never, context: HandlerContext) => unknown)(request, context);
        } catch (error) {
          throw refuse(error, context);
        }
      },
    ]),
  );
  return {
    ...(wrapped as typeof unary),
    async *watch(request, context) {
      try {
        yield* watch(request, context);
      } catch (error) {
        throw refuse(error, context);
      }
    },
  };
}

function peerIdIn(bytes: Uint8Array): string {
  if (bytes.length === PEER_ID_BYTES) return toHex(bytes);
  throw new ShoalError('usage', `a peer id has ${PEER_ID_BYTES} bytes, not ${bytes.length}`);
}

function idBytes(peerId: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.fromHex(peerId);
}

function claimIn(holding: {
  contentId: Uint8Array;
  complete: boolean;
  chunks: Uint8Array;
  replica: boolean;
}): HoldingClaim {
  const { complete, chunks, replica: isReplica } = holding;
  return { contentId: contentIdFromBytes(holding.contentId), complete, chunks, isReplica };
}

function offerWithNumbers(offer: { offeredBytes: bigint; usedBytes: bigint } | undefined): Offer | undefined {
  return offer && { offeredBytes: Number(offer.offeredBytes), usedBytes: Number(offer.usedBytes) };
}

/** Whatever is told, a number that can be reckoned with. */
function offerIn(offer: Offer | undefined): Offer | undefined {
  if (offer === undefined) return undefined;
  const bounded = (bytes: number): number => Math.min(bytes, limits.REPLICA_OFFER_BYTES_MAX);
  return { offeredBytes: bounded(offer.offeredBytes), usedBytes: bounded(offer.usedBytes) };
}

/** undefined: for an offence that this version does not know. */
function reportIn({ contentId, peerId, address, offence }: PeerReportMessage): PeerReport | undefined {
  const known = offenceFromWire(offence);
  if (address === undefined) throw new ShoalError('usage', 'a report names the address at which the peer was dialled');
  if (known === undefined) return undefined;
  return {
    contentId: contentIdFromBytes(contentId),
    peerId: peerId.length === 0 ? '' : peerIdIn(peerId),
    address: { host: address.host, port: address.port },
    offence: known,
  };
}

function changeIn(change: ChangeMessage): HoldingChange {
  const { complete, gained, lost, dropped } = change;
  const links = Math.min(change.links, LINKS_MAX);
  return { contentId: contentIdFromBytes(change.contentId), complete, gained, lost, dropped, links };
}

function entryOut(entry: EntryView) {
  return {
    name: entry.name,
    size: entry.size,
    sha256: entry.sha256,
    contentId: contentIdBytes(entry.contentId),
    chunkSize: entry.chunkSize,
    chunkCount: entry.chunkCount,
    publishedAtMs: Math.floor(entry.publishedAtMs),
    seeders: entry.seeders,
    leechers: entry.leechers,
    replicas: entry.replicas,
    replicasReached: entry.replicasReached,
    replicaChunksMissing: entry.replicaChunksMissing,
    volunteers: entry.volunteers,
  };
}

/** As the generated code has it. */
function withBigints<T extends { size: number; publishedAtMs: number }>(entry: T) {
  return { ...entry, size: BigInt(entry.size), publishedAtMs: BigInt(entry.publishedAtMs) };
}

function sourceOut(source: SourceView, contentId: Uint8Array<ArrayBuffer>, readsRuns: boolean) {
  const { peerId, addresses, dialects, chunks, rangeName, isReplica } = source;
  return {
    peerId: idBytes(peerId),
    addresses: addresses.map(({ host, port }) => ({ host, port })),
    dialects: dialectsToWire(dialects),
    holding: {
      contentId,
      complete: chunks === null,
      replica: isReplica,
      ...(chunks === null || chunks.count === 0 ? {} : mapOut(chunks, readsRuns)),
    },
    rangeName,
  };
}

/** As runs where they take a small part of what the bits do: to find out is to cost little where they do not. */
function mapOut(chunks: Bitfield, readsRuns: boolean) {
  const runsMax = Math.floor(chunks.chunkCount / 8 / RUNS_SHORTER_FACTOR);
  const runs = readsRuns && runsMax >= RUNS_BYTES_MIN ? encodeRuns(chunks, runsMax) : undefined;
  return runs === undefined ? { chunks: chunks.toBytes() } : { runs };
}

const RUNS_SHORTER_FACTOR = 8;
/** Of a content of few chunks the bits are short enough. */
const RUNS_BYTES_MIN = 8;

function newsOut(news: SwarmNews) {
  return { ...news, contentId: digestBytes(news.contentId) };
}

function contentIdBytes(contentId: ContentId | ''): Uint8Array<ArrayBuffer> {
  return contentId === '' ? new Uint8Array(0) : digestBytes(contentId);
}
