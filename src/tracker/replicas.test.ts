import { expect, test } from 'vitest';
import * as limits from '../limits.ts';
import type { TrackerEvent } from './event-log.ts';
import type { RenewOutcome } from './membership.ts';
import type { RegistryOptions } from './registry.ts';
import { createMemoryStore } from './store/memory.ts';
import {
  bitfieldOf,
  caller,
  changeOf,
  claimOf,
  createBench,
  manifestOf,
  peerIdOf,
  type Bench,
} from './test-fixtures.ts';

const big = manifestOf('big', 40);
const CHUNK = big.chunkSize;
const ROOM = { offeredBytes: 1e9, usedBytes: 0 };
const GONE_MS = 100_000;
const all = Array.from({ length: big.chunkCount }, (_, chunk) => chunk);

/** A swarm of simulated volunteers: each does at its renewals what it is told. */
async function createSwarm(options: Partial<RegistryOptions> = {}) {
  const bench = await createBench({ replicaGoneMs: GONE_MS, ...options });
  const kept = new Map<number, Set<number>>();
  const dropSeen = new Map<number, string>();
  const swarm = {
    bench,
    kept,
    has: (number: number): number[] => [...(kept.get(number) ?? [])].toSorted((a, b) => a - b),
    join(number: number, offer = ROOM): void {
      const chunks = [...(kept.get(number) ?? [])];
      kept.set(number, new Set(chunks));
      const claims = chunks.length === 0 ? [] : [{ ...claimOf(big, chunks), complete: false, isReplica: true }];
      bench.volunteer(number, offer, ...claims);
    },
    renew(number: number, offer = ROOM): RenewOutcome {
      const have = kept.get(number) ?? new Set<number>();
      const usedBytes = have.size * CHUNK;
      const outcome = bench.registry.renew(peerIdOf(number), [], undefined, { ...offer, usedBytes });
      for (const { contentId, hold, drop } of outcome.replicas) {
        if (contentId !== big.contentId) continue;
        for (const chunk of hold) have.add(chunk);
        if (dropSeen.get(number) === drop.join()) for (const chunk of drop) have.delete(chunk);
        dropSeen.set(number, drop.join());
        const claim = { contentId, complete: false, chunks: bitfieldOf(big, [...have]).toBytes(), isReplica: true };
        bench.registry.registerChunks(peerIdOf(number), [claim]);
      }
      return outcome;
    },
    /** Time passes; everybody named renews, and the tracker plans. */
    async pass(ms: number, ...numbers: readonly number[]): Promise<void> {
      for (let left = ms; left > 0; left -= limits.RENEW_MS) {
        bench.clock.nowMs += Math.min(left, limits.RENEW_MS);
        for (const number of numbers) swarm.renew(number);
        while (await bench.registry.sweep());
      }
    },
    view: () => bench.registry.versions('big.bin')[0],
  };
  return swarm;
}

async function eventsSince(bench: Bench, afterId: number): Promise<readonly TrackerEvent[]> {
  const stop = new AbortController();
  const events: TrackerEvent[] = [];
  for await (const event of bench.registry.events.watch({ afterId, signal: stop.signal, silenceMs: 0 })) {
    if (event === undefined) stop.abort();
    else events.push(event);
  }
  return events.filter(({ type }) => type.endsWith('replicated'));
}

test('volunteers are told to keep what an entry asks for, spread over them, and it is said when they do', async () => {
  const swarm = await createSwarm();
  const { bench } = swarm;
  const start = bench.registry.events.lastId;
  await bench.publish(bench.join(100), 'big.bin', big, 2);
  expect(swarm.view()).toMatchObject({ replicas: 2, replicasReached: 0, replicaChunksMissing: 40 });
  for (const number of [1, 2, 3]) swarm.join(number);
  await swarm.pass(2 * limits.RENEW_MS, 1, 2, 3);
  expect(swarm.view()).toMatchObject({ replicas: 2, replicasReached: 2, replicaChunksMissing: 0 });
  const shares = [1, 2, 3].map((number) => swarm.has(number).length);
  expect(shares.reduce((sum, share) => sum + share, 0)).toBe(80);
  expect(Math.min(...shares)).toBeGreaterThan(15);
  for (const number of [1, 2, 3]) expect(swarm.renew(number).replicas).toEqual([]);
  expect(await eventsSince(bench, start)).toMatchObject([
    { type: 'replicated', data: { name: 'big.bin', content: big.contentId, replicas: 2, reached: 2, missing: 0 } },
  ]);
  expect(bench.registry.figures().replicas).toMatchObject({
    volunteers: 3,
    usedBytes: 80 * CHUNK,
    contentsReached: 1,
    contentsShort: 0,
  });
});

test('a volunteer that goes is waited for, and what it kept is copied anew only when it is gone for good', async () => {
  const swarm = await createSwarm();
  const { bench } = swarm;
  const publisher = bench.join(100);
  await bench.publish(publisher, 'big.bin', big, 2);
  for (const number of [1, 2, 3]) swarm.join(number);
  await swarm.pass(2 * limits.RENEW_MS, 1, 2, 3);
  const start = bench.registry.events.lastId;
  const before = swarm.has(2);
  await swarm.pass(limits.LEASE_MS + limits.RENEW_MS, 2, 3); // 1 is silent
  expect(swarm.view()).toMatchObject({ replicasReached: 1 });
  expect(await eventsSince(bench, start)).toMatchObject([{ type: 'under-replicated', data: { reached: 1 } }]);
  await swarm.pass(GONE_MS - 2 * limits.RENEW_MS, 2, 3);
  expect(swarm.has(2)).toEqual(before);
  await swarm.pass(4 * limits.RENEW_MS, 2, 3);
  expect(swarm.view()).toMatchObject({ replicasReached: 2, replicaChunksMissing: 0 });
  expect([swarm.has(2), swarm.has(3)]).toEqual([all, all]);

  // it comes back with what it had: a third copy, which goes when nothing has changed for as long
  swarm.join(1);
  await swarm.pass(GONE_MS - limits.RENEW_MS, 1, 2, 3);
  expect(swarm.has(1).length).toBeGreaterThan(0);
  await swarm.pass(6 * limits.RENEW_MS, 1, 2, 3);
  const copies = all.map((chunk) => [1, 2, 3].filter((number) => swarm.kept.get(number)?.has(chunk)).length);
  expect(copies).toEqual(all.map(() => 2));
  expect(swarm.view()).toMatchObject({ replicasReached: 2, replicaChunksMissing: 0 });
});

test('a volunteer that comes back in time brings nothing in motion', async () => {
  const swarm = await createSwarm();
  await swarm.bench.publish(swarm.bench.join(100), 'big.bin', big, 2);
  for (const number of [1, 2, 3]) swarm.join(number);
  await swarm.pass(2 * limits.RENEW_MS, 1, 2, 3);
  const before = [1, 2, 3].map((number) => swarm.has(number));
  swarm.bench.registry.leave(peerIdOf(1));
  await swarm.pass(GONE_MS / 2, 2, 3);
  swarm.join(1);
  await swarm.pass(3 * GONE_MS, 1, 2, 3);
  expect([1, 2, 3].map((number) => swarm.has(number))).toEqual(before);
});

test('without enough room it is said once what is missing, and goes on when somebody comes', async () => {
  const swarm = await createSwarm();
  const start = swarm.bench.registry.events.lastId;
  await swarm.bench.publish(swarm.bench.join(100), 'big.bin', big, 2);
  swarm.join(1);
  await swarm.pass(5 * limits.RENEW_MS, 1);
  expect(swarm.view()).toMatchObject({ replicasReached: 1, replicaChunksMissing: 40 });
  expect(await eventsSince(swarm.bench, start)).toMatchObject([{ type: 'under-replicated', data: { unplaced: 40 } }]);
  swarm.join(2);
  await swarm.pass(2 * limits.RENEW_MS, 1, 2);
  expect(swarm.view()).toMatchObject({ replicasReached: 2, replicaChunksMissing: 0 });
});

test('a newer version of the name takes the copies over once it has its own, and 0 takes them back', async () => {
  const swarm = await createSwarm();
  const { bench } = swarm;
  const publisher = bench.join(100);
  await bench.publish(publisher, 'big.bin', manifestOf('older', 4), 1);
  await bench.publish(publisher, 'big.bin', big, 1);
  expect(bench.registry.versions('big.bin').map(({ replicas }) => replicas)).toEqual([1, 1]);
  swarm.join(1);
  await swarm.pass(2 * limits.RENEW_MS, 1);
  expect(bench.registry.versions('big.bin').map(({ replicas }) => replicas)).toEqual([1, 0]);
  await bench.publish(publisher, 'big.bin', big, 0);
  await swarm.pass(GONE_MS + 4 * limits.RENEW_MS, 1);
  expect(swarm.has(1)).toEqual([]);
});

test('copies of volunteers do not keep an entry that its publisher takes out', async () => {
  const swarm = await createSwarm();
  const publisher = swarm.bench.join(100);
  await swarm.bench.publish(publisher, 'big.bin', big, 1);
  swarm.join(1);
  await swarm.pass(2 * limits.RENEW_MS, 1);
  swarm.bench.registry.renew(publisher, []);
  swarm.bench.join(100, claimOf(big));
  expect(await swarm.bench.registry.unpublish(publisher, ['big.bin'])).toBe(1);
  expect(swarm.bench.registry.figures().replicas).toMatchObject({ contentsReached: 0, contentsShort: 0 });
});

test('a banned volunteer counts no more', async () => {
  const swarm = await createSwarm();
  const { bench } = swarm;
  await bench.publish(bench.join(100), 'big.bin', big, 1);
  swarm.join(1);
  await swarm.pass(2 * limits.RENEW_MS, 1);
  expect(swarm.view()).toMatchObject({ replicasReached: 1 });
  for (let number = 50; number < 50 + limits.REPORTERS_MIN; number++) {
    bench.join(number, claimOf(big, []));
    const report = { contentId: big.contentId, peerId: peerIdOf(1), address: { host: '10.1.0.1', port: 9001 } };
    const from = { observedHost: `10.0.1.${number}` };
    bench.registry.reportPeers(peerIdOf(number), [{ ...report, offence: 'wrong-bytes' }], from);
  }
  swarm.join(2);
  await swarm.pass(2 * limits.RENEW_MS, 1, 2);
  expect(swarm.has(2)).toEqual(all);
  expect(swarm.view()).toMatchObject({ replicasReached: 1 });
});

test('a volunteer that does not do what it is told is passed over', async () => {
  const swarm = await createSwarm();
  const { bench } = swarm;
  const publisher = bench.join(100);
  await bench.publish(publisher, 'big.bin', big, 1);
  bench.volunteer(1, ROOM); // never fetches anything
  swarm.join(2);
  await swarm.pass(2 * limits.RENEW_MS, 2);
  const early = swarm.has(2).length;
  expect(early).toBeLessThan(40);
  for (let ms = 0; ms < limits.REPLICA_PATIENCE_MS + limits.LEASE_MS; ms += limits.RENEW_MS) {
    bench.registry.renew(publisher, []);
    bench.registry.renew(peerIdOf(1), [], undefined, ROOM);
    await swarm.pass(limits.RENEW_MS, 2);
  }
  expect(swarm.has(2)).toEqual(all);
  expect(bench.registry.renew(peerIdOf(1), [], undefined, ROOM).replicas).toEqual([]);
});

test('after a start volunteers have time to come back before anything is ordered', async () => {
  const store = createMemoryStore();
  const first = await createSwarm({ store });
  await first.bench.publish(first.bench.join(100), 'big.bin', big, 1);
  first.join(1);
  await first.pass(2 * limits.RENEW_MS, 1);
  await first.bench.registry.close();
  const second = await createSwarm({ store });
  const start = second.bench.registry.events.lastId;
  second.kept.set(1, new Set(all));
  second.bench.join(100, claimOf(big));
  second.join(2);
  await second.pass(limits.LEASE_MS, 2);
  expect(second.has(2)).toEqual([]);
  second.join(1);
  await second.pass(2 * limits.LEASE_MS, 1, 2);
  expect(second.has(2)).toEqual([]);
  expect(second.view()).toMatchObject({ replicas: 1, replicasReached: 1, replicaChunksMissing: 0 });
  expect(await eventsSince(second.bench, start)).toEqual([]);
});

test('what a volunteer shares itself counts, and it is not told to drop it', async () => {
  const swarm = await createSwarm();
  const { bench } = swarm;
  bench.volunteer(1, ROOM);
  await bench.publish(peerIdOf(1), 'big.bin', big, 1);
  swarm.join(2);
  await swarm.pass(2 * limits.RENEW_MS, 1, 2);
  expect(swarm.has(2)).toEqual([]);
  expect(swarm.view()).toMatchObject({ replicasReached: 1 });
  bench.registry.renew(peerIdOf(1), [changeOf(big, { complete: true })]);
  const [peer] = bench.registry.peers({ limit: 0, after: '' }, caller).peers;
  expect(peer).toMatchObject({ offer: { offeredBytes: 1e9 }, completeContents: 1 });
});
