/**
 * What a download does about its limit: it asks each source for a rate before it asks it for a chunk, and again when the rate
 * changes; and it says whether the limit leaves room for one more chunk. How the limit is divided is down-limit.ts's question.
 */
import { PACE_LEAD_MS, PACE_REVIEW_MS } from '../limits.ts';
import type { SwarmContext } from './context.ts';
import type { DownLimit, LimitedSource } from './down-limit.ts';
import { FRAGMENT_OVERHEAD_BYTES, type LinkId } from './facts.ts';
import type { Neighbour } from './neighbour.ts';

interface Paced {
  readonly source: LimitedSource;
  /** What it was asked for last. */
  askedBytesPerSecond: number;
}

export class Pacing {
  readonly #context: SwarmContext;
  readonly #limit: DownLimit;
  readonly #sources = new Map<LinkId, Paced>();
  #reviewAtMs: number;

  constructor(context: SwarmContext, limit: DownLimit, nowMs: number) {
    this.#context = context;
    this.#limit = limit;
    this.#reviewAtMs = nowMs;
  }

  get isLimited(): boolean {
    return this.#limit.isLimited;
  }

  /** The limit is what keeps more from coming. */
  isHolding(nowMs: number): boolean {
    return this.#limit.isHolding(nowMs);
  }

  unlinked(link: LinkId, nowMs: number): void {
    const paced = this.#sources.get(link);
    if (paced === undefined) return;
    this.#sources.delete(link);
    this.#limit.remove(paced.source, nowMs);
  }

  /** Whether the limit leaves room for one more chunk of this neighbour. */
  hasRoom(neighbour: Neighbour, nowMs: number): boolean {
    if (!this.#limit.isLimited) return true;
    let leadBytes = 0;
    for (const { state, byteCount, receivedBytes } of neighbour.requests.values())
      if (state === 'open') leadBytes += byteCount - receivedBytes;
    const leadMs = PACE_LEAD_MS + 2 * (neighbour.rttFloorMs ?? this.#context.roundTrips.medianMs);
    return this.#limit.mayAsk(this.#of(neighbour).source, leadBytes, leadMs, this.#context.layout.chunkSize, nowMs);
  }

  /** To be called before a request is sent, so that its bytes come at the rate that is wanted. */
  requesting(neighbour: Neighbour, byteCount: number, nowMs: number): void {
    if (!this.#limit.isLimited && !this.#sources.has(neighbour.link)) return;
    this.#limit.asked(this.#of(neighbour).source, byteCount, nowMs);
    this.#ask();
  }

  received(neighbour: Neighbour, byteCount: number, nowMs: number): void {
    if (!this.#limit.isLimited) return;
    this.#limit.received(this.#of(neighbour).source, byteCount + FRAGMENT_OVERHEAD_BYTES, nowMs);
  }

  /** When `tick` or a waiting neighbour is due. */
  nextDeadlineMs(nowMs: number): number {
    if (!this.#limit.isLimited) return Number.POSITIVE_INFINITY;
    const waitMs = this.#limit.waitMs(nowMs);
    return waitMs > 0 ? Math.min(this.#reviewAtMs, nowMs + waitMs) : this.#reviewAtMs;
  }

  /** Looks at what everybody gives, if it is time. */
  tick(nowMs: number): void {
    if (nowMs >= this.#reviewAtMs) this.review(nowMs);
  }

  /** The limit may have changed. */
  review(nowMs: number): void {
    this.#reviewAtMs = nowMs + PACE_REVIEW_MS;
    if (this.#sources.size === 0) return;
    for (const [link, { source }] of this.#sources) {
      const requests = this.#context.neighbours.get(link)?.requests.values() ?? [];
      const isActive = [...requests].some(({ state }) => state === 'open');
      this.#limit.setActive(source, isActive, nowMs);
    }
    this.#limit.divide(nowMs);
    this.#ask();
  }

  /** Tells every source whose rate is another now; those that send nothing are told when they are to. */
  #ask(): void {
    for (const [link, paced] of this.#sources) {
      const { source, askedBytesPerSecond } = paced;
      const neighbour = this.#context.neighbours.get(link);
      const isUnlimited = source.paceBytesPerSecond === Number.POSITIVE_INFINITY;
      if (neighbour?.paces !== true || source.paceBytesPerSecond === askedBytesPerSecond) continue;
      if (!source.isActive && !isUnlimited) continue;
      paced.askedBytesPerSecond = source.paceBytesPerSecond;
      this.#context.send(neighbour, { type: 'pace', bytesPerSecond: source.paceBytesPerSecond });
    }
  }

  #of(neighbour: Neighbour): Paced {
    let paced = this.#sources.get(neighbour.link);
    if (paced === undefined) {
      const source = this.#limit.add(this, neighbour.paces);
      paced = { source, askedBytesPerSecond: Number.POSITIVE_INFINITY };
      this.#sources.set(neighbour.link, paced);
    }
    return paced;
  }
}
