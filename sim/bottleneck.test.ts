/** Every download in the virtual world says what it waits for, and that is what it waits for. */
import { describe, expect, it } from 'vitest';
import { World, type PeerPlan, type WorldOptions } from './world.ts';

const KiB = 1024;
const seeder: PeerPlan = { complete: true, upBytesPerSecond: 2_500_000, downBytesPerSecond: 1e9 };
const leecher: PeerPlan = { upBytesPerSecond: 2_500_000, downBytesPerSecond: 1e9 };

function worldOf(peers: readonly PeerPlan[], more: Partial<WorldOptions> = {}): World {
  return new World({ size: 256 * 256 * KiB, chunkSize: 256 * KiB, rttMs: 20, seed: 4, peers, ...more });
}

/** What the last peer says, twice a second, from `fromMs` to `untilMs`. */
function sayings(world: World, fromMs: number, untilMs: number): (string | null)[] {
  const said: (string | null)[] = [];
  for (let atMs = fromMs; atMs <= untilMs; atMs += 500) {
    world.runUntil(atMs);
    said.push(world.peers.at(-1)?.swarm.bottleneck(atMs) ?? null);
  }
  return said;
}

/** The chunks of the counts, and those whose bytes are coming, are all that are missing. */
function expectAllExplained(world: World): void {
  const swarm = world.peers.at(-1)?.swarm;
  if (swarm === undefined) throw new Error('nobody is there');
  const counts: Record<string, number> = {};
  for (let chunk = 0; chunk < 256; chunk++) {
    const reason = swarm.have.has(chunk) ? null : swarm.reasonOf(chunk, world.nowMs);
    if (reason !== null) counts[reason] = (counts[reason] ?? 0) + 1;
  }
  expect(swarm.reasons(world.nowMs)).toEqual(counts);
}

describe('the bottleneck', () => {
  it('is the sources when their uplinks are', () => {
    const world = worldOf([seeder, seeder, seeder, leecher]);
    expect(new Set(sayings(world, 1_500, 6_000))).toEqual(new Set(['source']));
    expectAllExplained(world);
  });

  it('is our own link when several sources share it', () => {
    const world = worldOf([seeder, seeder, seeder, { ...leecher, downBytesPerSecond: 2_000_000 }]);
    const said = sayings(world, 6_000, 16_000);
    expect(said.filter((one) => one === 'link-down').length).toBeGreaterThan(said.length * 0.5);
    expectAllExplained(world);
  });

  it('is the limit when there is one that holds', () => {
    const world = worldOf([
      { ...seeder, upBytesPerSecond: 1e8 },
      { ...leecher, limitDown: 1_000_000 },
    ]);
    expect(new Set(sayings(world, 1_500, 8_000))).toEqual(new Set(['rate-limit']));
    expect(Object.keys(world.peers.at(-1)?.swarm.reasons(world.nowMs) ?? {})).toContain('rate-limit');
    expectAllExplained(world);
  });

  it('is the sources when nobody has what we miss, and then the reason of those chunks is no-source', () => {
    const half = Array.from({ length: 128 }, (_, index) => index);
    const world = worldOf([{ ...leecher, have: half }, leecher]);
    world.runUntil(60_000);
    expect(world.peers[1]?.swarm.have.count).toBe(128);
    expect(world.peers[1]?.swarm.bottleneck(60_000)).toBe('source');
    expect(world.peers[1]?.swarm.reasons(60_000)).toEqual({ 'no-source': 128 });
    expectAllExplained(world);
  });

  it('is nothing once everything is there', () => {
    const world = worldOf([seeder, leecher]);
    expect(world.run(1e6)).toBe(true);
    expect(world.peers[1]?.swarm.bottleneck(world.nowMs)).toBeNull();
    expect(world.peers[1]?.swarm.reasons(world.nowMs)).toEqual({});
  });
});
