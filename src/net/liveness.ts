/**
 * Whether the other side is still there, and how far away it is. Facts and `now` in, answers out: no socket, no timer. One ping
 * is under way at a time, and none is ever given up, so a pong that nobody asked for is a violation.
 */
import { ShoalError } from '../errors.ts';
import * as limits from '../limits.ts';

/** What is to be done now. `dead` says why the connection is over. */
export type LivenessAnswer =
  | { readonly type: 'fine' }
  | { readonly type: 'ping'; readonly token: number }
  | { readonly type: 'dead'; readonly why: string };

/** Weight of a new sample, as in TCP. */
const RTT_GAIN = 1 / 8;

export class Liveness {
  #lastByteAtMs: number;
  /** Bytes lie unsent, and none has left since then. */
  #writeStuckSinceMs: number | undefined;
  /** A frame has begun and is not whole, since then. */
  #partialSinceMs: number | undefined;
  #partialFrame = -1;
  #pingDueFromMs: number;
  #token = 0;
  #pingSentAtMs: number | undefined;
  #carriesFragments = false;
  #rttMs: number | undefined;

  constructor(nowMs: number) {
    this.#lastByteAtMs = nowMs;
    this.#pingDueFromMs = nowMs;
  }

  get lastByteAtMs(): number {
    return this.#lastByteAtMs;
  }

  /** Smoothed; undefined before the first pong. */
  get rttMs(): number | undefined {
    return this.#rttMs;
  }

  onBytes(nowMs: number): void {
    this.#lastByteAtMs = nowMs;
  }

  /** A fragment was sent or received: the round-trip time matters and is measured more often. */
  onFragment(): void {
    this.#carriesFragments = true;
  }

  /** After each packet: whether frame number `frameCount` is there in part. */
  onDecoded(hasPartialFrame: boolean, frameCount: number, nowMs: number): void {
    if (!hasPartialFrame) {
      this.#partialSinceMs = undefined;
    } else if (this.#partialSinceMs === undefined || this.#partialFrame !== frameCount) {
      this.#partialSinceMs = nowMs;
      this.#partialFrame = frameCount;
    }
  }

  /** Bytes wait to be taken by the kernel. */
  onWriteStuck(nowMs: number): void {
    this.#writeStuckSinceMs ??= nowMs;
  }

  /** The kernel has taken bytes; whether more wait. */
  onWriteProgress(bytesWait: boolean, nowMs: number): void {
    this.#writeStuckSinceMs = bytesWait ? nowMs : undefined;
  }

  /** A ping of ours, or undefined while one is under way. */
  startPing(nowMs: number): number | undefined {
    if (this.#pingSentAtMs !== undefined) return undefined;
    this.#pingSentAtMs = nowMs;
    this.#carriesFragments = false;
    this.#token = (this.#token + 1) >>> 0;
    return this.#token;
  }

  /** Answers with the new smoothed round-trip time. Throws `protocol` for a pong to no ping. */
  onPong(token: number, heldMicros: number, nowMs: number): number {
    if (this.#pingSentAtMs === undefined || token !== this.#token)
      throw new ShoalError('protocol', `a pong has the token ${token}, which no ping under way has`);
    const sampleMs = Math.max(0, nowMs - this.#pingSentAtMs - heldMicros / 1000);
    this.#pingSentAtMs = undefined;
    this.#pingDueFromMs = nowMs;
    this.#rttMs = this.#rttMs === undefined ? sampleMs : this.#rttMs + RTT_GAIN * (sampleMs - this.#rttMs);
    return this.#rttMs;
  }

  /** To be asked now and then. `mayPing`: false during the handshake, which has its own deadline. */
  check(nowMs: number, mayPing: boolean): LivenessAnswer {
    const silenceMs = nowMs - this.#lastByteAtMs;
    if (silenceMs >= limits.IDLE_CLOSE_MS) return dead(`no byte came for ${seconds(silenceMs)}`);
    if (this.#partialSinceMs !== undefined && nowMs - this.#partialSinceMs >= limits.PARTIAL_FRAME_TIMEOUT_MS)
      return dead(`a frame was not whole after ${seconds(nowMs - this.#partialSinceMs)}`);
    if (this.#writeStuckSinceMs !== undefined && nowMs - this.#writeStuckSinceMs >= limits.IDLE_CLOSE_MS)
      return dead(`the other side took no byte for ${seconds(nowMs - this.#writeStuckSinceMs)}`);
    if (!mayPing) return { type: 'fine' };
    const pingDue =
      silenceMs >= limits.IDLE_PING_MS ||
      (this.#carriesFragments && nowMs - this.#pingDueFromMs >= limits.RTT_SAMPLE_MS);
    const token = pingDue ? this.startPing(nowMs) : undefined;
    return token === undefined ? { type: 'fine' } : { type: 'ping', token };
  }
}

function dead(why: string): LivenessAnswer {
  return { type: 'dead', why };
}

function seconds(durationMs: number): string {
  return `${Math.round(durationMs / 1000)} s`;
}
