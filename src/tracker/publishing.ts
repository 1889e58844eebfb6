/** Rules for putting entries into the catalogue and taking them out. Answers only when the store has it. */
import type { ContentId } from '../content/digest.ts';
import { parseCatalogueName, quote, type EntryName } from '../content/entry-name.ts';
import { parseManifest, type Manifest } from '../content/manifest.ts';
import { ShoalError } from '../errors.ts';
import * as limits from '../limits.ts';
import { isImplied } from './implied-manifest.ts';
import type { ContentRecord, EntryRecord, Holding, PeerRecord } from './records.ts';
import { addEntry, afterRemoval, onlineMembers, viewEntry, type EntryView, type TrackerState } from './state.ts';

export interface PublishItem {
  readonly name: string;
  /** Canonical bytes; empty when the tracker has them already. Not kept. */
  readonly manifest: Uint8Array;
  /** May be missing when the manifest is there. */
  readonly contentId: ContentId | undefined;
  /** The publisher lacks chunks: publishing says nothing about what it has. */
  readonly partial: boolean;
  /** Copies that volunteers are to keep; undefined: as it was asked for before. */
  readonly replicas?: number | undefined;
}

export type PublishOutcome = { readonly entry: EntryView } | { readonly problem: string };

/** Judges each item for itself; the outcomes are in the order of the items. Throws `unknown-peer` for a peer without a lease. */
export async function publish(
  state: TrackerState,
  peerId: string,
  items: readonly PublishItem[],
  nowMs: number,
): Promise<readonly PublishOutcome[]> {
  if (items.length > limits.PUBLISH_ENTRIES_PER_CALL_MAX)
    throw new ShoalError(
      'usage',
      `${items.length} entries in one call; at most ${limits.PUBLISH_ENTRIES_PER_CALL_MAX} are taken`,
    );
  const peer = onlinePeer(state, peerId);
  state.writes.checkRoom();
  const published = items.map((item) => tryPublish(state, peer, item, nowMs));
  await state.writes.flushNeeded();
  return published.map((one) => (typeof one === 'string' ? { problem: one } : { entry: viewEntry(one) }));
}

function tryPublish(state: TrackerState, peer: PeerRecord, item: PublishItem, nowMs: number): EntryRecord | string {
  try {
    const name = parseCatalogueName(item.name);
    const { replicas, partial } = item;
    if (replicas !== undefined && replicas > limits.REPLICAS_MAX)
      throw new ShoalError(
        'usage',
        `${replicas} replicas are more than the ${limits.REPLICAS_MAX} that may be asked for`,
      );
    const content = contentToPublish(state, peer, item, nowMs);
    const entry = publishOne(state, peer, name, content, partial, nowMs);
    if (replicas !== undefined) state.catalogue.setReplicas(entry, replicas);
    return entry;
  } catch (error) {
    if (!(error instanceof ShoalError)) throw error;
    return error.message;
  }
}

/** A content that is in the catalogue, or the manifest of one that is not yet. */
function contentToPublish(
  state: TrackerState,
  peer: PeerRecord,
  item: PublishItem,
  nowMs: number,
): ContentRecord | Manifest {
  const { contentId } = item;
  // one that is known needs no second look: what it is, its contentId says
  const known = contentId === undefined ? undefined : state.catalogue.content(contentId);
  if (known !== undefined) return known;
  if (item.manifest.length > 0) return parseManifest(item.manifest.slice(), state.sha256, contentId);
  if (contentId === undefined)
    throw new ShoalError('usage', `${quote(item.name)} comes with neither a manifest nor a contentId`);
  const uploaded = state.shelf.uploaded(peer.key, contentId);
  if (uploaded !== undefined) return uploaded;
  state.shelf.expire(nowMs);
  throw new ShoalError('usage', `the tracker does not have the manifest of content ${contentId}: send it along`);
}

function publishOne(
  state: TrackerState,
  peer: PeerRecord,
  name: EntryName,
  published: ContentRecord | Manifest,
  partial: boolean,
  nowMs: number,
): EntryRecord {
  const known = state.catalogue.findExact(name, published.contentId as ContentId);
  if (known !== undefined) {
    addSource(state, peer, known.content, partial);
    return known;
  }
  checkEntryRoom(state, 1);
  if (!partial) state.holdings.checkRoom(peer, ['bytes' in published ? undefined : published]);
  const content = 'bytes' in published ? addManifest(state, published, nowMs) : published;
  const plain = state.catalogue.findSame(name, content.size, content.sha256);
  let entry: EntryRecord;
  if (plain?.content.contentId === '') {
    upgrade(state, plain, content, nowMs);
    entry = plain;
  } else entry = addEntry(state, name, content, nowMs);
  addSource(state, peer, content, partial);
  return entry;
}

function addManifest(state: TrackerState, manifest: Manifest, nowMs: number): ContentRecord {
  const known = state.catalogue.content(manifest.contentId);
  if (known !== undefined) return known;
  const content = state.catalogue.contentOf(manifest, nowMs);
  if (isImplied(manifest)) return content;
  state.writes.push({ type: 'put-manifest', contentId: manifest.contentId, bytes: manifest.bytes });
  state.shelf.keep(manifest);
  return content;
}

/** The same bytes, announced plainly before: its peers become range sources of the content. */
function upgrade(state: TrackerState, entry: EntryRecord, content: ContentRecord, nowMs: number): void {
  const plain = entry.content;
  state.catalogue.upgradeEntry(entry, content);
  for (const { peer, rangeName } of plain.swarm?.complete.slice() ?? []) {
    const holding = peer.holdings.get(plain);
    if (holding !== undefined) state.holdings.end(holding, nowMs);
    state.holdings.put(peer, content, null, { rangeName });
  }
  const { name } = entry;
  state.events.append('entry-published', {
    name,
    size: content.size,
    sha256: content.sha256,
    content: content.contentId,
  });
}

function addSource(state: TrackerState, peer: PeerRecord, content: ContentRecord, partial: boolean): void {
  // a chunk map that the peer has registered itself says more than the publishing does
  if (!partial && !peer.holdings.has(content)) state.holdings.put(peer, content, null);
}

/**
 * Takes entries out: those of the names (`name`: every version, `name@hex`: one) whose content this peer takes part in. An entry
 * that another online peer still has chunks of stays. Gives back how many went.
 */
export async function unpublish(
  state: TrackerState,
  peerId: string,
  names: readonly string[],
  nowMs: number,
): Promise<number> {
  if (names.length > limits.PUBLISH_ENTRIES_PER_CALL_MAX)
    throw new ShoalError(
      'usage',
      `${names.length} names in one call; at most ${limits.PUBLISH_ENTRIES_PER_CALL_MAX} are taken`,
    );
  const peer = onlinePeer(state, peerId);
  state.writes.checkRoom();
  let removed = 0;
  for (const name of names) {
    const history = state.catalogue.history(name.normalize('NFC'));
    const one = history.length > 0 ? undefined : state.catalogue.find(name);
    for (const entry of one === undefined ? history : [one]) {
      const { content } = entry;
      if (!peer.holdings.has(content) || heldByOthers(state, content)) continue;
      state.catalogue.removeEntry(entry);
      afterRemoval(state, entry, 'unpublished', nowMs);
      removed++;
    }
  }
  await state.writes.flush();
  return removed;
}

/** Whether anybody online takes part besides the one peer that is known to, copies that volunteers keep not counted. */
function heldByOthers(state: TrackerState, content: ContentRecord): boolean {
  const members = onlineMembers(state, content);
  if (members === undefined) return false;
  const ofThemselves = (list: readonly Holding[]): number => list.filter(({ isReplica }) => !isReplica).length;
  return ofThemselves(members.complete) + ofThemselves(members.partial) > 1;
}

/** Throws `limit` when the catalogue is full. */
export function checkEntryRoom(state: TrackerState, more: number): void {
  if (state.catalogue.entryCount + more <= state.entriesMax) return;
  throw new ShoalError('limit', `this tracker has ${state.catalogue.entryCount} entries and cannot take ${more} more`);
}

export function onlinePeer(state: TrackerState, peerId: string): PeerRecord {
  const peer = state.roster.online(peerId);
  if (peer === undefined) throw new ShoalError('unknown-peer', 'this tracker does not know that peer: register first');
  return peer;
}
