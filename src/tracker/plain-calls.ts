/**
 * Rules for peers that use only the plain REST calls: known by host and port, speaking the range dialect, with whole files and no
 * manifests. Where somebody has published the same bytes under the same name natively, they become range sources of that content.
 */
import { parseEntryName, quote, type EntryName } from '../content/entry-name.ts';
import { ShoalError } from '../errors.ts';
import * as limits from '../limits.ts';
import { formatAddress, parseAddress, routesTo } from './addresses.ts';
import { checkEntryRoom } from './publishing.ts';
import { describePeer } from './membership.ts';
import type { Address, ContentRecord, Holding, PeerRecord } from './records.ts';
import { addEntry, onlineMembers, type Caller, type TrackerState } from './state.ts';

export interface PlainFile {
  readonly name: string;
  readonly size: number;
  /** What the announcer calls the SHA-256; only 64 hex digits are taken for one. */
  readonly sha256: string;
}

/** These are all the files the peer at this address shares now. Nothing is changed when any of them is refused. */
export async function announce(
  state: TrackerState,
  address: Address,
  files: readonly PlainFile[],
  caller: Caller,
  nowMs: number,
): Promise<PeerRecord> {
  if (files.length > limits.ANNOUNCE_FILES_MAX)
    throw new ShoalError(
      'usage',
      `${files.length} files in one announcement; at most ${limits.ANNOUNCE_FILES_MAX} are taken`,
    );
  const parsed = parseAddress(address, caller.observedHost);
  const shared = new Map<EntryName, PlainFile>(files.map((file) => [parseEntryName(file.name), checkFile(file)]));
  state.writes.checkRoom();
  const known = [...shared].map(([name, file]) => state.catalogue.findSame(name, file.size, file.sha256));
  checkEntryRoom(state, known.filter((entry) => entry === undefined).length);
  state.holdings.checkRoom(
    state.roster.online(plainKey(parsed)),
    known.map((entry) => entry?.content),
  );
  const { peer, joined } = state.roster.enter(
    {
      key: plainKey(parsed),
      kind: 'plain',
      peerId: '',
      addresses: [parsed],
      dialects: ['range'],
      agent: '',
    },
    nowMs,
  );
  const wanted = new Map<ContentRecord, EntryName>();
  for (const [name, file] of shared) {
    const entry =
      state.catalogue.findSame(name, file.size, file.sha256) ??
      addEntry(state, name, state.catalogue.plainContent(name, file.size, file.sha256, nowMs), nowMs);
    wanted.set(entry.content, name);
  }
  for (const holding of peer.holdings.values()) if (!wanted.has(holding.content)) state.holdings.end(holding, nowMs);
  for (const [content, name] of wanted) state.holdings.put(peer, content, null, { rangeName: name });
  state.dialBack?.announced(peer, caller.observedHost, nowMs);
  if (joined) state.events.append('peer-joined', describePeer(peer));
  await state.writes.flushNeeded();
  return peer;
}

export interface OthersWithFile {
  readonly name: string;
  readonly addresses: readonly Address[];
}

/** Who else has the files of a plain peer: up to `max` of each, in turns, for the first files that it announced. */
export function others(state: TrackerState, peer: PeerRecord, max: number, caller: Caller): readonly OthersWithFile[] {
  const wanted = Math.min(max, limits.ANNOUNCE_OTHERS_MAX);
  const named: OthersWithFile[] = [];
  for (const { content, rangeName } of peer.holdings.values()) {
    if (named.length >= limits.ANNOUNCE_OTHERS_FILES_MAX) break;
    const members = onlineMembers(state, content);
    const complete = members?.complete ?? [];
    const start = complete.length > wanted ? (members?.nextTurn() ?? 0) * wanted : 0;
    const addresses: Address[] = [];
    for (let step = 0; step < complete.length && addresses.length < wanted; step++) {
      const other = (complete[(start + step) % complete.length] as Holding).peer;
      const address = other === peer ? undefined : routesTo(other, caller.observedHost)[0];
      if (address !== undefined) addresses.push(address);
    }
    named.push({ name: rangeName, addresses });
  }
  return named;
}

/** The peer at this address now has the newest entry of this name, too. Of a native peer it changes nothing: it says itself what it has. */
export function complete(state: TrackerState, address: Address, name: string, caller: Caller, nowMs: number): void {
  const peer = plainPeer(state, address, caller);
  const entry = state.catalogue.find(name);
  if (entry === undefined) throw noSuchName(name);
  if (peer === 'native') return;
  state.roster.renew(peer, nowMs);
  const known = peer.holdings.has(entry.content);
  const holding = state.holdings.put(peer, entry.content, null, { rangeName: entry.name });
  if (!known) state.holdings.announceComplete(holding);
}

/** Of a native peer it changes nothing: only whoever knows its id can end its lease. */
export function leavePlain(state: TrackerState, address: Address, caller: Caller, nowMs: number): void {
  const peer = plainPeer(state, address, caller);
  if (peer !== 'native') state.roster.leave(peer, nowMs);
}

/** Of a native peer it changes nothing: it renews its lease itself. */
export function heartbeat(state: TrackerState, address: Address, caller: Caller, nowMs: number): void {
  const peer = plainPeer(state, address, caller);
  if (peer === 'native') return;
  state.roster.renew(peer, nowMs);
  state.dialBack?.renewed(peer, nowMs);
}

export function noSuchName(name: string): ShoalError {
  return new ShoalError('no-such-name', `this tracker has no entry ${quote(name)}`, {
    hint: 'shoal ls shows what there is',
  });
}

/** The peer that was announced at this address; 'native' when one that registered there is meant. Throws `unknown-peer` for neither. */
function plainPeer(state: TrackerState, address: Address, caller: Caller): PeerRecord | 'native' {
  const parsed = parseAddress(address, caller.observedHost);
  const peer = state.roster.online(plainKey(parsed));
  if (peer !== undefined) {
    state.roster.claim(peer);
    return peer;
  }
  if (state.roster.hasNativeAt(formatAddress(parsed))) return 'native';
  throw new ShoalError('unknown-peer', `this tracker does not know a peer at ${formatAddress(parsed)}: announce first`);
}

export function plainKey(address: Address): string {
  return `plain:${formatAddress(address)}`;
}

function checkFile(file: PlainFile): PlainFile {
  if (!Number.isSafeInteger(file.size) || file.size < 0)
    throw new ShoalError('usage', `the size of ${quote(file.name)} is not a number of bytes`);
  if (file.sha256.length === 0 || file.sha256.length > limits.PLAIN_SHA256_CHARS_MAX || /\p{C}/u.test(file.sha256))
    throw new ShoalError(
      'usage',
      `the sha256 of ${quote(file.name)} is not a printable text of 1 to ${limits.PLAIN_SHA256_CHARS_MAX} characters`,
    );
  return file;
}
