import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Bitfield } from '../content/bitfield.ts';
import { ScriptedSwarm } from './fixtures.ts';
import { SeedOrder } from './seed-order.ts';

const all = (): boolean => true;

describe('SeedOrder', () => {
  it('suggests the chunks of which the fewest copies exist, in order from the start of the shard', () => {
    const order = new SeedOrder(8);
    expect(order.suggest(3, all)).toEqual([0, 1, 2]);
    order.setShard(1, 2);
    expect(order.suggest(5, all)).toEqual([4, 5, 6, 7, 0]);
    order.raise(4);
    order.raise(5);
    expect(order.suggest(2, all)).toEqual([6, 7]);
    expect(order.suggest(8, all).slice(-2)).toEqual([4, 5]);
  });

  it('sends a first copy of every chunk before any second one', () => {
    const order = new SeedOrder(50);
    const sent = new Set<number>();
    for (let round = 0; round < 50; round++) {
      const [chunk] = order.suggest(1, all);
      expect(sent.has(chunk as number)).toBe(false);
      sent.add(chunk as number);
      order.raise(chunk as number);
    }
    expect(sent.size).toBe(50);
  });

  it('passes over what the other side does not want', () => {
    const order = new SeedOrder(4);
    expect(order.suggest(2, (chunk) => chunk % 2 === 1)).toEqual([1, 3]);
    expect(order.suggest(2, () => false)).toEqual([]);
  });

  it('agrees with sorting by copies and distance from the start, under any history', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 60 }),
        fc.array(fc.record({ up: fc.boolean(), chunk: fc.nat(59) })),
        fc.nat(9),
        fc.integer({ min: 1, max: 10 }),
        (chunkCount, changes, rank, count) => {
          const order = new SeedOrder(chunkCount);
          order.setShard(rank, count);
          const copies = Array.from({ length: chunkCount }, () => 0);
          for (const { up, chunk: any } of changes) {
            const chunk = any % chunkCount;
            if (up) order.raise(chunk);
            else order.lower(chunk);
            copies[chunk] = Math.max(0, (copies[chunk] as number) + (up ? 1 : -1));
          }
          const start = Math.floor(((rank % count) * chunkCount) / count);
          const distance = (chunk: number): number => (chunk - start + chunkCount) % chunkCount;
          const sorted = [...copies.keys()].toSorted(
            (a, b) => (copies[a] as number) - (copies[b] as number) || distance(a) - distance(b),
          );
          expect(order.suggest(chunkCount, all)).toEqual(sorted);
        },
      ),
    );
  });
});

describe('complete peers', () => {
  const CHUNKS = 64;
  const firstSuggestion = (seed: number, rank?: number): number | undefined => {
    const bench = new ScriptedSwarm({ chunkCount: CHUNKS, have: Bitfield.full(CHUNKS), seed });
    if (rank !== undefined) bench.tell({ type: 'seed-rank', rank, count: 2 });
    bench.link(1);
    bench.takeSent('grant');
    bench.link(2);
    bench.passUntil(3_000);
    return bench.takeSent('grant')[0]?.suggestions[0];
  };

  it('begin where their rank says, and somewhere each while they have none', () => {
    expect([1, 2, 3].map((seed) => firstSuggestion(seed, 1))).toEqual([32, 32, 32]);
    expect(new Set([1, 2, 3, 4].map((seed) => firstSuggestion(seed))).size).toBeGreaterThan(1);
  });
});
