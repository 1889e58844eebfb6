/**
 * Reading in order without ruining the swarm: only the few chunks a reader needs next are fetched ahead of their turn; the rest is
 * picked as by everybody else. If all who stream took everything in order, all would ask for the same chunk at the same time. For the
 * same reason a seeder's suggestion goes first: what it sends once the others pass on. Only a reader that has stood still for a
 * moment, for a chunk that no leecher has, insists.
 */
import type { Bitfield } from '../content/bitfield.ts';
import { URGENT_CHUNKS_MAX, URGENT_PATIENCE_MS, URGENT_SOURCE_SHARE_MIN } from '../limits.ts';
import type { ChunkPicker } from './chunk-picker.ts';
import type { Neighbour } from './neighbour.ts';

export class UrgentChunks {
  readonly #have: Bitfield;
  readonly #picker: ChunkPicker;
  /** No chunk before this is missing. */
  #prefix = 0;
  #stoodSinceMs: number;

  constructor(have: Bitfield, picker: ChunkPicker, nowMs: number) {
    this.#stoodSinceMs = nowMs;
    this.#have = have;
    this.#picker = picker;
  }

  /** The first chunk a reader waits for; the number of chunks when it waits for none. */
  get first(): number {
    const missing = this.#have.firstMissing(this.#prefix);
    this.#prefix = missing < 0 ? this.#have.chunkCount : missing;
    return this.#prefix;
  }

  /** The reader has this chunk and all before it. */
  passed(chunkIndex: number): void {
    this.#prefix = Math.max(this.#prefix, chunkIndex + 1);
  }

  /** A chunk of ours was lost. */
  lost(chunkIndex: number): void {
    this.#prefix = Math.min(this.#prefix, chunkIndex);
  }

  isUrgent(chunkIndex: number): boolean {
    const { first } = this;
    return chunkIndex >= first && chunkIndex < first + URGENT_CHUNKS_MAX;
  }

  /**
   * The chunk among the next few to fetch from this neighbour; -1: none. One that is slow compared with the best who has the chunk
   * is passed over: the reader would wait for it.
   */
  pick(neighbour: Neighbour, suggestions: readonly number[], all: Iterable<Neighbour>, nowMs: number): number {
    const before = this.#prefix;
    const { first } = this;
    if (first !== before) this.#stoodSinceMs = nowMs;
    const chunk = this.#picker.pickInOrder(neighbour.theirs, first);
    if (chunk < 0 || !this.isUrgent(chunk)) return -1;
    const isSuggested = suggestions.length === 0 || suggestions.includes(chunk);
    if (!isSuggested && !this.#mayInsist(chunk, first, nowMs)) return -1;
    const own = neighbour.rate.value;
    if (own === undefined) return chunk;
    for (const other of all) {
      const rate = other.rate.value;
      if (rate === undefined || other.snubbed || !other.theirs.has(chunk)) continue;
      if (own < rate * URGENT_SOURCE_SHARE_MIN) return -1;
    }
    return chunk;
  }

  #mayInsist(chunk: number, first: number, nowMs: number): boolean {
    return (
      chunk === first && this.#picker.availability(chunk) === 0 && nowMs - this.#stoodSinceMs >= URGENT_PATIENCE_MS
    );
  }
}
