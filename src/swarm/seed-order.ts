/**
 * Which chunk a complete peer would like to see chosen next: the one of which the fewest copies exist or are on their way, ties
 * in order from this seeder's own start, `rank * chunkCount / seederCount`. So the first copy of every chunk leaves the seeders
 * once before any leaves twice, and several seeders begin in different places (after BEP 16's super-seeding and BEP 6's
 * suggestions, without hiding anything from anybody).
 *
 * Chunks stand in one bit set for every count of copies, so a change costs O(1) and a choice a scan from the start.
 */
import { Bitfield } from '../content/bitfield.ts';

export class SeedOrder {
  readonly #chunkCount: number;
  readonly #copies: Uint32Array;
  /** The chunks of every count of copies that occurs. */
  readonly #levels = new Map<number, Bitfield>();
  #lowest = 0;
  #highest = 0;
  #start = 0;

  constructor(chunkCount: number) {
    this.#chunkCount = chunkCount;
    this.#copies = new Uint32Array(chunkCount);
    this.#levels.set(0, Bitfield.full(chunkCount));
  }

  /** Begins at this seeder's shard. Counters stay. */
  setShard(rank: number, count: number): void {
    this.startAt(count > 0 ? Math.floor(((rank % count) * this.#chunkCount) / count) : 0);
  }

  /** Begins at this chunk. Counters stay. */
  startAt(chunk: number): void {
    this.#start = chunk;
  }

  /** One copy more exists or is on its way. */
  raise(chunk: number): void {
    this.#move(chunk, 1);
  }

  /** A copy has gone, or one that was on its way will not come. */
  lower(chunk: number): void {
    this.#move(chunk, -1);
  }

  copies(chunk: number): number {
    return this.#copies[chunk] as number;
  }

  /** Up to `count` chunks with the fewest copies that `wanted` lets pass, fewest first. */
  suggest(count: number, wanted: (chunk: number) => boolean): number[] {
    const chosen: number[] = [];
    for (let copies = this.#lowest; copies <= this.#highest; copies++) {
      const level = this.#levels.get(copies);
      if (level === undefined) continue;
      this.#collect(level, count, wanted, chosen);
      if (chosen.length >= count) break;
    }
    return chosen;
  }

  #collect(level: Bitfield, count: number, wanted: (chunk: number) => boolean, chosen: number[]): void {
    for (let chunk = level.firstMember(this.#start); chunk >= 0; chunk = level.firstMember(chunk + 1)) {
      if (wanted(chunk)) chosen.push(chunk);
      if (chosen.length >= count) return;
    }
    for (let chunk = level.firstMember(0); chunk >= 0 && chunk < this.#start; chunk = level.firstMember(chunk + 1)) {
      if (wanted(chunk)) chosen.push(chunk);
      if (chosen.length >= count) return;
    }
  }

  #move(chunk: number, step: 1 | -1): void {
    const from = this.#copies[chunk] as number;
    const to = from + step;
    if (to < 0) return;
    this.#copies[chunk] = to;
    const level = this.#levels.get(to) ?? new Bitfield(this.#chunkCount);
    level.add(chunk);
    this.#levels.set(to, level);
    this.#lowest = Math.min(this.#lowest, to);
    this.#highest = Math.max(this.#highest, to);
    const left = this.#levels.get(from);
    left?.delete(chunk);
    if (left?.count !== 0) return;
    this.#levels.delete(from);
    // `to` is a neighbour of `from`, so the bounds move by one at most
    if (from === this.#lowest && to > from) this.#lowest = to;
    if (from === this.#highest && to < from) this.#highest = to;
  }
}
