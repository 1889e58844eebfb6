/** The parts a tracker's rules work on, and what they tell a frontend in the end: plain values, no records. */
import type { ContentId, Sha256Function } from '../content/digest.ts';
import type { Catalogue } from './catalogue.ts';
import type { DialBack } from './dial-back.ts';
import type { EventLog } from './event-log.ts';
import type { Holdings } from './holdings.ts';
import type { ManifestShelf } from './manifest-shelf.ts';
import type { ContentRecord, EntryRecord, Holding } from './records.ts';
import type { Replicas } from './replicas.ts';
import type { Reports } from './reports.ts';
import type { Roster } from './roster.ts';
import type { SwarmMembers } from './source-choice.ts';
import type { WriteQueue } from './store/write-queue.ts';

export interface TrackerState {
  readonly catalogue: Catalogue;
  readonly roster: Roster;
  readonly holdings: Holdings;
  readonly shelf: ManifestShelf;
  readonly events: EventLog;
  readonly reports: Reports;
  readonly replicas: Replicas;
  readonly writes: WriteQueue;
  readonly sha256: Sha256Function;
  readonly entriesMax: number;
  /** Undefined: what peers announce is named as it is. */
  readonly dialBack: DialBack | undefined;
}

/**
 * The members of a content's swarm that may be named: all, but for those whose lease has run out and has not been ended yet, and those
 * that are banned. Without any other complete member banned ones are named all the same.
 */
export function onlineMembers({ roster, reports }: TrackerState, content: ContentRecord): SwarmMembers | undefined {
  const { swarm } = content;
  const someBanned = reports.someBanned((peer) => peer.holdings.has(content));
  if (swarm === undefined || (!roster.hasOverdue && !someBanned)) return swarm;
  const online = (list: readonly Holding[]): readonly Holding[] => list.filter(({ peer }) => roster.isOnline(peer));
  const trusted = (list: readonly Holding[]): readonly Holding[] =>
    someBanned ? list.filter(({ peer }) => !reports.isBanned(peer)) : list;
  const complete = online(swarm.complete);
  const trustedComplete = trusted(complete);
  return {
    complete: trustedComplete.length > 0 ? trustedComplete : complete,
    partial: trusted(online(swarm.partial)),
    version: swarm.version,
    nextTurn: () => swarm.nextTurn(),
    rarestChunks: (limit, from) => swarm.rarestChunks(limit, from),
  };
}

/** Who calls, as far as the connection tells. */
export interface Caller {
  /** IP address, IPv4 without an IPv6 prefix. */
  readonly observedHost: string;
}

export interface EntryView {
  readonly name: string;
  readonly size: number;
  readonly sha256: string;
  /** '' for an entry without a manifest. */
  readonly contentId: ContentId | '';
  readonly chunkSize: number;
  readonly chunkCount: number;
  readonly publishedAtMs: number;
  /** Online peers with all chunks, and those that are fetching it. */
  readonly seeders: number;
  readonly leechers: number;
  /** Online peers that keep some chunks as replicas; they are not among the leechers. */
  readonly volunteers: number;
  /** Copies of every chunk that volunteers are to keep, and those they keep of the rarest. */
  readonly replicas: number;
  readonly replicasReached: number;
  /** Chunks that have fewer copies than asked for. */
  readonly replicaChunksMissing: number;
}

export function viewEntry({ name, content, publishedAtMs, replicas }: EntryRecord): EntryView {
  const { size, sha256, contentId, chunkSize, chunkCount, swarm, copies } = content;
  return {
    name,
    size,
    sha256,
    contentId,
    chunkSize,
    chunkCount,
    publishedAtMs,
    seeders: swarm?.complete.length ?? 0,
    leechers: swarm === undefined ? 0 : swarm.partial.length - swarm.volunteerCount,
    volunteers: swarm?.volunteerCount ?? 0,
    replicas,
    replicasReached: replicas === 0 ? 0 : (copies?.reached ?? 0),
    replicaChunksMissing: replicas === 0 ? 0 : (copies?.missing ?? 0),
  };
}

/** Adds the newest entry of a name and tells those who watch; ends what hung on an entry that had to make room. */
export function addEntry(
  state: TrackerState,
  name: EntryRecord['name'],
  content: EntryRecord['content'],
  nowMs: number,
): EntryRecord {
  const { added, displaced } = state.catalogue.addEntry(name, content, nowMs);
  state.events.append('entry-published', describeEntry(added));
  if (displaced !== undefined) afterRemoval(state, displaced, 'too-many-versions', nowMs);
  return added;
}

export type RemovalReason = 'unpublished' | 'forgotten' | 'too-many-versions';

/** What follows from an entry's removal from the catalogue: an event, and the end of its content when that was the last entry. */
export function afterRemoval(state: TrackerState, entry: EntryRecord, reason: RemovalReason, nowMs: number): void {
  const { content } = entry;
  state.events.append('entry-removed', { ...describeEntry(entry), reason });
  if (content.entries.length > 0) return;
  state.holdings.endAllIn(content, nowMs);
  if (content.contentId !== '') state.shelf.forget(content.contentId);
}

function describeEntry({ name, content }: EntryRecord): Record<string, unknown> {
  return { name, size: content.size, sha256: content.sha256, content: content.contentId };
}
