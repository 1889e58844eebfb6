/**
 * Where the time of the uplinks goes: looked at a few hundred times a run, every living uplink is busy, or idle for one of four
 * reasons. The loss of a policy is in them.
 */
import type { SimPeer, World } from './world.ts';

export interface UplinkUse {
  readonly busy: number;
  /** It has nothing to give yet. */
  readonly startup: number;
  /** None of its neighbours lacks anything it has. */
  readonly noInterest: number;
  /** Somebody lacks something it has, and no bytes leave. */
  readonly stalled: number;
  /** Somebody has finished already. */
  readonly endgame: number;
  /** The busy share in each twentieth of the bound, those after it included. */
  readonly busyByTwentieth: readonly number[];
}

const LOOKS = 200;
const TWENTIETH_LOOKS = LOOKS / 20;

type Use = 'busy' | 'startup' | 'noInterest' | 'stalled' | 'endgame';

export class UplinkWatch {
  readonly #world: World;
  readonly #stepMs: number;
  readonly #counts = { busy: 0, startup: 0, noInterest: 0, stalled: 0, endgame: 0 };

  readonly #twentieths: { busy: number; all: number }[] = [];
  #looks = 0;

  constructor(world: World, boundMs: number) {
    this.#world = world;
    this.#stepMs = boundMs / LOOKS;
    this.#later();
  }

  result(): UplinkUse {
    const { busy, startup, noInterest, stalled, endgame } = this.#counts;
    const all = Math.max(1, busy + startup + noInterest + stalled + endgame);
    return {
      busy: busy / all,
      startup: startup / all,
      noInterest: noInterest / all,
      stalled: stalled / all,
      endgame: endgame / all,
      busyByTwentieth: this.#twentieths.map((one) => one.busy / Math.max(1, one.all)),
    };
  }

  #later(): void {
    this.#world.lookAt(this.#world.nowMs + this.#stepMs, () => {
      this.#look();
      this.#later();
    });
  }

  #look(): void {
    const { peers } = this.#world;
    const someFinished = peers.some(({ plan, swarm }) => plan.complete !== true && swarm.isComplete);
    const twentieth = (this.#twentieths[Math.floor(this.#looks++ / TWENTIETH_LOOKS)] ??= { busy: 0, all: 0 });
    for (const peer of peers) {
      if (!peer.alive) continue;
      const use = this.#useOf(peer, someFinished);
      this.#counts[use]++;
      twentieth.all++;
      if (use === 'busy') twentieth.busy++;
    }
  }

  #useOf(peer: SimPeer, someFinished: boolean): Use {
    if (peer.host.busy) return 'busy';
    if (peer.swarm.have.count === 0) return 'startup';
    if (someFinished) return 'endgame';
    const { have } = peer.swarm;
    const isNeeded = this.#world
      .linkedTo(peer)
      .some(({ swarm }) => have.countCommon(swarm.have) < have.count && !swarm.isComplete);
    return isNeeded ? 'stalled' : 'noInterest';
  }
}
