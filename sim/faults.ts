/**
 * Swarm testing: every seed draws a small crowd and enables a random subset of faults, so that faults are met alone and in all
 * company. What must hold: no wrong chunk is taken for right, and everybody who lives finishes whenever a complete copy stays.
 */
import { createRandom, type Random } from '../src/swarm/random.ts';
import type { PeerPlan, WorldOptions } from './peer-plan.ts';
import { World } from './world.ts';

const KiB = 1024;
const FAULTS = [
  'crash',
  'silent-crash',
  'leave',
  'stall',
  'slow',
  'corrupt',
  'liar',
  'partition',
  'tracker-outage',
  'clock-jump',
  'seeder-leaves',
  'chunk-loss',
  'disk-full',
  'late-joiner',
  'rate-limit',
  'in-order',
  'slow-start',
  'buffers',
] as const;
export type Fault = (typeof FAULTS)[number];

export interface FaultRun {
  readonly seed: number;
  readonly faults: readonly Fault[];
  /** What went wrong; undefined: nothing. */
  readonly failure: string | undefined;
  readonly hash: string;
  readonly events: number;
}

/** Virtual time that any of these crowds may take: bans, idle time-outs and back-off included. */
const RUN_MAX_MS = 1_800_000;

/** Draws the world of a seed and runs it. */
export function runFaults(seed: number): FaultRun {
  const { options, faults } = drawWorld(seed);
  const world = new World(options);
  let failure: string | undefined;
  try {
    if (!world.run(RUN_MAX_MS)) {
      const lacking = world.peers.filter((peer) => peer.counts && !peer.swarm.isComplete);
      failure = `not finished: ${lacking
        .map(
          ({ index, swarm }) => `peer ${index} has ${swarm.have.count}, ${swarm.stallReason(world.nowMs) ?? 'moving'}`,
        )
        .join('; ')}`;
    }
    for (const peer of world.peers) {
      if (!peer.alive || peer.plan.claims !== undefined || !peer.swarm.isComplete) continue;
      if (!peer.holds.isFull) failure ??= `peer ${peer.index} says it is complete and holds ${peer.holds.count} chunks`;
    }
    if (world.acceptedWrong > 0) failure ??= `${world.acceptedWrong} wrong chunks accepted`;
  } catch (error) {
    failure = error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
  return { seed, faults, failure, hash: world.hash, events: world.events };
}

/** For people: what to type to see it again. */
export function describeFaultRun({ seed, faults, failure }: FaultRun): string {
  return `seed ${seed} (${faults.join(', ') || 'no faults'}): ${failure ?? 'ok'}\nagain with: npm run sim:faults -- --seed ${seed} --runs 1`;
}

export function drawWorld(seed: number): { options: WorldOptions; faults: readonly Fault[] } {
  const random = createRandom(seed * 2_654_435_761);
  const share = random.next();
  const faults = FAULTS.filter(() => random.next() < share);
  const on = (fault: Fault): boolean => faults.includes(fault);
  const chunks = 1 + random.below(96);
  const chunkSize = [16, 64, 256][random.below(3)]! * KiB;
  const size = chunks * chunkSize - random.below(chunkSize);
  const up = 500_000 * 10 ** (1.5 * random.next());
  const runMs = (size * 1000) / up;
  const somewhen = (): number => Math.max(1, Math.round(runMs * 1.5 * random.next()));
  const hit = (fault: Fault, one = 0.3): boolean => on(fault) && random.next() < one;
  const seederCount = 1 + random.below(3);
  const leecherCount = 1 + random.below(20);
  const peers: PeerPlan[] = [];
  for (let index = 0; index < seederCount; index++) {
    // the first one stays, so that a complete copy does
    const plan: PeerPlan = { complete: true, upBytesPerSecond: up, downBytesPerSecond: 20 * up };
    const stays = index === 0;
    peers.push({
      ...plan,
      ...(hit('slow') ? { upBytesPerSecond: up / 20 } : {}),
      ...(!stays && hit('crash') ? { diesAtMs: somewhen() } : {}),
      ...(!stays && hit('silent-crash') ? { diesSilentlyAtMs: somewhen() } : {}),
      ...(!stays && hit('leave') ? { leavesAtMs: somewhen() } : {}),
      ...(!stays && hit('stall') ? { stalls: somewhen() } : {}),
      ...(!stays && hit('corrupt') ? { lies: random.next() } : {}),
      ...(hit('clock-jump') ? { clockJump: { atMs: somewhen(), byMs: 100_000 * random.next() } } : {}),
      ...(on('seeder-leaves') && !stays ? { leavesAfterFirstCopy: true } : {}),
      ...(hit('rate-limit') ? { limitUp: up / (1 + 4 * random.next()) } : {}),
    });
  }
  for (let index = 0; index < leecherCount; index++) peers.push(drawLeecher(random, up, hit, somewhen));
  if (on('liar')) {
    const claims = random.below(2) === 0 ? ('wrong' as const) : ('unreadable' as const);
    peers.push({ claims, have: [0], upBytesPerSecond: up, downBytesPerSecond: up });
  }
  const fromMs = somewhen();
  return {
    faults,
    options: {
      size,
      chunkSize,
      rttMs: Math.round(0.5 + 200 * random.next() ** 2),
      seed,
      peers,
      verifyMs: 20 * random.next(),
      slowStart: on('slow-start'),
      kernelBytes: on('buffers') ? 256 * KiB : 0,
      ...(on('partition')
        ? { partition: { fromMs, toMs: fromMs + 30_000 * random.next(), share: random.next() } }
        : {}),
      ...(on('tracker-outage') ? { trackerEndsAtMs: somewhen(), trackerBackAtMs: 2 * runMs + 120_000 } : {}),
    },
  };
}

function drawLeecher(
  random: Random,
  up: number,
  hit: (fault: Fault, share?: number) => boolean,
  somewhen: () => number,
): PeerPlan {
  return {
    upBytesPerSecond: hit('slow') ? up / 20 : up,
    downBytesPerSecond: up * (1 + 20 * random.next()),
    ...(hit('late-joiner') ? { joinsAtMs: 2 * somewhen() } : {}),
    ...(hit('crash') ? { diesAtMs: somewhen() } : {}),
    ...(hit('silent-crash') ? { diesSilentlyAtMs: somewhen() } : {}),
    ...(hit('leave') ? { leavesAtMs: somewhen() } : {}),
    ...(hit('stall', 0.2) ? { stalls: true } : {}),
    ...(hit('corrupt', 0.2) ? { lies: random.next() } : {}),
    ...(hit('clock-jump') ? { clockJump: { atMs: somewhen(), byMs: 100_000 * random.next() } } : {}),
    ...(hit('disk-full') ? { diskFull: { fromMs: somewhen(), toMs: 2 * somewhen() } } : {}),
    ...(hit('chunk-loss') ? { losesChunkAtMs: [somewhen(), somewhen()] } : {}),
    ...(hit('in-order') ? { order: 'in-order' as const } : {}),
    ...(hit('rate-limit') ? { limitDown: up / (1 + 4 * random.next()) } : {}),
  };
}
