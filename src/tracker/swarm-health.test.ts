import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RAREST_COPIES_MAX } from './swarm-health.ts';
import { claimOf, createBench, manifestOf, peerIdOf } from './test-fixtures.ts';

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
      for (const { peer, content, what, chunks } of steps) {
        const { contentId } = contents[content] as (typeof contents)[0];
        if (what === 'leave') {
          bench.registry.leave(peerIdOf(peer));
          have.delete(peer);
        } else if (what === 'join') {
          bench.join(peer, claimOf(contents[content] as (typeof contents)[0], chunks));
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
      let [seeders, leechers] = [0, 0];
      for (const content of contents.keys()) {
        const holders = [...have.values()].flatMap((held) => held.get(content) ?? []);
        if (holders.length === 0) continue;
        const complete = holders.filter(({ size }) => size === CHUNKS).length;
        seeders += complete;
        leechers += holders.length - complete;
        const copies = Array.from({ length: CHUNKS }, (_, chunk) => holders.filter((held) => held.has(chunk)).length);
        const rarest = Math.min(...copies, RAREST_COPIES_MAX);
        const state = complete > 0 ? 0 : rarest > 0 ? 1 : 2;
        expected.byState[state] = (expected.byState[state] ?? 0) + 1;
        expected.byRarestCopies[rarest] = (expected.byRarestCopies[rarest] ?? 0) + 1;
        expected.chunksAbsent += copies.filter((count) => count === 0).length;
        expected.chunksSingle += copies.filter((count) => count === 1).length;
      }
      expect(bench.registry.figures().swarms).toEqual({ ...expected, seeders, leechers });
    }),
    { numRuns: 100 },
  );
});
