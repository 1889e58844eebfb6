/** From the words of a command line to the peers of a world: who there is, how fast, and what befalls whom, by the seed. */
import { createRandom, shuffle } from '../src/swarm/random.ts';
import type { PeerPlan, WorldOptions } from './peer-plan.ts';

export interface Scenario {
  readonly peers: number;
  readonly seeders: number;
  readonly seed: number;
  readonly chunks: number;
  readonly chunkSize: number;
  readonly up: number;
  /** Bytes a second; Infinity: 400 times the uplink. */
  readonly down: number;
  /** Of all seeders together; NaN: each has `up`. */
  readonly seederUp: number;
  readonly rttMs: number;
  readonly degree?: number | undefined;
  readonly slowStart: boolean;
  readonly kernelBytes: number;
  readonly headers: boolean;
  readonly controlFirst: boolean;
  readonly verifyMs: number;
  /** Shares of the leechers, 0..1. */
  readonly slowShare: number;
  readonly slowFactor: number;
  readonly stalledShare: number;
  readonly dyingShare: number;
  readonly silentDeaths: boolean;
  readonly liarShare: number;
  readonly lies: number;
  readonly lateShare: number;
  /** Uplinks of u/2, u and 4u in equal numbers. */
  readonly classes: boolean;
  readonly arrival: 'flash' | 'staggered' | 'poisson';
  /** Milliseconds over which they come. */
  readonly arrivalMs: number;
  readonly seederLeaves: boolean;
  readonly trackerEndsAtMs: number;
  /** Seeders do not learn their rank. */
  readonly unranked: boolean;
  readonly order: 'rarest' | 'in-order';
}

export const SCENARIO_DEFAULTS: Scenario = {
  peers: 1000,
  seeders: 1,
  seed: 7,
  chunks: 512,
  chunkSize: 256 * 1024,
  up: 2_500_000,
  down: Number.POSITIVE_INFINITY,
  seederUp: Number.NaN,
  rttMs: 40,
  slowStart: false,
  kernelBytes: 0,
  headers: false,
  controlFirst: false,
  verifyMs: 1,
  slowShare: 0,
  slowFactor: 0.1,
  stalledShare: 0,
  dyingShare: 0,
  silentDeaths: true,
  liarShare: 0,
  lies: 1,
  lateShare: 0,
  classes: false,
  arrival: 'flash',
  arrivalMs: 10_000,
  seederLeaves: false,
  trackerEndsAtMs: Number.POSITIVE_INFINITY,
  unranked: false,
  order: 'rarest',
};

/** The world of a scenario; the same for the same seed. */
export function worldOf(scenario: Scenario): WorldOptions {
  const random = createRandom(scenario.seed ^ 0x2545f491);
  const { peers: count, up, seeders: seederCount } = scenario;
  const down = Number.isFinite(scenario.down) ? scenario.down : 400 * up;
  const size = scenario.chunks * scenario.chunkSize;
  const seederUp = Number.isNaN(scenario.seederUp) ? up : scenario.seederUp / seederCount;
  const seeder: PeerPlan = {
    complete: true,
    upBytesPerSecond: seederUp,
    downBytesPerSecond: down,
    ...(scenario.seederLeaves ? { leavesAfterFirstCopy: true } : {}),
  };
  const places = Array.from({ length: count }, (_, index) => index);
  const chosen = (share: number): Set<number> => {
    shuffle(places, random);
    return new Set(places.slice(0, Math.round(share * count)));
  };
  const slow = chosen(scenario.slowShare);
  const stalled = chosen(scenario.stalledShare);
  const dying = chosen(scenario.dyingShare);
  const liars = chosen(scenario.liarShare);
  const late = chosen(scenario.lateShare);
  const runMs = ((size * 1000) / up) * 1.1;
  let cameAtMs = 0;
  const leechers = places
    .toSorted((a, b) => a - b)
    .map((index): PeerPlan => {
      const klass = scenario.classes ? ([0.5, 1, 4][index % 3] as number) : 1;
      if (scenario.arrival === 'staggered') cameAtMs = (index * scenario.arrivalMs) / count;
      if (scenario.arrival === 'poisson') cameAtMs -= (Math.log(1 - random.next()) * scenario.arrivalMs) / count;
      const joinsAtMs = late.has(index) ? runMs * (0.2 + 0.6 * random.next()) : cameAtMs;
      const diesAtMs = runMs * random.next();
      return {
        upBytesPerSecond: up * klass * (slow.has(index) ? scenario.slowFactor : 1),
        downBytesPerSecond: down,
        order: scenario.order,
        ...(joinsAtMs > 0 ? { joinsAtMs } : {}),
        ...(stalled.has(index) ? { stalls: true } : {}),
        ...(liars.has(index) ? { lies: scenario.lies } : {}),
        ...(dying.has(index) ? (scenario.silentDeaths ? { diesSilentlyAtMs: diesAtMs } : { diesAtMs }) : {}),
      };
    });
  return {
    size,
    chunkSize: scenario.chunkSize,
    rttMs: scenario.rttMs,
    seed: scenario.seed,
    peers: [...Array.from({ length: seederCount }, () => seeder), ...leechers],
    slowStart: scenario.slowStart,
    kernelBytes: scenario.kernelBytes,
    headers: scenario.headers,
    controlFirst: scenario.controlFirst,
    verifyMs: scenario.verifyMs,
    unranked: scenario.unranked,
    ...(scenario.degree === undefined ? {} : { degree: scenario.degree }),
    ...(Number.isFinite(scenario.trackerEndsAtMs) ? { trackerEndsAtMs: scenario.trackerEndsAtMs } : {}),
  };
}
