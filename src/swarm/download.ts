/**
 * The receiving half of a swarm: answers grants with the chunk that is best at that moment, follows every request to its end,
 * moves chunks from missing to had, and asks elsewhere what does not come. It never queues at an uploader: without a grant it
 * only says that it is interested.
 */
import { Bitfield } from '../content/bitfield.ts';
import { chunkBytes } from '../content/chunk-layout.ts';
import {
  CANCEL_ANSWER_MS,
  CHECKING_BYTES_MAX,
  DOWN_FIRST_RATE_BYTES_PER_SECOND,
  ENDGAME_CHECK_MS,
  HEARD_SETTLED_MS,
  IN_FLIGHT_BYTES_MAX,
  IN_FLIGHT_CHUNKS_MIN,
  IN_FLIGHT_CHUNKS_PER_SOURCE_MIN,
  OVERDUE_CHECK_MS,
  SINGLE_CHOICE_MS,
  SNUBS_MAX,
  SNUB_MEMORY_MS,
  SNUB_RETRY_MS,
} from '../limits.ts';
import { BottleneckMeter, downloadBottleneck, type Bottleneck, type DownloadFacts } from './bottleneck.ts';
import { ChunkPicker } from './chunk-picker.ts';
import { countReasons, requestReason, waitingReason, type ChunkReason, type ReasonCounts } from './chunk-reasons.ts';
import type { SwarmContext } from './context.ts';
import { DownLimit } from './down-limit.ts';
import { medianRateOf } from './endgame.ts';
import { RateMeter } from './estimators.ts';
import type { LinkId, StallReason, SwarmMessage } from './facts.ts';
import type { Neighbour, Request } from './neighbour.ts';
import { RequestLedger, type IncomingFragment } from './requests.ts';
import { SecondSources } from './second-sources.ts';
import { SharedLink } from './shared-link.ts';
import { Pacing } from './pacing.ts';
import { UrgentChunks } from './urgent.ts';

type GrantMessage = Extract<SwarmMessage, { type: 'grant' }>;
type RejectMessage = Extract<SwarmMessage, { type: 'reject' }>;

export class Download {
  readonly #context: SwarmContext;
  readonly #picker: ChunkPicker;
  readonly #urgent: UrgentChunks;
  /** Chunks that are to be fetched, or have been. */
  readonly #wanted: Bitfield;
  /** Wanted chunks that we do not have. */
  #missingCount: number;
  readonly #ledger = new RequestLedger();
  readonly #limit: DownLimit;
  readonly #pacing: Pacing;
  readonly #meter = new RateMeter();
  readonly #startedAtMs: number;
  #completeNeighbours = 0;
  #diskPaused = false;
  #wastedBytes = 0;
  #soleLink: LinkId | undefined;
  #nextCheckMs: number;
  #lastGainedMs: number;
  /** Neighbours told to wait, longest first. */
  readonly #waiting = new Set<LinkId>();
  readonly #secondSources: SecondSources;
  readonly #bottleneck = new BottleneckMeter();
  readonly #sharedLink = new SharedLink();

  constructor(context: SwarmContext, nowMs: number) {
    this.#context = context;
    this.#secondSources = new SecondSources(context, this.#ledger);
    this.#wanted = context.options.wanted?.clone() ?? Bitfield.full(context.layout.chunkCount);
    const unpickable = context.have.clone();
    for (let chunk = this.#wanted.firstMissing(); chunk >= 0; chunk = this.#wanted.firstMissing(chunk + 1))
      unpickable.add(chunk);
    this.#missingCount = context.layout.chunkCount - unpickable.count;
    this.#picker = new ChunkPicker(unpickable, context.random);
    this.#urgent = new UrgentChunks(context.have, this.#picker, nowMs);
    this.#limit = context.options.downLimit ?? new DownLimit(context.options.downBytesPerSecond, nowMs);
    this.#pacing = new Pacing(context, this.#limit, nowMs);
    this.#startedAtMs = nowMs;
    this.#nextCheckMs = nowMs;
    this.#lastGainedMs = nowMs;
  }

  get wantsMore(): boolean {
    return this.#missingCount > 0;
  }

  /** These chunks are wanted as well. */
  want(chunks: Bitfield): void {
    for (const chunk of chunks) {
      if (!this.#wanted.add(chunk) || this.#context.have.has(chunk)) continue;
      this.#missingCount++;
      this.#backToMissing(chunk);
    }
  }

  /** Neighbours that have the chunk, complete ones not counted. */
  copiesAtLeechers(chunkIndex: number): number {
    return this.#picker.availability(chunkIndex);
  }

  get wastedBytes(): number {
    return this.#wastedBytes;
  }

  bytesPerSecond(nowMs: number): number {
    return this.#meter.current(nowMs);
  }

  setLimit(bytesPerSecond: number, nowMs: number): void {
    if (this.#context.options.downLimit === undefined) this.#limit.setRate(bytesPerSecond, nowMs);
    this.#pacing.review(nowMs);
    this.#nextCheckMs = nowMs;
  }

  // ---- what neighbours have ------------------------------------------------------------------------------------------------

  /** A neighbour's first map has been put into `theirs` and `complete`. */
  mapped(neighbour: Neighbour): void {
    if (neighbour.complete) this.#completeNeighbours++;
    else for (const chunk of neighbour.theirs) this.#picker.raise(chunk);
    neighbour.wantedCount = this.#picker.pickable.countCommon(neighbour.theirs);
  }

  /** A neighbour has gained a chunk, which is already in `theirs`. */
  neighbourGained(neighbour: Neighbour, chunkIndex: number): void {
    this.#picker.raise(chunkIndex);
    if (this.#picker.isPickable(chunkIndex)) {
      neighbour.wantedCount++;
      this.#rearmIfNeeded(neighbour);
    }
    if (!neighbour.theirs.isFull) return;
    // from now on it is counted once, not once a chunk
    for (let chunk = 0; chunk < this.#context.layout.chunkCount; chunk++) this.#picker.lower(chunk);
    this.#completeNeighbours++;
    neighbour.complete = true;
  }

  /** A neighbour is about to lose a chunk that is still in `theirs`. */
  neighbourLosing(neighbour: Neighbour, chunkIndex: number): void {
    if (neighbour.complete) {
      neighbour.complete = false;
      this.#completeNeighbours--;
      for (const chunk of neighbour.theirs) this.#picker.raise(chunk);
    }
    this.#picker.lower(chunkIndex);
    if (this.#picker.isPickable(chunkIndex)) neighbour.wantedCount--;
  }

  unlinked(neighbour: Neighbour, nowMs: number): void {
    if (neighbour.mapped) {
      if (neighbour.complete) this.#completeNeighbours--;
      else for (const chunk of neighbour.theirs) this.#picker.lower(chunk);
    }
    this.#secondSources.forget(neighbour.link);
    this.#pacing.unlinked(neighbour.link, nowMs);
    this.#waiting.delete(neighbour.link);
    for (const request of [...neighbour.requests.values()]) {
      // a chunk that is being checked is whole: its source is no longer needed
      if (request.state !== 'checking') this.#giveUp(neighbour, request);
    }
    if (this.#soleLink === neighbour.link) {
      this.#soleLink = undefined;
      this.#rearmAll();
    }
    this.#nextCheckMs = nowMs;
  }

  // ---- grants --------------------------------------------------------------------------------------------------------------

  grant(neighbour: Neighbour, grant: GrantMessage, nowMs: number): void {
    const chunk = this.#choose(neighbour, grant.suggestions, nowMs);
    if (typeof chunk !== 'number') {
      neighbour.declined = chunk === 'nothing-needed' ? 'nothing-needed' : 'busy';
      if (neighbour.declined === 'busy') this.#waiting.add(neighbour.link);
      this.#context.send(neighbour, { type: 'decline', grantId: grant.grantId, reason: chunk });
      return;
    }
    neighbour.grantWaitMs.add(grant.etaMs);
    this.#pacing.requesting(neighbour, chunkBytes(this.#context.layout, chunk), nowMs);
    const request = this.#ledger.open(neighbour, chunk, chunkBytes(this.#context.layout, chunk), grant.etaMs, nowMs);
    if (this.#picker.isPickable(chunk)) this.#leavePicker(chunk);
    this.#context.send(neighbour, {
      type: 'request',
      grantId: grant.grantId,
      requestId: request.requestId,
      chunkIndex: chunk,
    });
  }

  /** The chunk for a grant, or the reason to give it back. */
  #choose(
    neighbour: Neighbour,
    suggestions: readonly number[],
    nowMs: number,
  ): number | 'nothing-needed' | 'busy' | 'disk' {
    if (!this.wantsMore) return 'nothing-needed';
    if (this.#diskPaused) return 'disk';
    if (this.#context.options.single && !this.#isSole(neighbour, nowMs))
      return this.#soleLink === undefined ? 'busy' : 'nothing-needed';
    if (!this.#hasRoom(neighbour, nowMs)) return 'busy';
    if (!this.#pacing.hasRoom(neighbour, nowMs)) return 'busy';
    if (neighbour.snubbed && !this.#mayRetrySnubbed(neighbour, nowMs)) return this.#onlyFrom(neighbour);
    const chunk = this.#pick(neighbour, suggestions, nowMs);
    return chunk < 0 ? 'nothing-needed' : chunk;
  }

  /**
   * What a reader needs next, if there is one; then suggested chunks, then the rarest, then what the end-game wishes for. With only complete neighbours nobody gains from
   * rarity, and going in order lets disks read ahead and the whole-file digest keep pace.
   */
  #pick(neighbour: Neighbour, suggestions: readonly number[], nowMs: number): number {
    const urgent = this.#pickUrgent(neighbour, suggestions, nowMs);
    if (urgent >= 0) return urgent;
    for (const chunk of suggestions) {
      if (chunk < this.#context.layout.chunkCount && neighbour.theirs.has(chunk) && this.#picker.isPickable(chunk))
        return chunk;
    }
    const inOrder = this.#completeNeighbours === this.#context.neighbours.size;
    const chunk = inOrder ? this.#picker.pickInOrder(neighbour.theirs) : this.#picker.pickRarest(neighbour.theirs);
    return chunk >= 0 ? chunk : this.#secondSources.take(neighbour, this.#wastedBytes, nowMs);
  }

  /** For a reader: one of the chunks it needs next, or one of those that crawls towards it, from a second source. */
  #pickUrgent(neighbour: Neighbour, suggestions: readonly number[], nowMs: number): number {
    if (this.#context.options.order !== 'in-order') return -1;
    const chunk = this.#urgent.pick(neighbour, suggestions, this.#context.neighbours.values(), nowMs);
    return chunk >= 0 ? chunk : this.#secondSources.take(neighbour, this.#wastedBytes, nowMs);
  }

  #mayTakeMore(neighbour: Neighbour, nowMs: number): boolean {
    return this.#hasRoom(neighbour, nowMs) && this.#pacing.hasRoom(neighbour, nowMs);
  }

  /**
   * Whether one more chunk may be requested. The measured window bounds what queues up before our own downlink; but every source
   * keeps two chunks on the way even so, because an uploader that is told to wait stands idle until it is woken.
   */
  #hasRoom(neighbour: Neighbour, nowMs: number): boolean {
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

  #isSole(neighbour: Neighbour, nowMs: number): boolean {
    if (this.#soleLink !== undefined) return this.#soleLink === neighbour.link;
    const able = [...this.#context.neighbours.values()].filter((one) => one.wantedCount > 0 && !one.snubbed);
    const allMeasured = able.every((one) => one.rttMs !== undefined);
    if (
      nowMs - this.#startedAtMs < SINGLE_CHOICE_MS &&
      !(allMeasured && nowMs - this.#startedAtMs > SINGLE_CHOICE_MS / 2)
    )
      return false;
    const rttOf = (one: Neighbour): number => one.rttMs ?? Number.POSITIVE_INFINITY;
    let best: Neighbour | undefined;
    for (const one of able) if (best === undefined || rttOf(one) < rttOf(best)) best = one;
    this.#soleLink = best?.link;
    return best === neighbour;
  }

  /** Whether a snubbed neighbour is asked for a chunk as others are: its time has come again. */
  #mayRetrySnubbed(neighbour: Neighbour, nowMs: number): boolean {
    if (neighbour.requests.size > 0) return false;
    const lastSnub = neighbour.snubTimesMs[neighbour.snubTimesMs.length - 1] ?? Number.NEGATIVE_INFINITY;
    return nowMs - lastSnub >= SNUB_RETRY_MS;
  }

  /** A chunk that this neighbour has and none that is not snubbed. */
  #onlyFrom(neighbour: Neighbour): number | 'busy' {
    if (neighbour.requests.size > 0) return 'busy';
    const others = [...this.#context.neighbours.values()].filter((other) => other !== neighbour && !other.snubbed);
    for (
      let chunk = this.#picker.pickInOrder(neighbour.theirs);
      chunk >= 0;
      chunk = this.#picker.pickInOrder(neighbour.theirs, chunk + 1)
    )
      if (!others.some(({ theirs }) => theirs.has(chunk))) return chunk;
    return 'busy';
  }

  // ---- bytes ---------------------------------------------------------------------------------------------------------------

  admit(neighbour: Neighbour, fragment: IncomingFragment, nowMs: number): 'take' | 'skip' {
    const verdict = this.#ledger.admit(neighbour, fragment);
    if (verdict === 'skip') {
      this.#wastedBytes += fragment.byteCount;
      const request = neighbour.requests.get(fragment.requestId);
      if (request !== undefined) this.#ledger.received(neighbour, request, fragment.byteCount, nowMs);
    }
    return verdict;
  }

  fragment(neighbour: Neighbour, requestId: number, byteCount: number, nowMs: number): void {
    const request = neighbour.requests.get(requestId);
    if (request === undefined) return;
    const whole = this.#ledger.received(neighbour, request, byteCount, nowMs);
    this.#meter.add(nowMs, byteCount);
    this.#pacing.received(neighbour, byteCount, nowMs);
    neighbour.receivedBytes += byteCount;
    neighbour.lastUsefulAtMs = nowMs;
    // a source that is paced is asked for more before it has nothing left to send
    if (this.#pacing.isLimited && neighbour.declined === 'busy' && this.#mayTakeMore(neighbour, nowMs))
      this.#rearm(neighbour);
    if (!whole) return;
    const tookMs = Math.max(
      1,
      nowMs - (Number.isNaN(request.firstByteAtMs) ? request.requestedAtMs : request.firstByteAtMs),
    );
    // one fragment alone says nothing about a rate
    if (request.byteCount > byteCount) neighbour.rate.add((request.byteCount * 1000) / tookMs);
    else neighbour.rate.add((request.byteCount * 1000) / Math.max(1, nowMs - request.requestedAtMs));
    this.#context.emit({ type: 'verify', link: neighbour.link, requestId, chunkIndex: request.chunkIndex });
    this.#rearmOne(nowMs);
  }

  verified(link: LinkId, requestId: number, ok: boolean, nowMs: number): void {
    const request = this.#ledger.checking(link, requestId);
    if (request === undefined) return; // taken back while its digest was computed
    const neighbour = this.#context.neighbours.get(link);
    if (ok) {
      request.isVerified = true;
      if (neighbour !== undefined) neighbour.snubbed = false;
      for (const other of this.#ledger.of(request.chunkIndex)) if (other !== request) this.#cancel(other, nowMs);
      this.#context.emit({ type: 'write', link, requestId, chunkIndex: request.chunkIndex });
      return;
    }
    this.#wastedBytes += request.byteCount;
    this.#ledger.end(request, neighbour);
    this.#context.emit({ type: 'discard', link, requestId });
    this.#backToMissing(request.chunkIndex);
    if (neighbour !== undefined) {
      this.#context.misbehaved(
        neighbour,
        'integrity',
        `chunk ${request.chunkIndex} does not have the SHA-256 of the manifest`,
      );
    }
  }

  /** A chunk has been written or not; the request that brought it when it is ours now. */
  written(link: LinkId, requestId: number, ok: boolean, nowMs: number): Request | undefined {
    const request = this.#ledger.checking(link, requestId);
    if (request === undefined) return undefined;
    this.#ledger.end(request, this.#context.neighbours.get(link));
    if (!ok) {
      this.#diskPaused = true;
      this.#backToMissing(request.chunkIndex);
      return undefined;
    }
    if (this.#context.have.add(request.chunkIndex)) this.#missingCount--;
    this.#lastGainedMs = nowMs;
    this.#rearmOne(nowMs);
    return request;
  }

  diskReady(): void {
    this.#diskPaused = false;
    this.#rearmAll();
  }

  /** The chunk that a rejection says its sender does not have, or cannot read; -1: it says no such thing. */
  deniedBy(neighbour: Neighbour, { requestId, reason }: RejectMessage): number {
    return reason === 'no-chunk' || reason === 'disk' ? (neighbour.requests.get(requestId)?.chunkIndex ?? -1) : -1;
  }

  reject(neighbour: Neighbour, message: RejectMessage): void {
    const request = neighbour.requests.get(message.requestId);
    // the answer to a cancel may cross the last fragment: then the request is gone already
    if (request === undefined || request.state === 'checking') return;
    if (request.state === 'cancelled') {
      this.#ledger.end(request, neighbour);
      return;
    }
    this.#giveUp(neighbour, request);
  }

  /** A chunk that we have, and are about to lose, is not fetched again. */
  drop(chunkIndex: number): void {
    this.#wanted.delete(chunkIndex);
    this.#urgent.passed(chunkIndex);
  }

  /** Our own copy is damaged: fetch it again. */
  lost(chunkIndex: number): void {
    if (!this.#context.have.delete(chunkIndex)) return;
    if (!this.#wanted.has(chunkIndex)) return;
    this.#urgent.lost(chunkIndex);
    this.#missingCount++;
    this.#backToMissing(chunkIndex);
  }

  // ---- time ----------------------------------------------------------------------------------------------------------------

  nextDeadlineMs(nowMs: number): number {
    if (!this.wantsMore || this.#context.neighbours.size === 0) return Number.POSITIVE_INFINITY;
    return Math.min(this.#nextCheckMs, this.#pacing.nextDeadlineMs(nowMs));
  }

  tick(nowMs: number): void {
    if (!this.wantsMore) return;
    this.#pacing.tick(nowMs);
    if (this.#pacing.isLimited) this.#rearmOne(nowMs);
    if (nowMs < this.#nextCheckMs) return;
    const endgame = this.#picker.pickableCount === 0;
    this.#nextCheckMs = nowMs + (endgame ? ENDGAME_CHECK_MS : OVERDUE_CHECK_MS);
    this.#sharedLink.sample(nowMs, this.#context.neighbours.values());
    this.#bottleneck.add(nowMs, downloadBottleneck(this.#facts(nowMs)));
    this.#snubOverdue(nowMs);
    this.#banMute(nowMs);
    if (endgame && !this.#pacing.isHolding(nowMs))
      for (const better of this.#secondSources.plan(nowMs)) if (better.declined !== 'no') this.#rearm(better);
    if (!endgame && this.#context.options.order === 'in-order') this.#hurry(nowMs);
    // nothing under way and somebody was told to wait: a lost wake-up would stop the download for good
    if (this.#ledger.openCount === 0 && !this.#diskPaused) this.#rearmAll();
  }

  /** A reader waits for the first missing chunk: when that one crawls, somebody faster is asked too, though much else is left. */
  #hurry(nowMs: number): void {
    const isUrgent = (chunkIndex: number): boolean => this.#urgent.isUrgent(chunkIndex);
    for (const better of this.#secondSources.plan(nowMs, isUrgent)) if (better.declined !== 'no') this.#rearm(better);
  }

  /** Why no chunk has come for a while; null while chunks come. */
  stallReason(nowMs: number): StallReason | null {
    if (!this.wantsMore || nowMs - this.#lastGainedMs < 1_000) return null;
    if (this.#diskPaused) return 'disk';
    if (this.#ledger.openCount > 0) return this.#meter.current(nowMs) > 0 ? null : 'slow-source';
    if (this.#ledger.checkingCount > 0) return 'hashing';
    if (this.#pacing.isHolding(nowMs)) return 'rate-limit';
    for (const neighbour of this.#context.neighbours.values()) if (neighbour.wantedCount > 0) return 'choked';
    return 'no-source';
  }

  /** What it waits for most; null: not known yet, or nothing is wanted. */
  bottleneck(nowMs: number): Bottleneck | null {
    return this.wantsMore ? this.#bottleneck.at(nowMs) : null;
  }

  /** How many chunks do not move, by reason. */
  reasons(nowMs: number): ReasonCounts {
    if (!this.wantsMore) return {};
    const sourcelessCount = this.#completeNeighbours > 0 ? 0 : this.#picker.sourcelessCount;
    const usual = medianRateOf(this.#context.neighbours.values());
    const reasons: (ChunkReason | null)[] = [];
    for (const [, requests] of this.#ledger.chunks()) reasons.push(this.#requestReason(requests, usual, nowMs));
    return countReasons(
      {
        sourcelessCount,
        otherCount: this.#picker.pickableCount - sourcelessCount,
        reason: waitingReason(this.#facts(nowMs)),
      },
      reasons,
    );
  }

  /** Why a missing chunk does not move; null: we have it or do not want it, or its bytes are coming. */
  reasonOf(chunkIndex: number, nowMs: number): ChunkReason | null {
    if (this.#context.have.has(chunkIndex) || !this.#wanted.has(chunkIndex)) return null;
    const requests = this.#ledger.of(chunkIndex);
    if (requests.length > 0)
      return this.#requestReason(requests, medianRateOf(this.#context.neighbours.values()), nowMs);
    if (this.#completeNeighbours === 0 && this.#picker.availability(chunkIndex) === 0) return 'no-source';
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
    let [writingCount, ableCount, toldToWaitCount, snubbedCount] = [0, 0, 0, 0];
    for (const request of this.#ledger.wholeRequests()) if (request.isVerified) writingCount++;
    for (const neighbour of this.#context.neighbours.values()) {
      if (neighbour.wantedCount === 0 && !hasOpenRequest(neighbour)) continue;
      ableCount++;
      if (neighbour.snubbed) snubbedCount++;
      else if (neighbour.declined === 'busy' && neighbour.wantedCount > 0) toldToWaitCount++;
    }
    return {
      isDiskPaused: this.#diskPaused,
      isCheckingFull: this.#ledger.checkingCount * this.#context.layout.chunkSize > CHECKING_BYTES_MAX,
      hashingCount: this.#ledger.checkingCount - writingCount,
      writingCount,
      isRateLimited: this.#pacing.isHolding(nowMs),
      ableCount,
      toldToWaitCount,
      snubbedCount,
      isLinkShared: this.#sharedLink.isShared,
    };
  }

  #snubOverdue(nowMs: number): void {
    for (const neighbour of this.#context.neighbours.values()) {
      const overdue: Request[] = [];
      for (const request of neighbour.requests.values())
        if (request.state === 'open' && this.#ledger.overdueAtMs(neighbour, request) <= nowMs) overdue.push(request);
      if (overdue.length === 0) continue;
      for (const request of overdue) {
        this.#cancel(request, nowMs);
        this.#backToMissing(request.chunkIndex);
      }
      neighbour.snubbed = true;
      neighbour.snubTimesMs.push(nowMs);
      while ((neighbour.snubTimesMs[0] ?? nowMs) < nowMs - SNUB_MEMORY_MS) neighbour.snubTimesMs.shift();
      if (this.#soleLink === neighbour.link) this.#soleLink = undefined;
      if (neighbour.snubTimesMs.length < SNUBS_MAX) continue;
      // every one of them needed a new grant, which a dead path would not have brought; a slow source that is the only one is waited for
      if (neighbour.receivedBytes === 0 && this.#hasOthersThan(neighbour))
        this.#context.misbehaved(neighbour, 'undelivered', 'it grants chunks, and none of their bytes ever comes');
      else this.#context.close(neighbour, 'timeout', 'three requests not answered in time');
    }
  }

  /** Who has never given a byte and leaves a cancel without its answer, though it goes on talking, never meant to deliver. */
  #banMute(nowMs: number): void {
    for (const neighbour of [...this.#context.neighbours.values()]) {
      const isMute =
        neighbour.snubbed &&
        neighbour.receivedBytes === 0 &&
        [...neighbour.requests.values()].some(
          ({ state, cancelledAtMs }) =>
            state === 'cancelled' && neighbour.heardAtMs - cancelledAtMs >= CANCEL_ANSWER_MS,
        );
      if (!isMute) neighbour.muteSinceMs = undefined;
      else if (nowMs - (neighbour.muteSinceMs ??= nowMs) >= HEARD_SETTLED_MS)
        this.#context.misbehaved(neighbour, 'undelivered', 'it neither gives what it was asked for nor takes it back');
    }
  }

  /** Whether somebody else gives us chunks, and has more for us. */
  #hasOthersThan(neighbour: Neighbour): boolean {
    for (const other of this.#context.neighbours.values())
      if (other !== neighbour && !other.snubbed && other.receivedBytes > 0 && other.wantedCount > 0) return true;
    return false;
  }

  // ---- moving chunks between states -------------------------------------------------------------------------------------------

  /** We no longer expect this request's bytes; the uploader is told unless it is gone. */
  #cancel(request: Request, nowMs: number): void {
    const neighbour = this.#context.neighbours.get(request.link);
    this.#context.emit({ type: 'discard', link: request.link, requestId: request.requestId });
    if (request.state === 'checking' || neighbour === undefined) {
      this.#ledger.end(request, neighbour);
      return;
    }
    this.#wastedBytes += request.receivedBytes;
    this.#ledger.cancel(request, nowMs);
    this.#context.send(neighbour, { type: 'cancel', requestId: request.requestId });
  }

  /** The request will bring nothing more: the chunk is missing again, unless another source is at it. */
  #giveUp(neighbour: Neighbour, request: Request): void {
    const wasOpen = request.state === 'open';
    this.#ledger.end(request, neighbour);
    if (!wasOpen) return;
    this.#wastedBytes += request.receivedBytes;
    this.#context.emit({ type: 'discard', link: request.link, requestId: request.requestId });
    this.#backToMissing(request.chunkIndex);
  }

  #leavePicker(chunkIndex: number): void {
    this.#picker.leave(chunkIndex);
    for (const neighbour of this.#context.neighbours.values())
      if (neighbour.theirs.has(chunkIndex)) neighbour.wantedCount--;
  }

  #backToMissing(chunkIndex: number): void {
    if (
      this.#context.have.has(chunkIndex) ||
      this.#ledger.of(chunkIndex).length > 0 ||
      this.#picker.isPickable(chunkIndex)
    )
      return;
    this.#picker.enter(chunkIndex);
    for (const neighbour of this.#context.neighbours.values()) {
      if (!neighbour.theirs.has(chunkIndex)) continue;
      neighbour.wantedCount++;
      this.#rearmIfNeeded(neighbour);
    }
  }

  // ---- waking uploaders ----------------------------------------------------------------------------------------------------

  #rearmIfNeeded(neighbour: Neighbour): void {
    if (neighbour.declined === 'nothing-needed' && !this.#context.options.single) this.#rearm(neighbour);
  }

  /** Of those we told to wait and have room for now, the one that has waited longest: to wake one in vain costs four messages. */
  #rearmOne(nowMs: number): void {
    for (const link of this.#waiting) {
      const neighbour = this.#context.neighbours.get(link);
      if (neighbour === undefined || neighbour.declined !== 'busy') {
        this.#waiting.delete(link);
      } else if (neighbour.wantedCount > 0 && this.#mayTakeMore(neighbour, nowMs)) {
        this.#rearm(neighbour);
        return;
      }
    }
  }

  #rearmAll(): void {
    for (const neighbour of this.#context.neighbours.values()) {
      if (neighbour.declined !== 'no' && neighbour.wantedCount > 0) this.#rearm(neighbour);
    }
  }

  #rearm(neighbour: Neighbour): void {
    neighbour.declined = 'no';
    this.#waiting.delete(neighbour.link);
    this.#context.send(neighbour, {
      type: 'interest',
      interested: true,
      wantedCount: Math.min(neighbour.wantedCount, 0xffff),
    });
  }
}

function hasOpenRequest({ requests }: Neighbour): boolean {
  for (const { state } of requests.values()) if (state === 'open') return true;
  return false;
}
