/**
 * Whether several sources share one bottleneck, which then is our own link. Where each is limited by itself, its rate is its own and
 * independent of the others'. Where they share a link, what one loses another gains: their rates vary, and the sum does not. So the
 * variances of the parts are compared with that of the whole, over the last few seconds.
 */
import type { LinkId } from './facts.ts';

/** Windows looked at, and how long each is at least. */
const WINDOWS = 8;
const WINDOW_MS = 500;
/** A source that delivered nothing in more windows than this gives now and then, as in a crowd, and says nothing about a link. */
const EMPTY_WINDOWS_MAX = 1;
/** The parts vary by this share of their mean at least, and together this many times as much as the whole. */
const PART_VARIATION_MIN = 0.1;
const VARIANCE_RATIO_MIN = 4;

interface Part {
  receivedBytes: number;
  readonly windows: number[];
}

export class SharedLink {
  readonly #parts = new Map<LinkId, Part>();
  #atMs = Number.NEGATIVE_INFINITY;

  /** Takes note of what each neighbour has delivered in all so far; called more often than needed does no harm. */
  sample(nowMs: number, sources: Iterable<{ readonly link: LinkId; readonly receivedBytes: number }>): void {
    const spanMs = nowMs - this.#atMs;
    if (spanMs < WINDOW_MS) return;
    this.#atMs = nowMs;
    const seen = new Set<LinkId>();
    for (const { link, receivedBytes } of sources) {
      seen.add(link);
      const part = this.#parts.get(link);
      if (part === undefined) {
        this.#parts.set(link, { receivedBytes, windows: [] });
        continue;
      }
      part.windows.push((receivedBytes - part.receivedBytes) / spanMs);
      if (part.windows.length > WINDOWS) part.windows.shift();
      part.receivedBytes = receivedBytes;
    }
    for (const link of this.#parts.keys()) if (!seen.has(link)) this.#parts.delete(link);
  }

  /** False too while too little is known: fewer than two sources, or not all of them for long enough. */
  get isShared(): boolean {
    const parts: (readonly number[])[] = [];
    for (const { windows } of this.#parts.values()) {
      const emptyCount = windows.filter((rate) => rate === 0).length;
      if (emptyCount === windows.length) continue;
      if (windows.length < WINDOWS || emptyCount > EMPTY_WINDOWS_MAX) return false;
      parts.push(windows);
    }
    if (parts.length < 2) return false;
    const whole = Array.from({ length: WINDOWS }, (_, at) => parts.reduce((sum, part) => sum + (part[at] ?? 0), 0));
    const total = mean(whole);
    const ofParts = parts.reduce((sum, part) => sum + variance(part), 0);
    const deviation = Math.sqrt(ofParts / parts.length);
    return deviation > (PART_VARIATION_MIN * total) / parts.length && ofParts > VARIANCE_RATIO_MIN * variance(whole);
  }
}

function mean(numbers: readonly number[]): number {
  return numbers.reduce((sum, one) => sum + one, 0) / numbers.length;
}

function variance(numbers: readonly number[]): number {
  const middle = mean(numbers);
  return mean(numbers.map((one) => (one - middle) ** 2));
}
