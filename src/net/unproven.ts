/** How many accepted connections have not proved themselves: a table of counts, in all and by address. */
import * as limits from '../limits.ts';
import { addressGroup } from './address.ts';

export interface UnprovenLimits {
  readonly inAll: number;
  readonly perAddress: number;
  /** Of loopback, where one machine may run a whole swarm. */
  readonly loopback: number;
}

export const UNPROVEN_LIMITS: UnprovenLimits = {
  inAll: limits.UNPROVEN_CONNECTIONS_MAX,
  perAddress: limits.UNPROVEN_CONNECTIONS_PER_ADDRESS_MAX,
  loopback: limits.UNPROVEN_CONNECTIONS_LOOPBACK_MAX,
};

export class UnprovenConnections {
  readonly #limits: UnprovenLimits;
  readonly #byGroup = new Map<string, number>();
  #count = 0;

  constructor(unprovenLimits: UnprovenLimits = UNPROVEN_LIMITS) {
    this.#limits = unprovenLimits;
  }

  get count(): number {
    return this.#count;
  }

  /** Counts a connection from this host and answers how to take it off again (once); or says which limit is reached. */
  admit(host: string): (() => void) | 'full' | 'address-full' {
    if (this.#count >= this.#limits.inAll) return 'full';
    const group = addressGroup(host);
    const ofGroup = this.#byGroup.get(group) ?? 0;
    if (ofGroup >= (group === 'loopback' ? this.#limits.loopback : this.#limits.perAddress)) return 'address-full';
    this.#count++;
    this.#byGroup.set(group, ofGroup + 1);
    let counted = true;
    return () => {
      if (!counted) return;
      counted = false;
      this.#count--;
      const left = (this.#byGroup.get(group) ?? 1) - 1;
      if (left > 0) this.#byGroup.set(group, left);
      else this.#byGroup.delete(group);
    };
  }
}
