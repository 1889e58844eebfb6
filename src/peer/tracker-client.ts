/**
 * A node's side of the tracker's contract: one method for each call, with domain values in and out. Splits what is too much for one
 * call, takes the next tracker of the list when one does not answer, and throws ShoalErrors only. It does not retry over time and
 * keeps no state of the swarm: when to call is the node's decision (see retry-wait.ts).
 */
import { hash } from 'node:crypto';
import { digestBytes, type ContentId, type Sha256Function } from '../content/digest.ts';
import { parseManifest, type Manifest } from '../content/manifest.ts';
import { dialectsToWire, type Dialect } from '../contract/dialects.ts';
import { PEER_STATE_NUMBER } from '../contract/messages.ts';
import { offenceToWire, type Offence } from '../contract/offences.ts';
import { reachabilityFromWire, type Reachability } from '../contract/reachability.ts';
import * as limits from '../limits.ts';
import type { NodeOptions, TlsFiles } from './api.ts';
import { createFailover } from './tracker-client-failover.ts';
import * as wire from './tracker-client-wire.ts';
import type {
  HoldingChangeReport,
  HoldingReport,
  ReplicaOrder,
  SwarmNews,
  TrackerAddress,
  TrackerEntry,
  TrackerNews,
  TrackerPeer,
  TrackerSource,
  VolunteerOffer,
} from './tracker-client-wire.ts';

export type * from './tracker-client-wire.ts';

export interface TrackerClientOptions {
  /** Base URLs, tried in order; the one that answered last comes first. */
  readonly urls: readonly string[];
  /** Where else a tracker is, while none of them answers. */
  readonly findTracker?: NodeOptions['findTracker'];
  readonly token?: string | undefined;
  /** Of https: our certificate, and the authority to trust instead of the system's. */
  readonly tls?: TlsFiles | undefined;
  /** The tracker in use has closed a connection that was kept for the next call: it has gone, or is about to. */
  readonly onLost?: (() => void) | undefined;
  /** For each attempt of a call. */
  readonly timeoutMs?: number | undefined;
}

export interface Registration {
  /** 32 hex digits. */
  readonly peerId: string;
  readonly addresses: readonly TrackerAddress[];
  readonly dialects: readonly Dialect[];
  readonly agent: string;
  readonly holdings: readonly HoldingReport[];
  /** Of a volunteer. */
  readonly volunteer?: VolunteerOffer | undefined;
}

export interface Registered {
  readonly leaseMs: number;
  readonly renewMs: number;
  /** Where the tracker sees the calls come from. */
  readonly observedHost: string;
  /** Contents the tracker has no manifest of: publish them, then report what this peer has of them again. */
  readonly unknownContentIds: readonly ContentId[];
  /** Whether peers may tell each other of peers. */
  readonly peerExchange: boolean;
  /** Whether others can reach us, as far as the tracker has found out by dialling back. */
  readonly reachability: Reachability;
}

export interface Renewed {
  /** False: the tracker has forgotten this peer; register again. */
  readonly known: boolean;
  readonly leaseMs: number;
  readonly news: readonly SwarmNews[];
  readonly unknownContentIds: readonly ContentId[];
  /** As in `Registered`, as far as it is known by now. */
  readonly reachability: Reachability;
  /** For a volunteer: all that it is to fetch now, and what it need not keep. */
  readonly replicas: readonly ReplicaOrder[];
}

export interface Publication {
  readonly name: string;
  readonly manifest: Manifest;
  /** This peer lacks chunks; publishing then says nothing about what it has. */
  readonly partial?: boolean;
  /** Copies that volunteers are to keep; undefined: as it was asked for before. */
  readonly replicas?: number | undefined;
}

/** In the order of the publications: why that one was refused; undefined: it was not. */
export interface Published {
  readonly problem: string | undefined;
}

/** What a peer did to us. */
export interface PeerReport {
  readonly contentId: ContentId;
  /** 32 hex digits, as the tracker names it; '' for a peer that speaks only the range dialect. */
  readonly peerId: string;
  /** Where we dialled it. */
  readonly address: TrackerAddress;
  readonly offence: Offence;
}

export interface LocateOptions {
  /** `name`, `name@hex`, or a contentId. */
  readonly what: { readonly name: string } | { readonly contentId: ContentId };
  /** This peer, to be left out of the answer. */
  readonly peerId?: string | undefined;
  readonly limit?: number;
  readonly wantManifest?: boolean;
  /** `revision` of an earlier answer: only what is new since then is asked for. Another tracker answers in full. */
  readonly since?: Uint8Array | undefined;
}

export interface Located {
  readonly entry: TrackerEntry;
  readonly sources: readonly TrackerSource[];
  /** Checked; only when wanted and small enough, else get it with `manifest` or from a peer. */
  readonly manifest: Manifest | undefined;
  readonly news: SwarmNews | undefined;
  /** For `since`. */
  readonly revision: Uint8Array;
}

/** Which peers to list; what is left out does not matter. */
export interface PeersOptions {
  readonly limit?: number;
  /** `nextAfter` of the page before. */
  readonly after?: string;
  /** Part of its id, an address or its agent, in any case. */
  readonly query?: string | undefined;
  readonly state?: 'online' | 'offline' | undefined;
  /** Peers that have this, or some of it. */
  readonly what?: LocateOptions['what'] | undefined;
  /** Only those that are named to nobody for a while. */
  readonly banned?: boolean | undefined;
  /** Only those that offer space for replicas. */
  readonly volunteers?: boolean | undefined;
}

export interface WatchOptions {
  /** Go on after this event; 0: from now on. */
  readonly afterId?: number;
  /** Only these, `missed` and `closing`; empty: all. */
  readonly types?: readonly string[];
  readonly signal: AbortSignal;
}

export interface TrackerClient {
  /** Base URL of the tracker that is called first. */
  readonly url: string;
  register(registration: Registration, signal?: AbortSignal): Promise<Registered>;
  /** @param volunteer what this peer offers, if it does. */
  renew(
    peerId: string,
    changes: readonly HoldingChangeReport[],
    signal?: AbortSignal,
    volunteer?: VolunteerOffer,
  ): Promise<Renewed>;
  leave(peerId: string, signal?: AbortSignal): Promise<void>;
  publish(peerId: string, items: readonly Publication[], signal?: AbortSignal): Promise<readonly Published[]>;
  /** How many entries went. Call it before dropping the holdings: only who has chunks of a content may take its entries out. */
  unpublish(peerId: string, names: readonly string[], signal?: AbortSignal): Promise<number>;
  listFiles(
    options?: { query?: string; limit?: number; after?: string; includeOffline?: boolean; includeFolders?: boolean },
    signal?: AbortSignal,
  ): Promise<{ readonly entries: readonly TrackerEntry[]; readonly nextAfter: string }>;
  locate(options: LocateOptions, signal?: AbortSignal): Promise<Located>;
  registerChunks(
    peerId: string,
    holdings: readonly HoldingReport[],
    signal?: AbortSignal,
  ): Promise<{ readonly known: boolean; readonly unknownContentIds: readonly ContentId[] }>;
  /** A content's manifest, checked. */
  manifest(contentId: ContentId, signal?: AbortSignal): Promise<Manifest>;
  listPeers(
    options?: PeersOptions,
    signal?: AbortSignal,
  ): Promise<{ readonly peers: readonly TrackerPeer[]; readonly nextAfter: string }>;
  /** Says which peers lied. False: the tracker does not know us; register and report again. */
  reportPeers(peerId: string, reports: readonly PeerReport[], signal?: AbortSignal): Promise<boolean>;
  /** Events until the signal; throws when the connection breaks. Resume with the id of the last one. */
  watch(options: WatchOptions): AsyncIterable<TrackerNews>;
  /** Cancels what runs and closes every connection. */
  close(): void;
}

export function createTrackerClient(options: TrackerClientOptions): TrackerClient {
  const { urls, findTracker, token, tls, onLost, timeoutMs = limits.TRACKER_CALL_TIMEOUT_MS } = options;
  const failover = createFailover({ urls, findTracker, token, tls, onLost, timeoutMs });

  const uploadManifest = async (peerId: string, manifest: Manifest, signal?: AbortSignal): Promise<void> => {
    const { bytes } = manifest;
    const head = {
      peerId: wire.peerIdBytes(peerId),
      contentId: digestBytes(manifest.contentId),
      totalBytes: bytes.length,
    };
    for (let offset = 0; offset < bytes.length; offset += limits.MANIFEST_UPLOAD_PART_BYTES) {
      const part = bytes.subarray(offset, offset + limits.MANIFEST_UPLOAD_PART_BYTES);
      await failover.call('uploadManifestPart', { ...head, offset, part }, signal);
    }
  };

  const client: TrackerClient = {
    get url() {
      return failover.url;
    },

    async register({ peerId, addresses, dialects, agent, holdings, volunteer }, signal) {
      const [first = [], ...more] = batches(holdings, holdingBytes, limits.HOLDINGS_PER_CALL_MAX);
      const answer = await failover.call(
        'register',
        {
          peerId: wire.peerIdBytes(peerId),
          addresses: addresses.map(({ host, port }) => ({ host, port })),
          dialects: dialectsToWire(dialects),
          agent,
          holdings: first.map(wire.holdingToWire),
          volunteer,
        },
        signal,
      );
      const unknown = answer.unknownContentIds.map(wire.idFromWire);
      for (const batch of more) unknown.push(...(await client.registerChunks(peerId, batch, signal)).unknownContentIds);
      const { leaseMs, renewMs, observedHost } = answer;
      return {
        leaseMs,
        renewMs,
        observedHost,
        unknownContentIds: unknown,
        peerExchange: !answer.peerExchangeOff,
        reachability: reachabilityFromWire(answer.reachability),
      };
    },

    async renew(peerId, changes, signal, volunteer) {
      const parts = batches(changes, changeBytes, limits.HOLDINGS_PER_CALL_MAX);
      const news: SwarmNews[] = [];
      const unknownContentIds: ContentId[] = [];
      let leaseMs = 0;
      let reachability: Reachability = 'unknown';
      let replicas: readonly ReplicaOrder[] = [];
      for (const part of parts.length === 0 ? [[]] : parts) {
        const request = { peerId: wire.peerIdBytes(peerId), changes: part.map(wire.changeToWire), volunteer };
        const answer = await failover.call('renew', request, signal);
        leaseMs = answer.leaseMs;
        reachability = reachabilityFromWire(answer.reachability);
        if (!answer.known)
          return { known: false, leaseMs, news: [], unknownContentIds: [], reachability, replicas: [] };
        replicas = answer.replicas.slice(0, limits.REPLICA_ORDER_CONTENTS_MAX).map(wire.orderFromWire);
        news.push(...answer.swarms.map(wire.newsFromWire));
        unknownContentIds.push(...answer.unknownContentIds.map(wire.idFromWire));
      }
      return { known: true, leaseMs, news, unknownContentIds, reachability, replicas };
    },

    async leave(peerId, signal) {
      await failover.call('leave', { peerId: wire.peerIdBytes(peerId) }, signal);
    },

    async publish(peerId, items, signal) {
      const publishBatch = async (batch: readonly Publication[]): Promise<readonly Published[]> => {
        for (const item of batch) if (!inline(item)) await uploadManifest(peerId, item.manifest, signal);
        const request = {
          peerId: wire.peerIdBytes(peerId),
          items: batch.map((item) => ({
            name: item.name,
            contentId: digestBytes(item.manifest.contentId),
            manifest: inline(item) ? item.manifest.bytes : new Uint8Array(0),
            partial: item.partial ?? false,
            replicas: item.replicas === undefined ? undefined : { copies: item.replicas },
          })),
          problemsOnly: true,
        };
        const { results } = await failover.call('publish', request, signal);
        if (results.length !== batch.length)
          throw wire.broken(`${results.length} results for ${batch.length} publications`);
        return results.map(({ problem }) => ({ problem: problem === '' ? undefined : problem }));
      };
      const answers: Promise<readonly Published[]>[] = [];
      for (const batch of batches(items, publicationBytes, limits.PUBLISH_ENTRIES_PER_CALL_MAX)) {
        // one call is made ready while the tracker is at the one before
        await answers.at(-2);
        const answer = publishBatch(batch);
        answer.catch(() => undefined); // awaited in its turn
        answers.push(answer);
      }
      return (await Promise.all(answers)).flat();
    },

    async unpublish(peerId, names, signal) {
      let removed = 0;
      for (const batch of batches(names, (name) => name.length * 3, limits.PUBLISH_ENTRIES_PER_CALL_MAX)) {
        const request = { peerId: wire.peerIdBytes(peerId), names: batch };
        removed += (await failover.call('unpublish', request, signal)).removed;
      }
      return removed;
    },

    async listFiles(
      { query = '', limit = 0, after = '', includeOffline = false, includeFolders = false } = {},
      signal,
    ) {
      const request = { query, limit, after, includeOffline, includeFolders };
      const answer = await failover.call('listFiles', request, signal);
      return { entries: answer.entries.map(wire.entryFromWire), nextAfter: answer.nextAfter };
    },

    async locate({ what, peerId, limit = 0, wantManifest = false, since }, signal) {
      const request = {
        ...('name' in what ? { name: what.name } : { contentId: digestBytes(what.contentId) }),
        ...(peerId === undefined ? {} : { peerId: wire.peerIdBytes(peerId) }),
        limit,
        wantManifest,
        readsRuns: true,
        ...(since === undefined ? {} : { since }),
      };
      const answer = await failover.call('locate', request, signal);
      const entry = wire.entryFromWire(answer.entry);
      const asked = 'contentId' in what ? what.contentId : undefined;
      if (asked !== undefined && entry.contentId !== asked) throw wire.broken('another content than was asked for');
      return {
        entry,
        sources: answer.sources
          .slice(0, limits.LOCATE_SOURCES_MAX)
          .map((source) => wire.sourceFromWire(source, entry.chunkCount)),
        manifest:
          answer.manifest.length === 0 || entry.contentId === ''
            ? undefined
            : parseManifest(answer.manifest.slice(), sha256, entry.contentId),
        news: answer.swarm === undefined ? undefined : wire.newsFromWire(answer.swarm),
        revision: answer.revision.slice(0, limits.LOCATE_REVISION_BYTES_MAX),
      };
    },

    async registerChunks(peerId, holdings, signal) {
      const unknownContentIds: ContentId[] = [];
      for (const batch of batches(holdings, holdingBytes, limits.HOLDINGS_PER_CALL_MAX)) {
        const request = { peerId: wire.peerIdBytes(peerId), holdings: batch.map(wire.holdingToWire) };
        const answer = await failover.call('registerChunks', request, signal);
        if (!answer.known) return { known: false, unknownContentIds: [] };
        unknownContentIds.push(...answer.unknownContentIds.map(wire.idFromWire));
      }
      return { known: true, unknownContentIds };
    },

    async manifest(contentId, signal) {
      const request = { contentId: digestBytes(contentId) };
      let bytes: Uint8Array<ArrayBuffer> | undefined;
      for (let offset = 0; bytes === undefined || offset < bytes.length;) {
        const at = offset;
        const { totalBytes, part } = await failover.call('getManifest', { ...request, offset: at }, signal);
        if (totalBytes > limits.MANIFEST_BYTES_MAX) throw wire.broken(`a manifest of ${totalBytes} bytes`);
        bytes ??= new Uint8Array(totalBytes);
        if (part.length === 0 || offset + part.length > bytes.length)
          throw wire.broken('a manifest in parts that do not fit');
        bytes.set(part, offset);
        offset += part.length;
      }
      return parseManifest(bytes, sha256, contentId);
    },

    async listPeers({ limit = 0, after = '', query, state, what, banned, volunteers } = {}, signal) {
      const request = {
        ...{ limit, after, query, banned, volunteers },
        ...(state === undefined ? {} : { state: PEER_STATE_NUMBER[state] }),
        ...(what === undefined ? {} : 'name' in what ? what : { contentId: digestBytes(what.contentId) }),
      };
      const answer = await failover.call('listPeers', request, signal);
      return { peers: answer.peers.map(wire.peerFromWire), nextAfter: answer.nextAfter };
    },

    async reportPeers(peerId, reports, signal) {
      for (const batch of batches(reports, () => 0, limits.REPORTS_PER_CALL_MAX)) {
        const request = {
          peerId: wire.peerIdBytes(peerId),
          reports: batch.map(({ contentId, peerId: accused, address, offence }) => ({
            contentId: digestBytes(contentId),
            peerId: accused === '' ? new Uint8Array(0) : wire.peerIdBytes(accused),
            address: { host: address.host, port: address.port },
            offence: offenceToWire(offence),
          })),
        };
        if (!(await failover.call('reportPeers', request, signal)).known) return false;
      }
      return true;
    },

    async *watch({ afterId = 0, types = [], signal }) {
      const stream = failover.stream('watch', { afterId, types }, signal);
      // a sign of life is no event
      for await (const event of stream) if (event.type !== 'watching') yield wire.eventFromWire(event);
    },

    close: () => failover.close(),
  };
  return client;
}

const sha256: Sha256Function = (bytes) => hash('sha256', bytes, 'buffer');

/** Whether a manifest travels with its publication, and not in parts before it. */
function inline({ manifest }: Publication): boolean {
  return manifest.bytes.length <= limits.MANIFEST_UPLOAD_PART_BYTES;
}

/** Divides a list so that no call has more than `countMax` members or more bytes than a call is filled with. */
function batches<T>(items: readonly T[], bytesOf: (item: T) => number, countMax: number): T[][] {
  const all: T[][] = [];
  let batch: T[] = [];
  let batchBytes = 0;
  for (const item of items) {
    const bytes = bytesOf(item);
    if (batch.length > 0 && (batch.length >= countMax || batchBytes + bytes > limits.TRACKER_CALL_FILL_BYTES)) {
      all.push(batch);
      batch = [];
      batchBytes = 0;
    }
    batch.push(item);
    batchBytes += bytes;
  }
  if (batch.length > 0) all.push(batch);
  return all;
}

function publicationBytes(item: Publication): number {
  return 300 + item.name.length * 3 + (inline(item) ? item.manifest.bytes.length : 0);
}

function holdingBytes({ chunks }: HoldingReport): number {
  return 48 + (chunks === undefined ? 0 : Math.ceil(chunks.chunkCount / 8));
}

/** An index takes at most four bytes: there are fewer than 2^28 chunks. */
function changeBytes({ gained = [], lost = [] }: HoldingChangeReport): number {
  return 96 + 4 * (gained.length + lost.length);
}
