/** One connection carries both directions; of two that cross one stays, and nothing is lost by it. */
import { describe, expect, it } from 'vitest';
import { World, type PeerPlan, type SimPeer } from './world.ts';

const KiB = 1024;
const CHUNKS = 96;
const leecher: PeerPlan = { upBytesPerSecond: 2_500_000, downBytesPerSecond: 1e9 };
const every = (part: number, of: number): number[] =>
  Array.from({ length: CHUNKS }, (_, index) => index).filter((index) => index % of === part);

function worldOf(peers: readonly PeerPlan[], seed: number, rttMs = 20): World {
  const size = CHUNKS * 256 * KiB;
  return new World({ size, chunkSize: 256 * KiB, rttMs, seed, peers, trackerEndsAtMs: 0 });
}

describe('a link', () => {
  it('carries chunks both ways at the same time', () => {
    const world = worldOf(
      [
        { ...leecher, have: every(0, 2) },
        { ...leecher, have: every(1, 2), knows: [0] },
      ],
      1,
    );
    expect(world.run(1e6)).toBe(true);
    expect(world.linksMade).toBe(1);
    // half of the content each way, at the same time: half of the time that one after the other would take
    const oneWayMs = (CHUNKS * 256 * KiB * 1000) / 2 / leecher.upBytesPerSecond;
    for (const peer of world.peers) expect(peer.finishedAtMs).toBeLessThan(1.15 * oneWayMs);
  });

  it.each([1, 2, 3, 4, 5, 6, 7, 8])('is one when both dial in the same moment (seed %i)', (seed) => {
    const parts = [0, 1, 2, 3].map((part): PeerPlan => ({ ...leecher, have: every(part, 4) }));
    const world = worldOf(parts, seed, seed * 10);
    world.runUntil(1);
    const [a, b, c, d] = world.peers as [SimPeer, SimPeer, SimPeer, SimPeer];
    for (const [one, other] of [
      [a, b],
      [b, c],
      [c, a],
      [d, a],
      [d, b],
      [c, d],
    ] as const)
      world.introduce(one, other);
    world.runUntil(1_000);
    for (const peer of world.peers) {
      const keys = peer.swarm.neighbours().map(({ key }) => key);
      expect(keys).toHaveLength(3);
      expect(new Set(keys).size).toBe(3);
    }
    expect(world.run(1e6)).toBe(true);
    // two connections for each pair at the beginning, and never another
    expect(world.linksMade).toBe(12);
    for (const peer of world.peers) {
      expect(peer.banned).toEqual([]);
      expect(peer.swarm.wastedBytes).toBeLessThanOrEqual(4 * 256 * KiB);
    }
    expect(world.acceptedWrong).toBe(0);
  });
});
