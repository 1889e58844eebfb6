/** Small measurements over time: all take `nowMs`, none looks at a clock. */

/** A value that halves every `halfLifeMs` unless added to. */
export class DecayingSum {
  readonly #halfLifeMs: number;
  #value = 0;
  #atMs = 0;

  constructor(halfLifeMs: number) {
    this.#halfLifeMs = halfLifeMs;
  }

  add(nowMs: number, amount: number): void {
    this.#value = this.at(nowMs) + amount;
    this.#atMs = nowMs;
  }

  at(nowMs: number): number {
    if (this.#value === 0) return 0;
    return this.#value * 2 ** (-(nowMs - this.#atMs) / this.#halfLifeMs);
  }
}

/**
 * Bytes a second, measured in windows of `WINDOW_MS`. `current` is the mean of the last second, `peak` the largest window of late,
 * forgotten with a half-life of ten seconds: what the link can do when it is used.
 */
export class RateMeter {
  static readonly WINDOW_MS = 250;
  static readonly #WINDOWS = 4;
  readonly #bytes = new Float64Array(RateMeter.#WINDOWS);
  #windowStartMs = Number.NaN;
  #startedMs = Number.NaN;
  #head = 0;
  #peak = 0;
  #peakAtMs = 0;

  add(nowMs: number, byteCount: number): void {
    this.#advance(nowMs);
    this.#bytes[this.#head] = (this.#bytes[this.#head] ?? 0) + byteCount;
  }

  /** Mean rate over the last second or, younger than that, since the first byte. */
  current(nowMs: number): number {
    if (Number.isNaN(this.#startedMs)) return 0;
    this.#advance(nowMs);
    let sum = 0;
    for (const bytes of this.#bytes) sum += bytes;
    const windowsMs = (RateMeter.#WINDOWS - 1) * RateMeter.WINDOW_MS + (nowMs - this.#windowStartMs);
    const spanMs = Math.max(1, Math.min(windowsMs, nowMs - this.#startedMs));
    return (sum * 1000) / Math.max(spanMs, 50);
  }

  /** The highest rate of a whole window, halved for every ten seconds it lies back; 0 before the first whole window. */
  peak(nowMs: number): number {
    if (Number.isNaN(this.#startedMs)) return 0;
    this.#advance(nowMs);
    return this.#peak * 2 ** (-(nowMs - this.#peakAtMs) / 10_000);
  }

  #advance(nowMs: number): void {
    if (Number.isNaN(this.#windowStartMs)) {
      this.#windowStartMs = nowMs;
      this.#startedMs = nowMs;
      return;
    }
    let steps = Math.floor((nowMs - this.#windowStartMs) / RateMeter.WINDOW_MS);
    if (steps <= 0) return;
    this.#windowStartMs += steps * RateMeter.WINDOW_MS;
    const rate = ((this.#bytes[this.#head] ?? 0) * 1000) / RateMeter.WINDOW_MS;
    if (rate >= this.#peak * 2 ** (-(nowMs - this.#peakAtMs) / 10_000)) {
      this.#peak = rate;
      this.#peakAtMs = nowMs;
    }
    for (steps = Math.min(steps, RateMeter.#WINDOWS); steps > 0; steps--) {
      this.#head = (this.#head + 1) % RateMeter.#WINDOWS;
      this.#bytes[this.#head] = 0;
    }
  }
}

/** Exponentially weighted mean of samples; undefined before the first. */
export class Ewma {
  readonly #weight: number;
  #value: number | undefined;

  /** @param weight share of a new sample in the mean, 0..1. */
  constructor(weight: number) {
    this.#weight = weight;
  }

  add(sample: number): void {
    this.#value = this.#value === undefined ? sample : this.#value + (sample - this.#value) * this.#weight;
  }

  get value(): number | undefined {
    return this.#value;
  }
}

/** The middle of some numbers (the lower of two); `otherwise` when there are none. */
export function median(numbers: readonly number[], otherwise: number): number {
  if (numbers.length === 0) return otherwise;
  const sorted = numbers.toSorted((a, b) => a - b);
  return sorted[(sorted.length - 1) >> 1] as number;
}

export function clamp(value: number, min: number, max: number): number {
  return Math.min(Math.max(value, min), max);
}
