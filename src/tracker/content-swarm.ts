/**
 * The online peers of one content and what they have. Keeps the number of partial holders of every chunk as maps change, so that
 * neither listing nor locating has to walk all members. Which of them to name to whom is the question of source-choice.ts.
 */
import { Bitfield } from '../content/bitfield.ts';
import type { Holding } from './records.ts';
import { RAREST_COPIES_MAX } from './swarm-health.ts';

export class ContentSwarm {
  readonly #chunkCount: number;
  readonly #complete: Holding[] = [];
  readonly #partial: Holding[] = [];
  /** Partial holders of each chunk; undefined until the first partial member comes. */
  #partialHolders: Uint32Array | undefined;
  /** Chunks that no partial member has, that one has, ... up to RAREST_COPIES_MAX - 1 of them. */
  readonly #chunksWith = new Uint32Array(RAREST_COPIES_MAX);
  #volunteerCount = 0;
  #version: number;
  #turn = 0;

  /** `firstVersion`: larger than any that a former swarm of this content has had. */
  constructor(chunkCount: number, firstVersion = 0) {
    this.#chunkCount = chunkCount;
    this.#chunksWith[0] = chunkCount;
    this.#version = firstVersion;
  }

  /** Members with all chunks, in the order of their ranks. */
  get complete(): readonly Holding[] {
    return this.#complete;
  }

  /** Members without all chunks; some may have none yet. */
  get partial(): readonly Holding[] {
    return this.#partial;
  }

  get memberCount(): number {
    return this.#complete.length + this.#partial.length;
  }

  /** Partial members that only keep replicas. */
  get volunteerCount(): number {
    return this.#volunteerCount;
  }

  /** Changes whenever ranks or counts do: what a member was told at another version is out of date. */
  get version(): number {
    return this.#version;
  }

  /** A number that rises by one with each call; rotates the sources that are handed out. */
  nextTurn(): number {
    this.#turn = (this.#turn + 1) % 0x4000_0000;
    return this.#turn;
  }

  join(holding: Holding): void {
    if (holding.chunks === null) this.#push(this.#complete, holding);
    else {
      this.#push(this.#partial, holding);
      if (holding.isReplica) this.#volunteerCount++;
      this.#count(holding.chunks, 1);
    }
    this.#version++;
    holding.joinedVersion = this.#version;
  }

  leave(holding: Holding): void {
    this.#take(holding.chunks === null ? this.#complete : this.#partial, holding);
    if (holding.chunks !== null) {
      this.#count(holding.chunks, -1);
      if (holding.isReplica) this.#volunteerCount--;
    }
    this.#version++;
  }

  /** Replaces what a member has, null: all chunks, and for what reason. */
  replace(holding: Holding, chunks: Bitfield | null, isReplica = holding.isReplica): void {
    if (holding.chunks === null && chunks === null) {
      holding.isReplica = isReplica;
      return;
    }
    this.leave(holding);
    holding.chunks = chunks;
    holding.isReplica = isReplica;
    this.join(holding);
  }

  /** Adds and removes chunks of a member; the indexes must be in range. A member that becomes complete moves over. */
  change(holding: Holding, gained: readonly number[], lost: readonly number[]): void {
    let { chunks } = holding;
    if (chunks === null) {
      if (lost.length === 0) return;
      chunks = Bitfield.full(this.#chunkCount);
      this.replace(holding, chunks);
    }
    const holders = (this.#partialHolders ??= new Uint32Array(this.#chunkCount));
    for (const index of lost) if (chunks.delete(index)) this.#countOne(holders, index, -1);
    for (const index of gained) if (chunks.add(index)) this.#countOne(holders, index, 1);
    if (chunks.isFull) this.replace(holding, null);
  }

  /** Online peers that have this chunk. */
  sourceCount(chunkIndex: number): number {
    return this.#complete.length + (this.#partialHolders?.[chunkIndex] ?? 0);
  }

  /** Chunks that exactly so many members have; asked for less than RAREST_COPIES_MAX only. */
  chunksWithCopies(copies: number): number {
    const partial = copies - this.#complete.length;
    return partial < 0 ? 0 : (this.#chunksWith[partial] ?? 0);
  }

  /** How many members have the chunk that the fewest have; RAREST_COPIES_MAX stands for so many or more. */
  get rarestCopies(): number {
    let copies = this.#complete.length;
    // what has no chunks is had by who is complete
    for (let partial = 0; partial < RAREST_COPIES_MAX && this.#chunksWith[partial] === 0; partial++)
      if (this.#chunkCount > 0) copies++;
    return Math.min(copies, RAREST_COPIES_MAX);
  }

  /** The fewest partial holders that any chunk with at least one has, and up to `limit` such chunks, searched from `from`. */
  rarestChunks(limit: number, from: number): readonly number[] {
    const holders = this.#partialHolders;
    if (holders === undefined) return [];
    let fewest = Number.POSITIVE_INFINITY;
    for (const count of holders) if (count > 0 && count < fewest) fewest = count;
    const rarest: number[] = [];
    for (let step = 0; step < holders.length && rarest.length < limit; step++) {
      const index = (from + step) % holders.length;
      if (holders[index] === fewest) rarest.push(index);
    }
    return rarest;
  }

  #push(list: Holding[], holding: Holding): void {
    holding.position = list.length;
    list.push(holding);
  }

  /** The last member takes the place of the one that goes: ranks stay dense, and only one member's changes. */
  #take(list: Holding[], holding: Holding): void {
    const last = list.pop() as Holding;
    if (last === holding) return;
    list[holding.position] = last;
    last.position = holding.position;
  }

  #count(chunks: Bitfield, by: 1 | -1): void {
    if (chunks.count === 0) return;
    const holders = (this.#partialHolders ??= new Uint32Array(this.#chunkCount));
    for (const index of chunks) this.#countOne(holders, index, by);
  }

  #countOne(holders: Uint32Array, index: number, by: 1 | -1): void {
    const before = holders[index] as number;
    const after = before + by;
    holders[index] = after;
    if (before < RAREST_COPIES_MAX) this.#chunksWith[before] = (this.#chunksWith[before] as number) - 1;
    if (after < RAREST_COPIES_MAX) this.#chunksWith[after] = (this.#chunksWith[after] as number) + 1;
  }
}
