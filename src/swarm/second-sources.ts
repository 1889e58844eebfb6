/**
 * Which chunks that crawl towards us are asked of a second source: planned when nothing is left to request, taken with the better
 * source's next grant. The times are endgame.ts's; here is only which chunk belongs to which neighbour, and what it may cost.
 */
import { ENDGAME_WASTE_CHUNKS_MAX, ENDGAME_WASTE_SHARE_MAX, SOURCES_PER_CHUNK_MAX } from '../limits.ts';
import type { SwarmContext } from './context.ts';
import { expectedMs, isWorthASecondSource, medianRateOf, remainingMs } from './endgame.ts';
import type { LinkId } from './facts.ts';
import type { Neighbour, Request } from './neighbour.ts';
import type { RequestLedger } from './requests.ts';

export class SecondSources {
  readonly #context: SwarmContext;
  readonly #ledger: RequestLedger;
  /** The chunk wanted with a neighbour's next grant. */
  readonly #wishes = new Map<LinkId, number>();

  constructor(context: SwarmContext, ledger: RequestLedger) {
    this.#context = context;
    this.#ledger = ledger;
  }

  forget(link: LinkId): void {
    this.#wishes.delete(link);
  }

  /** Plans anew, for the chunks that are meant; answers the neighbours that should grant us something for it. */
  plan(nowMs: number, isMeant: (chunkIndex: number) => boolean = () => true): Neighbour[] {
    const { neighbours } = this.#context;
    const medianRate = medianRateOf(neighbours.values());
    const wanted: Neighbour[] = [];
    this.#wishes.clear();
    for (const [chunkIndex] of this.#ledger.chunks()) {
      const request = isMeant(chunkIndex) ? this.#onlyRequest(chunkIndex) : undefined;
      const source = request === undefined ? undefined : neighbours.get(request.link);
      if (request === undefined || source === undefined) continue;
      let best: Neighbour | undefined;
      let bestMs = Number.POSITIVE_INFINITY;
      for (const other of neighbours.values()) {
        if (other === source || other.snubbed || !other.theirs.has(chunkIndex) || this.#wishes.has(other.link))
          continue;
        const newMs = expectedMs(other, request.byteCount, medianRate);
        if (newMs < bestMs) {
          best = other;
          bestMs = newMs;
        }
      }
      if (best === undefined || !isWorthASecondSource(remainingMs(source, request, medianRate, nowMs), bestMs))
        continue;
      this.#wishes.set(best.link, chunkIndex);
      wanted.push(best);
    }
    return wanted;
  }

  /** The chunk to ask of this neighbour beside its first source, if that is still worth it; -1: none. */
  take(neighbour: Neighbour, wastedBytes: number, nowMs: number): number {
    const chunkIndex = this.#wishes.get(neighbour.link);
    if (chunkIndex === undefined) return -1;
    this.#wishes.delete(neighbour.link);
    const request = this.#onlyRequest(chunkIndex);
    const source = request === undefined ? undefined : this.#context.neighbours.get(request.link);
    if (request === undefined || source === undefined || !neighbour.theirs.has(chunkIndex)) return -1;
    const { chunkSize, size } = this.#context.layout;
    if (
      wastedBytes + request.byteCount >
      Math.max(ENDGAME_WASTE_CHUNKS_MAX * chunkSize, size * ENDGAME_WASTE_SHARE_MAX)
    )
      return -1;
    const medianRate = medianRateOf(this.#context.neighbours.values());
    const oldMs = remainingMs(source, request, medianRate, nowMs);
    return isWorthASecondSource(oldMs, expectedMs(neighbour, request.byteCount, medianRate)) ? chunkIndex : -1;
  }

  /** The request of a chunk that has no second source yet and still waits for bytes. */
  #onlyRequest(chunkIndex: number): Request | undefined {
    const requests = this.#ledger.of(chunkIndex);
    const [request] = requests;
    return requests.length < SOURCES_PER_CHUNK_MAX && request?.state === 'open' ? request : undefined;
  }
}
