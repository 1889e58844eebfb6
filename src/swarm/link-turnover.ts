/**
 * Which link gives way when there are enough: one on which no byte of a chunk has moved either way for a while. So a full peer
 * does not stay with neighbours that have nothing for each other, and newcomers find room.
 */
import { CONNECTIONS_PER_CONTENT_TARGET, LINK_TURNOVER_MS, LINK_USELESS_MS } from '../limits.ts';
import type { SwarmContext } from './context.ts';
import type { Neighbour } from './neighbour.ts';

export class LinkTurnover {
  readonly #context: SwarmContext;
  #againAtMs: number;

  constructor(context: SwarmContext, nowMs: number) {
    this.#context = context;
    this.#againAtMs = nowMs + LINK_TURNOVER_MS;
  }

  /** When `next` may have somebody; Infinity while there are few links. */
  get nextDeadlineMs(): number {
    return this.#context.neighbours.size >= CONNECTIONS_PER_CONTENT_TARGET ? this.#againAtMs : Number.POSITIVE_INFINITY;
  }

  /**
   * The link that has been useless longest, at most one every LINK_TURNOVER_MS.
   *
   * @param isWanted whether anybody would take its place.
   */
  next(nowMs: number, isWanted: () => boolean): Neighbour | undefined {
    if (nowMs < this.nextDeadlineMs) return undefined;
    this.#againAtMs = nowMs + LINK_TURNOVER_MS;
    let least: Neighbour | undefined;
    for (const neighbour of this.#context.neighbours.values()) {
      if (nowMs - neighbour.lastUsefulAtMs < LINK_USELESS_MS) continue;
      if (least === undefined || neighbour.lastUsefulAtMs < least.lastUsefulAtMs) least = neighbour;
    }
    return least !== undefined && isWanted() ? least : undefined;
  }
}
