/**
 * How many control frames a peer may send: a token bucket, so that a burst after a pause is fine and a flood is not. Every fragment
 * that passes earns frames on top: a fast link with small chunks needs many of them, and pays for them with work done.
 */
import * as limits from '../limits.ts';

export class ControlRate {
  #tokens: number = limits.CONTROL_FRAMES_BURST;
  #refilledAtMs: number;

  constructor(nowMs: number) {
    this.#refilledAtMs = nowMs;
  }

  /** A fragment of this size has been sent or received; a large one counts as often as it could have been a usual one. */
  earn(byteCount: number): void {
    const earned = limits.CONTROL_FRAMES_PER_FRAGMENT * Math.ceil(byteCount / limits.FRAGMENT_BYTES_MAX);
    this.#tokens = Math.min(limits.CONTROL_FRAMES_BURST, this.#tokens + earned);
  }

  /** Counts one frame; false when it was one too many. */
  take(nowMs: number): boolean {
    const elapsedMs = Math.max(0, nowMs - this.#refilledAtMs);
    this.#refilledAtMs = nowMs;
    this.#tokens = Math.min(
      limits.CONTROL_FRAMES_BURST,
      this.#tokens + (elapsedMs * limits.CONTROL_FRAMES_PER_SECOND) / 1000,
    );
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }
}
