/**
 * A rate limit as a token bucket of bytes, by elapsed time: exact over seconds and smooth within them.
 *
 * Debt is allowed: one taking may exceed what is there, and the next waits until the debt is paid, so the mean is exact whatever
 * the size of a taking. The bucket holds RATE_BURST_MS of the rate. What does not fit is lost when nobody asked for it. While
 * somebody was waiting it is owed, because then it was only our own slowness (an event loop held up, a late timer) that let it
 * run over; arrears are paid back a little at a time, so that they never become a burst.
 */
import {
  RATE_ARREARS_MAX_MS,
  RATE_ARREARS_SHARE,
  RATE_BURST_MS,
  RATE_PIECE_BYTES_MIN,
  RATE_PIECE_MS,
  FRAGMENT_BYTES_MAX,
} from '../limits.ts';

export class TokenBucket {
  #bytesPerSecond: number;
  #tokens: number;
  #arrears = 0;
  /** A taking was refused, and none has been granted since. */
  #isWaitedFor = false;
  #atMs: number;

  /** @param bytesPerSecond `Infinity` for no limit. */
  constructor(bytesPerSecond: number, nowMs: number) {
    this.#bytesPerSecond = bytesPerSecond;
    this.#atMs = nowMs;
    this.#tokens = this.#burst();
  }

  get bytesPerSecond(): number {
    return this.#bytesPerSecond;
  }

  get isLimited(): boolean {
    return this.#bytesPerSecond !== Number.POSITIVE_INFINITY;
  }

  /** Somebody was refused and still waits: the limit is what holds things up. */
  get isWaitedFor(): boolean {
    return this.isLimited && this.#isWaitedFor;
  }

  /** Bytes to take at a time, so that what leaves is smooth: RATE_PIECE_MS of the rate, within bounds. */
  get pieceBytes(): number {
    const piece = Math.floor((this.#bytesPerSecond * RATE_PIECE_MS) / 1000);
    return Math.min(FRAGMENT_BYTES_MAX, Math.max(RATE_PIECE_BYTES_MIN, piece));
  }

  /** Changes the rate from now on; what was saved up beyond the new burst is lost, and nothing is owed any more. */
  setRate(bytesPerSecond: number, nowMs: number): void {
    this.#refill(nowMs);
    this.#bytesPerSecond = bytesPerSecond;
    this.#arrears = 0;
    this.#tokens = Math.min(Number.isFinite(this.#tokens) ? this.#tokens : 0, this.#burst());
  }

  /** A change of rate that is no new limit: what is owed stays owed. */
  retune(bytesPerSecond: number, nowMs: number): void {
    this.#refill(nowMs);
    const arrears = this.#arrears;
    this.setRate(bytesPerSecond, nowMs);
    this.#arrears = Math.min(arrears, this.#arrearsMax());
  }

  /** Takes `byteCount` if the bucket is not in debt; says whether it did. */
  take(byteCount: number, nowMs: number): boolean {
    if (!this.isLimited) return true;
    this.#refill(nowMs);
    this.#isWaitedFor = this.#tokens <= 0;
    if (this.#isWaitedFor) return false;
    this.#tokens -= byteCount;
    return true;
  }

  /** Whether a taking would be allowed; like a refused taking when it would not. */
  ask(nowMs: number): boolean {
    return this.take(0, nowMs);
  }

  /** Milliseconds until the next taking is allowed; 0 when it is now. */
  waitMs(nowMs: number): number {
    if (!this.isLimited) return 0;
    this.#refill(nowMs);
    return this.#tokens > 0 ? 0 : ((-this.#tokens + 1) * 1000) / this.#bytesPerSecond;
  }

  #burst(): number {
    return Math.max(this.pieceBytes, (this.#bytesPerSecond * RATE_BURST_MS) / 1000);
  }

  #arrearsMax(): number {
    return this.isLimited ? (this.#bytesPerSecond * RATE_ARREARS_MAX_MS) / 1000 : 0;
  }

  #refill(nowMs: number): void {
    const elapsedMs = Math.max(0, nowMs - this.#atMs);
    this.#atMs = nowMs;
    if (elapsedMs === 0 || !this.isLimited) return;
    const earned = (elapsedMs * this.#bytesPerSecond) / 1000;
    const full = this.#burst();
    const paid = Math.min(this.#arrears, earned * RATE_ARREARS_SHARE);
    const over = this.#tokens + earned - full;
    if (over > 0) {
      this.#tokens = full;
      if (this.#isWaitedFor) this.#arrears = Math.min(this.#arrearsMax(), this.#arrears + over);
      return;
    }
    this.#arrears -= paid;
    this.#tokens += earned + paid;
  }
}
