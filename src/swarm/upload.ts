/**
 * The giving half of a swarm: hands out credits for chunks and runs the sends. It decides whom to serve (the one it has served
 * least), never which chunk: that is chosen by the other side when the grant arrives, and only suggested here by complete peers.
 *
 * How many sends run side by side and how many credits are out is upload-slots.ts's question. The caller gives the uplink to the
 * oldest send first: chunks mature one after the other, and a younger one moves only while TCP holds the older ones back.
 */
import {
  GRANTS_PER_LINK_MAX,
  GRANT_ANSWER_MS,
  GRANT_ANSWER_ROUND_TRIPS,
  GRANT_LIFE_MS,
  LAPSED_GRANTS_KEPT_MAX,
  NEED_LEAD_CHUNKS_MAX,
  NEED_WEIGHT,
  PACED_SENDS_BYTES_MAX,
  PACED_SHARE_MAX,
  SEND_STALL_MS,
  SUGGESTIONS_PER_GRANT,
} from '../limits.ts';
import type { SwarmContext } from './context.ts';
import { RateMeter } from './estimators.ts';
import type { DeclineReason, SwarmMessage } from './facts.ts';
import type { Grant, Neighbour, Send } from './neighbour.ts';
import { SeedOrder } from './seed-order.ts';
import { UploadSlots } from './upload-slots.ts';

const ID_LIMIT = 0x10000;

type RequestMessage = Extract<SwarmMessage, { type: 'request' }>;

export class Upload {
  readonly #context: SwarmContext;
  readonly #meter = new RateMeter();
  readonly #slots: UploadSlots;
  readonly #queue: Send[] = [];
  /** Sends that are out, and those with the grants that are: at full speed, and to receivers that want less. */
  readonly #full = { activeCount: 0, outstanding: 0 };
  readonly #slow = { activeCount: 0, outstanding: 0 };
  /** Neighbours that asked for a pace. */
  readonly #paced = new Set<Neighbour>();
  #seedOrder: SeedOrder | undefined;
  /** Our place among the complete peers; undefined: the tracker has not said. */
  #shard: { rank: number; count: number } | undefined;
  #sentBytes = 0;
  /** Grants by age; those at the front may be over. */
  readonly #awaited: Grant[] = [];
  /** No grant lapses before this. */
  #lapseCheckAtMs = Number.POSITIVE_INFINITY;
  /** Something has happened after which a neighbour may take a grant that took none before. */
  #someoneMayTake = true;

  constructor(context: SwarmContext, nowMs: number) {
    this.#context = context;
    this.#slots = new UploadSlots(context, nowMs);
    if (context.have.isFull) this.becameComplete(() => 0);
  }

  get load(): { readonly sending: number; readonly granted: number; readonly queued: number } {
    const sending = this.#full.activeCount + this.#slow.activeCount;
    const granted = this.#full.outstanding + this.#slow.outstanding - sending - this.#queue.length;
    return { sending, granted: Math.max(0, granted), queued: this.#queue.length };
  }

  get sentBytes(): number {
    return this.#sentBytes;
  }

  bytesPerSecond(nowMs: number): number {
    return this.#meter.current(nowMs);
  }

  setLimit(bytesPerSecond: number): void {
    this.#slots.setLimit(bytesPerSecond);
  }

  // ---- who has what --------------------------------------------------------------------------------------------------------

  /** From now on we suggest chunks; `copies` tells how many leechers we know to have each. */
  becameComplete(copies: (chunkIndex: number) => number): void {
    const order = new SeedOrder(this.#context.layout.chunkCount);
    if (this.#shard !== undefined) order.setShard(this.#shard.rank, this.#shard.count);
    for (let chunk = 0; chunk < this.#context.layout.chunkCount; chunk++) {
      for (let copy = copies(chunk); copy > 0; copy--) order.raise(chunk);
    }
    this.#seedOrder = order;
  }

  setShard(rank: number, count: number): void {
    this.#shard = { rank, count };
    this.#seedOrder?.setShard(rank, count);
  }

  mapped(neighbour: Neighbour): void {
    this.#someoneMayTake = true;
    neighbour.neededCount = this.#context.have.count - this.#context.have.countCommon(neighbour.theirs);
    if (this.#seedOrder !== undefined && !neighbour.complete)
      for (const chunk of neighbour.theirs) this.#seedOrder.raise(chunk);
  }

  neighbourGained(neighbour: Neighbour, chunkIndex: number): void {
    if (this.#context.have.has(chunkIndex)) neighbour.neededCount--;
    this.#seedOrder?.raise(chunkIndex);
  }

  neighbourLost(neighbour: Neighbour, chunkIndex: number): void {
    this.#someoneMayTake = true;
    if (this.#context.have.has(chunkIndex)) neighbour.neededCount++;
    this.#seedOrder?.lower(chunkIndex);
  }

  weGained(chunkIndex: number): void {
    this.#someoneMayTake = true;
    for (const neighbour of this.#context.neighbours.values()) {
      if (neighbour.mapped && !neighbour.theirs.has(chunkIndex)) neighbour.neededCount++;
    }
  }

  weLost(chunkIndex: number): void {
    this.#seedOrder = undefined;
    for (const neighbour of this.#context.neighbours.values()) {
      if (neighbour.mapped && !neighbour.theirs.has(chunkIndex)) neighbour.neededCount--;
    }
  }

  unlinked(neighbour: Neighbour, nowMs: number): void {
    for (const grant of neighbour.grants.values()) this.#endGrant(neighbour, grant);
    for (const send of neighbour.sends.values()) {
      if (send.state !== 'queued') this.#leaveSlot(send, nowMs);
      this.#lane(send).outstanding--;
      neighbour.outstanding--;
      this.#seedOrder?.lower(send.chunkIndex);
    }
    this.#paced.delete(neighbour);
    for (let at = this.#queue.length - 1; at >= 0; at--)
      if (this.#queue[at]?.link === neighbour.link) this.#queue.splice(at, 1);
    neighbour.sends.clear();
    if (neighbour.mapped && !neighbour.complete && this.#seedOrder !== undefined) {
      for (const chunk of neighbour.theirs) this.#seedOrder.lower(chunk);
    }
  }

  // ---- what neighbours say -------------------------------------------------------------------------------------------------

  interest(neighbour: Neighbour, interested: boolean): void {
    this.#someoneMayTake = true;
    neighbour.armed = interested;
  }

  /** It wants to be sent no more than this a second. */
  pace(neighbour: Neighbour, bytesPerSecond: number, nowMs: number): void {
    this.#someoneMayTake = true;
    neighbour.paceBytesPerSecond = bytesPerSecond;
    if (bytesPerSecond === Number.POSITIVE_INFINITY) this.#paced.delete(neighbour);
    else this.#paced.add(neighbour);
    this.#context.emit({ type: 'pace', link: neighbour.link, bytesPerSecond });
    if (this.#isPaced(neighbour, this.#slots.shape(nowMs).chunkMs)) this.#makeWay(neighbour, nowMs);
  }

  /** What it was granted at full speed goes over to the slow lane: it would hold a slot for as long as its pace likes. */
  #makeWay(neighbour: Neighbour, nowMs: number): void {
    for (const grant of neighbour.grants.values()) {
      if (grant.isPaced) continue;
      if (grant.state === 'awaited') this.#full.outstanding--;
      grant.isPaced = true;
      if (grant.state === 'awaited') this.#slow.outstanding++;
    }
    for (const send of neighbour.sends.values()) {
      if (send.isPaced) continue;
      this.#full.outstanding--;
      if (send.state !== 'queued') this.#leaveSlot(send, nowMs);
      send.isPaced = true;
      this.#slow.outstanding++;
      if (send.state !== 'queued') this.#slow.activeCount++;
    }
  }

  /** A receiver that is busy gets fewer credits at a time, or every wake-up would end in a volley of refusals. */
  decline(neighbour: Neighbour, grantId: number, reason: DeclineReason): void {
    // one refusal of a volley is enough to be understood
    if (reason === 'busy' && neighbour.armed) neighbour.grantWindow = Math.max(1, neighbour.grantWindow / 2);
    neighbour.armed = false;
    const grant = neighbour.grants.get(grantId);
    this.#slots.answered(false);
    if (grant !== undefined) this.#endGrant(neighbour, grant);
    else if (!neighbour.lapsedGrants.delete(grantId))
      this.#context.misbehaved(neighbour, 'protocol', `declined grant ${grantId}, which it does not hold`);
  }

  request(neighbour: Neighbour, message: RequestMessage, nowMs: number): void {
    const { grantId, requestId, chunkIndex } = message;
    if (neighbour.sends.has(requestId)) {
      this.#context.misbehaved(neighbour, 'protocol', `request ${requestId} is under way already`);
      return;
    }
    if (chunkIndex >= this.#context.layout.chunkCount) {
      this.#context.misbehaved(
        neighbour,
        'protocol',
        `asked for chunk ${chunkIndex} of ${this.#context.layout.chunkCount}`,
      );
      return;
    }
    const grant = neighbour.grants.get(grantId);
    if (grant === undefined) {
      if (!neighbour.lapsedGrants.delete(grantId)) {
        this.#context.misbehaved(neighbour, 'protocol', `used grant ${grantId}, which it does not hold`);
        return;
      }
      // late but honest: it is alive and interested
      neighbour.armed = true;
      this.#someoneMayTake = true;
      this.#context.send(neighbour, { type: 'reject', requestId, reason: 'busy', retryMs: 0 });
      return;
    }
    this.#endGrant(neighbour, grant);
    this.#slots.answered(true);
    // one more for each window's worth of requests, so that a busy receiver is tried out rarely
    neighbour.grantWindow = Math.min(GRANTS_PER_LINK_MAX, neighbour.grantWindow + 1 / neighbour.grantWindow);
    if (!this.#context.have.has(chunkIndex)) {
      this.#context.send(neighbour, { type: 'reject', requestId, reason: 'no-chunk', retryMs: 0 });
      return;
    }
    this.#seedOrder?.raise(chunkIndex);
    const { link } = neighbour;
    const { isPaced } = grant;
    const send: Send = { link, requestId, chunkIndex, isPaced, state: 'queued', progressAtMs: nowMs };
    neighbour.sends.set(requestId, send);
    neighbour.outstanding++;
    this.#lane(send).outstanding++;
    this.#queue.push(send);
  }

  cancel(neighbour: Neighbour, requestId: number): void {
    const send = neighbour.sends.get(requestId);
    // what was sent in full before the cancel arrived needs no answer
    if (send === undefined || send.state === 'stopping') return;
    if (send.state === 'active') {
      send.state = 'stopping';
      this.#context.emit({ type: 'stop-send', link: neighbour.link, requestId });
      return;
    }
    this.#queue.splice(this.#queue.indexOf(send), 1);
    this.#endSend(neighbour, send, false);
    this.#context.send(neighbour, { type: 'reject', requestId, reason: 'cancelled', retryMs: 0 });
  }

  // ---- what became of sends ------------------------------------------------------------------------------------------------

  sent(neighbour: Neighbour, requestId: number, byteCount: number, last: boolean, nowMs: number): void {
    const send = neighbour.sends.get(requestId);
    if (send === undefined) return;
    this.#meter.add(nowMs, byteCount);
    this.#sentBytes += byteCount;
    neighbour.sentBytes += byteCount;
    neighbour.lastUsefulAtMs = nowMs;
    send.progressAtMs = nowMs;
    this.#slots.moved(send, byteCount, nowMs);
    if (!last) return;
    this.#leaveSlot(send, nowMs);
    this.#endSend(neighbour, send, true);
  }

  sendEnded(neighbour: Neighbour, requestId: number, why: 'stopped' | 'unreadable', nowMs: number): void {
    const send = neighbour.sends.get(requestId);
    if (send === undefined) return;
    this.#leaveSlot(send, nowMs);
    this.#endSend(neighbour, send, false);
    this.#context.send(neighbour, {
      type: 'reject',
      requestId,
      reason: why === 'stopped' ? 'cancelled' : 'disk',
      retryMs: 0,
    });
  }

  // ---- time ----------------------------------------------------------------------------------------------------------------

  nextDeadlineMs(): number {
    const answerByMs = this.#oldestAwaited()?.answerByMs ?? Number.POSITIVE_INFINITY;
    const outstanding = this.#full.outstanding + this.#slow.outstanding;
    const slotsMs = outstanding > 0 ? this.#slots.nextDeadlineMs() : Number.POSITIVE_INFINITY;
    return Math.min(answerByMs, slotsMs, this.#lapseCheckAtMs);
  }

  tick(nowMs: number): void {
    this.#doubtOverdue(nowMs);
    if (nowMs >= this.#lapseCheckAtMs) this.#lapseOverdue(nowMs);
    if (this.#slots.tick(nowMs, this.#queue.length > 0)) this.#closeUnread(nowMs);
  }

  /** Until somebody who has died is found dead, his credits must not stand for work that never comes. */
  #doubtOverdue(nowMs: number): void {
    for (let grant = this.#oldestAwaited(); grant !== undefined; grant = this.#oldestAwaited()) {
      if (grant.answerByMs > nowMs) break;
      grant.state = 'doubted';
      this.#lane(grant).outstanding--;
      this.#someoneMayTake = true;
    }
  }

  #oldestAwaited(): Grant | undefined {
    while (this.#awaited[0] !== undefined && this.#awaited[0].state !== 'awaited') this.#awaited.shift();
    return this.#awaited[0];
  }

  /** Grants are looked at when the oldest of them could have lapsed: as a rule they are answered long before. */
  #lapseOverdue(nowMs: number): void {
    this.#lapseCheckAtMs = Number.POSITIVE_INFINITY;
    for (const neighbour of [...this.#context.neighbours.values()]) {
      for (const grant of neighbour.grants.values()) {
        if (grant.lapsesAtMs <= nowMs) this.#lapse(neighbour, grant);
        else this.#lapseCheckAtMs = Math.min(this.#lapseCheckAtMs, grant.lapsesAtMs);
      }
    }
  }

  #closeUnread(nowMs: number): void {
    for (const neighbour of [...this.#context.neighbours.values()]) {
      for (const send of neighbour.sends.values()) {
        if (send.state === 'active' && nowMs - send.progressAtMs > SEND_STALL_MS) {
          this.#context.close(neighbour, 'timeout', 'it does not read what it asked for');
          break;
        }
      }
    }
  }

  /** Starts queued sends and hands out grants until the pipeline is full. */
  schedule(nowMs: number): void {
    const { slots, pipeline, chunkMs, roundTripMs } = this.#slots.shape(nowMs);
    this.#startQueued(slots, nowMs);
    if (this.#context.options.upload && this.#someoneMayTake) {
      for (const neighbour of this.#paced) this.#fillPaced(neighbour, chunkMs, roundTripMs, nowMs);
      this.#fillPipeline(pipeline, roundTripMs > chunkMs / 4 ? 2 : 1, chunkMs, roundTripMs, nowMs);
    }
    this.#slots.watchIdle(this.#full.activeCount === 0 && this.#full.outstanding > 0, nowMs);
  }

  /** The oldest first; but one that finds no slot does not hold up those of the other lane. */
  #startQueued(slots: number, nowMs: number): void {
    const pacedSlots = Math.max(slots, Math.floor(PACED_SENDS_BYTES_MAX / this.#context.layout.chunkSize));
    for (let at = 0; at < this.#queue.length;) {
      const send = this.#queue[at] as Send;
      const lane = this.#lane(send);
      if (lane.activeCount >= (send.isPaced ? pacedSlots : slots)) {
        at++;
        continue;
      }
      this.#queue.splice(at, 1);
      send.state = 'active';
      send.progressAtMs = nowMs;
      lane.activeCount++;
      if (!send.isPaced) this.#slots.started(send, nowMs);
      this.#context.emit({
        type: 'start-send',
        link: send.link,
        requestId: send.requestId,
        chunkIndex: send.chunkIndex,
      });
    }
  }

  #leaveSlot(send: Send, nowMs: number): void {
    this.#lane(send).activeCount--;
    if (!send.isPaced) this.#slots.ended(send, nowMs);
  }

  #lane({ isPaced }: { readonly isPaced: boolean }): { activeCount: number; outstanding: number } {
    return isPaced ? this.#slow : this.#full;
  }

  /** A receiver that wants less than we could send has credits of its own, as many as its pace and path need. */
  #fillPaced(neighbour: Neighbour, chunkMs: number, roundTripMs: number, nowMs: number): void {
    if (!this.#isPaced(neighbour, chunkMs)) return;
    const pacedChunkMs = (this.#context.layout.chunkSize * 1000) / neighbour.paceBytesPerSecond;
    const cap = Math.min(2 + Math.ceil(roundTripMs / pacedChunkMs), GRANTS_PER_LINK_MAX);
    while (mayTake(neighbour, cap))
      this.#grant(neighbour, neighbour.outstanding * pacedChunkMs, true, roundTripMs, nowMs);
  }

  #isPaced({ paceBytesPerSecond }: Neighbour, chunkMs: number): boolean {
    return paceBytesPerSecond < (PACED_SHARE_MAX * this.#context.layout.chunkSize * 1000) / chunkMs;
  }

  /** First a share for everybody, then, if credits are left, more for those who take them: one-to-one runs at full speed. */
  #fillPipeline(pipeline: number, perNeighbour: number, chunkMs: number, roundTripMs: number, nowMs: number): void {
    if (this.#full.outstanding >= pipeline) return;
    for (const cap of [perNeighbour, GRANTS_PER_LINK_MAX]) {
      while (this.#full.outstanding < pipeline) {
        const neighbour = this.#nextToServe(cap, chunkMs, nowMs);
        if (neighbour === undefined) break;
        this.#grant(neighbour, this.#full.outstanding * chunkMs, false, roundTripMs, nowMs);
      }
    }
    this.#someoneMayTake = this.#full.outstanding >= pipeline;
  }

  #nextToServe(cap: number, chunkMs: number, nowMs: number): Neighbour | undefined {
    let best: Neighbour | undefined;
    let bestServed = Number.POSITIVE_INFINITY;
    let ties = 0;
    for (const neighbour of this.#context.neighbours.values()) {
      if (!mayTake(neighbour, cap) || this.#isPaced(neighbour, chunkMs)) continue;
      const served = neighbour.served.at(nowMs) + neighbour.outstanding - this.#leadOf(neighbour);
      if (served < bestServed) {
        best = neighbour;
        bestServed = served;
        ties = 1;
      } else if (served === bestServed && this.#context.random.below(++ties) === 0) {
        best = neighbour;
      }
    }
    return best;
  }

  /**
   * By how many chunks it may be served more than others. Who has few links, or neighbours with many, is served less than others in all, and would
   * finish last; if all its neighbours give it a share of what it lacks beyond what is usual, it catches up, and they do not all run to it at once.
   */
  #leadOf({ neededCount }: Neighbour): number {
    return Math.min(NEED_LEAD_CHUNKS_MAX, (NEED_WEIGHT * neededCount) / this.#context.neighbours.size);
  }

  #grant(neighbour: Neighbour, etaMs: number, isPaced: boolean, roundTripMs: number, nowMs: number): void {
    let grantId = neighbour.nextGrantId;
    while (neighbour.grants.has(grantId) || neighbour.lapsedGrants.has(grantId)) grantId = (grantId + 1) % ID_LIMIT;
    neighbour.nextGrantId = (grantId + 1) % ID_LIMIT;
    const suggestions = this.#suggestions(neighbour);
    const pledgedChunk = suggestions[0] ?? -1;
    if (pledgedChunk >= 0) this.#seedOrder?.raise(pledgedChunk);
    const lapsesAtMs = nowMs + GRANT_LIFE_MS + 2 * roundTripMs;
    const answerByMs = nowMs + Math.max(GRANT_ANSWER_MS, GRANT_ANSWER_ROUND_TRIPS * roundTripMs);
    const grant: Grant = { grantId, isPaced, pledgedChunk, lapsesAtMs, answerByMs, state: 'awaited' };
    neighbour.grants.set(grantId, grant);
    this.#awaited.push(grant);
    this.#lapseCheckAtMs = Math.min(this.#lapseCheckAtMs, lapsesAtMs);
    this.#lane(grant).outstanding++;
    neighbour.outstanding++;
    neighbour.served.add(nowMs, 1);
    this.#context.send(neighbour, { type: 'grant', grantId, etaMs: Math.min(Math.ceil(etaMs), 0xffff), suggestions });
  }

  /** With a single leecher every chunk leaves once anyway, and it may as well choose the order that suits its disk. */
  #suggestions(neighbour: Neighbour): number[] {
    if (this.#seedOrder === undefined || this.#context.neighbours.size < 2) return [];
    const underWay = new Set<number>();
    for (const send of neighbour.sends.values()) underWay.add(send.chunkIndex);
    for (const grant of neighbour.grants.values()) underWay.add(grant.pledgedChunk);
    // complete peers that do not know of each other would all begin with the same chunks, and go on like that
    if (this.#shard === undefined) this.#seedOrder.startAt(this.#context.random.below(this.#context.layout.chunkCount));
    return this.#seedOrder.suggest(
      SUGGESTIONS_PER_GRANT,
      (chunk) => !neighbour.theirs.has(chunk) && !underWay.has(chunk),
    );
  }

  #lapse(neighbour: Neighbour, grant: Grant): void {
    this.#endGrant(neighbour, grant);
    neighbour.armed = false;
    neighbour.lapsedGrants.add(grant.grantId);
    if (neighbour.lapsedGrants.size > LAPSED_GRANTS_KEPT_MAX) {
      for (const oldest of neighbour.lapsedGrants) {
        neighbour.lapsedGrants.delete(oldest);
        break;
      }
    }
  }

  #endGrant(neighbour: Neighbour, grant: Grant): void {
    this.#someoneMayTake = true;
    neighbour.grants.delete(grant.grantId);
    neighbour.outstanding--;
    if (grant.state === 'awaited') this.#lane(grant).outstanding--;
    grant.state = 'over';
    if (grant.pledgedChunk >= 0) this.#seedOrder?.lower(grant.pledgedChunk);
  }

  #endSend(neighbour: Neighbour, send: Send, arrived: boolean): void {
    this.#someoneMayTake = true;
    neighbour.sends.delete(send.requestId);
    neighbour.outstanding--;
    this.#lane(send).outstanding--;
    if (!arrived) this.#seedOrder?.lower(send.chunkIndex);
  }
}

/** It wants something we have, and may hold another credit. */
function mayTake(neighbour: Neighbour, cap: number): boolean {
  return (
    neighbour.armed &&
    neighbour.outstanding < cap &&
    neighbour.neededCount > neighbour.outstanding &&
    neighbour.mapped &&
    neighbour.grants.size < Math.floor(neighbour.grantWindow)
  );
}
