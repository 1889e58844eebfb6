/**
 * The receiving half of a swarm: answers grants with the chunk that is best at that moment, follows every request to its end,
 * moves chunks from missing to had, and asks elsewhere what does not come. It never queues at an uploader: without a grant it
 * only says that it is interested.
 */
import { Bitfield } from '../content/bitfield.ts';
import { chunkBytes } from '../content/chunk-layout.ts';
import { ENDGAME_CHECK_MS, OVERDUE_CHECK_MS } from '../limits.ts';
import { ChunkPicker } from './chunk-picker.ts';
import type { SwarmContext } from './context.ts';
import { DownLimit } from './down-limit.ts';
import { DownloadReasons } from './download-reasons.ts';
import { RateMeter } from './estimators.ts';
import type { LinkId, SwarmMessage } from './facts.ts';
import { InFlightWindow } from './in-flight-window.ts';
import { LateSources } from './late-sources.ts';
import type { Neighbour, Request } from './neighbour.ts';
import { RequestLedger, type IncomingFragment } from './requests.ts';
import { SecondSources } from './second-sources.ts';
import { SingleSource } from './single-source.ts';
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
  #completeNeighbours = 0;
  #diskPaused = false;
  #wastedBytes = 0;
  #nextCheckMs: number;
  #lastGainedMs: number;
  /** Neighbours told to wait, longest first. */
  readonly #waiting = new Set<LinkId>();
  readonly #secondSources: SecondSources;
  readonly #window: InFlightWindow;
  readonly #single: SingleSource;
  readonly #late: LateSources;
  /** Why it does not move, for people. */
  readonly why: DownloadReasons;

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
    this.#window = new InFlightWindow(context, this.#ledger, this.#meter);
    this.#single = new SingleSource(context, nowMs);
    this.#late = new LateSources(context, {
      ledger: this.#ledger,
      picker: this.#picker,
      single: this.#single,
      takeBack: (request, atMs) => {
        this.#cancel(request, atMs);
        this.#backToMissing(request.chunkIndex);
      },
    });
    this.why = new DownloadReasons(context, () => ({
      wanted: this.#wanted,
      picker: this.#picker,
      ledger: this.#ledger,
      pacing: this.#pacing,
      meter: this.#meter,
      wantsMore: this.wantsMore,
      isDiskPaused: this.#diskPaused,
      lastGainedMs: this.#lastGainedMs,
      completeCount: this.#completeNeighbours,
    }));
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

  get load(): { readonly awaited: number; readonly checking: number } {
    return { awaited: this.#ledger.openCount, checking: this.#ledger.checkingCount };
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
    if (this.#single.giveUp(neighbour.link)) this.#rearmAll();
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
    if (this.#context.options.single && !this.#single.isSole(neighbour, nowMs))
      return this.#single.isChosen ? 'nothing-needed' : 'busy';
    if (!this.#window.hasRoom(neighbour, nowMs)) return 'busy';
    if (!this.#pacing.hasRoom(neighbour, nowMs)) return 'busy';
    if (neighbour.snubbed && !this.#late.mayRetry(neighbour, nowMs)) return this.#late.onlyFrom(neighbour);
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
    return this.#window.hasRoom(neighbour, nowMs) && this.#pacing.hasRoom(neighbour, nowMs);
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
    neighbour.lastByteAtMs = nowMs;
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
    this.why.look(nowMs);
    this.#late.check(nowMs);
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
