/**
 * A rate limit as a token bucket of bytes, by elapsed time. Debt is allowed: one taking may exceed what is there, and the next
 * waits until the debt is paid, so the mean is exact whatever the size of a taking.
 */
import { FRAGMENT_BYTES_MAX } from '../limits.ts';

export class TokenBucket {
  #bytesPerSecond: number;
  #tokens: number;
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

  /** Changes the rate from now on; what was saved up beyond the new burst is lost. */
  setRate(bytesPerSecond: number, nowMs: number): void {
    this.#refill(nowMs);
    this.#bytesPerSecond = bytesPerSecond;
    this.#tokens = Math.min(Number.isFinite(this.#tokens) ? this.#tokens : 0, this.#burst());
  }

  /** Takes `byteCount` if the bucket is not in debt; says whether it did. */
  take(byteCount: number, nowMs: number): boolean {
    if (this.#bytesPerSecond === Number.POSITIVE_INFINITY) return true;
    this.#refill(nowMs);
    if (this.#tokens <= 0) return false;
    this.#tokens -= byteCount;
    return true;
  }

  /** Milliseconds until the next taking is allowed; 0 when it is now. */
  waitMs(nowMs: number): number {
    if (this.#bytesPerSecond === Number.POSITIVE_INFINITY) return 0;
    this.#refill(nowMs);
    return this.#tokens > 0 ? 0 : ((-this.#tokens + 1) * 1000) / this.#bytesPerSecond;
  }

  /** One fragment or 50 ms of the rate, whichever is more: longer bursts would only make queues. */
  #burst(): number {
    return Math.max(FRAGMENT_BYTES_MAX, this.#bytesPerSecond * 0.05);
  }

  #refill(nowMs: number): void {
    const elapsedMs = Math.max(0, nowMs - this.#atMs);
    this.#atMs = nowMs;
    if (elapsedMs > 0) this.#tokens = Math.min(this.#burst(), this.#tokens + (elapsedMs * this.#bytesPerSecond) / 1000);
  }
}
