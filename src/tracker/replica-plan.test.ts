import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Bitfield } from '../content/bitfield.ts';
import { createChunkLayout } from '../content/chunk-layout.ts';
import { REPLICA_CANDIDATES_MAX, REPLICA_ORDER_CHUNKS_MAX } from '../limits.ts';
import { planReplicas, type PlanInput, type PlanVolunteer, type ReplicaPlan } from './replica-plan.ts';

const CHUNK_SIZE = 16 * 1024;
const ROOM = 1e12;

function layoutOf(chunkCount: number): PlanInput['layout'] {
  return createChunkLayout(chunkCount * CHUNK_SIZE, CHUNK_SIZE);
}

function setOf(chunkCount: number, chunks: readonly number[]): Bitfield {
  const set = new Bitfield(chunkCount);
  for (const chunk of chunks) set.add(chunk);
  return set;
}

function volunteer(key: string, more: Partial<PlanVolunteer> = {}): PlanVolunteer {
  return { key, host: `host of ${key}`, chunks: undefined, counts: true, mayDrop: true, freeBytes: ROOM, ...more };
}

function planOf(chunkCount: number, goal: number, volunteers: readonly PlanVolunteer[], more: Partial<PlanInput> = {}) {
  const common = { key: 'content', layout: layoutOf(chunkCount), goal, volunteers };
  return planReplicas({ ...common, away: [], sourceCount: () => 1, mayTrim: true, ...more });
}

function holds(plan: ReplicaPlan): Record<string, readonly number[]> {
  return Object.fromEntries([...plan.orders].map(([key, { hold }]) => [key, hold]));
}

/** The volunteers when all orders are carried out. */
function carriedOut(chunkCount: number, plan: ReplicaPlan, volunteers: readonly PlanVolunteer[]): PlanVolunteer[] {
  return volunteers.map((one) => {
    const order = plan.orders.get(one.key);
    if (order === undefined) return one;
    const chunks = one.chunks === null ? Bitfield.full(chunkCount) : (one.chunks?.clone() ?? new Bitfield(chunkCount));
    for (const chunk of order.hold) chunks.add(chunk);
    for (const chunk of order.drop) chunks.delete(chunk);
    return { ...one, chunks: chunks.count === 0 ? undefined : chunks, freeBytes: one.freeBytes - order.holdBytes };
  });
}

const names = ['a', 'b', 'c', 'd', 'e'] as const;
const arbitraryPlan = fc
  .record({
    chunkCount: fc.integer({ min: 1, max: 40 }),
    goal: fc.integer({ min: 0, max: 4 }),
    hosts: fc.integer({ min: 1, max: 5 }),
  })
  .chain(({ chunkCount, goal, hosts }) => {
    const chunks = fc.oneof(
      fc.constant(undefined),
      fc.constant(null),
      fc.uniqueArray(fc.nat(chunkCount - 1)).map((list) => (list.length === 0 ? undefined : setOf(chunkCount, list))),
    );
    const volunteers = fc.tuple(
      ...names.map((key, index) =>
        fc.record({
          key: fc.constant(key),
          host: fc.constant(`host ${index % hosts}`),
          chunks,
          counts: fc.boolean(),
          mayDrop: fc.boolean(),
          freeBytes: fc.oneof(fc.constant(0), fc.nat(20 * CHUNK_SIZE), fc.constant(ROOM)),
        }),
      ),
    );
    const sources = fc.array(fc.nat(3), { minLength: chunkCount, maxLength: chunkCount });
    return fc.record({
      chunkCount: fc.constant(chunkCount),
      goal: fc.constant(goal),
      volunteers,
      away: fc.array(
        chunks.map((one) => one ?? null),
        { maxLength: 2 },
      ),
      sources,
      mayTrim: fc.boolean(),
    });
  });

const has = ({ chunks }: PlanVolunteer, chunk: number): boolean => chunks === null || (chunks?.has(chunk) ?? false);

describe('whatever there is', () => {
  const check = (property: (input: PlanInput, plan: ReplicaPlan, chunkCount: number) => void): void =>
    fc.assert(
      fc.property(arbitraryPlan, ({ chunkCount, goal, volunteers, away, sources, mayTrim }) => {
        const sourceCount = (chunk: number): number => sources[chunk] ?? 0;
        const input = { key: 'x', layout: layoutOf(chunkCount), goal, volunteers, away, sourceCount, mayTrim };
        property(input, planReplicas(input), chunkCount);
      }),
      { numRuns: 300 },
    );

  test('nobody is told to fetch what it has, what nobody has, or more than it has room for', () => {
    check(({ volunteers, sourceCount }, plan) => {
      for (const one of volunteers) {
        const order = plan.orders.get(one.key);
        for (const chunk of order?.hold ?? []) {
          expect(has(one, chunk)).toBe(false);
          expect(sourceCount(chunk)).toBeGreaterThan(0);
        }
        expect(order?.holdBytes ?? 0).toBeLessThanOrEqual(one.freeBytes);
        if (!one.counts) expect(order?.hold ?? []).toEqual([]);
      }
    });
  });

  test('no chunk is ordered beyond the goal, those that may come back counted', () => {
    check(({ volunteers, away, goal }, plan, chunkCount) => {
      for (let chunk = 0; chunk < chunkCount; chunk++) {
        const ordered = [...plan.orders.values()].filter(({ hold }) => hold.includes(chunk)).length;
        const copies = volunteers.filter((one) => one.counts && has(one, chunk)).length;
        const expected = away.filter((chunks) => chunks?.has(chunk) ?? true).length;
        if (ordered > 0) expect(copies + expected + ordered).toBeLessThanOrEqual(goal);
      }
    });
  });

  test('what is dropped leaves as many copies as asked for, that count and are there now', () => {
    check(({ volunteers, goal, mayTrim }, plan, chunkCount) => {
      for (let chunk = 0; chunk < chunkCount; chunk++) {
        const droppers = volunteers.filter((one) => plan.orders.get(one.key)?.drop.includes(chunk));
        if (droppers.length === 0) continue;
        expect(mayTrim).toBe(true);
        expect(droppers.every((one) => one.mayDrop && has(one, chunk))).toBe(true);
        const left = volunteers.filter((one) => one.counts && has(one, chunk) && !droppers.includes(one));
        expect(left.length).toBeGreaterThanOrEqual(goal);
      }
    });
  });

  test('the order in which volunteers are known makes no difference', () => {
    check((input, plan) => {
      const turned = planReplicas({ ...input, volunteers: input.volunteers.toReversed() });
      expect(Object.fromEntries(turned.orders)).toEqual(Object.fromEntries(plan.orders));
    });
  });

  test('the chunks of an order come rarest first', () => {
    check(({ volunteers }, plan) => {
      const copies = (chunk: number): number => volunteers.filter((one) => one.counts && has(one, chunk)).length;
      for (const { hold, rarity } of plan.orders.values()) {
        const counts = hold.map(copies);
        expect(counts).toEqual(counts.toSorted((a, b) => a - b));
        if (hold.length > 0) expect(rarity).toBe(counts[0]);
      }
    });
  });

  test('when all orders are carried out nothing more is to be done', () => {
    check((input, plan, chunkCount) => {
      // the first trims by what counted then; what was fetched meanwhile may make more superfluous, but never less
      let volunteers = carriedOut(chunkCount, plan, input.volunteers);
      let next = planReplicas({ ...input, volunteers });
      volunteers = carriedOut(chunkCount, next, volunteers);
      next = planReplicas({ ...input, volunteers });
      for (const { hold, drop } of next.orders.values()) expect([hold, drop]).toEqual([[], []]);
    });
  });
});

describe('copies are spread', () => {
  const four = ['a', 'b', 'c', 'd'].map((key) => volunteer(key));

  test('evenly over volunteers', () => {
    const shares = Object.values(holds(planOf(1_000, 2, four))).map(({ length }) => length);
    expect(shares.reduce((sum, share) => sum + share, 0)).toBe(2_000);
    expect(Math.min(...shares)).toBeGreaterThan(420);
    expect(Math.max(...shares)).toBeLessThan(580);
  });

  test('over hosts before volunteers of one host', () => {
    const volunteers = four.map((one, index) => ({ ...one, host: index < 3 ? 'crowded' : 'alone' }));
    const plan = planOf(100, 2, volunteers);
    expect(plan.orders.get('d')?.hold).toHaveLength(100);
    expect(plan).toMatchObject({ unplaced: 0 });
    const trimmed = planOf(
      100,
      2,
      volunteers.map((one) => ({ ...one, chunks: null })),
    );
    expect(trimmed.orders.get('d')?.drop ?? []).toEqual([]);
  });

  test('so that one that goes moves nothing but its own share', () => {
    const before = holds(planOf(300, 1, four));
    const after = holds(planOf(300, 1, four.slice(1)));
    for (const key of ['b', 'c', 'd']) expect(after[key]).toEqual(expect.arrayContaining([...(before[key] ?? [])]));
  });

  test('over a bounded number of very many', () => {
    const many = Array.from({ length: 200 }, (_, index) => volunteer(`v${index}`));
    expect(planOf(2_000, 3, many).orders.size).toBeLessThanOrEqual(REPLICA_CANDIDATES_MAX);
  });
});

test('rarest chunks go first, and an order is bounded', () => {
  const chunkCount = 2 * REPLICA_ORDER_CHUNKS_MAX;
  const half = setOf(
    chunkCount,
    Array.from({ length: REPLICA_ORDER_CHUNKS_MAX }, (_, index) => index * 2),
  );
  const plan = planOf(chunkCount, 2, [volunteer('a', { chunks: half }), volunteer('b')]);
  expect(plan.orders.get('b')).toMatchObject({ rarity: 0 });
  expect(plan.orders.get('b')?.hold).toHaveLength(REPLICA_ORDER_CHUNKS_MAX);
  expect(plan.orders.get('b')?.hold.every((chunk) => chunk % 2 === 1)).toBe(true);
  expect(plan).toMatchObject({ reached: 0, missing: chunkCount });
});

test('what a volunteer had that is away is waited for, and is no reason to drop', () => {
  const kept = volunteer('a', { chunks: null });
  const waiting = planOf(10, 2, [kept, volunteer('b')], { away: [null] });
  expect(waiting).toMatchObject({ reached: 1, missing: 10, unplaced: 0 });
  expect(waiting.orders.size).toBe(0);
  expect(holds(planOf(10, 2, [kept, volunteer('b')]))).toMatchObject({ b: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9] });
  expect(planOf(10, 1, [kept], { away: [null] }).surplus).toBe(false);
});

test('without enough volunteers with room it says so', () => {
  const plan = planOf(10, 3, [volunteer('a'), volunteer('b', { freeBytes: 4 * CHUNK_SIZE })]);
  expect(plan).toMatchObject({ unplaced: 10, missing: 10, reached: 0 });
  expect(holds(plan)['a']).toHaveLength(10);
  expect(holds(plan)['b']).toHaveLength(4);
});

test('one that wants to be rid of some is copied elsewhere first, and dropped from then', () => {
  const full = volunteer('full', { chunks: null, counts: false, freeBytes: 0 });
  const first = planOf(5, 1, [full, volunteer('b')]);
  expect(holds(first)).toEqual({ b: [0, 1, 2, 3, 4] });
  const then = planOf(5, 1, [full, volunteer('b', { chunks: null })]);
  expect(then.orders.get('full')?.drop).toEqual([0, 1, 2, 3, 4]);
  expect(then.orders.has('b')).toBe(false);
});

test('surplus stays until it may be trimmed, and what is held for other reasons always', () => {
  const three = ['a', 'b', 'c'].map((key) => volunteer(key, { chunks: null }));
  expect(planOf(5, 2, three, { mayTrim: false })).toMatchObject({ surplus: true, orders: new Map() });
  const trimmed = planOf(5, 2, three);
  expect([...trimmed.orders.values()].flatMap(({ drop }) => drop).toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3, 4]);
  const own = [volunteer('own', { chunks: null, mayDrop: false }), ...three.slice(1)];
  expect(planOf(5, 2, own).orders.has('own')).toBe(false);
  expect(planOf(5, 0, own).orders.get('b')?.drop).toHaveLength(5);
});

test('an empty content has all its copies', () => {
  expect(planOf(0, 3, [])).toMatchObject({ reached: 3, missing: 0, surplus: false });
});
