/**
 * When to dial and when to ask the tracker for more: complete peers wait to be dialled, those who still fetch look for others
 * until they have enough. Whom to dial next is dial-plan.ts's question.
 */
import {
  CONNECTIONS_OUTBOUND_TARGET,
  CONNECTIONS_PER_CONTENT_TARGET,
  CONNECTIONS_SETTLE_MS,
  DIALS_MAX,
  DIAL_RETRY_MS,
  NEED_PEERS_INTERVAL_MS,
} from '../limits.ts';
import type { BanList } from './ban-list.ts';
import type { SwarmContext } from './context.ts';
import type { DialPlan } from './dial-plan.ts';
import type { Candidate } from './facts.ts';

export class Dialler {
  readonly #context: SwarmContext;
  readonly #plan: DialPlan;
  readonly #bans: BanList;
  #askedForPeersAtMs = Number.NEGATIVE_INFINITY;
  #beganAtMs: number | undefined;
  /** Looking for somebody to dial is pointless before this, unless links or candidates change. */
  #againAtMs = Number.NEGATIVE_INFINITY;

  constructor(context: SwarmContext, plan: DialPlan, bans: BanList) {
    this.#context = context;
    this.#plan = plan;
    this.#bans = bans;
  }

  /** Links or candidates have changed. */
  changed(): void {
    this.#againAtMs = Number.NEGATIVE_INFINITY;
  }

  /** When `run` may have something to do. */
  nextDeadlineMs(nowMs: number): number {
    return this.#context.have.isFull ? Number.POSITIVE_INFINITY : Math.max(this.#againAtMs, nowMs + 1);
  }

  /** Dials until there are enough links or nobody to dial, and asks for more peers where there are too few. */
  run(nowMs: number): void {
    if (nowMs < this.#againAtMs || this.#context.have.isFull) return;
    this.#beganAtMs ??= nowMs;
    if (this.#wantsLinks(nowMs)) this.#dial(nowMs);
    if (this.#wantsLinks(nowMs) && nowMs >= this.#askedForPeersAtMs + NEED_PEERS_INTERVAL_MS) {
      this.#askedForPeersAtMs = nowMs;
      this.#context.emit({ type: 'need-peers' });
    }
    if (!this.#wantsLinks(nowMs)) {
      this.#againAtMs = this.#isSettled(nowMs)
        ? nowMs + NEED_PEERS_INTERVAL_MS
        : this.#beganAtMs + CONNECTIONS_SETTLE_MS;
      return;
    }
    const readyAtMs = this.#plan.nextReadyAtMs();
    const retryAtMs = readyAtMs > nowMs ? readyAtMs : nowMs + DIAL_RETRY_MS;
    this.#againAtMs = Math.min(Math.max(nowMs, this.#askedForPeersAtMs) + NEED_PEERS_INTERVAL_MS, retryAtMs);
  }

  #dial(nowMs: number): void {
    const allowed = this.#allowed(nowMs);
    do {
      const candidate = this.#plan.next(nowMs, allowed);
      if (candidate === undefined) return;
      this.#context.emit({ type: 'dial', candidate });
    } while (this.#wantsLinks(nowMs));
  }

  /** Whether there is somebody to take the place of a link that is given up. */
  hasOthers(nowMs: number): boolean {
    return !this.#context.have.isFull && this.#plan.hasNext(nowMs, this.#allowed(nowMs));
  }

  /** Neither linked, under whatever name, nor banned. */
  #allowed(nowMs: number): (candidate: Candidate, peerKey: string) => boolean {
    const linked = new Set<string>();
    for (const { key, address, candidateKey, listensAt } of this.#context.neighbours.values()) {
      linked.add(key).add(address);
      if (candidateKey !== undefined) linked.add(candidateKey);
      if (listensAt !== undefined) linked.add(listensAt);
    }
    const isOut = (one: string): boolean => linked.has(one) || this.#bans.isBanned(one, nowMs);
    return ({ key, addresses }, peerKey) => !isOut(key) && !isOut(peerKey) && !addresses.some(isOut);
  }

  /** Who had time to dial us has done so: a swarm in which some have half as many links as others serves these badly. */
  #isSettled(nowMs: number): boolean {
    return this.#beganAtMs !== undefined && nowMs >= this.#beganAtMs + CONNECTIONS_SETTLE_MS;
  }

  #wantsLinks(nowMs: number): boolean {
    const { neighbours } = this.#context;
    const dialling = this.#plan.diallingCount;
    if (dialling >= DIALS_MAX) return false;
    if (neighbours.size + dialling >= CONNECTIONS_PER_CONTENT_TARGET) return false;
    if (this.#isSettled(nowMs)) return true;
    let outbound = dialling;
    for (const neighbour of neighbours.values()) if (neighbour.outbound) outbound++;
    return outbound < CONNECTIONS_OUTBOUND_TARGET;
  }
}
