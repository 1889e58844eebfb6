/**
 * What TCP lets one direction of a connection have on its way: ten segments at the start, doubled every round trip, back to ten
 * segments after a silence of max(200 ms, 2 RTT), never more than `maxBytes`. Losses are not modelled but by that cap.
 * Acknowledgements cost no event: they are counted when somebody asks.
 */
import { TCP_INITIAL_WINDOW_BYTES } from '../src/limits.ts';

export class TcpWindow {
  readonly #rttUs: number;
  readonly #maxBytes: number;
  #windowBytes = TCP_INITIAL_WINDOW_BYTES;
  #flightBytes = 0;
  #lastSentUs = Number.NEGATIVE_INFINITY;
  readonly #acks: { readonly atUs: number; readonly byteCount: number }[] = [];
  #firstAck = 0;

  constructor(rttUs: number, maxBytes: number) {
    this.#rttUs = rttUs;
    this.#maxBytes = maxBytes;
  }

  /** Bytes that may leave now. */
  roomBytes(nowUs: number): number {
    this.#acknowledge(nowUs);
    if (this.#flightBytes === 0 && nowUs - this.#lastSentUs > Math.max(200_000, 2 * this.#rttUs))
      this.#windowBytes = TCP_INITIAL_WINDOW_BYTES;
    return this.#windowBytes - this.#flightBytes;
  }

  /** When room will be made; only after `roomBytes` has answered none. */
  nextAckUs(): number {
    return this.#acks[this.#firstAck]?.atUs ?? Number.POSITIVE_INFINITY;
  }

  /** Bytes leave, the last of them at `departUs`. */
  sent(byteCount: number, departUs: number): void {
    this.#flightBytes += byteCount;
    this.#lastSentUs = departUs;
    this.#acks.push({ atUs: departUs + this.#rttUs, byteCount });
  }

  #acknowledge(nowUs: number): void {
    for (let ack = this.#acks[this.#firstAck]; ack !== undefined && ack.atUs <= nowUs;) {
      this.#flightBytes -= ack.byteCount;
      this.#windowBytes = Math.min(this.#maxBytes, this.#windowBytes + ack.byteCount);
      ack = this.#acks[++this.#firstAck];
    }
    if (this.#firstAck > 64) {
      this.#acks.splice(0, this.#firstAck);
      this.#firstAck = 0;
    }
  }
}
