import fc from 'fast-check';
import { expect, test } from 'vitest';
import { caller, claimOf, createBench, manifestOf, peerIdOf } from './test-fixtures.ts';

const CHUNKS = 4;
const contents = ['a', 'b', 'c'].map((seed) => manifestOf(seed, CHUNKS));
const PUBLISHER = 99;

const stepArb = fc.record({
  what: fc.constantFrom('publish', 'unpublish', 'volunteer', 'offer', 'withdraw', 'leave', 'pass'),
  peer: fc.nat({ max: 4 }),
  content: fc.nat({ max: contents.length - 1 }),
  copies: fc.nat({ max: 3 }),
  bytes: fc.constantFrom(0, 1e5, 1e9, 2 ** 50),
  chunks: fc.uniqueArray(fc.nat({ max: CHUNKS - 1 })),
});

test('the figures are what a walk over all volunteers and entries would find', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(stepArb, { maxLength: 40 }), async (steps) => {
      const bench = await createBench({ replicaGoneMs: 20_000 });
      const { registry, clock } = bench;
      for (const { what, peer, content, copies, bytes, chunks } of steps) {
        const manifest = contents[content] as (typeof contents)[0];
        const peerId = peerIdOf(peer);
        const offer = { offeredBytes: bytes, usedBytes: chunks.length };
        if (what === 'publish') {
          bench.join(PUBLISHER);
          await bench.publish(peerIdOf(PUBLISHER), `${content}.bin`, manifest, copies);
        } else if (what === 'unpublish')
          await registry.unpublish(peerIdOf(PUBLISHER), [`${content}.bin`]).catch(() => 0);
        else if (what === 'volunteer') {
          const claim = { ...claimOf(manifest, chunks), complete: false, isReplica: true };
          bench.volunteer(peer, offer, ...(registry.has(manifest.contentId) ? [claim] : []));
        } else if (what === 'offer') registry.renew(peerId, [], undefined, offer);
        else if (what === 'withdraw') bench.join(peer);
        else if (what === 'leave') registry.leave(peerId);
        else {
          clock.nowMs += 15_000;
          while (await registry.sweep());
        }
      }
      const offers = registry
        .peers({ limit: 0, after: '' }, caller)
        .peers.flatMap(({ offer, online }) => (offer === undefined || !online ? [] : [offer]));
      const { entries } = registry.list({ query: '', limit: 0, after: '', includeOffline: true, includeFolders: true });
      const asked = entries.filter(({ replicas }) => replicas > 0);
      const missing = asked.map(({ replicaChunksMissing }) => replicaChunksMissing);
      expect(registry.figures().replicas).toEqual({
        volunteers: offers.length,
        offeredBytes: offers.reduce((sum, { offeredBytes }) => sum + offeredBytes, 0),
        usedBytes: offers.reduce((sum, { usedBytes }) => sum + usedBytes, 0),
        contentsReached: missing.filter((count) => count === 0).length,
        contentsShort: missing.filter((count) => count > 0).length,
        chunksMissing: missing.reduce((sum, count) => sum + count, 0),
      });
    }),
    { numRuns: 200 },
  );
});
