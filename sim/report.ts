/** What a run shows: the figures by which the policy is judged. */
import { discreteFactor, fluidBoundMs } from './bounds.ts';
import { UplinkWatch, type UplinkUse } from './uplink-watch.ts';
import { World, type SimPeer, type WorldOptions } from './world.ts';

export interface RunReport {
  readonly seed: number;
  readonly finished: boolean;
  readonly boundSeconds: number;
  readonly discreteFactor: number;
  /** Finish of those that were to fetch and lived, over the fluid bound, each from its own joining. */
  readonly last: number;
  readonly mean: number;
  readonly p50: number;
  readonly p95: number;
  readonly lastOverDiscrete: number;
  /** Time until every chunk existed a second time, in the seeders' least time for that. */
  readonly firstCopy: number;
  /** Chunks the seeders had sent twice by then, as a share of the chunks. */
  readonly seederDuplicates: number;
  readonly uplinks: UplinkUse;
  /** Bytes received in vain, as shares of the bytes needed. */
  readonly wasted: {
    readonly all: number;
    readonly late: number;
    readonly cancelled: number;
    readonly corrupt: number;
  };
  readonly declinesPerChunk: number;
  readonly controlShare: number;
  readonly jainUp: number;
  readonly degree: { readonly min: number; readonly mean: number; readonly max: number; readonly diameter: number };
  /** Correlation of the links a peer had half-way with when it finished; NaN when all had as many. */
  readonly linksAndFinish: number;
  /** Mean milliseconds a request waited at a source that gives nothing. */
  readonly replaceStalledMs: number | null;
  readonly liarsBanned: number;
  readonly liars: number;
  readonly acceptedWrong: number;
  readonly events: number;
  readonly virtualSeconds: number;
  readonly realSeconds: number;
  /** Of processors, all threads together: what one core would have taken at most. */
  readonly cpuSeconds: number;
  readonly eventsPerSecond: number;
  readonly memoryMiB: number;
  readonly hash: string;
}

/** What the machine says, for the figures about the simulator itself. */
export interface Machine {
  readonly seconds: () => number;
  readonly cpuSeconds: () => number;
  readonly memoryMiB: () => number;
}

export function runAndReport(options: WorldOptions, { seconds, cpuSeconds, memoryMiB }: Machine): RunReport {
  const started = seconds();
  const cpuBefore = cpuSeconds();
  const boundMs = fluidBoundMs(options);
  const world = new World(options);
  const watch = new UplinkWatch(world, boundMs);
  let degree = { min: 0, mean: 0, max: 0, diameter: 0 };
  const linksOf = new Map<SimPeer, number>();
  world.lookAt(boundMs / 2, () => {
    degree = describeGraph(world);
    for (const peer of world.peers) linksOf.set(peer, peer.links.size);
  });
  const finished = world.run(boundMs * 20 + 600_000);
  const realSeconds = seconds() - started;

  const { layout } = world;
  const fetched = world.peers.filter(({ plan, counts }) => plan.complete !== true && counts);
  const over = fetched.map((peer) => (peer.finishedAtMs - peer.joinedAtMs) / boundMs).toSorted((a, b) => a - b);
  const at = (share: number): number => over[Math.min(over.length - 1, Math.floor(share * over.length))] ?? Number.NaN;
  const needed = fetched.length * layout.size;
  const sum = (of: (peer: SimPeer) => number): number => world.peers.reduce((total, peer) => total + of(peer), 0);
  const seedRate = options.peers.reduce((rate, plan) => rate + (plan.complete === true ? plan.upBytesPerSecond : 0), 0);
  const factor = discreteFactor(layout.chunkCount, fetched.length);
  const last = finished ? (over.at(-1) ?? Number.NaN) : Number.POSITIVE_INFINITY;
  const liars = world.peers.filter(({ plan }) => (plan.lies ?? 0) > 0);
  const banned = new Set(world.peers.flatMap((peer) => peer.banned));
  const given = fetched.map(({ host }) => host.dataBytes);
  const waits = world.peers.flatMap(({ replaceMs }) => replaceMs);
  const wasted = {
    late: sum((peer) => peer.lateBytes) / needed,
    cancelled: sum((peer) => peer.cancelledBytes) / needed,
    corrupt: sum((peer) => peer.corruptBytes) / needed,
  };
  return {
    seed: options.seed,
    finished,
    boundSeconds: boundMs / 1000,
    discreteFactor: factor,
    last,
    mean: over.reduce((total, one) => total + one, 0) / over.length,
    p50: at(0.5),
    p95: at(0.95),
    lastOverDiscrete: last / factor,
    firstCopy: (world.firstCopyAtMs * seedRate) / 1000 / layout.size,
    seederDuplicates: (world.seederChunksAtFirstCopy - layout.chunkCount) / layout.chunkCount,
    uplinks: watch.result(),
    wasted: { all: wasted.late + wasted.cancelled + wasted.corrupt, ...wasted },
    declinesPerChunk: world.declines / (fetched.length * layout.chunkCount),
    controlShare:
      sum(({ host }) => host.controlBytes) /
      Math.max(
        1,
        sum(({ host }) => host.dataBytes),
      ),
    jainUp: given.reduce((a, b) => a + b, 0) ** 2 / (given.length * given.reduce((a, b) => a + b * b, 0)),
    degree,
    linksAndFinish: correlation(
      fetched.flatMap((peer) => {
        const links = linksOf.get(peer);
        return links === undefined || Number.isNaN(peer.finishedAtMs) ? [] : [[links, peer.finishedAtMs] as const];
      }),
    ),
    replaceStalledMs: waits.length === 0 ? null : waits.reduce((a, b) => a + b, 0) / waits.length,
    liars: liars.length,
    liarsBanned: liars.filter(({ key }) => banned.has(key)).length,
    acceptedWrong: world.acceptedWrong,
    events: world.events,
    virtualSeconds: world.nowMs / 1000,
    realSeconds,
    cpuSeconds: cpuSeconds() - cpuBefore,
    eventsPerSecond: world.events / Math.max(realSeconds, 1e-9),
    memoryMiB: memoryMiB(),
    hash: world.hash,
  };
}

/** Pearson's, -1..1. */
function correlation(pairs: readonly (readonly [number, number])[]): number {
  const mean = (at: 0 | 1): number => pairs.reduce((sum, pair) => sum + pair[at], 0) / pairs.length;
  const [meanA, meanB] = [mean(0), mean(1)];
  let [both, ofA, ofB] = [0, 0, 0];
  for (const [a, b] of pairs) {
    both += (a - meanA) * (b - meanB);
    ofA += (a - meanA) ** 2;
    ofB += (b - meanB) ** 2;
  }
  return both / Math.sqrt(ofA * ofB);
}

/** Links of those alive, and the longest of the shortest paths from a few of them. */
function describeGraph(world: World): RunReport['degree'] {
  const alive = world.peers.filter((peer) => peer.alive);
  const degrees = alive.map(({ links }) => links.size);
  let diameter = 0;
  for (const start of alive.slice(0, 8)) {
    const distance = new Map([[start, 0]]);
    for (const [peer, far] of distance) {
      diameter = Math.max(diameter, far);
      for (const next of world.linkedTo(peer)) if (!distance.has(next)) distance.set(next, far + 1);
    }
  }
  return {
    min: Math.min(...degrees),
    mean: degrees.reduce((a, b) => a + b, 0) / degrees.length,
    max: Math.max(...degrees),
    diameter,
  };
}
