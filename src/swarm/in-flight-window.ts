/** How much may be on its way to us at a time: what path and rate need, and no more than memory and disk can take. */
import {
  CHECKING_BYTES_MAX,
  DOWN_FIRST_RATE_BYTES_PER_SECOND,
  IN_FLIGHT_BYTES_MAX,
  IN_FLIGHT_CHUNKS_MIN,
  IN_FLIGHT_CHUNKS_PER_SOURCE_MIN,
} from '../limits.ts';
import type { SwarmContext } from './context.ts';
import type { RateMeter } from './estimators.ts';
import type { Neighbour } from './neighbour.ts';
import type { RequestLedger } from './requests.ts';

export class InFlightWindow {
  readonly #context: SwarmContext;
  readonly #ledger: RequestLedger;
  readonly #meter: RateMeter;

  constructor(context: SwarmContext, ledger: RequestLedger, meter: RateMeter) {
    this.#context = context;
    this.#ledger = ledger;
    this.#meter = meter;
  }

  /**
   * Whether one more chunk may be requested. The measured window bounds what queues up before our own downlink; but every source
   * keeps two chunks on the way even so, because an uploader that is told to wait stands idle until it is woken.
   */
  hasRoom(neighbour: Neighbour, nowMs: number): boolean {
    const inFlight = this.#ledger.inFlightBytes;
    const { chunkSize } = this.#context.layout;
    if (inFlight === 0) return true;
    if (inFlight + chunkSize > IN_FLIGHT_BYTES_MAX) return false;
    // what waits for its digest or the disk is not moved sooner by more of it, but it does leave the processor's caches
    if (this.#ledger.checkingCount * chunkSize > CHECKING_BYTES_MAX) return false;
    return (
      neighbour.requests.size < IN_FLIGHT_CHUNKS_PER_SOURCE_MIN || inFlight + chunkSize <= this.#inFlightMax(nowMs)
    );
  }

  #inFlightMax(nowMs: number): number {
    const { chunkSize } = this.#context.layout;
    const rate = this.#meter.current(nowMs) || DOWN_FIRST_RATE_BYTES_PER_SECOND;
    let activeSources = 0;
    for (const neighbour of this.#context.neighbours.values()) if (neighbour.requests.size > 0) activeSources++;
    const roundTripS = this.#context.roundTrips.medianMs / 1000;
    const wanted = Math.max(
      IN_FLIGHT_CHUNKS_MIN * chunkSize,
      2 * rate * roundTripS + 2 * chunkSize * activeSources,
      rate * 0.1,
    );
    return wanted;
  }
}
