/**
 * Accepted connections that have not proved themselves, with bounds in all and by address. At a bound the newcomer is let in and the
 * stranger that has had longest to prove itself goes: an honest peer needs a round trip, so whoever fills all places and stays silent
 * locks nobody out (the idea of a SYN cache: Lemon, "Resisting SYN flood DoS attacks with a SYN cache", 2002).
 */
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

/** Why a stranger has to go. */
export type Eviction = 'full' | 'address-full';

interface Stranger {
  readonly evict: (why: Eviction) => void;
}

export class UnprovenConnections {
  readonly #limits: UnprovenLimits;
  /** By address, each with its strangers in the order they came. */
  readonly #byGroup = new Map<string, Set<Stranger>>();
  #count = 0;

  constructor(unprovenLimits: UnprovenLimits = UNPROVEN_LIMITS) {
    this.#limits = unprovenLimits;
  }

  get count(): number {
    return this.#count;
  }

  /**
   * Counts a connection from this host and answers how to take it off again, when it has proved itself or is gone; more than once does
   * no harm. `evict` is called at most once, never after that, and possibly for another connection before this returns.
   */
  admit(host: string, evict: (why: Eviction) => void): () => void {
    const group = addressGroup(host);
    const ofGroup = this.#byGroup.get(group);
    const groupMax = group === 'loopback' ? this.#limits.loopback : this.#limits.perAddress;
    if (ofGroup !== undefined && ofGroup.size >= groupMax) this.#evictOldest(group, ofGroup, 'address-full');
    else if (this.#count >= this.#limits.inAll) this.#evictOldest(...this.#largest(), 'full');
    const stranger: Stranger = { evict };
    const strangers = this.#byGroup.get(group) ?? new Set();
    this.#byGroup.set(group, strangers.add(stranger));
    this.#count++;
    return () => this.#remove(group, stranger);
  }

  #evictOldest(group: string, strangers: ReadonlySet<Stranger>, why: Eviction): void {
    const [oldest] = strangers;
    if (oldest === undefined) return;
    this.#remove(group, oldest);
    oldest.evict(why);
  }

  /** The address that has the most: that of whoever makes the crowd. */
  #largest(): [group: string, strangers: ReadonlySet<Stranger>] {
    let most: [string, ReadonlySet<Stranger>] = ['', new Set()];
    for (const entry of this.#byGroup) if (entry[1].size > most[1].size) most = entry;
    return most;
  }

  #remove(group: string, stranger: Stranger): void {
    const strangers = this.#byGroup.get(group);
    if (strangers?.delete(stranger) !== true) return;
    this.#count--;
    if (strangers.size === 0) this.#byGroup.delete(group);
  }
}
