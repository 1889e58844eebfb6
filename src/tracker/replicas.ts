/**
 * Keeps copies with volunteers: knows who offers space and who keeps what, has the rule (replica-plan.ts) look at contents in which
 * something has changed, a bounded number at a time, and has orders ready for the renewals of volunteers. Orders are not remembered by
 * whom they were told to: they are what the rule says now, so saying them again does no harm, and every tracker of those that share a
 * store comes to the same ones.
 *
 * A volunteer that goes is *away* for `goneMs`, and gone for good then; a new peer id with the same chunks is simply another one that
 * has them. Copies beyond the goal go when nobody who keeps the content has come or gone for as long, and all that count were seen.
 */
import type { Bitfield } from '../content/bitfield.ts';
import type { ContentId } from '../content/digest.ts';
import * as limits from '../limits.ts';
import { CopyState, type VolunteerOffer } from './copy-state.ts';
import { DueQueue } from './due-queue.ts';
import type { EventLog } from './event-log.ts';
import type { ContentRecord, EntryRecord, Holding, PeerRecord } from './records.ts';
import { planReplicas, type PlanOrder, type PlanVolunteer, type ReplicaPlan } from './replica-plan.ts';
import { ReplicaTotals, type ReplicaFigures } from './replica-totals.ts';

export interface ReplicasOptions {
  readonly now: () => number;
  readonly events: EventLog;
  /** Whether others can be sent to it now. */
  readonly isUsable: (peer: PeerRecord) => boolean;
  /** Every entry of a name, newest first. */
  readonly history: (name: string) => readonly EntryRecord[];
  readonly setReplicas: (entry: EntryRecord, copies: number) => void;
  /** Whether this tracker sees what the others see: else nothing is trimmed. */
  readonly seesAll: () => boolean;
  /** What a peer offers is another now. */
  readonly onOffer?: ((peer: PeerRecord) => void) | undefined;
  readonly goneMs?: number | undefined;
  /** After a start, so long is waited for volunteers to come back before anything is ordered. */
  readonly settleMs: number;
}

/** What a volunteer is told with a renewal. */
export interface ReplicaOrder {
  readonly contentId: ContentId;
  readonly hold: readonly number[];
  readonly drop: readonly number[];
}

/** What is known of a volunteer beside its record. */
interface Watch {
  isUsable: boolean;
  readonly orders: Map<ContentRecord, PlanOrder>;
  /** Of all orders to fetch. */
  orderedBytes: number;
  /** Since when it has orders and has gained nothing. */
  waitingSinceMs: number;
  pausedUntilMs: number;
}

interface Away {
  readonly key: string;
  readonly contents: ReadonlyMap<ContentRecord, Bitfield | null>;
}

export class Replicas {
  readonly #options: ReplicasOptions;
  readonly #goneMs: number;
  readonly #volunteers = new Map<PeerRecord, Watch>();
  /** All that have a state. */
  readonly #contents = new Set<ContentRecord>();
  /** To be planned. */
  readonly #dirty = new Set<ContentRecord>();
  readonly #away = new DueQueue<Away>();
  /** What may be trimmed after a while. */
  readonly #trims = new DueQueue<ContentRecord>();
  readonly #totals = new ReplicaTotals();
  #isLoading = true;
  #startsAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: ReplicasOptions) {
    this.#options = options;
    this.#goneMs = options.goneMs ?? limits.REPLICA_GONE_MS;
  }

  /** What the store had is there. */
  loaded(): void {
    this.#isLoading = false;
    if (this.#contents.size > 0)
      this.#startsAtMs = this.#options.now() + Math.min(this.#goneMs, this.#options.settleMs);
  }

  // ---- what happens --------------------------------------------------------------------------------------------------------

  /** An entry has come, is gone, or asks for another number of copies. */
  entryChanged({ content }: EntryRecord): void {
    if (content.contentId === '') return;
    const goal = content.entries.reduce((most, { replicas }) => Math.max(most, replicas), 0);
    const state = content.copies;
    if (state === undefined) {
      if (goal > 0) this.#setGoal(this.#begin(content), goal);
    } else if (content.entries.length === 0) this.#forget(content);
    else if (state.goal !== goal) {
      this.#setGoal(state, goal);
      this.#dirty.add(content);
    }
  }

  /** A peer says what it offers; undefined: nothing. */
  offered(peer: PeerRecord, offer: VolunteerOffer | undefined): void {
    const before = peer.offer;
    if (offer === undefined) {
      if (before === undefined) return;
      this.#setOffer(peer, undefined);
      this.#withdraw(peer);
      for (const { content } of peer.holdings.values()) content.copies?.ended(peer, this.#options.now());
    } else if (before === undefined) {
      this.#setOffer(peer, offer);
      this.#volunteers.set(peer, {
        isUsable: this.#options.isUsable(peer),
        orders: new Map(),
        orderedBytes: 0,
        waitingSinceMs: 0,
        pausedUntilMs: 0,
      });
      for (const holding of peer.holdings.values()) this.holdingChanged(holding);
      this.#wakeShort();
    } else {
      // whether it is left alone for a while is decided where it is registered
      const isPaused = peer.elsewhere ? offer.isPaused : before.isPaused;
      const after = { ...offer, isPaused };
      this.#setOffer(peer, after);
      const room = (one: VolunteerOffer): number => (one.isPaused ? 0 : one.offeredBytes - one.usedBytes);
      if (room(before) < 0 !== room(after) < 0) this.#touchAllOf(peer);
      if (room(after) > room(before)) this.#wakeShort();
      if (before.offeredBytes === offer.offeredBytes && before.usedBytes === offer.usedBytes) return;
    }
    this.#options.onOffer?.(peer);
  }

  holdingChanged(holding: Holding): void {
    const { peer, content, isReplica } = holding;
    const watch = peer.offer === undefined ? undefined : this.#volunteers.get(peer);
    // another source: what nobody had may be copied now
    if (watch === undefined && (content.copies?.missing ?? 0) === 0) return;
    const state = content.copies ?? (watch !== undefined && isReplica ? this.#begin(content) : undefined);
    if (state === undefined) return;
    this.#dirty.add(content);
    if (watch === undefined) return;
    const nowMs = this.#options.now();
    if (state.held(holding, nowMs)) watch.waitingSinceMs = nowMs;
  }

  holdingEnded({ peer, content }: Holding): void {
    const state = content.copies;
    if (state === undefined) return;
    if (state.ended(peer, this.#options.now()) || state.missing > 0) this.#dirty.add(content);
  }

  /** A peer is about to lose its lease and all it has. */
  gone(peer: PeerRecord, nowMs: number): void {
    if (peer.offer === undefined) return;
    const contents = new Map<ContentRecord, Bitfield | null>();
    for (const { content, chunks } of peer.holdings.values()) {
      if ((content.copies?.goal ?? 0) === 0) continue;
      contents.set(content, chunks);
      content.copies?.away.set(peer.key, chunks);
    }
    if (contents.size > 0) this.#away.push({ key: peer.key, contents }, nowMs + this.#goneMs);
    for (let oldest = this.#away.peek(); this.#away.size > limits.REPLICA_AWAY_MAX; oldest = this.#away.peek())
      if (oldest !== undefined) this.#goneForGood(this.#away.takeDue(oldest.dueMs));
    this.#setOffer(peer, undefined);
    this.#withdraw(peer);
  }

  // ---- what follows --------------------------------------------------------------------------------------------------------

  /** Plans what has changed, up to a bound. Says whether there is more. */
  plan(nowMs: number): boolean {
    for (let away = this.#away.takeDue(nowMs); away !== undefined; away = this.#away.takeDue(nowMs))
      this.#goneForGood(away);
    for (let due = this.#trims.takeDue(nowMs); due !== undefined; due = this.#trims.takeDue(nowMs)) {
      if (due.copies === undefined) continue;
      due.copies.trim = undefined;
      this.#dirty.add(due);
    }
    this.#review(nowMs);
    if (nowMs < this.#startsAtMs) return false;
    let steps = 0;
    for (const content of this.#dirty) {
      if (steps >= limits.REPLICA_PLAN_STEPS_PER_TURN) return true;
      this.#dirty.delete(content);
      if (content.copies === undefined) continue;
      steps +=
        (content.chunkCount + 1) * (content.copies.holders.size + 1) + STEPS_PER_VOLUNTEER * this.#volunteers.size;
      this.#planOne(content, content.copies, nowMs);
    }
    return false;
  }

  /** The rarest first, up to a bound. */
  ordersFor(peer: PeerRecord): readonly ReplicaOrder[] {
    const watch = this.#volunteers.get(peer);
    if (watch === undefined || watch.orders.size === 0) return NO_ORDERS;
    const told: ReplicaOrder[] = [];
    let [holdMax, dropMax] = [limits.REPLICA_ORDER_CHUNKS_MAX, limits.REPLICA_ORDER_CHUNKS_MAX];
    for (const [{ contentId }, order] of [...watch.orders].toSorted(([, a], [, b]) => a.rarity - b.rarity)) {
      if (told.length >= limits.REPLICA_ORDER_CONTENTS_MAX || holdMax + dropMax === 0) break;
      const hold = order.hold.slice(0, holdMax);
      const drop = order.drop.slice(0, dropMax);
      if (contentId === '' || hold.length + drop.length === 0) continue;
      holdMax -= hold.length;
      dropMax -= drop.length;
      told.push({ contentId, hold, drop });
    }
    return told;
  }

  figures(): ReplicaFigures {
    return this.#totals.figures();
  }

  #setGoal(state: CopyState, goal: number): void {
    state.goal = goal;
    this.#totals.changed(state);
  }

  #setOffer(peer: PeerRecord, offer: VolunteerOffer | undefined): void {
    this.#totals.offered(peer.offer, offer);
    peer.offer = offer;
  }

  #planOne(content: ContentRecord, state: CopyState, nowMs: number): void {
    const { goal } = state;
    if (goal === 0 && state.holders.size === 0) {
      this.#forget(content);
      return;
    }
    const volunteers: PlanVolunteer[] = [];
    for (const [peer, watch] of this.#volunteers)
      if (watch.isUsable) volunteers.push(planVolunteer(peer, watch, content, state));
    const plan = planReplicas({
      key: content.key,
      layout: content,
      goal,
      volunteers,
      away: goal === 0 ? [] : [...state.away.values()],
      sourceCount: (chunkIndex) => content.swarm?.sourceCount(chunkIndex) ?? 0,
      mayTrim: nowMs - state.changedAtMs >= this.#goneMs && this.#options.seesAll(),
    });
    this.#takeBack(content, state);
    for (const [peer, watch] of this.#volunteers) {
      const order = plan.orders.get(peer.key);
      if (order === undefined) continue;
      if (watch.orderedBytes === 0) watch.waitingSinceMs = nowMs;
      watch.orders.set(content, order);
      watch.orderedBytes += order.holdBytes;
      state.ordered.add(peer);
    }
    if (plan.surplus) state.trim ??= this.#trims.push(content, Math.max(nowMs + 1, state.changedAtMs + this.#goneMs));
    this.#tell(content, state, plan);
  }

  #tell(content: ContentRecord, state: CopyState, plan: ReplicaPlan): void {
    const news = state.learn(plan);
    this.#totals.changed(state);
    if (news !== undefined) {
      const { goal, reached, missing, unplaced } = state;
      const name = content.entries.at(-1)?.name ?? '';
      const figures = { name, content: content.contentId, replicas: goal, reached, missing, unplaced };
      this.#options.events.append(news, figures);
    }
    if (state.goal === 0 || plan.missing > 0) return;
    // the newest version has what it asked for: older ones of the name need not be kept any longer
    for (const entry of content.entries) {
      if (entry.replicas === 0) continue;
      const history = this.#options.history(entry.name);
      for (const older of history.slice(history.indexOf(entry) + 1)) this.#options.setReplicas(older, 0);
    }
  }

  /** Whether volunteers can be reached, and do what they are ordered to. */
  #review(nowMs: number): void {
    for (const [peer, watch] of this.#volunteers) {
      const isUsable = this.#options.isUsable(peer);
      if (isUsable !== watch.isUsable) {
        watch.isUsable = isUsable;
        this.#touchAllOf(peer);
        this.#wakeShort();
      }
      if (peer.offer === undefined || peer.elsewhere) continue;
      if (watch.pausedUntilMs > 0 && nowMs >= watch.pausedUntilMs) this.#pause(peer, watch, nowMs, 0);
      else if (watch.orderedBytes > 0 && nowMs - watch.waitingSinceMs >= limits.REPLICA_PATIENCE_MS)
        this.#pause(peer, watch, nowMs, nowMs + limits.REPLICA_PAUSE_MS);
    }
  }

  /** @param untilMs 0: it gets orders again. */
  #pause(peer: PeerRecord, watch: Watch, nowMs: number, untilMs: number): void {
    if (peer.offer === undefined) return;
    this.#setOffer(peer, { ...peer.offer, isPaused: untilMs > 0 });
    watch.pausedUntilMs = untilMs;
    watch.waitingSinceMs = nowMs;
    this.#wakeShort();
    this.#options.onOffer?.(peer);
  }

  #begin(content: ContentRecord): CopyState {
    const state = new CopyState(content.chunkCount, this.#options.now(), this.#isLoading);
    content.copies = state;
    this.#contents.add(content);
    this.#dirty.add(content);
    for (const holding of [...(content.swarm?.complete ?? []), ...(content.swarm?.partial ?? [])])
      if (this.#volunteers.has(holding.peer)) state.held(holding, this.#options.now());
    return state;
  }

  #forget(content: ContentRecord): void {
    const state = content.copies;
    if (state === undefined) return;
    this.#takeBack(content, state);
    if (state.trim !== undefined) this.#trims.remove(state.trim);
    this.#totals.forgotten(state);
    content.copies = undefined;
    this.#contents.delete(content);
    this.#dirty.delete(content);
  }

  #goneForGood(away: Away | undefined): void {
    for (const [content, chunks] of away?.contents ?? []) {
      const state = content.copies;
      // it may have been here and gone again meanwhile
      if (state?.away.get(away?.key ?? '') !== chunks) continue;
      state?.away.delete(away?.key ?? '');
      if (state !== undefined) this.#dirty.add(content);
    }
  }

  /** No volunteer any more. */
  #withdraw(peer: PeerRecord): void {
    const watch = this.#volunteers.get(peer);
    this.#volunteers.delete(peer);
    for (const content of watch?.orders.keys() ?? []) {
      content.copies?.ordered.delete(peer);
      this.#dirty.add(content);
    }
    this.#touchAllOf(peer);
  }

  #takeBack(content: ContentRecord, state: CopyState): void {
    for (const peer of state.ordered) {
      const watch = this.#volunteers.get(peer);
      if (watch === undefined) continue;
      watch.orderedBytes -= watch.orders.get(content)?.holdBytes ?? 0;
      watch.orders.delete(content);
    }
    state.ordered.clear();
  }

  #touchAllOf(peer: PeerRecord): void {
    for (const { content } of peer.holdings.values()) if (content.copies !== undefined) this.#dirty.add(content);
  }

  #wakeShort(): void {
    for (const content of this.#contents) if ((content.copies?.missing ?? 0) > 0) this.#dirty.add(content);
  }
}

const NO_ORDERS: readonly ReplicaOrder[] = [];
/** What it costs to draw for a volunteer, in chunks. */
const STEPS_PER_VOLUNTEER = 20;

function planVolunteer(peer: PeerRecord, watch: Watch, content: ContentRecord, state: CopyState): PlanVolunteer {
  const { offeredBytes = 0, usedBytes = 0, isPaused = false } = peer.offer ?? {};
  const holding = state.holders.get(peer)?.holding;
  const ownBytes = watch.orders.get(content)?.holdBytes ?? 0;
  return {
    key: peer.key,
    host: peer.addresses[0]?.host ?? '',
    chunks: holding?.chunks,
    counts: usedBytes <= offeredBytes,
    mayDrop: holding?.isReplica ?? false,
    freeBytes: isPaused ? 0 : Math.max(0, offeredBytes - usedBytes - watch.orderedBytes + ownBytes),
  };
}
