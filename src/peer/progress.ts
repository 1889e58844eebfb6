/** How far a download is and how fast it goes: counts verified bytes, says numbers for people and scripts. */
import { RateMeter } from '../swarm/estimators.ts';
import type { GetProgress } from './api.ts';

export class ProgressMeter {
  readonly #name: string;
  readonly #total: number;
  readonly #clock: () => number;
  readonly #startedAtMs: number;
  readonly #meter = new RateMeter();
  #bytes: number;
  readonly resumedBytes: number;

  /** @param startedAtMs when the download was asked for, on the same clock. */
  constructor(name: string, total: number, resumedBytes: number, clock: () => number, startedAtMs: number = clock()) {
    this.#name = name;
    this.#total = total;
    this.#bytes = resumedBytes;
    this.resumedBytes = resumedBytes;
    this.#clock = clock;
    this.#startedAtMs = startedAtMs;
  }

  gained(byteCount: number): void {
    this.#bytes += byteCount;
    this.#meter.add(this.#clock(), byteCount);
  }

  lost(byteCount: number): void {
    this.#bytes -= byteCount;
  }

  get seconds(): number {
    return (this.#clock() - this.#startedAtMs) / 1000;
  }

  now(peers: number, stalled: string | null, why: Pick<GetProgress, 'bottleneck' | 'reasons'>): GetProgress {
    const bytesPerSecond = Math.round(this.#meter.current(this.#clock()));
    const left = this.#total - this.#bytes;
    return {
      name: this.#name,
      bytes: this.#bytes,
      total: this.#total,
      bytesPerSecond,
      peers,
      etaSeconds: left === 0 ? 0 : bytesPerSecond > 0 ? Math.ceil(left / bytesPerSecond) : null,
      stalled,
      bottleneck: why.bottleneck,
      reasons: why.reasons,
    };
  }
}
