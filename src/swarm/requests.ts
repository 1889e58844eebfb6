/**
 * The ledger of chunks we have asked for: who was asked for what, how far it has come, when it is overdue. Every request is in
 * exactly one state (see neighbour.ts) and every chunk has at most two of them, which only the end-game makes.
 */
import { ShoalError } from '../errors.ts';
import {
  FRAGMENT_BYTES_MAX,
  REQUEST_FIRST_BYTE_MAX_MS,
  REQUEST_FIRST_BYTE_MIN_MS,
  REQUEST_PATIENCE_FACTOR,
  REQUEST_PATIENCE_MAX_MS,
  REQUEST_STALL_MAX_MS,
  REQUEST_STALL_MIN_MS,
} from '../limits.ts';
import { clamp } from './estimators.ts';
import type { LinkId } from './facts.ts';
import type { Neighbour, Request } from './neighbour.ts';

const REQUEST_ID_LIMIT = 0x10000;

/** What comes with a fragment, as on the wire. */
export interface IncomingFragment {
  readonly requestId: number;
  readonly chunkIndex: number;
  readonly offset: number;
  readonly byteCount: number;
}

export class RequestLedger {
  readonly #byChunk = new Map<number, Request[]>();
  /** Whole requests whose digest or write is under way; they outlive their link. */
  readonly #checking = new Map<number, Request>();
  #inFlightBytes = 0;
  #openCount = 0;

  /** Bytes of chunks requested or being checked and written. */
  get inFlightBytes(): number {
    return this.#inFlightBytes;
  }

  /** Requests whose bytes are still to come. */
  get openCount(): number {
    return this.#openCount;
  }

  /** Requests that are whole. */
  wholeRequests(): IterableIterator<Request> {
    return this.#checking.values();
  }

  /** Chunks whole but not yet verified and written. */
  get checkingCount(): number {
    return this.#checking.size;
  }

  /** A request that is being checked or written, whether its link still exists or not. */
  checking(link: LinkId, requestId: number): Request | undefined {
    return this.#checking.get(checkingKey(link, requestId));
  }

  /** Live requests of a chunk, cancelled ones not counted. */
  of(chunkIndex: number): readonly Request[] {
    return this.#byChunk.get(chunkIndex) ?? [];
  }

  /** Chunks with a live request. */
  chunks(): IterableIterator<[number, Request[]]> {
    return this.#byChunk.entries();
  }

  /** @param etaMs after which its uploader expects to begin. */
  open(neighbour: Neighbour, chunkIndex: number, byteCount: number, etaMs: number, nowMs: number): Request {
    const request: Request = {
      link: neighbour.link,
      requestId: freeRequestId(neighbour),
      chunkIndex,
      byteCount,
      requestedAtMs: nowMs,
      firstByteByMs:
        nowMs +
        Math.min(
          clamp(etaMs + 4 * (neighbour.rttMs ?? 100) + 2_000, REQUEST_FIRST_BYTE_MIN_MS, REQUEST_FIRST_BYTE_MAX_MS) *
            REQUEST_PATIENCE_FACTOR ** neighbour.snubTimesMs.length,
          REQUEST_PATIENCE_MAX_MS,
        ),
      firstByteAtMs: Number.NaN,
      lastByteAtMs: nowMs,
      receivedBytes: 0,
      state: 'open',
      cancelledAtMs: Number.NaN,
      isVerified: false,
    };
    neighbour.requests.set(request.requestId, request);
    const others = this.#byChunk.get(chunkIndex);
    if (others === undefined) this.#byChunk.set(chunkIndex, [request]);
    else others.push(request);
    this.#inFlightBytes += byteCount;
    this.#openCount++;
    return request;
  }

  /**
   * Whether a fragment's bytes are wanted (`take`) or late ones of a cancelled request (`skip`): however late they
   * are, for a slow or parted path holds them back as long as it likes, and they are never more than the chunk. Throws `protocol`
   * for bytes nobody asked for.
   */
  admit(neighbour: Neighbour, fragment: IncomingFragment): 'take' | 'skip' {
    const request = neighbour.requests.get(fragment.requestId);
    if (request === undefined)
      throw new ShoalError('protocol', `data for request ${fragment.requestId}, which is not open`);
    if (request.state === 'checking')
      throw new ShoalError('protocol', `data behind the end of request ${fragment.requestId}`);
    const fits =
      fragment.chunkIndex === request.chunkIndex &&
      fragment.offset === request.receivedBytes &&
      fragment.byteCount > 0 &&
      fragment.offset + fragment.byteCount <= request.byteCount;
    if (!fits) {
      throw new ShoalError(
        'protocol',
        `data at ${fragment.offset} of chunk ${fragment.chunkIndex} does not continue request ${fragment.requestId}`,
      );
    }
    return request.state === 'open' ? 'take' : 'skip';
  }

  /** Counts bytes in; true when the request is whole. A cancelled request that is whole is forgotten. */
  received(neighbour: Neighbour, request: Request, byteCount: number, nowMs: number): boolean {
    if (request.receivedBytes === 0) request.firstByteAtMs = nowMs;
    request.receivedBytes += byteCount;
    request.lastByteAtMs = nowMs;
    const whole = request.receivedBytes === request.byteCount;
    if (request.state === 'cancelled') {
      if (whole) neighbour.requests.delete(request.requestId);
      return false;
    }
    if (whole) {
      request.state = 'checking';
      this.#openCount--;
      this.#checking.set(checkingKey(request.link, request.requestId), request);
    }
    return whole;
  }

  /** The request is over: its bytes are written, its uploader has rejected it, or its link is gone (`neighbour` undefined). */
  end(request: Request, neighbour: Neighbour | undefined): void {
    neighbour?.requests.delete(request.requestId);
    if (request.state !== 'cancelled') this.#drop(request);
  }

  /** We take a request back; its late bytes are skipped until the uploader ends it. */
  cancel(request: Request, nowMs: number): void {
    if (request.state === 'cancelled') return;
    this.#drop(request);
    request.state = 'cancelled';
    request.cancelledAtMs = nowMs;
  }

  /** When the request counts as stalled, were no further byte to come. */
  overdueAtMs(neighbour: Neighbour, request: Request): number {
    if (request.receivedBytes === 0) return request.firstByteByMs;
    const rate = neighbour.rate.value ?? 0;
    const fragmentMs = rate > 0 ? (FRAGMENT_BYTES_MAX * 1000) / rate : REQUEST_STALL_MAX_MS;
    return request.lastByteAtMs + clamp(4 * fragmentMs + 2_000, REQUEST_STALL_MIN_MS, REQUEST_STALL_MAX_MS);
  }

  #drop(request: Request): void {
    this.#inFlightBytes -= request.byteCount;
    if (request.state === 'open') this.#openCount--;
    else this.#checking.delete(checkingKey(request.link, request.requestId));
    const all = this.#byChunk.get(request.chunkIndex) ?? [];
    const rest = all.filter((one) => one !== request);
    if (rest.length === 0) this.#byChunk.delete(request.chunkIndex);
    else this.#byChunk.set(request.chunkIndex, rest);
  }
}

function checkingKey(link: LinkId, requestId: number): number {
  return link * REQUEST_ID_LIMIT + requestId;
}

function freeRequestId(neighbour: Neighbour): number {
  let id = neighbour.nextRequestId;
  while (neighbour.requests.has(id)) id = (id + 1) % REQUEST_ID_LIMIT;
  neighbour.nextRequestId = (id + 1) % REQUEST_ID_LIMIT;
  return id;
}
