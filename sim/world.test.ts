import { describe, expect, it } from 'vitest';
import { fluidBoundMs } from './bounds.ts';
import { World, type PeerPlan, type WorldOptions } from './world.ts';

const KiB = 1024;
const UP = 2_500_000;
const seeder: PeerPlan = { complete: true, upBytesPerSecond: UP, downBytesPerSecond: 1e9 };
const leecher: PeerPlan = { upBytesPerSecond: UP, downBytesPerSecond: 1e9 };
const many = (count: number, plan: PeerPlan): PeerPlan[] => Array.from({ length: count }, () => plan);

function worldOf(
  peers: readonly PeerPlan[],
  more: Partial<WorldOptions> = {},
): { world: World; options: WorldOptions } {
  const options = { size: 128 * 256 * KiB, chunkSize: 256 * KiB, rttMs: 20, seed: 11, peers, ...more };
  return { world: new World(options), options };
}

/** Last finish of the living, over the fluid bound. */
function lastOverBound(world: World, options: WorldOptions): number {
  return Math.max(...world.peers.filter((peer) => peer.alive).map((peer) => peer.finishedAtMs)) / fluidBoundMs(options);
}

describe('a swarm in a virtual world', () => {
  it('moves a content from one to one at nearly the speed of the link', () => {
    const { world, options } = worldOf([seeder, leecher]);
    expect(world.run(1e6)).toBe(true);
    expect(lastOverBound(world, options)).toBeLessThan(1.02);
  });

  it('fetches from three seeders in parallel, each giving its share', () => {
    const { world, options } = worldOf([seeder, seeder, seeder, leecher]);
    expect(world.run(1e6)).toBe(true);
    expect(lastOverBound(world, options)).toBeLessThan(1.08);
    const gained = [...(world.peers[3]?.gainedFrom.values() ?? [])];
    expect(gained).toHaveLength(3);
    for (const chunks of gained) expect(chunks).toBeGreaterThan(30);
  });

  it('serves a crowd in little more than the time the seeder needs for one copy', () => {
    const { world, options } = worldOf([seeder, ...many(16, leecher)], { size: 512 * 256 * KiB, rttMs: 40 });
    expect(world.run(1e6)).toBe(true);
    expect(lastOverBound(world, options)).toBeLessThan(1.08);
    expect((world.peers[0]?.sentBytes ?? 0) / options.size).toBeLessThan(1.2);
  });

  it('runs the same twice with the same seed', () => {
    const finish = (): readonly number[] => {
      const { world } = worldOf([seeder, ...many(8, leecher)]);
      world.run(1e6);
      return [world.events, ...world.peers.map((peer) => peer.finishedAtMs)];
    };
    expect(finish()).toEqual(finish());
  });

  it('joins pieces that nobody has all of', () => {
    const parts = [0, 1, 2].map((part): PeerPlan => ({
      ...leecher,
      have: Array.from({ length: 128 }, (_, index) => index).filter((index) => index % 3 === part),
    }));
    const { world } = worldOf([...parts, leecher]);
    expect(world.run(1e6)).toBe(true);
  });

  it('finishes when half of the leechers and one of two seeders vanish', () => {
    const dying = many(4, leecher).map((plan, index) => ({ ...plan, diesAtMs: 2_000 + index * 700 }));
    const { world } = worldOf([seeder, { ...seeder, diesAtMs: 3_000 }, ...many(4, leecher), ...dying]);
    expect(world.run(1e6)).toBe(true);
  });

  it('takes no wrong chunk, names the liars, and finishes without them', () => {
    const { world } = worldOf([seeder, { ...seeder, lies: 0.3 }, { ...seeder, lies: 1 }, ...many(3, leecher)]);
    expect(world.run(1e6)).toBe(true);
    const liars = new Set([world.peers[1]?.key, world.peers[2]?.key]);
    const banned = new Set(world.peers.flatMap((peer) => peer.banned));
    expect(banned).toEqual(liars);
  });

  it('goes round a source that takes requests and never answers', () => {
    const { world, options } = worldOf([seeder, { ...seeder, stalls: true }, leecher]);
    expect(world.run(1e6)).toBe(true);
    expect(lastOverBound(world, { ...options, peers: [seeder, leecher] })).toBeLessThan(1.3);
  });

  it('does not wait for a source a hundred times slower than the others', () => {
    const { world, options } = worldOf([seeder, seeder, { ...seeder, upBytesPerSecond: UP / 100 }, leecher]);
    expect(world.run(1e6)).toBe(true);
    expect(lastOverBound(world, options)).toBeLessThan(1.15);
    expect(world.peers[3]?.swarm.wastedBytes).toBeLessThanOrEqual(4 * options.chunkSize);
  });

  it('lets a late joiner be served by leechers when the seeder has gone', () => {
    const { world } = worldOf([
      { ...seeder, diesAtMs: 20_000 },
      ...many(3, leecher),
      { ...leecher, joinsAtMs: 25_000 },
    ]);
    expect(world.run(1e6)).toBe(true);
    expect(world.peers[4]?.gainedFrom.size).toBe(3);
  });

  it('takes everything from one source in single mode, and from the next when that one dies', () => {
    const { world } = worldOf([seeder, { ...seeder, diesAtMs: 4_000 }, { ...leecher, single: true }]);
    expect(world.run(1e6)).toBe(true);
    expect(world.peers[2]?.swarm.wastedBytes).toBeLessThanOrEqual(16 * 256 * KiB);
  });

  it('keeps a download limit exactly, by declining grants', () => {
    const { world, options } = worldOf([
      { ...seeder, upBytesPerSecond: 1e8 },
      { ...leecher, limitDown: 1_000_000 },
    ]);
    expect(world.run(1e6)).toBe(true);
    const seconds = (world.peers[1]?.finishedAtMs ?? 0) / 1000;
    expect(options.size / seconds).toBeGreaterThan(0.97 * 1_000_000);
    expect(options.size / seconds).toBeLessThan(1.03 * 1_000_000);
  });

  it('fetches in order when asked to', () => {
    const { world } = worldOf([seeder, { ...leecher, order: 'in-order' }]);
    world.runUntil(6_000);
    const have = world.peers[1]?.swarm.have;
    expect(have?.count).toBeGreaterThan(10);
    expect(have?.firstMissing()).toBeGreaterThan((have?.count ?? 0) - 5);
  });
});
