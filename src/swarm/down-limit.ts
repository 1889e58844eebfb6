/**
 * The download limit of a node, divided among those who send. Each source that keeps to a pace is asked for a rate, and the rates
 * together make the limit: so bytes come evenly, no socket is ever paused, and what one source cannot use goes to the others. What
 * came beyond the limit is taken off the rates until it is made up for. Sources that cannot be asked (older peers, the range
 * dialect) are given chunks out of a bucket with their share, which is exact in the long run, but comes in bursts of a chunk.
 *
 * Several downloads may share one limit: each is a group, groups get equal shares, and within a group sources do.
 */
import {
  PACE_BYTES_PER_SECOND_MIN,
  PACE_CHUNK_TIME_MAX_MS,
  PACE_CREDIT_MAX_MS,
  PACE_CREDIT_SHARE,
  PACE_DEBT_MAX_MS,
  PACE_DEBT_SHARE,
  PACE_DISTRUST_MS,
  PACE_JUDGE_MS,
} from '../limits.ts';
import { clamp, RateMeter } from './estimators.ts';
import { fairShares, type Claim } from './fair-shares.ts';
import { TokenBucket } from './token-bucket.ts';

/** A source gives what it is asked for when it gives this share of it; it does not keep to it when it gives so much more. */
const GIVES_SHARE = 0.95;
const EXCEEDS_SHARE = 1.25;
/** A slow source is asked for somewhat more than it gives, so that it shows when it can give more; then for twice as much. */
const GROWTH = 1.25;
const RECOVERY = 2;
/** A rate that changes by less than this stays as it is. */
const CHANGE_SHARE_MIN = 0.02;
/** By less than this it is the same rate. */
const STEADY_SHARE = 0.1;
/** Those who send cannot fill the limit when they give less than this share of it. */
const FULL_SHARE = 0.97;

/** A source as the limit sees it. */
export interface LimitedSource {
  /** The download it serves. */
  readonly group: object;
  /** It keeps to the rate that it is asked for. */
  paces: boolean;
  /** Chunks are on their way from it. */
  isActive: boolean;
  /** What it is to be asked for; Infinity: no limit. */
  paceBytesPerSecond: number;
  /** What it seems able to give; Infinity: it has given all that it was asked for. */
  mostBytesPerSecond: number;
  /** When it began, or was last asked for more; and when it was last asked for anything else. */
  raisedAtMs: number;
  changedAtMs: number;
  readonly meter: RateMeter;
}

export class DownLimit {
  #bytesPerSecond: number;
  readonly #sources = new Set<LimitedSource>();
  /** For sources that cannot be asked. */
  readonly #bucket: TokenBucket;
  /** Bytes that may come beyond the limit (negative: have come), and since when that was counted. */
  #owedBytes = 0;
  #countedAtMs: number;
  /** Those who send give all they can, and it is not enough. */
  #isShort = false;

  /** @param bytesPerSecond Infinity for none. */
  constructor(bytesPerSecond: number, nowMs: number) {
    this.#bytesPerSecond = bytesPerSecond;
    this.#bucket = new TokenBucket(bytesPerSecond, nowMs);
    this.#countedAtMs = nowMs;
  }

  get bytesPerSecond(): number {
    return this.#bytesPerSecond;
  }

  get isLimited(): boolean {
    return this.#bytesPerSecond !== Number.POSITIVE_INFINITY;
  }

  setRate(bytesPerSecond: number, nowMs: number): void {
    this.#bytesPerSecond = bytesPerSecond;
    this.#owedBytes = 0;
    this.#countedAtMs = nowMs;
    this.#isShort = false;
    this.#bucket.setRate(bytesPerSecond, nowMs);
    for (const source of this.#sources) source.mostBytesPerSecond = Number.POSITIVE_INFINITY;
    this.divide(nowMs);
  }

  /** @param group stands for a download; compared by identity. */
  add(group: object, paces: boolean): LimitedSource {
    const source: LimitedSource = {
      group,
      paces,
      isActive: false,
      paceBytesPerSecond: Number.POSITIVE_INFINITY,
      mostBytesPerSecond: Number.POSITIVE_INFINITY,
      raisedAtMs: 0,
      changedAtMs: 0,
      meter: new RateMeter(),
    };
    this.#sources.add(source);
    return source;
  }

  remove(source: LimitedSource, nowMs: number): void {
    this.#sources.delete(source);
    if (source.isActive) this.divide(nowMs);
  }

  /** Chunks are on their way from a source, or no longer. */
  setActive(source: LimitedSource, isActive: boolean, nowMs: number): void {
    if (source.isActive === isActive) return;
    source.isActive = isActive;
    source.raisedAtMs = nowMs;
    source.changedAtMs = nowMs;
    this.divide(nowMs);
  }

  /** @param byteCount frames included, as a sender counts them. */
  received(source: LimitedSource, byteCount: number, nowMs: number): void {
    source.meter.add(nowMs, byteCount);
    if (source.paces) this.#owedBytes -= byteCount;
  }

  /**
   * Whether one more chunk may be asked of a source.
   *
   * @param leadBytes what is still to come of the chunks asked of it.
   * @param leadMs how much of that, in time at its rate, it takes for bytes to come without a gap.
   */
  mayAsk(source: LimitedSource, leadBytes: number, leadMs: number, chunkSize: number, nowMs: number): boolean {
    if (!this.isLimited) return true;
    if (!source.paces) return this.#bucket.ask(nowMs);
    if (source.isActive) return leadBytes * 1000 <= source.paceBytesPerSecond * leadMs;
    return this.#isShort || this.#activeIn(source.group) < this.#sourcesMax(source.group, chunkSize);
  }

  /** A chunk has been asked of a source. */
  asked(source: LimitedSource, byteCount: number, nowMs: number): void {
    if (!source.paces) this.#bucket.take(byteCount, nowMs);
    if (!source.isActive) this.#isShort = false;
    this.setActive(source, true, nowMs);
  }

  /** The limit, and nothing else, is what keeps more from coming. */
  isHolding(nowMs: number): boolean {
    if (!this.isLimited) return false;
    let current = 0;
    for (const { meter } of this.#sources) current += meter.current(nowMs);
    return current >= GIVES_SHARE * this.#bytesPerSecond || this.#bucket.waitMs(nowMs) > 0;
  }

  /** Milliseconds until a chunk may be asked of those who keep to no pace; 0: now. */
  waitMs(nowMs: number): number {
    return this.#bucket.waitMs(nowMs);
  }

  /** Divides the limit anew: by what everybody gives, and by what came too much or too little. */
  divide(nowMs: number): void {
    if (!this.isLimited) {
      for (const source of this.#sources) source.paceBytesPerSecond = Number.POSITIVE_INFINITY;
      return;
    }
    this.#count(nowMs);
    const active = [...this.#sources].filter(({ isActive }) => isActive);
    for (const source of active) judge(source, nowMs);
    const paced = active.filter(({ paces }) => paces);
    const claims = paced.map((source) => ({
      weight: 1 / this.#activeIn(source.group),
      most: source.mostBytesPerSecond,
    }));
    const ofPaced = claims.reduce((sum, { weight }) => sum + weight, 0);
    const ofAll = ofPaced + active.reduce((sum, { paces, group }) => sum + (paces ? 0 : 1 / this.#activeIn(group)), 0);
    // those who keep to no pace have the whole bucket while there are no others
    const pacedPart = ofPaced === 0 ? 0 : ofPaced / ofAll;
    const bucketRate = this.#bytesPerSecond * (1 - (pacedPart === 1 ? 0.5 : pacedPart));
    if (bucketRate !== this.#bucket.bytesPerSecond) this.#bucket.retune(bucketRate, nowMs);
    const budget = this.#bytesPerSecond * pacedPart + this.#correction();
    const { shares, left } = fairShares(Math.max(0, budget), claims);
    this.#isShort = this.#givesTooLittle(active, nowMs);
    paced.forEach((source, at) => {
      // what nobody seems able to use is offered all the same
      setPace(source, (shares[at] as number) + (left * (claims[at] as Claim).weight) / ofPaced, nowMs);
    });
  }

  /** All have had the time to show what they can, and it is not enough. */
  #givesTooLittle(active: readonly LimitedSource[], nowMs: number): boolean {
    const sum = active.reduce((current, { meter }) => current + meter.current(nowMs), 0);
    return (
      sum < FULL_SHARE * this.#bytesPerSecond && active.every(({ raisedAtMs }) => nowMs - raisedAtMs >= PACE_JUDGE_MS)
    );
  }

  #count(nowMs: number): void {
    const elapsedMs = nowMs - this.#countedAtMs;
    this.#countedAtMs = nowMs;
    const perMs = this.#bytesPerSecond / 1000;
    // while nobody sends nothing is owed to anybody
    const isAnyActive = [...this.#sources].some(({ isActive, paces }) => isActive && paces);
    const earned = isAnyActive || this.#owedBytes < 0 ? elapsedMs * perMs : 0;
    this.#owedBytes = clamp(this.#owedBytes + earned, -PACE_DEBT_MAX_MS * perMs, PACE_CREDIT_MAX_MS * perMs);
  }

  /** In bytes a second: what came too much is made up for within a second or so, and slower when that would be felt. */
  #correction(): number {
    return clamp(this.#owedBytes, -PACE_DEBT_SHARE * this.#bytesPerSecond, PACE_CREDIT_SHARE * this.#bytesPerSecond);
  }

  /** So few that a chunk does not take too long, for there is nothing to be gained from more. */
  #sourcesMax(group: object, chunkSize: number): number {
    const groups = new Set([group]);
    for (const source of this.#sources) if (source.isActive) groups.add(source.group);
    const chunks = (this.#bytesPerSecond * PACE_CHUNK_TIME_MAX_MS) / 1000 / chunkSize / groups.size;
    return Math.max(1, Math.floor(chunks));
  }

  #activeIn(group: object): number {
    let count = 0;
    for (const source of this.#sources) if (source.isActive && source.group === group) count++;
    return count;
  }
}

/** What a source can give, by what it gives of what it is asked for; and whether it keeps to that. */
function judge(source: LimitedSource, nowMs: number): void {
  const { meter, paceBytesPerSecond, raisedAtMs, changedAtMs } = source;
  if (!source.paces || nowMs - raisedAtMs < PACE_JUDGE_MS) return;
  const current = meter.current(nowMs);
  if (current < GIVES_SHARE * paceBytesPerSecond) source.mostBytesPerSecond = GROWTH * current;
  else if (paceBytesPerSecond >= FULL_SHARE * source.mostBytesPerSecond)
    source.mostBytesPerSecond = RECOVERY * source.mostBytesPerSecond;
  if (nowMs - changedAtMs >= PACE_DISTRUST_MS && current > EXCEEDS_SHARE * paceBytesPerSecond) source.paces = false;
}

function setPace(source: LimitedSource, bytesPerSecond: number, nowMs: number): void {
  const before = source.paceBytesPerSecond;
  const rate = Math.max(PACE_BYTES_PER_SECOND_MIN, Math.round(bytesPerSecond));
  const change = before === Number.POSITIVE_INFINITY ? 1 : (rate - before) / before;
  if (Math.abs(change) <= CHANGE_SHARE_MIN) return;
  source.paceBytesPerSecond = rate;
  if (Math.abs(change) <= STEADY_SHARE) return;
  source.changedAtMs = nowMs;
  if (change > 0) source.raisedAtMs = nowMs;
}
