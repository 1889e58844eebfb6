/**
 * The tracker's rules behind one door. Both frontends call this and hold no rule of their own. Time and the digest function come in
 * as parameters. Every call first lets go of what has run out; calls decide in memory without waiting (so nothing interleaves) and
 * then wait for the store where an answer promises that something is kept.
 *
 * The rules themselves: membership.ts (native peers), plain-calls.ts (REST-only peers), publishing.ts, lookups.ts, source-choice.ts.
 */
import type { ContentId, Sha256Function } from '../content/digest.ts';
import type { Reachability } from '../contract/reachability.ts';
import type { Manifest } from '../content/manifest.ts';
import { ShoalError } from '../errors.ts';
import * as limits from '../limits.ts';
import { Catalogue, type ListOptions } from './catalogue.ts';
import { DialBack, type AddressProbe } from './dial-back.ts';
import { EVENT_TYPES, EventLog, type EventType } from './event-log.ts';
import { Holdings } from './holdings.ts';
import * as lookups from './lookups.ts';
import { impliedManifest } from './implied-manifest.ts';
import { ManifestShelf, type ManifestPart } from './manifest-shelf.ts';
import * as membership from './membership.ts';
import * as plain from './plain-calls.ts';
import * as publishing from './publishing.ts';
import type { Address } from './records.ts';
import type { ReplicaFigures } from './replica-totals.ts';
import { Replicas } from './replicas.ts';
import { Replication } from './replication.ts';
import { report, type PeerReport } from './reporting.ts';
import { Reports } from './reports.ts';
import { createRevisions } from './revisions.ts';
import { Roster } from './roster.ts';
import type { SwarmHealthFigures } from './swarm-health.ts';
import { afterRemoval, type Caller, type TrackerState } from './state.ts';
import type { StoreChange, StoreFigures, TrackerStore } from './store/store.ts';
import { WriteQueue } from './store/write-queue.ts';

export interface RegistryOptions {
  readonly store: TrackerStore;
  /** Milliseconds since 1970; should never go back. */
  readonly now: () => number;
  readonly sha256: Sha256Function;
  /** Smaller limits for tests; the defaults are those of limits.ts. */
  readonly leaseMs?: number;
  readonly plainLeaseMs?: number;
  readonly peersMax?: number;
  readonly offlinePeersMax?: number;
  readonly entriesMax?: number;
  readonly holdingsMax?: number;
  readonly retentionMs?: number;
  /** A volunteer away for so long is gone for good. */
  readonly replicaGoneMs?: number | undefined;
  /** Dials back what peers announce; undefined: it is named as it is. */
  readonly probe?: AddressProbe | undefined;
  /** Only who belongs to the swarm may call. */
  readonly isPrivate?: boolean;
}

/** Figures for people and monitors. */
export interface RegistryFigures {
  readonly peersOnline: number;
  readonly peersOffline: number;
  /** Of those online. */
  readonly peersBanned: number;
  readonly entries: number;
  readonly contents: number;
  readonly holdings: number;
  readonly swarms: SwarmHealthFigures;
  /** Events since the start. */
  readonly events: readonly (readonly [EventType, number])[];
  readonly eventSubscribers: number;
  readonly writesPending: number;
  readonly bytesUp: number;
  readonly bytesDown: number;
  /** Announced addresses that were dialled: where the peer answered, and where not. */
  readonly dialBacksAnswered: number;
  readonly dialBacksSilent: number;
  readonly replicas: ReplicaFigures;
  /** undefined: no other tracker shares the store. */
  readonly store: StoreFigures | undefined;
}

export type Registry = Awaited<ReturnType<typeof createRegistry>>;

/** Loads what the store has and opens for calls. */
export async function createRegistry(options: RegistryOptions) {
  const { store, now, sha256 } = options;
  const writes = new WriteQueue(store);
  const replication = store.shared === undefined ? undefined : new Replication(store.shared);
  const record = (change: StoreChange): void => {
    if (replication?.isApplying !== true) writes.push(change);
  };
  const events = new EventLog(now);
  const catalogue = new Catalogue(record, options.retentionMs, (entry) => replicas.entryChanged(entry));
  const holdings = new Holdings(catalogue, events, options.holdingsMax, {
    holdingChanged(holding) {
      replication?.holdingChanged(holding);
      replicas.holdingChanged(holding);
    },
    holdingEnded(holding) {
      replication?.holdingEnded(holding);
      replicas.holdingEnded(holding);
    },
  });
  const reports = new Reports();
  const replicas = new Replicas({
    now,
    events,
    isUsable: (peer) => roster.isOnline(peer) && !reports.isBanned(peer) && peer.reachable?.length !== 0,
    history: (name) => catalogue.history(name),
    setReplicas: (entry, copies) => catalogue.setReplicas(entry, copies),
    seesAll: () => replication?.problem === undefined,
    onOffer: replication === undefined ? undefined : (peer) => replication.offerChanged(peer),
    goneMs: options.replicaGoneMs,
    settleMs: 2 * (options.leaseMs ?? limits.LEASE_MS),
  });
  const roster = new Roster({
    record,
    onEnter(peer) {
      replication?.peerEntered(peer);
      reports.entered(peer);
    },
    onRenew: replication === undefined ? undefined : (peer) => replication.peerRenewed(peer),
    onGone(peer, reason, nowMs) {
      reports.gone(peer);
      replicas.gone(peer, nowMs);
      holdings.endAllOf(peer, nowMs);
      if (reason === 'left') replication?.peerLeft(peer);
      else replication?.peerExpired(peer);
      events.append('peer-left', { ...membership.describePeer(peer), reason });
    },
    leaseMs: options.leaseMs,
    plainLeaseMs: options.plainLeaseMs,
    peersMax: options.peersMax,
    offlineKeptMax: options.offlinePeersMax,
  });
  const readManifest = async (contentId: ContentId): Promise<Uint8Array<ArrayBuffer> | undefined> =>
    impliedManifest(catalogue.content(contentId), sha256)?.bytes ?? (await store.manifest(contentId));
  const shelf = new ManifestShelf({ read: (contentId) => readManifest(contentId), sha256 });
  const entriesMax = options.entriesMax ?? limits.TRACKER_ENTRIES_MAX;
  const { probe } = options;
  const dialBack =
    probe &&
    new DialBack({
      probe,
      now,
      plainToo: options.isPrivate ?? false,
      onChange: (peer) => replication?.peerEntered(peer),
    });
  const parts = { catalogue, roster, holdings, shelf, events, reports, replicas, writes, dialBack };
  const state: TrackerState = { ...parts, sha256, entriesMax };
  let bytesUp = 0;
  let bytesDown = 0;

  const startedAtMs = now();
  await store.load({
    content: (content) => catalogue.restoreContent(content, startedAtMs),
    entry: (entry) => catalogue.restoreEntry(entry),
    peer: (peer) => roster.restore(peer),
  });
  replicas.loaded();

  /** Lets go of what has run out, or of a part of it when that is very much, and says what time it is. */
  const settle = (expiriesMax = limits.EXPIRIES_PER_CALL_MAX): number => {
    const nowMs = now();
    roster.expire(nowMs, expiriesMax);
    reports.settle(nowMs);
    return nowMs;
  };
  /** Removes contents that nobody has served for the retention time. Gives back how many. */
  const forgetSome = (nowMs: number): number => {
    for (let count = 0; count < limits.FORGOTTEN_PER_TURN_MAX; count++) {
      const content = catalogue.takeForgotten(nowMs);
      if (content === undefined) return count;
      const entries = content.entries.slice();
      catalogue.removeContent(content);
      for (const entry of entries) afterRemoval(state, entry, 'forgotten', nowMs);
    }
    return limits.FORGOTTEN_PER_TURN_MAX;
  };
  const isKnown = (what: string): boolean => {
    try {
      return catalogue.find(what) !== undefined;
    } catch (error) {
      if (error instanceof ShoalError) return true;
      throw error;
    }
  };
  const exchange = async (): Promise<void> => replication?.exchange(state, settle);
  const knownPeer = (peerId: string): void => void publishing.onlinePeer(state, peerId);

  return {
    leaseMs: roster.leaseMs,
    events,

    register(call: membership.Registration, caller: Caller): readonly ContentId[] {
      checkHoldingCount(call.holdings.length);
      return membership.register(state, call, caller, settle());
    },
    /** Whether others can reach the peer, as soon as that is known; after a while in any case. */
    async reachability(peerId: string): Promise<Reachability> {
      const peer = roster.online(peerId);
      if (peer === undefined || dialBack === undefined) return 'unknown';
      await dialBack.settled(peer);
      return dialBack.verdict(peer);
    },
    registerChunks(peerId: string, claims: readonly membership.HoldingClaim[]): readonly ContentId[] | undefined {
      checkHoldingCount(claims.length);
      settle();
      return membership.registerChunks(state, peerId, claims);
    },
    renew(
      peerId: string,
      changes: readonly membership.HoldingChange[],
      moved = { up: 0, down: 0 },
      offer?: membership.Offer,
    ): membership.RenewOutcome {
      checkHoldingCount(changes.length);
      const outcome = membership.renew(state, peerId, changes, settle(), offer);
      if (outcome.known) {
        bytesUp += moved.up;
        bytesDown += moved.down;
      }
      return outcome;
    },
    leave(peerId: string): void {
      const nowMs = settle();
      const peer = roster.online(peerId);
      if (peer !== undefined) roster.leave(peer, nowMs);
    },

    /** How many of the reports count; undefined: the reporter is not known. */
    reportPeers(peerId: string, accusations: readonly PeerReport[], caller: Caller): number | undefined {
      const counted = report(state, peerId, accusations, caller, settle());
      for (const one of counted ?? []) replication?.peerReported(one);
      return counted?.length;
    },

    publish: (peerId: string, items: readonly publishing.PublishItem[]) =>
      publishing.publish(state, peerId, items, settle()),
    unpublish: (peerId: string, names: readonly string[]) => publishing.unpublish(state, peerId, names, settle()),
    /** Says whether the manifest is whole now. Throws `unknown-peer` for a peer without a lease. */
    uploadManifestPart(part: ManifestPart): boolean {
      const nowMs = settle();
      knownPeer(part.uploader);
      shelf.expire(nowMs);
      return shelf.addPart(part, nowMs);
    },

    /** Names up to `othersMax` other peers of each file, for the first files. */
    async announcePlain(
      address: Address,
      files: readonly plain.PlainFile[],
      caller: Caller,
      othersMax = 0,
    ): Promise<readonly plain.OthersWithFile[]> {
      const peer = await plain.announce(state, address, files, caller, settle());
      if (dialBack !== undefined) await dialBack.settled(peer);
      return othersMax === 0 ? [] : plain.others(state, peer, othersMax, caller);
    },
    completePlain: (address: Address, name: string, caller: Caller): void =>
      plain.complete(state, address, name, caller, settle()),
    leavePlain: (address: Address, caller: Caller): void => plain.leavePlain(state, address, caller, settle()),
    heartbeatPlain: (address: Address, caller: Caller): void => plain.heartbeat(state, address, caller, settle()),

    /** What `sinceVersion` and `version` are called outside. */
    revisions: createRevisions(),
    list(query: ListOptions) {
      settle();
      return lookups.list(state, query);
    },
    async locate(query: lookups.LocateQuery, caller: Caller): Promise<lookups.Located> {
      settle();
      // what was published at another tracker a moment ago may not have been told here yet
      if (replication !== undefined && replication.problem === undefined && !isKnown(query.what)) await exchange();
      return lookups.locate(state, query, caller);
    },
    /** The same, where there is nothing to wait for: no manifest is wanted, and no other tracker needs to be heard first. Else undefined. */
    locateAtOnce(query: lookups.LocateQuery, caller: Caller): lookups.Located | undefined {
      if (
        query.wantManifest ||
        (replication !== undefined && replication.problem === undefined && !isKnown(query.what))
      )
        return undefined;
      settle();
      return lookups.locateSources(state, query, caller);
    },
    fileSources(what: string, caller: Caller) {
      settle();
      return lookups.fileSources(state, what, caller);
    },
    versions: (what: string) => lookups.versions(state, what),
    /** Whether anything goes by this name; an ambiguous one counts. */
    has: isKnown,
    async chunkRows(what: string, query: lookups.ChunkQuery, caller: Caller) {
      settle();
      return lookups.chunkRows(state, what, query, caller);
    },
    describe: (what: string) => lookups.describe(state, what),
    manifest: (contentId: ContentId): Promise<Manifest> => lookups.manifestOf(state, contentId),
    peers(query: lookups.PeerQuery, caller: Caller) {
      settle();
      return lookups.peers(state, query, caller);
    },

    figures(): RegistryFigures {
      return {
        peersOnline: roster.onlineCount,
        peersOffline: roster.offlineCount,
        peersBanned: reports.bannedCount,
        entries: catalogue.entryCount,
        contents: catalogue.contentCount,
        holdings: holdings.count,
        swarms: holdings.health.figures(),
        // one that was missed is told to one reader, and has not happened
        events: EVENT_TYPES.filter((type) => type !== 'missed').map((type) => [type, events.countOf(type)] as const),
        eventSubscribers: events.subscriberCount,
        writesPending: writes.pendingCount,
        bytesUp,
        bytesDown,
        dialBacksAnswered: dialBack?.counts.answered ?? 0,
        dialBacksSilent: dialBack?.counts.silent ?? 0,
        replicas: replicas.figures(),
        store: store.shared?.figures(),
      };
    },
    /** Why the tracker should not get calls at the moment; undefined when it should. */
    problem: (): unknown => writes.problem ?? replication?.problem,

    /** Whether other trackers share the store; then `exchange` has to be called all the time. */
    isShared: replication !== undefined,
    /** Tells the other trackers what has happened here, and hears what has happened there. Rejects when the store cannot be reached. */
    exchange,

    /**
     * Ends leases, retention times and uploads that have run out, a bounded number at a time, and writes what waits. Says whether
     * there is more to end: call it again soon, else now and then. Rejects when the store refuses.
     */
    async sweep(): Promise<boolean> {
      const nowMs = settle(limits.EXPIRIES_PER_TURN_MAX);
      shelf.expire(nowMs);
      const forgotten = forgetSome(nowMs);
      const isPlanning = replicas.plan(nowMs);
      await writes.flush();
      return roster.hasOverdue || forgotten === limits.FORGOTTEN_PER_TURN_MAX || isPlanning;
    },
    /** Notes when everybody was seen last and writes what waits. The store stays open. */
    async close(): Promise<void> {
      dialBack?.close();
      roster.recordLastSeen();
      await writes.flush();
      if (replication?.problem === undefined) await exchange();
    },
  };
}

function checkHoldingCount(count: number): void {
  if (count > limits.HOLDINGS_PER_CALL_MAX)
    throw new ShoalError(
      'usage',
      `${count} holdings in one call; at most ${limits.HOLDINGS_PER_CALL_MAX} are taken: send several`,
    );
}
