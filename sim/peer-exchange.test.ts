/** Peer exchange and two-way links in the virtual world: a swarm finds itself without a tracker. */
import { describe, expect, it } from 'vitest';
import { World, type PeerPlan } from './world.ts';

const KiB = 1024;
const UP = 2_500_000;
const seeder: PeerPlan = { complete: true, upBytesPerSecond: UP, downBytesPerSecond: 1e9 };
const leecher: PeerPlan = { upBytesPerSecond: UP, downBytesPerSecond: 1e9 };

describe('a swarm without a tracker', () => {
  it('of 200 finds itself and finishes when the tracker went after the first few had joined', () => {
    const peers: PeerPlan[] = [seeder];
    for (let index = 1; index < 200; index++) {
      // five come while the tracker answers; the others know one of those who were there before, as from a chat
      const knows = index < 6 ? [] : [index % 6];
      peers.push({ ...leecher, joinsAtMs: index < 6 ? index * 10 : 2_000 + index * 40, knows });
    }
    const world = new World({
      size: 48 * 256 * KiB,
      chunkSize: 256 * KiB,
      rttMs: 40,
      seed: 7,
      peers,
      trackerEndsAtMs: 1_000,
    });
    world.runUntil(9_000);
    const settled = world.peers.filter(({ swarm, plan }) => !swarm.isComplete && (plan.joinsAtMs ?? 0) < 6_000);
    const degrees = settled.map(({ swarm }) => swarm.linkCount);
    expect(Math.min(...degrees)).toBeGreaterThanOrEqual(8);
    expect(Math.max(...degrees)).toBeLessThanOrEqual(40);
    expect(world.run(300_000)).toBe(true);
    expect(world.acceptedWrong).toBe(0);
    // nobody was served by those alone whom it knew at the beginning
    const sources = world.peers.slice(6).map(({ gainedFrom }) => gainedFrom.size);
    expect(Math.min(...sources)).toBeGreaterThanOrEqual(4);
  }, 60_000);

  it('is found whole by newcomers that know one address, though there is no room at it', () => {
    const peers: PeerPlan[] = [seeder];
    for (let index = 1; index < 80; index++) peers.push({ ...leecher, joinsAtMs: index * 20, knows: [0] });
    const world = new World({
      size: 48 * 256 * KiB,
      chunkSize: 256 * KiB,
      rttMs: 40,
      seed: 3,
      peers,
      trackerEndsAtMs: 0,
    });
    expect(world.run(300_000)).toBe(true);
    const last = Math.max(...world.peers.map(({ finishedAtMs }) => finishedAtMs));
    expect(last).toBeLessThan(60_000);
    expect((world.peers[0]?.sentBytes ?? 0) / (48 * 256 * KiB)).toBeLessThan(4);
  }, 60_000);

  it('loses its first peer and goes on', () => {
    // all know one leecher, which alone knows the seeder, and dies
    const peers: PeerPlan[] = [seeder, { ...leecher, joinsAtMs: 50, knows: [0], diesAtMs: 4_000 }];
    for (let index = 2; index < 30; index++) peers.push({ ...leecher, joinsAtMs: 100 + index * 20, knows: [1] });
    const world = new World({
      size: 48 * 256 * KiB,
      chunkSize: 256 * KiB,
      rttMs: 20,
      seed: 5,
      peers,
      trackerEndsAtMs: 0,
    });
    expect(world.run(300_000)).toBe(true);
  });
});
