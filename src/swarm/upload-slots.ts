/**
 * How many sends run side by side, and how many credits are out beyond them.
 *
 * A path that is warm takes whatever the oldest send has, and then one send is enough: every further one, and every further credit,
 * binds a chunk to a queue and the choice of it to the past. A path on which TCP still has to get going leaves the uplink idle for
 * round trips, and then others have to fill it. Which it is shows by itself, because the caller lets a younger send move only while
 * the older ones cannot: so as many slots are needed as there were sends that moved. One is the beginning; nothing moving for longer
 * than a path should need adds one at once; a slot that nothing needed for two looks is taken away.
 *
 * At most there are as many as TCP's slow start and the round trip call for by arithmetic, and some to spare. At least there are so
 * many that the uplink has work while a disk is read or a busy machine gets around to it.
 */
import {
  ACTIVE_SENDS_MAX,
  FRAGMENT_BYTES_MAX,
  SPARE_SENDS,
  TCP_INITIAL_WINDOW_BYTES,
  UP_FEEDBACK_IDLE_SHARE,
  UP_FEEDBACK_MS,
  UP_FEEDBACK_SLOTS_MAX,
  UP_FEEDBACK_TAKEN_SHARE_MIN,
  UP_FIRST_RATE_BYTES_PER_SECOND,
  UP_SLACK_MS,
  UP_STALL_FRAGMENTS,
  UP_STALL_MIN_MS,
  UP_STALL_ROUND_TRIPS,
} from '../limits.ts';
import type { SwarmContext } from './context.ts';
import { clamp, Ewma, RateMeter } from './estimators.ts';
import type { Send } from './neighbour.ts';

/** How old the numbers below may be. */
const SHAPE_AGE_MAX_MS = 20;

/** How much is under way at a time: sends side by side, and with the credits for more; and what that follows from. */
export interface UploadShape {
  readonly slots: number;
  readonly pipeline: number;
  readonly chunkMs: number;
  readonly roundTripMs: number;
}

export class UploadSlots {
  readonly #context: SwarmContext;
  /** What leaves while there are sends at full speed, by a clock that stands while there are none: what the uplink can do. */
  readonly #meter = new RateMeter();
  #skippedMs = 0;
  #lastActiveMs: number;
  #limitBytesPerSecond: number;
  /** Those that have a slot, oldest first. */
  readonly #active: Send[] = [];
  /** Slots that were of use of late. */
  #needed = 1;
  /** The youngest send that has moved, counted from the oldest: in this look and in the one before. */
  #reach = 0;
  #reachBefore = 0;
  #movedAtMs: number;
  #stallMs = Number.POSITIVE_INFINITY;
  #slotsMost = 1;
  #extra = 0;
  /** The share of credits that are taken, of late. */
  readonly #taken = new Ewma(0.2);
  #idleSinceMs: number | undefined;
  #idleMs = 0;
  #feedbackAtMs: number;
  #shape: UploadShape = { slots: 1, pipeline: 1, chunkMs: 1, roundTripMs: 1 };
  #shapeAtMs = Number.NEGATIVE_INFINITY;

  constructor(context: SwarmContext, nowMs: number) {
    this.#context = context;
    this.#lastActiveMs = nowMs;
    this.#limitBytesPerSecond = context.options.upBytesPerSecond;
    this.#movedAtMs = nowMs;
    this.#feedbackAtMs = nowMs + UP_FEEDBACK_MS;
  }

  get activeCount(): number {
    return this.#active.length;
  }

  setLimit(bytesPerSecond: number): void {
    this.#limitBytesPerSecond = bytesPerSecond;
    this.#changed();
  }

  /** The shape for the moment. It changes slowly, and is asked for with nearly every fact. */
  shape(nowMs: number): UploadShape {
    if (nowMs - this.#shapeAtMs >= SHAPE_AGE_MAX_MS) {
      this.#shape = this.#shapeAt(nowMs);
      this.#shapeAtMs = nowMs;
    }
    return this.#shape;
  }

  // ---- what becomes of sends -----------------------------------------------------------------------------------------------

  started(send: Send, nowMs: number): void {
    if (this.#active.length === 0) {
      this.#movedAtMs = nowMs;
      const idleMs = nowMs - this.#lastActiveMs;
      if (idleMs > RateMeter.WINDOW_MS) this.#skippedMs += idleMs;
    }
    this.#active.push(send);
  }

  /** Bytes of a send have left, whether it has a slot or is paced. */
  moved(send: Send, byteCount: number, nowMs: number): void {
    // what only those take who want little says nothing of how much there is
    if (this.#active.length === 0) return;
    this.#meter.add(nowMs - this.#skippedMs, byteCount);
    if (send.isPaced) return;
    this.#movedAtMs = nowMs;
    const reach = this.#active.indexOf(send) + 1;
    if (reach <= this.#reach) return;
    this.#reach = reach;
    this.#need(reach);
  }

  /** It no longer has a slot. */
  ended(send: Send, nowMs: number): void {
    const at = this.#active.indexOf(send);
    if (at >= 0) this.#active.splice(at, 1);
    this.#lastActiveMs = nowMs;
  }

  /** A credit has been taken, or given back. */
  answered(isTaken: boolean): void {
    this.#taken.add(isTaken ? 1 : 0);
  }

  // ---- time ----------------------------------------------------------------------------------------------------------------

  nextDeadlineMs(): number {
    return this.#mayStall() ? Math.min(this.#feedbackAtMs, this.#movedAtMs + this.#stallMs) : this.#feedbackAtMs;
  }

  /** @returns whether a second is over, in which everything is looked at. */
  tick(nowMs: number, hasQueued: boolean): boolean {
    if (this.#mayStall() && nowMs >= this.#movedAtMs + this.#stallMs) {
      this.#movedAtMs = nowMs;
      this.#reach = this.#needed + 1;
      this.#need(this.#reach);
    }
    if (nowMs < this.#feedbackAtMs) return false;
    this.#feedback(nowMs, hasQueued);
    return true;
  }

  /** Somebody could be served and nothing is being sent: that time is lost. */
  watchIdle(isIdle: boolean, nowMs: number): void {
    if (isIdle && this.#idleSinceMs === undefined) this.#idleSinceMs = nowMs;
    if (!isIdle && this.#idleSinceMs !== undefined) {
      this.#idleMs += nowMs - this.#idleSinceMs;
      this.#idleSinceMs = undefined;
    }
  }

  #mayStall(): boolean {
    return this.#active.length > 0 && this.#needed < this.#slotsMost;
  }

  #need(slots: number): void {
    if (slots <= this.#needed) return;
    this.#needed = slots;
    this.#changed();
  }

  #changed(): void {
    this.#shapeAtMs = Number.NEGATIVE_INFINITY;
  }

  #feedback(nowMs: number, hasQueued: boolean): void {
    if (this.#reach > 0) this.#needed = Math.max(this.#reach, this.#reachBefore);
    this.#reachBefore = this.#reach;
    this.#reach = 0;
    if (this.#idleSinceMs !== undefined) {
      this.#idleMs += nowMs - this.#idleSinceMs;
      this.#idleSinceMs = nowMs;
    }
    const spanMs = UP_FEEDBACK_MS + (nowMs - this.#feedbackAtMs);
    // where most credits come back, more of them find no more to send, and what they do find they bind to a queue
    if ((this.#taken.value ?? 1) < UP_FEEDBACK_TAKEN_SHARE_MIN) this.#extra = Math.max(0, this.#extra - 1);
    else if (this.#idleMs > spanMs * UP_FEEDBACK_IDLE_SHARE)
      this.#extra = Math.min(this.#extra + 1, UP_FEEDBACK_SLOTS_MAX);
    else if (this.#idleMs === 0 && this.#extra > 0 && hasQueued) this.#extra--;
    this.#idleMs = 0;
    this.#feedbackAtMs = nowMs + UP_FEEDBACK_MS;
    this.#changed();
  }

  /** Slots and pipeline by chunk time at our rate, round trip, TCP's slow start after idle, and what was needed of late. */
  #shapeAt(nowMs: number): UploadShape {
    const { chunkSize } = this.#context.layout;
    const isLimited = Number.isFinite(this.#limitBytesPerSecond);
    const clockMs = (this.#active.length > 0 ? nowMs : this.#lastActiveMs) - this.#skippedMs;
    const peak = this.#meter.peak(clockMs);
    const measured = peak || this.#meter.current(clockMs);
    const rate = isLimited ? this.#limitBytesPerSecond : measured || UP_FIRST_RATE_BYTES_PER_SECOND;
    const chunkMs = (chunkSize * 1000) / rate;
    const roundTripMs = this.#context.roundTrips.medianMs;
    const warmUp = Math.ceil((roundTripMs * Math.log2(1 + chunkSize / TCP_INITIAL_WINDOW_BYTES)) / chunkMs);
    this.#slotsMost = (roundTripMs < 1 && isLimited ? 1 : 1 + warmUp) + SPARE_SENDS;
    const fragmentMs = (Math.min(chunkSize, FRAGMENT_BYTES_MAX) * 1000) / rate;
    const usualMs = isLimited || peak > 0 ? UP_STALL_FRAGMENTS * fragmentMs : 0;
    this.#stallMs = Math.max(UP_STALL_MIN_MS, UP_STALL_ROUND_TRIPS * roundTripMs, usualMs);
    const least = measured > 0 ? 1 + Math.floor(UP_SLACK_MS / chunkMs) : 1;
    const slots = clamp(Math.min(this.#slotsMost, Math.max(this.#needed, least)) + this.#extra, 1, ACTIVE_SENDS_MAX);
    return { slots, pipeline: slots + Math.max(1, Math.ceil(roundTripMs / chunkMs)), chunkMs, roundTripMs };
  }
}
