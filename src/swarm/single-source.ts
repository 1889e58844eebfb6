/** Which source a download with `--single` fetches from: the one with the shortest round trip, once those of all are known. */
import { SINGLE_CHOICE_MS } from '../limits.ts';
import type { SwarmContext } from './context.ts';
import type { LinkId } from './facts.ts';
import type { Neighbour } from './neighbour.ts';

export class SingleSource {
  readonly #context: SwarmContext;
  readonly #startedAtMs: number;
  #link: LinkId | undefined;

  constructor(context: SwarmContext, nowMs: number) {
    this.#context = context;
    this.#startedAtMs = nowMs;
  }

  get isChosen(): boolean {
    return this.#link !== undefined;
  }

  /** This one is gone or late: another is to be chosen. Whether it was the one. */
  giveUp(link: LinkId): boolean {
    if (this.#link !== link) return false;
    this.#link = undefined;
    return true;
  }

  /** Whether it is this one that is fetched from. Nobody is while the choice is open. */
  isSole(neighbour: Neighbour, nowMs: number): boolean {
    if (this.#link !== undefined) return this.#link === neighbour.link;
    const able = [...this.#context.neighbours.values()].filter((one) => one.wantedCount > 0 && !one.snubbed);
    const allMeasured = able.every((one) => one.rttMs !== undefined);
    if (
      nowMs - this.#startedAtMs < SINGLE_CHOICE_MS &&
      !(allMeasured && nowMs - this.#startedAtMs > SINGLE_CHOICE_MS / 2)
    )
      return false;
    const rttOf = (one: Neighbour): number => one.rttMs ?? Number.POSITIVE_INFINITY;
    let best: Neighbour | undefined;
    for (const one of able) if (best === undefined || rttOf(one) < rttOf(best)) best = one;
    this.#link = best?.link;
    return best === neighbour;
  }
}
