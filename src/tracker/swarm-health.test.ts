import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RAREST_COPIES_MAX } from './swarm-health.ts';
import { changeOf, claimOf, createBench, manifestOf, peerIdOf } from './test-fixtures.ts';

const CHUNKS = 4;
const contents = ['a', 'b'].map((name) => manifestOf(name, CHUNKS));

test('a content goes from complete to spread to incomplete to gone as its holders go', async () => {
  const bench = await createBench();
  const [big] = contents as [(typeof contents)[0]];
  bench.join(0);
  await bench.publish(peerIdOf(0), 'big.bin', big);
  const states = (): readonly number[] => bench.registry.figures().swarms.byState;
  bench.join(1, claimOf(big, [0, 1]));
  bench.join(2, claimOf(big, [1, 2, 3]));
  expect(bench.registry.figures().swarms).toMatchObject({ seeders: 1, leechers: 2, chunksAbsent: 0, chunksSingle: 0 });
  expect(states()).toEqual([1, 0, 0]);
  bench.registry.leave(peerIdOf(0));
  expect(states()).toEqual([0, 1, 0]);
  expect(bench.registry.figures().swarms).toMatchObject({ chunksSingle: 3, byRarestCopies: [0, 1, 0, 0, 0] });
  bench.registry.leave(peerIdOf(2));
  expect(states()).toEqual([0, 0, 1]);
  expect(bench.registry.figures().swarms).toMatchObject({ chunksAbsent: 2, chunksSingle: 2 });
  bench.registry.leave(peerIdOf(1));
  expect(states()).toEqual([0, 0, 0]);
});

/** Of those at random: these only keep what they have. */
const isVolunteer = (peer: number): boolean => peer >= 4;

test('who only keeps replicas is no leecher, until it fetches or has all of it', async () => {
  const bench = await createBench();
  const [big] = contents as [(typeof contents)[0]];
  bench.join(0, claimOf(big));
  await bench.publish(peerIdOf(0), 'big.bin', big);
  const kept = { ...claimOf(big, [0, 1]), isReplica: true };
  bench.join(1, kept);
  bench.join(2, claimOf(big, [2]));
  const counts = () => {
    const { seeders, leechers, volunteers } = bench.registry.figures().swarms;
    const [entry] = bench.registry.versions('big.bin');
    expect(entry).toMatchObject({ seeders, leechers, volunteers });
    return [seeders, leechers, volunteers];
  };
  const caller = { observedHost: '10.0.0.9' };
  const peer = () => bench.registry.peers({ limit: 0, after: '', query: peerIdOf(1) }, caller).peers[0];
  expect(counts()).toEqual([1, 1, 1]);
  expect(peer()).toMatchObject({ completeContents: 0, partialContents: 0, replicaContents: 1 });
  expect(bench.registry.fileSources('big.bin', caller).partial.map(({ isReplica }) => isReplica)).toEqual([
    true,
    false,
  ]);
  bench.registry.registerChunks(peerIdOf(1), [claimOf(big, [0, 1])]);
  expect(counts()).toEqual([1, 2, 0]);
  expect(peer()).toMatchObject({ partialContents: 1, replicaContents: 0 });
  bench.registry.registerChunks(peerIdOf(1), [kept]);
  bench.registry.renew(peerIdOf(1), [changeOf(big, { gained: [2] })]);
  expect(counts()).toEqual([1, 1, 1]);
  bench.registry.renew(peerIdOf(1), [changeOf(big, { complete: true })]);
  expect(counts()).toEqual([2, 1, 0]);
  bench.registry.renew(peerIdOf(1), [changeOf(big, { lost: [3] })]);
  expect(counts()).toEqual([1, 1, 1]);
  bench.registry.leave(peerIdOf(1));
  expect(counts()).toEqual([1, 1, 0]);
});

interface Step {
  readonly peer: number;
  readonly content: number;
  readonly what: 'join' | 'change' | 'leave';
  readonly chunks: readonly number[];
}

const stepArb: fc.Arbitrary<Step> = fc.record({
  peer: fc.nat({ max: 5 }),
  content: fc.nat({ max: 1 }),
  what: fc.constantFrom('join', 'change', 'leave'),
  chunks: fc.uniqueArray(fc.nat({ max: CHUNKS - 1 })),
});

test('the figures are what a walk over everybody would find', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(stepArb, { maxLength: 40 }), async (steps) => {
      const bench = await createBench();
      bench.join(9);
      for (const [index, content] of contents.entries()) await bench.publish(peerIdOf(9), `${index}`, content);
      bench.registry.leave(peerIdOf(9));
      /** By peer and content. */
      const have = new Map<number, Map<number, Set<number>>>();
      /** The content that a peer said it has when it came; what it says of others later are no replicas. */
      const joinedWith = new Map<number, number>();
      for (const { peer, content, what, chunks } of steps) {
        const { contentId } = contents[content] as (typeof contents)[0];
        if (what === 'leave') {
          bench.registry.leave(peerIdOf(peer));
          have.delete(peer);
        } else if (what === 'join') {
          const claim = claimOf(contents[content] as (typeof contents)[0], chunks);
          bench.join(peer, { ...claim, isReplica: isVolunteer(peer) });
          joinedWith.set(peer, content);
          have.set(peer, new Map([[content, new Set(chunks)]]));
        } else if (have.has(peer)) {
          const held = have.get(peer)?.get(content);
          const lost = chunks.filter((chunk) => held?.has(chunk) ?? false);
          const gained = chunks.filter((chunk) => !lost.includes(chunk));
          bench.registry.renew(peerIdOf(peer), [
            { contentId, complete: false, gained, lost, dropped: false, links: 0 },
          ]);
          have.get(peer)?.set(content, new Set([...(held ?? []), ...gained].filter((chunk) => !lost.includes(chunk))));
        }
      }
      const expected = { byState: [0, 0, 0], byRarestCopies: [0, 0, 0, 0, 0], chunksAbsent: 0, chunksSingle: 0 };
      let [seeders, leechers, volunteers] = [0, 0, 0];
      for (const content of contents.keys()) {
        const holders = [...have.values()].flatMap((held) => held.get(content) ?? []);
        if (holders.length === 0) continue;
        const complete = holders.filter(({ size }) => size === CHUNKS).length;
        seeders += complete;
        for (const [peer, held] of have) {
          if ((held.get(content)?.size ?? CHUNKS) === CHUNKS) continue;
          if (isVolunteer(peer) && joinedWith.get(peer) === content) volunteers++;
          else leechers++;
        }
        const copies = Array.from({ length: CHUNKS }, (_, chunk) => holders.filter((held) => held.has(chunk)).length);
        const rarest = Math.min(...copies, RAREST_COPIES_MAX);
        const state = complete > 0 ? 0 : rarest > 0 ? 1 : 2;
        expected.byState[state] = (expected.byState[state] ?? 0) + 1;
        expected.byRarestCopies[rarest] = (expected.byRarestCopies[rarest] ?? 0) + 1;
        expected.chunksAbsent += copies.filter((count) => count === 0).length;
        expected.chunksSingle += copies.filter((count) => count === 1).length;
      }
      expect(bench.registry.figures().swarms).toEqual({ ...expected, seeders, leechers, volunteers });
    }),
    { numRuns: 100 },
  );
});
