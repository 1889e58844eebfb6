import { create } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LocateRequestSchema } from '../contract/gen/shoal/v1/tracker_pb.ts';
import { locateCall } from './frontends/rpc.ts';
import { createRevisions } from './revisions.ts';
import { caller, changeOf, claimOf, createBench, manifestOf, peerIdOf, type Bench } from './test-fixtures.ts';

const big = manifestOf('big');

/** What Locate names to somebody who was told of the swarm up to a version, as peer numbers. */
async function since(bench: Bench, sinceVersion: number | undefined, limit = 0) {
  const query = { what: 'big.bin', peerId: '', limit, wantManifest: false, sinceVersion };
  const { sources, isIncremental, version } = await bench.registry.locate(query, caller);
  return { isIncremental, version, numbers: sources.map(({ addresses }) => (addresses[0]?.port ?? 0) - 9000) };
}

test('a later question is answered with those who have come or become complete since', async () => {
  const bench = await createBench();
  await bench.publish(bench.join(1), 'big.bin', big);
  const first = await since(bench, undefined);
  expect(first).toMatchObject({ isIncremental: false, numbers: [1] });
  expect(await since(bench, first.version)).toEqual({ ...first, isIncremental: true, numbers: [] });

  bench.join(2, claimOf(big, [0, 1]));
  const second = await since(bench, first.version);
  expect(second).toMatchObject({ isIncremental: true, numbers: [2] });
  expect(second.version).toBeGreaterThan(first.version ?? 0);

  bench.registry.renew(peerIdOf(2), [changeOf(big, { gained: [2] })]);
  expect((await since(bench, second.version)).numbers).toEqual([]);
  bench.registry.renew(peerIdOf(2), [changeOf(big, { complete: true })]);
  expect((await since(bench, second.version)).numbers).toEqual([2]);
});

test('where more are new than an answer holds, and for a version that never was, all are chosen from', async () => {
  const bench = await createBench();
  await bench.publish(bench.join(1), 'big.bin', big);
  const { version = 0 } = await since(bench, undefined);
  for (const number of [2, 3, 4, 5]) bench.join(number, claimOf(big, [0]));
  expect(await since(bench, version, 4)).toMatchObject({ isIncremental: true });
  const full = await since(bench, version, 3);
  expect(full.isIncremental).toBe(false);
  expect(full.numbers).toContain(1);
  expect((await since(bench, version + 1_000)).isIncremental).toBe(false);
});

test('a revision is good at the tracker that gave it, and nowhere else', () => {
  const revisions = createRevisions();
  const given = revisions.encode(7_000_000_000);
  expect(revisions.decode(given)).toBe(7_000_000_000);
  expect(createRevisions().decode(given)).toBeUndefined();
  for (const other of [new Uint8Array(), given.subarray(0, 15), Buffer.concat([given, Buffer.alloc(1)])])
    expect(revisions.decode(other)).toBeUndefined();
});

test('the call carries it: the revision of one answer is the `since` of the next', async () => {
  const bench = await createBench();
  await bench.publish(bench.join(1), 'big.bin', big);
  const call = (since?: Uint8Array) =>
    locateCall(bench.registry, create(LocateRequestSchema, { name: 'big.bin', ...(since && { since }) }), caller);
  const first = await call();
  expect(first).toMatchObject({ incremental: false, sources: [{}] });
  bench.join(2, claimOf(big, [0]));
  expect(await call(first.revision)).toMatchObject({ incremental: true, sources: [{}] });
  const again = await call((await call(first.revision)).revision);
  expect(again).toMatchObject({ incremental: true, sources: [] });
  expect(await call(new Uint8Array([1, 2, 3]))).toMatchObject({ incremental: false });
});

test('whoever follows by increments misses nobody, whoever comes and goes, the whole swarm included', async () => {
  const step = fc.record({
    number: fc.integer({ min: 1, max: 9 }),
    what: fc.constantFrom('join', 'leave', 'complete', 'ask'),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const bench = await createBench();
      await bench.publish(bench.join(1), 'big.bin', big);
      const online = new Set([1]);
      const known = new Set<number>();
      let version: number | undefined;
      const ask = async (): Promise<void> => {
        const answer = await since(bench, version);
        if (!answer.isIncremental) known.clear();
        for (const number of answer.numbers) known.add(number);
        ({ version } = answer);
        expect([...online].filter((number) => !known.has(number))).toEqual([]);
      };
      await ask();
      for (const { number, what } of steps) {
        if (what === 'ask') await ask();
        else if (what === 'join' && !online.has(number)) {
          bench.join(number, claimOf(big, [0]));
          online.add(number);
        } else if (what === 'leave' && online.delete(number)) bench.registry.leave(peerIdOf(number));
        else if (what === 'complete' && online.has(number))
          bench.registry.renew(peerIdOf(number), [changeOf(big, { complete: true })]);
      }
      await ask();
    }),
    { numRuns: 200 },
  );
});
