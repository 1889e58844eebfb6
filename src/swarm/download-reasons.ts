/**
 * Why a download, or a chunk of it, does not move: looks at what the download knows and puts it into the words that people are shown.
 * It changes nothing. The words are those of chunk-reasons.ts and bottleneck.ts.
 */
import type { Bitfield } from '../content/bitfield.ts';
import { CHECKING_BYTES_MAX } from '../limits.ts';
import { BottleneckMeter, downloadBottleneck, type Bottleneck, type DownloadFacts } from './bottleneck.ts';
import type { ChunkPicker } from './chunk-picker.ts';
import { countReasons, requestReason, waitingReason, type ChunkReason, type ReasonCounts } from './chunk-reasons.ts';
import type { SwarmContext } from './context.ts';
import { medianRateOf } from './endgame.ts';
import type { RateMeter } from './estimators.ts';
import type { StallReason } from './facts.ts';
import type { Neighbour, Request } from './neighbour.ts';
import type { Pacing } from './pacing.ts';
import type { RequestLedger } from './requests.ts';
import { SharedLink } from './shared-link.ts';

/** Of a download, as it is at the moment. */
export interface DownloadState {
  readonly wanted: Bitfield;
  readonly picker: ChunkPicker;
  readonly ledger: RequestLedger;
  readonly pacing: Pacing;
  readonly meter: RateMeter;
  readonly wantsMore: boolean;
  readonly isDiskPaused: boolean;
  readonly lastGainedMs: number;
  /** Neighbours that have every chunk. */
  readonly completeCount: number;
}

export class DownloadReasons {
  readonly #context: SwarmContext;
  readonly #state: () => DownloadState;
  readonly #bottleneck = new BottleneckMeter();
  readonly #sharedLink = new SharedLink();

  constructor(context: SwarmContext, state: () => DownloadState) {
    this.#context = context;
    this.#state = state;
  }

  /** Takes note of this moment: what a download waits for most is what it waited for most often. */
  look(nowMs: number): void {
    this.#sharedLink.sample(nowMs, this.#context.neighbours.values());
    this.#bottleneck.add(nowMs, downloadBottleneck(this.#facts(nowMs)));
  }

  /** Why no chunk has come for a while; null while chunks come. */
  stallReason(nowMs: number): StallReason | null {
    const state = this.#state();
    if (!state.wantsMore || nowMs - state.lastGainedMs < 1_000) return null;
    if (state.isDiskPaused) return 'disk';
    if (state.ledger.openCount > 0) return state.meter.current(nowMs) > 0 ? null : 'slow-source';
    if (state.ledger.checkingCount > 0) return 'hashing';
    if (state.pacing.isHolding(nowMs)) return 'rate-limit';
    for (const neighbour of this.#context.neighbours.values()) if (neighbour.wantedCount > 0) return 'choked';
    return 'no-source';
  }

  /** What it waits for most; null: not known yet, or nothing is wanted. */
  bottleneck(nowMs: number): Bottleneck | null {
    return this.#state().wantsMore ? this.#bottleneck.at(nowMs) : null;
  }

  /** How many chunks do not move, by reason. */
  reasons(nowMs: number): ReasonCounts {
    const state = this.#state();
    if (!state.wantsMore) return {};
    const sourcelessCount = state.completeCount > 0 ? 0 : state.picker.sourcelessCount;
    const usual = medianRateOf(this.#context.neighbours.values());
    const reasons: (ChunkReason | null)[] = [];
    for (const [, requests] of state.ledger.chunks()) reasons.push(this.#requestReason(requests, usual, nowMs));
    return countReasons(
      {
        sourcelessCount,
        otherCount: state.picker.pickableCount - sourcelessCount,
        reason: waitingReason(this.#facts(nowMs)),
      },
      reasons,
    );
  }

  /** Why a missing chunk does not move; null: we have it or do not want it, or its bytes are coming. */
  reasonOf(chunkIndex: number, nowMs: number): ChunkReason | null {
    const state = this.#state();
    if (this.#context.have.has(chunkIndex) || !state.wanted.has(chunkIndex)) return null;
    const requests = state.ledger.of(chunkIndex);
    if (requests.length > 0)
      return this.#requestReason(requests, medianRateOf(this.#context.neighbours.values()), nowMs);
    if (state.completeCount === 0 && state.picker.availability(chunkIndex) === 0) return 'no-source';
    return waitingReason(this.#facts(nowMs));
  }

  /** Of several requests for a chunk the one that moves counts. */
  #requestReason(requests: readonly Request[], usual: number, nowMs: number): ChunkReason | null {
    let reason: ChunkReason | null = 'requested';
    for (const request of requests) {
      const sinceMs = nowMs - request.firstByteAtMs;
      reason = requestReason({
        state: request.state !== 'checking' ? 'open' : request.isVerified ? 'writing' : 'hashing',
        receivedBytes: request.receivedBytes,
        silentMs: nowMs - request.lastByteAtMs,
        bytesPerSecond: sinceMs > 200 ? (request.receivedBytes * 1000) / sinceMs : undefined,
        usualBytesPerSecond: this.#context.neighbours.size > 1 ? usual : undefined,
      });
      if (reason === null) return null;
    }
    return reason;
  }

  #facts(nowMs: number): DownloadFacts {
    const state = this.#state();
    let [writingCount, ableCount, toldToWaitCount, snubbedCount] = [0, 0, 0, 0];
    for (const request of state.ledger.wholeRequests()) if (request.isVerified) writingCount++;
    for (const neighbour of this.#context.neighbours.values()) {
      if (neighbour.wantedCount === 0 && !hasOpenRequest(neighbour)) continue;
      ableCount++;
      if (neighbour.snubbed) snubbedCount++;
      else if (neighbour.declined === 'busy' && neighbour.wantedCount > 0) toldToWaitCount++;
    }
    return {
      isDiskPaused: state.isDiskPaused,
      isCheckingFull: state.ledger.checkingCount * this.#context.layout.chunkSize > CHECKING_BYTES_MAX,
      hashingCount: state.ledger.checkingCount - writingCount,
      writingCount,
      isRateLimited: state.pacing.isHolding(nowMs),
      ableCount,
      toldToWaitCount,
      snubbedCount,
      isLinkShared: this.#sharedLink.isShared,
    };
  }
}

function hasOpenRequest({ requests }: Neighbour): boolean {
  for (const { state } of requests.values()) if (state === 'open') return true;
  return false;
}
