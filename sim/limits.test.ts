/** Download limits in the virtual world: kept over ten seconds, smooth within them, whoever the sources are. */
import { describe, expect, it } from 'vitest';
import { RATE_BURST_MS, RATE_PIECE_BYTES_MIN } from '../src/limits.ts';
import { World, type PeerPlan, type SimPeer, type WorldOptions } from './world.ts';

const KiB = 1024;
const seeder: PeerPlan = { complete: true, upBytesPerSecond: 12_500_000, downBytesPerSecond: 1e9 };
const leecher: PeerPlan = { upBytesPerSecond: 12_500_000, downBytesPerSecond: 1e9 };

function worldOf(peers: readonly PeerPlan[], more: Partial<WorldOptions> = {}): World {
  return new World({ size: 1024 * 64 * KiB, chunkSize: 64 * KiB, rttMs: 20, seed: 9, peers, ...more });
}

/** What all sources that are still there have given it. */
function receivedBytes({ swarm }: SimPeer): number {
  return swarm.neighbours().reduce((sum, one) => sum + one.receivedBytes, 0);
}

/** That of the peer with a limit, every `stepMs` from `fromMs` to `untilMs`. */
function received(world: World, fromMs: number, untilMs: number, stepMs: number): number[] {
  const seen: number[] = [];
  for (let atMs = fromMs; atMs <= untilMs; atMs += stepMs) {
    world.runUntil(atMs);
    const peer = world.peers.find(({ plan }) => plan.limitDown !== undefined);
    seen.push(peer === undefined ? 0 : receivedBytes(peer));
  }
  return seen;
}

function expectKept(seen: readonly number[], rate: number, stepMs: number, sourceCount: number): void {
  const span = ((seen.length - 1) * stepMs) / 1000;
  const mean = ((seen.at(-1) ?? 0) - (seen[0] ?? 0)) / span;
  expect(mean / rate).toBeGreaterThan(0.97);
  expect(mean / rate).toBeLessThan(1.03);
  // in no step more than its share, what buckets save up, and a piece from each source
  const most = Math.max(...seen.slice(1).map((bytes, at) => bytes - (seen[at] as number)));
  expect(most).toBeLessThan((rate * 1.05 * (stepMs + RATE_BURST_MS)) / 1000 + sourceCount * RATE_PIECE_BYTES_MIN);
}

describe('a download limit', () => {
  it.each([
    ['100 kB/s from one source', 100_000, 1],
    ['100 kB/s from five', 100_000, 5],
    ['1 MB/s from three', 1_000_000, 3],
    ['4 MB/s from three', 4_000_000, 3],
  ])('is kept and smooth: %s', (_what, limitDown, seederCount) => {
    const world = worldOf([...Array.from({ length: seederCount }, () => seeder), { ...leecher, limitDown }]);
    expectKept(received(world, 2_000, 12_000, 200), limitDown, 200, seederCount);
  });

  it('is kept when most sources are slower than their part of it', () => {
    const slow: PeerPlan = { ...seeder, upBytesPerSecond: 50_000 };
    const world = worldOf([slow, slow, slow, seeder, { ...leecher, limitDown: 1_000_000 }]);
    expectKept(received(world, 8_000, 18_000, 500), 1_000_000, 500, 4);
  });

  it('holds while sources leave and come', () => {
    const world = worldOf([
      seeder,
      { ...seeder, leavesAtMs: 6_000 },
      { ...seeder, diesAtMs: 7_000 },
      { ...seeder, joinsAtMs: 8_000 },
      { ...leecher, limitDown: 500_000 },
    ]);
    expectKept(received(world, 2_000, 5_500, 500), 500_000, 500, 3);
    expectKept(received(world, 9_000, 19_000, 500), 500_000, 500, 3);
  });

  it('takes no slot from those who want all they can get', () => {
    const slow: PeerPlan = { ...leecher, upBytesPerSecond: 100_000, limitDown: 100_000 };
    const fast: PeerPlan = { ...leecher, upBytesPerSecond: 100_000 };
    const world = worldOf([seeder, ...Array.from({ length: 10 }, () => slow), fast]);
    world.runUntil(1_000);
    const before = receivedBytes(world.peers[11] as SimPeer);
    world.runUntil(4_000);
    // 12.5 MB/s less the ten times 100 kB/s that the others take
    expect((receivedBytes(world.peers[11] as SimPeer) - before) / 3).toBeGreaterThan(0.9 * 11_500_000);
    for (const peer of world.peers.slice(1, 11)) expect(receivedBytes(peer)).toBeGreaterThan(0.8 * 4 * 100_000);
  });
});
