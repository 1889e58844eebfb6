/**
 * How long the paths of this swarm are: the middle of the round trips of its neighbours, each by its fastest sample of late. What a
 * sample shows beyond that is a queue, mostly our own; to answer queues with more bytes on the way would only make them longer.
 */
import { FIRST_RTT_MS, RTT_FLOOR_RISE } from '../limits.ts';
import { median } from './estimators.ts';
import type { Neighbour } from './neighbour.ts';

export class RoundTrips {
  readonly #neighbours: ReadonlyMap<unknown, Neighbour>;
  #medianMs: number | undefined;

  constructor(neighbours: ReadonlyMap<unknown, Neighbour>) {
    this.#neighbours = neighbours;
  }

  sample(neighbour: Neighbour, rttMs: number): void {
    neighbour.rttMs = rttMs;
    const floorMs = neighbour.rttFloorMs;
    neighbour.rttFloorMs = floorMs === undefined ? rttMs : Math.min(rttMs, floorMs * RTT_FLOOR_RISE);
    this.#medianMs = undefined;
  }

  /** Neighbours have come or gone. */
  changed(): void {
    this.#medianMs = undefined;
  }

  get medianMs(): number {
    if (this.#medianMs === undefined) {
      const floors: number[] = [];
      for (const { rttFloorMs } of this.#neighbours.values()) if (rttFloorMs !== undefined) floors.push(rttFloorMs);
      this.#medianMs = median(floors, FIRST_RTT_MS);
    }
    return this.#medianMs;
  }
}
