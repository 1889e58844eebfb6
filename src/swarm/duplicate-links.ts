/**
 * Two connections to one peer: which of them goes. Both sides decide by themselves and have to come to the same end, though they
 * may see the two in different order.
 *
 * Crossing dials: the one dialled by the smaller peer id stays; both sides know both ids. Two dials from one side (to two of the
 * peer's addresses, say): the dialler keeps the one it had first and closes the other; the listener waits for that. It closes the
 * older itself only if both are still there after DUPLICATE_GRACE_MS: then the dialler does not know the older one any more.
 */
import { DUPLICATE_GRACE_MS } from '../limits.ts';
import type { Neighbour } from './neighbour.ts';

/** The link to close now; undefined: the other side does it, or `overdueDuplicate` will tell. */
export function loserOf(older: Neighbour, newer: Neighbour, ownKey: string): Neighbour | undefined {
  if (older.outbound !== newer.outbound) {
    const keepOutbound = ownKey < newer.key;
    return newer.outbound === keepOutbound ? older : newer;
  }
  return newer.outbound ? newer : undefined;
}

/** The older of two accepted links of one peer whose dialler should have closed one by now; undefined: there is none. */
export function overdueDuplicate(neighbours: Iterable<Neighbour>, nowMs: number): Neighbour | undefined {
  const newest = new Map<string, Neighbour>();
  for (const neighbour of neighbours) {
    const other = newest.get(neighbour.key);
    newest.set(neighbour.key, neighbour);
    // links stand in the order in which they were made
    if (other !== undefined && nowMs >= neighbour.linkedAtMs + DUPLICATE_GRACE_MS) return other;
  }
  return undefined;
}
