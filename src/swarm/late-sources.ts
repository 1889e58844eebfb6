/**
 * What becomes of sources that do not deliver: what is overdue is asked elsewhere, its source is snubbed, and asked for little until it
 * delivers again; who is late again and again is closed, and who never meant to deliver is banned.
 */
import {
  CANCEL_ANSWER_MS,
  HEARD_SETTLED_MS,
  SNUBS_MAX,
  SNUB_MEMORY_MS,
  SNUB_RETRY_MS,
  SNUB_RETRY_UNPROVEN_MS,
  SOLE_SOURCE_PATIENCE_MS,
} from '../limits.ts';
import type { ChunkPicker } from './chunk-picker.ts';
import type { SwarmContext } from './context.ts';
import type { Neighbour, Request } from './neighbour.ts';
import type { RequestLedger } from './requests.ts';
import type { SingleSource } from './single-source.ts';

export interface LateSourcesOptions {
  readonly ledger: RequestLedger;
  readonly picker: ChunkPicker;
  readonly single: SingleSource;
  /** Cancels a request whose chunk is then missing again. */
  readonly takeBack: (request: Request, nowMs: number) => void;
}

export class LateSources {
  readonly #context: SwarmContext;
  readonly #ledger: RequestLedger;
  readonly #picker: ChunkPicker;
  readonly #single: SingleSource;
  readonly #takeBack: LateSourcesOptions['takeBack'];

  constructor(context: SwarmContext, { ledger, picker, single, takeBack }: LateSourcesOptions) {
    this.#context = context;
    this.#ledger = ledger;
    this.#picker = picker;
    this.#single = single;
    this.#takeBack = takeBack;
  }

  /** To be called now and then. */
  check(nowMs: number): void {
    this.#snubOverdue(nowMs);
    this.#banMute(nowMs);
  }

  /** Whether a snubbed neighbour is asked for a chunk as others are: its time has come again. */
  mayRetry(neighbour: Neighbour, nowMs: number): boolean {
    if (neighbour.requests.size > 0) return false;
    const lastSnub = neighbour.snubTimesMs[neighbour.snubTimesMs.length - 1] ?? Number.NEGATIVE_INFINITY;
    return nowMs - lastSnub >= (neighbour.receivedBytes > 0 ? SNUB_RETRY_MS : SNUB_RETRY_UNPROVEN_MS);
  }

  /** A chunk that this neighbour has and none that is not snubbed. */
  onlyFrom(neighbour: Neighbour): number | 'busy' {
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

  /** Takes back what is overdue, and snubs who owes it. */
  #snubOverdue(nowMs: number): void {
    for (const neighbour of this.#context.neighbours.values()) {
      const overdue: Request[] = [];
      for (const request of neighbour.requests.values())
        if (request.state === 'open' && this.#isOverdue(neighbour, request, nowMs)) overdue.push(request);
      if (overdue.length === 0) continue;
      for (const request of overdue) this.#takeBack(request, nowMs);
      neighbour.snubbed = true;
      neighbour.snubTimesMs.push(nowMs);
      while ((neighbour.snubTimesMs[0] ?? nowMs) < nowMs - SNUB_MEMORY_MS) neighbour.snubTimesMs.shift();
      this.#single.giveUp(neighbour.link);
      if (neighbour.snubTimesMs.length < SNUBS_MAX) continue;
      // every one of them needed a new grant, which a dead path would not have brought; a slow source that is the only one is waited for
      if (neighbour.receivedBytes === 0 && this.#hasOthersThan(neighbour))
        this.#context.misbehaved(neighbour, 'undelivered', 'it grants chunks, and none of their bytes ever comes');
      else this.#context.close(neighbour, 'timeout', 'three requests not answered in time');
    }
  }

  /**
   * To take a chunk back from the only one who has it brings it no sooner, and what of it is under way would come for nothing: such a
   * source may be slow, and shared by many, and is waited for until others have the chunk or it has given nothing for long.
   */
  #isOverdue(neighbour: Neighbour, request: Request, nowMs: number): boolean {
    if (this.#ledger.overdueAtMs(neighbour, request) > nowMs) return false;
    const lastByteAtMs = Math.max(request.lastByteAtMs, neighbour.lastByteAtMs);
    return nowMs - lastByteAtMs >= SOLE_SOURCE_PATIENCE_MS || this.#mayBeAskedElsewhere(neighbour, request.chunkIndex);
  }

  #mayBeAskedElsewhere(neighbour: Neighbour, chunkIndex: number): boolean {
    for (const other of this.#context.neighbours.values())
      if (other !== neighbour && !other.snubbed && other.theirs.has(chunkIndex)) return true;
    return false;
  }

  /** Who has never given a byte and leaves a cancel without its answer, though it goes on talking, never meant to deliver; unless nobody else does. */
  #banMute(nowMs: number): void {
    for (const neighbour of [...this.#context.neighbours.values()]) {
      const isMute =
        neighbour.snubbed &&
        neighbour.receivedBytes === 0 &&
        this.#hasOthersThan(neighbour) &&
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
}
