/** Reading in order, in the virtual world: the first bytes soon, and no harm to the others. */
import { describe, expect, it } from 'vitest';
import { World, type PeerPlan, type WorldOptions } from './world.ts';

const KiB = 1024;
const UP = 2_500_000;
const seeder: PeerPlan = { complete: true, upBytesPerSecond: UP, downBytesPerSecond: 1e9 };
const leecher: PeerPlan = { upBytesPerSecond: UP, downBytesPerSecond: 1e9 };
const reader: PeerPlan = { ...leecher, order: 'in-order' };
const many = (count: number, plan: PeerPlan): PeerPlan[] => Array.from({ length: count }, () => plan);

function worldOf(peers: readonly PeerPlan[], more: Partial<WorldOptions> = {}): World {
  return new World({ size: 256 * 256 * KiB, chunkSize: 256 * KiB, rttMs: 20, seed: 9, peers, ...more });
}

/** Chunks that can be read from the beginning. */
function readable(world: World, index: number): number {
  const missing = world.peers[index]?.swarm.have.firstMissing(0) ?? 0;
  return missing < 0 ? 256 : missing;
}

describe('a reader', () => {
  it('can read most of what it has, while those beside it cannot', () => {
    const world = worldOf([...many(4, seeder), ...many(8, leecher), reader]);
    world.runUntil(8_000);
    const have = world.peers[12]?.swarm.have.count ?? 0;
    expect(have).toBeGreaterThan(20);
    expect(readable(world, 12)).toBeGreaterThan(8);
    expect(readable(world, 5)).toBeLessThan(readable(world, 12));
  });

  it('does not wait for a slow source of what it needs next', () => {
    const slow = { ...seeder, upBytesPerSecond: UP / 50 };
    const world = worldOf([seeder, seeder, slow, slow, reader]);
    const stops: number[] = [];
    let [last, sinceMs] = [0, 0];
    for (let atMs = 3_000; atMs <= 12_000; atMs += 100) {
      world.runUntil(atMs);
      const now = readable(world, 4);
      if (now === 256) break;
      if (now > last) [last, sinceMs] = [now, atMs];
      stops.push(atMs - sinceMs);
    }
    // a chunk from a slow source alone takes over five seconds
    expect(Math.max(...stops)).toBeLessThan(2_500);
    expect(world.run(1e6)).toBe(true);
  });

  it('does not cost a swarm in which everybody is one more than a few percent', () => {
    const finish = (plan: PeerPlan): number => {
      const world = worldOf([seeder, ...many(24, plan)]);
      expect(world.run(1e6)).toBe(true);
      return Math.max(...world.peers.map(({ finishedAtMs }) => finishedAtMs));
    };
    expect(finish(reader) / finish(leecher)).toBeLessThan(1.15);
  });
});
