/**
 * What trackers that share a store tell each other. Every tracker keeps all of the state in memory and answers from it; a peer is
 * *here* with the tracker it registered with and *elsewhere* with the others, which know of it what they are told. This gathers what
 * the peers that are here do, until the next exchange, and applies what others tell. Both are absolute and may be repeated.
 */
import { Bitfield } from '../content/bitfield.ts';
import type { EntryName } from '../content/entry-name.ts';
import { ShoalError } from '../errors.ts';
import { describePeer } from './membership.ts';
import type { Holding, PeerRecord } from './records.ts';
import { countReport, type CountedReport } from './reporting.ts';
import { storedPeer } from './roster.ts';
import { addEntry, afterRemoval, type TrackerState } from './state.ts';
import type { LiveChange, RemoteChange, SharedLog, StoreChange } from './store/store.ts';

interface News {
  /** Tell all of the peer, and not only what has changed. */
  whole: boolean;
  /** What it offers is another. */
  offer: boolean;
  readonly changed: Set<Holding>;
  readonly ended: Set<string>;
}

export class Replication {
  readonly #log: SharedLog;
  readonly #news = new Map<PeerRecord, News>();
  readonly #renewed = new Set<PeerRecord>();
  readonly #left = new Set<string>();
  readonly #asked = new Set<string>();
  #reports: CountedReport[] = [];
  /** Ask all others, and tell all of what is here: at the start, and after an exchange that failed. */
  #anew = true;
  #applying = false;
  #running: Promise<void> | undefined;
  #problem: unknown;

  constructor(log: SharedLog) {
    this.#log = log;
  }

  /** What happens now happened elsewhere: it is told to nobody and not stored again. */
  get isApplying(): boolean {
    return this.#applying;
  }

  /** Why the others could not be reached the last time. */
  get problem(): unknown {
    return this.#problem;
  }

  peerEntered(peer: PeerRecord): void {
    if (this.#applying) return;
    this.#left.delete(peer.key);
    this.#newsOf(peer).whole = true;
  }

  peerRenewed(peer: PeerRecord): void {
    if (!this.#applying && !peer.elsewhere) this.#renewed.add(peer);
  }

  peerLeft(peer: PeerRecord): void {
    this.#news.delete(peer);
    this.#renewed.delete(peer);
    if (!this.#applying) this.#left.add(peer.key);
  }

  peerExpired(peer: PeerRecord): void {
    this.#news.delete(peer);
    this.#renewed.delete(peer);
  }

  /** Others come to the same judgement. While they cannot be told it waits, as far as there is room: reports may be lost. */
  peerReported(report: CountedReport): void {
    if (this.#reports.length < REPORTS_WAITING_MAX) this.#reports.push(report);
  }

  offerChanged(peer: PeerRecord): void {
    if (!this.#applying && !peer.elsewhere) this.#newsOf(peer).offer = true;
  }

  holdingChanged(holding: Holding): void {
    if (this.#applying || holding.peer.elsewhere) return;
    const news = this.#newsOf(holding.peer);
    news.ended.delete(holding.content.key);
    news.changed.add(holding);
  }

  holdingEnded(holding: Holding): void {
    if (this.#applying || holding.peer.elsewhere) return;
    const news = this.#newsOf(holding.peer);
    news.changed.delete(holding);
    news.ended.add(holding.content.key);
  }

  /** Tells and hears; one at a time, whoever asks meanwhile waits for the one that runs. Rejects when the store cannot be reached. */
  exchange(state: TrackerState, nowMs: () => number): Promise<void> {
    this.#running ??= this.#exchange(state, nowMs).finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #exchange(state: TrackerState, nowMs: () => number): Promise<void> {
    try {
      // before telling everything, see whether anybody can be told
      if (this.#anew) this.#apply(state, await this.#log.exchange([{ type: 'ask', keys: [] }]), nowMs());
      if (this.#anew) for (const peer of state.roster.all()) if (peer.lease !== undefined) this.#tellWhole(peer);
      this.#anew = false;
      this.#apply(state, await this.#log.exchange(this.#take()), nowMs());
      this.#problem = undefined;
    } catch (error) {
      this.#anew = true; // what was taken is told again with the rest
      this.#problem = error;
      throw new ShoalError('disk', 'the tracker cannot reach the store that it shares with others', { cause: error });
    }
  }

  #newsOf(peer: PeerRecord): News {
    let news = this.#news.get(peer);
    if (news === undefined) {
      news = { whole: false, offer: false, changed: new Set(), ended: new Set() };
      this.#news.set(peer, news);
    }
    return news;
  }

  #tellWhole(peer: PeerRecord): void {
    if (!peer.elsewhere) this.#newsOf(peer).whole = true;
  }

  #take(): LiveChange[] {
    const told: LiveChange[] = [];
    for (const key of this.#left) told.push({ type: 'peer-left', key });
    for (const [peer, { whole, offer, changed, ended }] of this.#news) {
      const { key } = peer;
      if (peer.lease === undefined || peer.elsewhere) continue;
      if (whole) {
        told.push({ type: 'peer-here', peer: storedPeer(peer) });
        for (const holding of peer.holdings.values()) told.push(holdingTold(holding));
        continue;
      }
      if (offer) told.push({ type: 'volunteer', key, offer: peer.offer });
      for (const contentKey of ended) told.push({ type: 'holding-ended', key, contentKey });
      for (const holding of changed) told.push(holdingTold(holding));
    }
    const renewed = [...this.#renewed].filter((peer) => !peer.elsewhere).map(({ key }) => key);
    for (let at = 0; at < renewed.length; at += KEYS_PER_CHANGE)
      told.push({ type: 'peers-renewed', keys: renewed.slice(at, at + KEYS_PER_CHANGE) });
    if (this.#asked.size > 0) told.push({ type: 'ask', keys: [...this.#asked] });
    for (const report of this.#reports) told.push({ type: 'peer-reported', ...report });
    this.#reports = [];
    this.#news.clear();
    this.#renewed.clear();
    this.#left.clear();
    this.#asked.clear();
    return told;
  }

  #apply(state: TrackerState, changes: readonly RemoteChange[], nowMs: number): void {
    this.#applying = true;
    try {
      // the logs of peers and contents are not in step: what contents there are comes first
      for (const change of changes) if (isStored(change)) applyStored(state, change, nowMs);
      for (const change of changes) if (!isStored(change)) this.#applyLive(state, change, nowMs);
    } finally {
      this.#applying = false;
    }
  }

  #applyLive(state: TrackerState, change: LiveChange, nowMs: number): void {
    const { roster, holdings } = state;
    if (change.type === 'ask') {
      const known = change.keys.length === 0 ? roster.all() : change.keys.map((key) => roster.online(key));
      for (const peer of known) if (peer !== undefined && roster.isOnline(peer)) this.#tellWhole(peer);
      return;
    }
    if (change.type === 'peer-reported') {
      countReport(state, change);
      return;
    }
    if (change.type === 'peers-renewed') {
      for (const key of change.keys) {
        const peer = roster.online(key);
        if (peer === undefined) this.#asked.add(key);
        else if (peer.elsewhere) roster.renew(peer, nowMs);
      }
      return;
    }
    if (change.type === 'peer-here') {
      const { peer, joined } = roster.enter({ ...change.peer, elsewhere: true }, nowMs);
      holdings.endAllOf(peer, nowMs);
      state.replicas.offered(peer, change.peer.offer);
      this.peerExpired(peer); // nothing more is told of it from here
      if (joined) state.events.append('peer-joined', describePeer(peer));
      return;
    }
    const peer = roster.online(change.key);
    if (change.type === 'peer-left') {
      if (peer !== undefined) roster.leave(peer, nowMs);
      return;
    }
    if (change.type === 'volunteer') {
      if (peer?.elsewhere === true) state.replicas.offered(peer, change.offer);
      return;
    }
    const content = state.catalogue.content(change.contentKey);
    if (peer === undefined || (content === undefined && change.type === 'holding')) this.#asked.add(change.key);
    if (peer === undefined || content === undefined || !peer.elsewhere) return;
    if (change.type === 'holding-ended') {
      const holding = peer.holdings.get(content);
      if (holding !== undefined) holdings.end(holding, nowMs);
      return;
    }
    const { chunks, links, rangeName, isReplica = false } = change;
    const held =
      chunks === null
        ? null
        : chunks === ''
          ? new Bitfield(content.chunkCount)
          : Bitfield.fromBytes(Uint8Array.fromBase64(chunks), content.chunkCount);
    holdings.put(peer, content, held, { rangeName, isReplica }).links = links;
  }
}

/** Keys in one change, so that no log entry grows without bound. */
const KEYS_PER_CHANGE = 2_000;
/** Reports that wait for the next exchange. */
const REPORTS_WAITING_MAX = 1_000;

function holdingTold({ peer, content, chunks, links, rangeName, isReplica }: Holding): LiveChange {
  const map = chunks === null ? null : chunks.count === 0 ? '' : chunks.toBytes().toBase64();
  const holding = { key: peer.key, contentKey: content.key, chunks: map, links, rangeName };
  return { type: 'holding', ...holding, ...(isReplica ? { isReplica } : {}) };
}

function isStored(change: RemoteChange): change is StoreChange {
  return /^(?:put|set|remove)-/u.test(change.type);
}

function applyStored(state: TrackerState, change: StoreChange, nowMs: number): void {
  const { catalogue } = state;
  if (change.type === 'put-content') {
    if (catalogue.content(change.content.key) === undefined) catalogue.restoreContent(change.content, nowMs);
  } else if (change.type === 'put-entry') {
    const { name, contentKey, publishedAtMs, replicas } = change.entry;
    const content = catalogue.content(contentKey);
    if (content === undefined) return;
    const known = content.entries.find((entry) => entry.name === name);
    catalogue.setReplicas(known ?? addEntry(state, name as EntryName, content, publishedAtMs), replicas);
  } else if (change.type === 'remove-entry') {
    const entry = catalogue.content(change.contentKey)?.entries.find(({ name }) => name === change.name);
    if (entry === undefined) return;
    catalogue.removeEntry(entry);
    afterRemoval(state, entry, 'unpublished', nowMs);
  }
}
