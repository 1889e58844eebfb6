/**
 * Whom to dial next: candidates, their failures and back-off. Those the tracker or the user lists come first; those only other
 * peers tell of come after, in bounded numbers, because a peer may lie. Says nothing about connections that exist; the swarm
 * counts those.
 */
import {
  CANDIDATES_MAX,
  DIAL_BACKOFF_MAX_MS,
  DIAL_BACKOFF_MIN_MS,
  DIAL_FAILURES_MAX,
  TOLD_CANDIDATES_MAX,
  TOLD_CANDIDATES_PER_HOST_MAX,
  TOLD_CANDIDATES_PER_SOURCE_MAX,
  TOLD_DIALS_BURST,
  TOLD_DIALS_PER_SECOND,
  TOLD_DIAL_FAILURES_MAX,
  TOLD_SOURCE_FAILURES_MAX,
} from '../limits.ts';
import { addressScope, hostOf } from './address-scope.ts';
import type { Candidate } from './facts.ts';
import type { Random } from './random.ts';
import { Tally } from './tally.ts';

interface Entry {
  candidate: Candidate;
  /** Of the key, where that is an address. */
  readonly host: string;
  failures: number;
  readyAtMs: number;
  state: 'idle' | 'dialling' | 'linked';
  /** Who told us of it; undefined for those that are listed. */
  source: string | undefined;
  /** Peer id in hex of who answered there, or of who is said to. */
  peerKey: string;
}

/** A peer that another peer says it is linked to. */
export interface ToldPeer {
  /** `host:port`; the host an IP address. */
  readonly address: string;
  /** Its peer id in hex, as the other peer has it. */
  readonly key: string;
}

export class DialPlan {
  readonly #entries = new Map<string, Entry>();
  readonly #random: Random;
  /** Dials to told candidates that failed, by source; a success takes one back. */
  readonly #sourceFailures = new Map<string, number>();
  /** Every address of every candidate; and of those only told of: all, and by source and host. */
  readonly #addresses = new Tally();
  #toldCount = 0;
  readonly #toldBySource = new Tally();
  readonly #toldByHost = new Tally();
  #diallingCount = 0;
  #toldDials = TOLD_DIALS_BURST;
  #toldDialsAtMs = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  /** Adds or refreshes candidates. `listed` by the tracker or the user: earlier failures are forgiven. */
  learn(candidates: readonly Candidate[], listed: boolean, nowMs: number): void {
    for (const candidate of candidates) {
      const entry = this.#entries.get(candidate.key);
      if (entry !== undefined) {
        this.#count(entry, -1);
        entry.candidate = candidate;
        if (listed) entry.source = undefined;
        this.#count(entry, 1);
        if (listed && entry.failures >= DIAL_FAILURES_MAX) {
          entry.failures = 0;
          entry.readyAtMs = nowMs;
        }
      } else if (candidate.addresses.length > 0 && this.#hasRoom()) {
        this.#add(candidate, undefined, candidate.key, nowMs);
      }
    }
  }

  /**
   * Peers that a neighbour says it is linked to. They are kept by address, so that a lie about who is there never stands in the
   * way of the truth. How many are taken is bounded by source, by host and in all; a source whose word turned out wrong is no
   * longer believed.
   */
  told(peers: readonly ToldPeer[], source: string, nowMs: number): void {
    for (const { address, key } of peers) {
      if (!this.mayBeTold(source)) return;
      if (this.#addresses.of(address) > 0) continue;
      const host = hostOf(address);
      // one machine may run a whole swarm
      if (this.#toldByHost.of(host) >= TOLD_CANDIDATES_PER_HOST_MAX && addressScope(address) !== 'loopback') continue;
      this.#add({ key: address, addresses: [address], dialect: 'native', complete: false }, source, key, nowMs);
    }
  }

  /** Whether anything this source tells of could be kept. */
  mayBeTold(source: string): boolean {
    return (
      this.#toldCount < TOLD_CANDIDATES_MAX &&
      this.#entries.size < CANDIDATES_MAX &&
      this.#toldBySource.of(source) < TOLD_CANDIDATES_PER_SOURCE_MAX &&
      (this.#sourceFailures.get(source) ?? 0) < TOLD_SOURCE_FAILURES_MAX
    );
  }

  /** The neighbour that told of these peers has lost them: who was not dialled yet need not be. */
  untold(keys: readonly string[], source: string): void {
    if (keys.length === 0 || this.#toldBySource.of(source) === 0) return;
    const gone = new Set(keys);
    for (const entry of this.#entries.values())
      if (entry.source === source && entry.state === 'idle' && gone.has(entry.peerKey)) this.#delete(entry);
  }

  get diallingCount(): number {
    return this.#diallingCount;
  }

  /** Candidates not given up: linked, being dialled, or to be dialled again. */
  get hopefulCount(): number {
    let count = 0;
    for (const entry of this.#entries.values()) if (entry.failures < DIAL_FAILURES_MAX) count++;
    return count;
  }

  /**
   * The next candidate whose time has come and that `allowed` lets pass, marked as being dialled; undefined when there is none.
   * `allowed` is also given the id of who is, or is said to be, there.
   */
  next(nowMs: number, allowed: (candidate: Candidate, peerKey: string) => boolean): Candidate | undefined {
    const listed: Entry[] = [];
    const told: Entry[] = [];
    for (const entry of this.#entries.values()) {
      if (entry.state !== 'idle' || entry.failures >= DIAL_FAILURES_MAX || entry.readyAtMs > nowMs) continue;
      if (allowed(entry.candidate, entry.peerKey)) (entry.source === undefined ? listed : told).push(entry);
    }
    const chosen =
      listed[this.#random.below(listed.length)] ??
      (this.#mayDialTold(nowMs) ? told[this.#random.below(told.length)] : undefined);
    if (chosen === undefined) return undefined;
    if (chosen.source !== undefined) this.#toldDials--;
    this.#enter(chosen, 'dialling');
    return chosen.candidate;
  }

  /** Whether `next` would find somebody. */
  hasNext(nowMs: number, allowed: (candidate: Candidate, peerKey: string) => boolean): boolean {
    for (const entry of this.#entries.values()) {
      if (entry.state !== 'idle' || entry.failures >= DIAL_FAILURES_MAX || entry.readyAtMs > nowMs) continue;
      if (allowed(entry.candidate, entry.peerKey)) return true;
    }
    return false;
  }

  /** @param peerKey who answered: another dial to the same peer under another key is then known to be one. */
  linked(key: string, peerKey: string = key): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#enter(entry, 'linked');
    entry.failures = 0;
    entry.peerKey = peerKey;
    if (entry.source === undefined) return;
    const failures = (this.#sourceFailures.get(entry.source) ?? 0) - 1;
    if (failures > 0) this.#sourceFailures.set(entry.source, failures);
    else this.#sourceFailures.delete(entry.source);
  }

  failed(key: string, nowMs: number): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#enter(entry, 'idle');
    const waitMs = Math.min(DIAL_BACKOFF_MAX_MS, DIAL_BACKOFF_MIN_MS * 2 ** entry.failures);
    entry.failures++;
    entry.readyAtMs = nowMs + waitMs * (0.5 + this.#random.next());
    if (entry.source === undefined) return;
    if (entry.failures === 1) this.#blame(entry.source);
    if (entry.failures >= TOLD_DIAL_FAILURES_MAX) this.#delete(entry);
  }

  /** A connection has ended; it may be dialled again after `waitMs`. */
  ended(key: string, nowMs: number, waitMs: number): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#enter(entry, 'idle');
    entry.readyAtMs = Math.max(entry.readyAtMs, nowMs + waitMs);
  }

  /** When the next candidate becomes ready; Infinity when none waits. */
  nextReadyAtMs(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const entry of this.#entries.values()) {
      if (entry.state === 'idle' && entry.failures < DIAL_FAILURES_MAX) next = Math.min(next, entry.readyAtMs);
    }
    return next;
  }

  #add(candidate: Candidate, source: string | undefined, peerKey: string, nowMs: number): void {
    const entry: Entry = {
      candidate,
      host: hostOf(candidate.key),
      failures: 0,
      readyAtMs: nowMs,
      state: 'idle',
      source,
      peerKey,
    };
    this.#entries.set(candidate.key, entry);
    this.#count(entry, 1);
  }

  #delete(entry: Entry): void {
    this.#enter(entry, 'idle');
    this.#entries.delete(entry.candidate.key);
    this.#count(entry, -1);
  }

  #enter(entry: Entry, state: Entry['state']): void {
    if (entry.state === 'dialling') this.#diallingCount--;
    if (state === 'dialling') this.#diallingCount++;
    entry.state = state;
  }

  #count({ candidate, host, source }: Entry, step: 1 | -1): void {
    for (const address of candidate.addresses) this.#addresses.add(address, step);
    if (source === undefined) return;
    this.#toldCount += step;
    this.#toldBySource.add(source, step);
    this.#toldByHost.add(host, step);
  }

  /** Who is listed takes the place of somebody we were only told of. */
  #hasRoom(): boolean {
    if (this.#entries.size < CANDIDATES_MAX) return true;
    for (const entry of this.#entries.values()) {
      if (entry.source === undefined || entry.state !== 'idle') continue;
      this.#delete(entry);
      return true;
    }
    return false;
  }

  #mayDialTold(nowMs: number): boolean {
    const earned = ((nowMs - this.#toldDialsAtMs) * TOLD_DIALS_PER_SECOND) / 1000;
    this.#toldDials = Math.min(TOLD_DIALS_BURST, this.#toldDials + Math.max(0, earned));
    this.#toldDialsAtMs = nowMs;
    return this.#toldDials >= 1;
  }

  #blame(source: string): void {
    const failures = (this.#sourceFailures.get(source) ?? 0) + 1;
    // the one that was blamed last stands last
    this.#sourceFailures.delete(source);
    this.#sourceFailures.set(source, failures);
    if (this.#sourceFailures.size > CANDIDATES_MAX) {
      for (const first of this.#sourceFailures.keys()) {
        this.#sourceFailures.delete(first);
        break;
      }
    }
    if (failures < TOLD_SOURCE_FAILURES_MAX) return;
    for (const entry of this.#entries.values())
      if (entry.source === source && entry.state === 'idle') this.#delete(entry);
  }
}
