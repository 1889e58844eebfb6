/** The least time in which a content can reach everybody: for fluids, and for whole chunks. */
import type { WorldOptions } from './peer-plan.ts';

/** All joining at 0, nobody leaving (Kumar and Ross, 2006), in milliseconds. Peers that never give count for what they would. */
export function fluidBoundMs(options: Pick<WorldOptions, 'size' | 'peers'>): number {
  const seeders = options.peers.filter((peer) => peer.complete === true);
  const leechers = options.peers.filter((peer) => peer.complete !== true && peer.claims === undefined);
  const up = (peers: typeof seeders): number => peers.reduce((sum, peer) => sum + peer.upBytesPerSecond, 0);
  const seedRate = up(seeders);
  const slowestDown = leechers.reduce(
    (least, peer) => Math.min(least, peer.downBytesPerSecond),
    Number.POSITIVE_INFINITY,
  );
  return (
    Math.max(
      options.size / seedRate,
      options.size / slowestDown,
      (leechers.length * options.size) / (seedRate + up(leechers)),
    ) * 1000
  );
}

/** How much more than the fluid bound whole chunks cost when all uplinks are equal (Mundinger, Weber and Weiss, 2008). */
export function discreteFactor(chunkCount: number, leecherCount: number): number {
  return (chunkCount + Math.floor(Math.log2(Math.max(1, leecherCount)))) / chunkCount;
}
