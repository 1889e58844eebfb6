import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import * as limits from '../limits.ts';
import type { TrackerEvent } from './event-log.ts';
import { createMemoryStore } from './store/memory.ts';
import { caller, changeOf, claimOf, createBench, manifestOf, peerIdOf, type Bench } from './test-fixtures.ts';

const big = manifestOf('big');
const all = { query: '', limit: 0, after: '', includeOffline: false, includeFolders: false };

function names(page: { entries: readonly { name: string }[] }): string[] {
  return page.entries.map(({ name }) => name);
}

async function eventsOf(
  bench: Bench,
  afterId: number,
  act: () => Promise<void> | void,
): Promise<readonly TrackerEvent[]> {
  await act();
  const stop = new AbortController();
  const events: TrackerEvent[] = [];
  for await (const event of bench.registry.events.watch({ afterId, signal: stop.signal, silenceMs: 0 })) {
    if (event === undefined) stop.abort();
    else events.push(event);
  }
  return events;
}

test('a published entry is found by name with its publisher as the source', async () => {
  const bench = await createBench();
  await bench.publish(bench.join(1), 'big.bin', big);
  const { entry, sources, manifest } = await bench.registry.locate(
    { what: 'big.bin', peerId: '', limit: 0, wantManifest: true },
    caller,
  );
  expect(entry).toMatchObject({
    name: 'big.bin',
    size: big.size,
    sha256: big.sha256,
    contentId: big.contentId,
    seeders: 1,
  });
  expect(sources).toMatchObject([{ peerId: peerIdOf(1), chunks: null }]);
  expect(manifest?.bytes).toEqual(big.bytes);
});

test('a peer whose lease runs out no longer counts, and a renewal asks it to register again', async () => {
  const bench = await createBench();
  const peer = bench.join(1);
  await bench.publish(peer, 'big.bin', big);
  bench.clock.nowMs += limits.LEASE_MS - 1;
  expect(await bench.located('big.bin')).toEqual([1]);
  bench.clock.nowMs += 1;
  expect(await bench.located('big.bin')).toEqual([]);
  expect(bench.registry.renew(peer, []).known).toBe(false);
  expect(bench.registry.figures()).toMatchObject({ peersOnline: 0, peersOffline: 1, holdings: 0 });
  bench.join(1, claimOf(big));
  expect(await bench.located('big.bin')).toEqual([1]);
  expect(bench.registry.figures()).toMatchObject({ peersOnline: 1, peersOffline: 0 });
});

test('a renewed lease lasts from the renewal', async () => {
  const bench = await createBench();
  const [kept, lost] = [bench.join(1), bench.join(2)];
  bench.clock.nowMs += 20_000;
  expect(bench.registry.renew(kept, []).known).toBe(true);
  bench.clock.nowMs += 20_000;
  expect(bench.registry.renew(lost, []).known).toBe(false);
  expect(bench.registry.renew(kept, []).known).toBe(true);
});

describe('when very many leases run out at once', () => {
  const crowd = limits.EXPIRIES_PER_TURN_MAX + 2 * limits.EXPIRIES_PER_CALL_MAX;
  const keptPeer = crowd + 1;

  async function createOverdueBench(): Promise<Bench> {
    const bench = await createBench();
    await bench.publish(bench.join(0), 'big.bin', big);
    for (let number = 1; number <= crowd; number++)
      bench.join(number, claimOf(big, number % 2 === 0 ? undefined : [0]));
    bench.clock.nowMs += limits.LEASE_MS - 1;
    bench.join(keptPeer, claimOf(big, [1]));
    bench.clock.nowMs += 1;
    return bench;
  }

  test('a call ends few of them, and none that is overdue is named or counted as online', async () => {
    const bench = await createOverdueBench();
    expect(await bench.located('big.bin')).toEqual([keptPeer]);
    expect(bench.registry.figures().peersOnline).toBe(crowd + 2 - limits.EXPIRIES_PER_CALL_MAX);
    const { sources, partial } = bench.registry.fileSources('big.bin', caller);
    expect([sources, partial.map(({ peerId }) => peerId)]).toEqual([[], [peerIdOf(keptPeer)]]);
    const { chunks } = await bench.registry.chunkRows('big.bin', { from: 0, limit: 2 }, caller);
    expect(chunks.map(({ sources }) => sources)).toEqual([[], ['10.0.0.1:' + (9000 + keptPeer)]]);
    const { peers } = bench.registry.peers({ limit: limits.PAGE_ROWS_MAX, after: '' }, caller);
    expect(peers.filter(({ online }) => online).map(({ peerId }) => peerId)).toEqual([peerIdOf(keptPeer)]);
  });

  test('an overdue peer is unknown until it registers again', async () => {
    const bench = await createOverdueBench();
    expect(bench.registry.renew(peerIdOf(crowd), [changeOf(big)]).known).toBe(false);
    const events = await eventsOf(bench, bench.registry.events.lastId, () => void bench.join(crowd - 1, claimOf(big)));
    expect(events.map(({ type, data }) => [type, data['peer']])).toContainEqual(['peer-left', peerIdOf(crowd - 1)]);
    expect(events.at(-1)).toMatchObject({ type: 'peer-joined', data: { peer: peerIdOf(crowd - 1) } });
    expect(new Set(await bench.located('big.bin'))).toEqual(new Set([crowd - 1, keptPeer]));
  });

  test('an entry that only overdue peers have besides its publisher can be unpublished', async () => {
    const bench = await createOverdueBench();
    bench.registry.renew(peerIdOf(keptPeer), [changeOf(big, { complete: true })]);
    expect(await bench.registry.unpublish(peerIdOf(keptPeer), ['big.bin'])).toBe(1);
  });

  test('sweeps end the rest in bounded turns', async () => {
    const bench = await createOverdueBench();
    expect(await bench.registry.sweep()).toBe(true);
    expect(bench.registry.figures().peersOnline).toBe(crowd + 2 - limits.EXPIRIES_PER_TURN_MAX);
    expect(await bench.registry.sweep()).toBe(false);
    expect(bench.registry.figures()).toMatchObject({ peersOnline: 1, holdings: 1 });
    expect(await bench.located('big.bin')).toEqual([keptPeer]);
  });

  test('contents nobody has served for long are forgotten in bounded turns', async () => {
    const bench = await createBench();
    const peer = bench.join(1);
    for (let at = 0; at <= limits.FORGOTTEN_PER_TURN_MAX; at++)
      await bench.publish(peer, `n${at}`, manifestOf(`m${at}`, 1));
    bench.registry.leave(peer);
    bench.clock.nowMs += limits.ENTRY_RETENTION_MS;
    expect(await bench.registry.sweep()).toBe(true);
    expect(bench.registry.figures().entries).toBe(1);
    expect(await bench.registry.sweep()).toBe(false);
    expect(bench.registry.figures().entries).toBe(0);
  });
});

test('leaving is immediate, and leaving twice does no harm', async () => {
  const bench = await createBench();
  const peer = bench.join(1);
  await bench.publish(peer, 'big.bin', big);
  bench.registry.leave(peer);
  bench.registry.leave(peer);
  expect(await bench.located('big.bin')).toEqual([]);
  expect(bench.registry.list(all).entries).toEqual([]);
});

test('registering again replaces what was known of the peer', async () => {
  const bench = await createBench();
  const other = manifestOf('other');
  const peer = bench.join(1);
  await bench.publish(peer, 'big.bin', big);
  await bench.publish(peer, 'other.bin', other);
  bench.join(1, claimOf(other));
  expect(await bench.located('big.bin')).toEqual([]);
  expect(await bench.located('other.bin')).toEqual([1]);
});

test('registering names the contents the tracker has no manifest of', async () => {
  const bench = await createBench();
  const registration = { peerId: peerIdOf(1), addresses: [{ host: '', port: 1 }], dialects: [], agent: '' };
  expect(bench.registry.register({ ...registration, holdings: [claimOf(big)] }, caller)).toEqual([big.contentId]);
  expect(bench.registry.renew(peerIdOf(1), [changeOf(big)]).unknownContentIds).toEqual([big.contentId]);
});

test('an empty host stands for the host the call came from', async () => {
  const bench = await createBench();
  for (const host of ['', '0.0.0.0', '::']) {
    const registration = { peerId: peerIdOf(1), dialects: [], agent: '', holdings: [] };
    bench.registry.register({ ...registration, addresses: [{ host, port: 7 }] }, caller);
    expect(bench.registry.peers({ limit: 0, after: '' }, caller).peers[0]?.addresses).toEqual([
      { host: '10.0.0.9', port: 7 },
    ]);
  }
});

test('publishing the same again adds a source and no entry', async () => {
  const bench = await createBench();
  await bench.publish(bench.join(1), 'big.bin', big);
  await bench.publish(bench.join(2), 'big.bin', big);
  expect(bench.registry.versions('big.bin')).toHaveLength(1);
  expect(new Set(await bench.located('big.bin'))).toEqual(new Set([1, 2]));
});

test('the newest entry of a name is its default and older ones are reached by their first digits', async () => {
  const bench = await createBench();
  const newer = manifestOf('newer');
  const peer = bench.join(1);
  await bench.publish(peer, 'a/big.bin', big);
  await bench.publish(peer, 'a/big.bin', newer);
  const idOf = async (what: string): Promise<string> =>
    (await bench.registry.locate({ what, peerId: '', limit: 0, wantManifest: false }, caller)).entry.contentId;
  expect(await idOf('a/big.bin')).toBe(newer.contentId);
  expect(await idOf(`a/big.bin@${big.contentId.slice(0, 8)}`)).toBe(big.contentId);
  expect(await idOf(`a/big.bin@${big.sha256.slice(0, 8).toUpperCase()}`)).toBe(big.contentId);
  expect(await idOf(big.contentId)).toBe(big.contentId);
  await expect(idOf('a/big.bin@00000000ffff')).rejects.toMatchObject({ code: 'no-such-name' });
});

test('a prefix that fits several entries is refused', async () => {
  const bench = await createBench();
  const peer = bench.join(1);
  const versions = Array.from({ length: 17 }, (_, seed) => manifestOf(`v${seed}`));
  for (const version of versions) await bench.publish(peer, 'x', version);
  const firstDigits = versions.map(({ contentId }) => contentId.charAt(0));
  const twice = firstDigits.find((digit, at) => firstDigits.indexOf(digit) !== at) ?? ''; // 17 ids, 16 digits
  await expect(bench.located(`x@${twice}`)).rejects.toMatchObject({ code: 'usage' });
});

test('a name keeps a bounded history', async () => {
  const bench = await createBench();
  const peer = bench.join(1);
  for (let seed = 0; seed <= limits.ENTRY_VERSIONS_MAX; seed++) await bench.publish(peer, 'x', manifestOf(`v${seed}`));
  const versions = bench.registry.versions('x');
  expect(versions).toHaveLength(limits.ENTRY_VERSIONS_MAX);
  expect(versions.some(({ contentId }) => contentId === manifestOf('v0').contentId)).toBe(false);
  expect(bench.registry.figures()).toMatchObject({ holdings: limits.ENTRY_VERSIONS_MAX });
});

test('one refused item does not spoil the others', async () => {
  const bench = await createBench();
  const peer = bench.join(1);
  const good = { name: 'good', manifest: big.bytes, contentId: big.contentId, partial: false };
  const broken = big.bytes.slice();
  broken[60] = (broken[60] ?? 0) ^ 1;
  const outcomes = await bench.registry.publish(peer, [
    { ...good, name: '../evil' },
    { ...good, manifest: broken },
    good,
    { ...good, name: 'lean', manifest: new Uint8Array(0) },
    { ...good, name: 'unknown', manifest: new Uint8Array(0), contentId: manifestOf('nowhere').contentId },
  ]);
  expect(outcomes.map((outcome) => ('entry' in outcome ? outcome.entry.name : 'refused'))).toEqual([
    'refused',
    'refused',
    'good',
    'lean',
    'refused',
  ]);
});

test('a publisher without all chunks is no source by publishing', async () => {
  const bench = await createBench();
  const item = { name: 'big.bin', manifest: big.bytes, contentId: big.contentId, partial: true };
  await bench.registry.publish(bench.join(1), [item]);
  expect(await bench.located('big.bin')).toEqual([]);
  bench.registry.registerChunks(peerIdOf(1), [claimOf(big, [2])]);
  expect(await bench.located('big.bin')).toEqual([1]);
});

test('an unknown peer cannot publish', async () => {
  const bench = await createBench();
  await expect(bench.registry.publish(peerIdOf(1), [])).rejects.toMatchObject({ code: 'unknown-peer' });
});

test('an entry without an online source is left out of the list but found by name', async () => {
  const bench = await createBench();
  const peer = bench.join(1);
  await bench.publish(peer, 'big.bin', big);
  bench.registry.leave(peer);
  expect(bench.registry.list(all).entries).toEqual([]);
  expect(bench.registry.list({ ...all, includeOffline: true }).entries).toHaveLength(1);
  expect(bench.registry.fileSources('big.bin', caller)).toMatchObject({ entry: { seeders: 0 }, sources: [] });
});

test('an entry nobody serves is forgotten after the retention time, with its manifest', async () => {
  const store = createMemoryStore();
  const bench = await createBench({ store });
  const peer = bench.join(1);
  await bench.publish(peer, 'big.bin', big);
  bench.registry.leave(peer);
  bench.clock.nowMs += limits.ENTRY_RETENTION_MS - 1;
  await bench.registry.sweep();
  expect(bench.registry.has('big.bin')).toBe(true);
  bench.clock.nowMs += 1;
  await bench.registry.sweep();
  expect(bench.registry.has('big.bin')).toBe(false);
  expect(bench.registry.figures()).toMatchObject({ entries: 0, contents: 0 });
  expect(await store.manifest(big.contentId)).toBeUndefined();
});

test('unpublish takes out what only this peer has, and leaves what others have chunks of', async () => {
  const bench = await createBench();
  const peer = bench.join(1);
  await bench.publish(peer, 'big.bin', big);
  bench.join(2, claimOf(big, [0]));
  expect(await bench.registry.unpublish(peer, ['big.bin'])).toBe(0);
  bench.registry.leave(peerIdOf(2));
  expect(await bench.registry.unpublish(bench.join(3), ['big.bin'])).toBe(0);
  expect(await bench.registry.unpublish(peer, ['big.bin', 'nothing'])).toBe(1);
  expect(bench.registry.has('big.bin')).toBe(false);
  expect(bench.registry.figures().holdings).toBe(0);
});

test('a renewal carries chunks up and news down, only what has changed', async () => {
  const bench = await createBench();
  await bench.publish(bench.join(1), 'big.bin', big);
  const peer = bench.join(2);
  const first = bench.registry.renew(peer, [changeOf(big, { gained: [0, 3], links: 4 })]);
  expect(first.news).toEqual([{ contentId: big.contentId, seederRank: 0, seederCount: 0, peerCount: 2 }]);
  expect(bench.registry.renew(peer, [changeOf(big, { gained: [4], lost: [0] })]).news).toEqual([]);
  const { sources } = await bench.registry.locate(
    { what: 'big.bin', peerId: '', limit: 0, wantManifest: false },
    caller,
  );
  expect([...(sources.find(({ peerId }) => peerId === peer)?.chunks ?? [])]).toEqual([3, 4]);
  const done = bench.registry.renew(peer, [changeOf(big, { complete: true })]);
  expect(done.news).toEqual([{ contentId: big.contentId, seederRank: 1, seederCount: 2, peerCount: 2 }]);
  bench.registry.leave(peerIdOf(1));
  expect(bench.registry.renew(peer, []).news).toMatchObject([{ seederRank: 0, seederCount: 1 }]);
});

test('a renewal with a chunk out of range changes nothing', async () => {
  const bench = await createBench();
  await bench.publish(bench.join(1), 'big.bin', big);
  const peer = bench.join(2);
  const wrong = [changeOf(big, { gained: [1] }), changeOf(big, { gained: [big.chunkCount] })];
  expect(() => bench.registry.renew(peer, wrong)).toThrow(/outside/u);
  expect(await bench.located('big.bin')).toEqual([1]);
});

test('the last gained chunk makes a seeder, a lost one a leecher, and dropping ends it', async () => {
  const bench = await createBench();
  await bench.publish(bench.join(1), 'big.bin', big);
  const peer = bench.join(2, claimOf(big, [0, 1, 2, 3, 4, 5, 6]));
  const counts = (): unknown =>
    bench.registry.versions('big.bin').map(({ seeders, leechers }) => [seeders, leechers])[0];
  expect(counts()).toEqual([1, 1]);
  bench.registry.renew(peer, [changeOf(big, { gained: [7] })]);
  expect(counts()).toEqual([2, 0]);
  bench.registry.renew(peer, [changeOf(big, { lost: [5] })]);
  expect(counts()).toEqual([1, 1]);
  bench.registry.renew(peer, [changeOf(big, { dropped: true })]);
  expect(counts()).toEqual([1, 0]);
});

test('more peers, entries and holdings than the limits are refused with a sentence', async () => {
  const bench = await createBench({ peersMax: 2, entriesMax: 2, holdingsMax: 2 });
  const peer = bench.join(1);
  bench.join(2);
  expect(() => bench.join(3)).toThrow(/2 peers/u);
  bench.join(2); // one that is there already may register again
  await bench.publish(peer, 'a', manifestOf('a'));
  await bench.publish(peer, 'b', manifestOf('b'));
  await expect(bench.publish(peer, 'c', manifestOf('c'))).rejects.toThrow(/2 entries/u);
  expect(bench.registry.renew(peer, [changeOf(manifestOf('a'))]).known).toBe(true);
  expect(() => bench.registry.registerChunks(peerIdOf(2), [claimOf(manifestOf('a'))])).toThrow(/2 chunk maps/u);
});

test('offline peers are listed up to a limit, the longest gone forgotten first', async () => {
  const bench = await createBench({ offlinePeersMax: 2 });
  for (const number of [1, 2, 3]) bench.registry.leave(bench.join(number));
  const { peers } = bench.registry.peers({ limit: 0, after: '' }, caller);
  expect(peers.map(({ peerId, online }) => [peerId, online])).toEqual([
    [peerIdOf(2), false],
    [peerIdOf(3), false],
  ]);
});

test('lists are paged by name and searched without regard to case', async () => {
  const bench = await createBench();
  const peer = bench.join(1);
  for (const name of ['c', 'a', 'B.Bin', 'd.bin', 'b']) await bench.publish(peer, name, manifestOf(name));
  const first = bench.registry.list({ ...all, limit: 2 });
  expect(names(first)).toEqual(['B.Bin', 'a']);
  expect(names(bench.registry.list({ ...all, after: first.nextAfter }))).toEqual(['b', 'c', 'd.bin']);
  expect(names(bench.registry.list({ ...all, query: 'BIN' }))).toEqual(['B.Bin', 'd.bin']);
  expect(bench.registry.list(all).nextAfter).toBe('');
});

test('peers are paged in the order they first came', async () => {
  const bench = await createBench();
  for (const number of [3, 1, 2]) bench.join(number);
  const first = bench.registry.peers({ limit: 2, after: '' }, caller);
  expect(first.peers.map(({ peerId }) => peerId)).toEqual([peerIdOf(3), peerIdOf(1)]);
  const second = bench.registry.peers({ limit: 2, after: first.nextAfter }, caller);
  expect(second.peers.map(({ peerId }) => peerId)).toEqual([peerIdOf(2)]);
  expect(second.nextAfter).toBe('');
});

test('the catalogue and last-seen peers come back from the store', async () => {
  const store = createMemoryStore();
  const before = await createBench({ store });
  await before.publish(before.join(1), 'big.bin', big);
  await before.publish(peerIdOf(1), 'big.bin', manifestOf('newer'));
  await before.registry.close();
  const after = await createBench({ store });
  expect(after.registry.versions('big.bin').map(({ contentId }) => contentId)).toEqual([
    manifestOf('newer').contentId,
    big.contentId,
  ]);
  expect(after.registry.peers({ limit: 0, after: '' }, caller).peers).toMatchObject([
    { peerId: peerIdOf(1), online: false },
  ]);
  after.join(1, claimOf(big));
  expect(await after.located(`big.bin@${big.contentId}`)).toEqual([1]);
  expect((await after.registry.manifest(big.contentId)).bytes).toEqual(big.bytes);
});

test('a store that fails makes publishing fail, and the entry is written once the store works again', async () => {
  const memory = createMemoryStore();
  let broken = true;
  const apply: typeof memory.apply = async (changes) => {
    if (broken) throw new Error('disk full');
    await memory.apply(changes);
  };
  const bench = await createBench({ store: { ...memory, apply } });
  const peer = bench.join(1);
  await expect(bench.publish(peer, 'big.bin', big)).rejects.toMatchObject({ code: 'disk' });
  expect(bench.registry.problem()).toBeDefined();
  broken = false;
  await bench.publish(peer, 'big.bin', big);
  expect(bench.registry.problem()).toBeUndefined();
  expect(await memory.manifest(big.contentId)).toEqual(big.bytes);
});

test('a manifest in parts is taken in order, checked, and published without its bytes', async () => {
  const bench = await createBench();
  const uploader = bench.join(1);
  const { bytes, contentId } = big;
  const upload = (offset: number, end: number): boolean =>
    bench.registry.uploadManifestPart({
      uploader,
      contentId,
      totalBytes: bytes.length,
      offset,
      part: bytes.subarray(offset, end),
    });
  expect(() => upload(100, 200)).toThrow(/begin at offset 0/u);
  expect(upload(0, 100)).toBe(false);
  expect(upload(0, 100)).toBe(false);
  expect(() => upload(150, 200)).toThrow(/begins at 100/u);
  expect(upload(100, bytes.length)).toBe(true);
  expect(upload(100, bytes.length)).toBe(true);
  const [outcome] = await bench.registry.publish(uploader, [
    { name: 'big.bin', manifest: new Uint8Array(0), contentId, partial: false },
  ]);
  expect(outcome).toMatchObject({ entry: { name: 'big.bin' } });
});

test('an upload that nobody goes on with is dropped', async () => {
  const bench = await createBench({ leaseMs: 10 * limits.MANIFEST_STAGED_MS });
  const part = { uploader: bench.join(1), contentId: big.contentId, totalBytes: big.bytes.length };
  bench.registry.uploadManifestPart({ ...part, offset: 0, part: big.bytes.subarray(0, 100) });
  bench.clock.nowMs += limits.MANIFEST_STAGED_MS;
  expect(() => bench.registry.uploadManifestPart({ ...part, offset: 100, part: big.bytes.subarray(100) })).toThrow(
    /offset 0/u,
  );
});

test('events tell what happens, in order', async () => {
  const bench = await createBench();
  const events = await eventsOf(bench, bench.registry.events.lastId, async () => {
    await bench.publish(bench.join(1), 'big.bin', big);
    bench.join(2, claimOf(big, []));
    bench.registry.renew(peerIdOf(2), [changeOf(big, { gained: [0, 1, 2] })]);
    bench.registry.renew(peerIdOf(2), [changeOf(big, { complete: true })]);
    bench.registry.leave(peerIdOf(2));
    await bench.registry.unpublish(peerIdOf(1), ['big.bin']);
  });
  expect(events.map(({ type }) => type)).toEqual([
    'peer-joined',
    'entry-published',
    'peer-joined',
    'milestone',
    'content-complete',
    'peer-left',
    'entry-removed',
  ]);
  expect(events[3]?.data).toMatchObject({ name: 'big.bin', percent: 25, peer: peerIdOf(2) });
  expect(events.map(({ id }) => id)).toEqual(events.map((_, at) => (events[0]?.id ?? 0) + at));
});

test('a subscriber that asks for events that are gone is told that it missed some', async () => {
  const bench = await createBench();
  bench.join(1);
  const events = await eventsOf(bench, 5, () => undefined);
  expect(events.map(({ type }) => type)).toEqual(['missed', 'peer-joined']);
  const ahead = await eventsOf(bench, Number.MAX_SAFE_INTEGER - 1, () => undefined);
  expect(ahead.map(({ type }) => type)).toEqual(['missed']);
});

test('a waiting subscriber hears of an event at once and ends with its signal', async () => {
  const bench = await createBench();
  const stop = new AbortController();
  const events = bench.registry.events.watch({ afterId: 0, signal: stop.signal });
  const next = events.next();
  await delay(0); // lets the subscriber come to its wait
  bench.join(1);
  expect((await next).value?.type).toBe('peer-joined');
  const last = events.next();
  stop.abort();
  expect((await last).done).toBe(true);
  expect(bench.registry.figures().eventSubscribers).toBe(0);
});

test('copies that an entry asks for stay with it, are asked for anew, and outlive the tracker', async () => {
  const store = createMemoryStore();
  const bench = await createBench({ store });
  const peer = bench.join(1);
  const item = { name: 'big.bin', manifest: big.bytes, contentId: big.contentId, partial: false };
  const goal = async (): Promise<number | undefined> => bench.registry.versions('big.bin')[0]?.replicas;
  await bench.registry.publish(peer, [{ ...item, replicas: 3 }]);
  expect(await goal()).toBe(3);
  await bench.registry.publish(peer, [item]); // says nothing of copies
  expect(await goal()).toBe(3);
  const [refused] = await bench.registry.publish(peer, [{ ...item, replicas: limits.REPLICAS_MAX + 1 }]);
  expect(refused).toEqual({ problem: expect.stringMatching(/^17 replicas are more than the 16/u) });
  await bench.registry.close();
  const again = await createBench({ store });
  expect(again.registry.versions('big.bin')[0]?.replicas).toBe(3);
  await again.registry.publish(again.join(2), [{ ...item, replicas: 0 }]);
  expect(again.registry.versions('big.bin')[0]?.replicas).toBe(0);
});
