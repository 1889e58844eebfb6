/**
 * Which chunk to fetch next from a neighbour: rarest first with random ties, or in order.
 *
 * The pickable chunks (those we miss and have not requested) stand in one array sorted by availability, with the start of every
 * class of equal availability kept beside it:
 *
 *     order   [ c9 c2 | c7 c1 c4 | c3 ]        class 0: nobody but complete neighbours, class 1: one neighbour, ...
 *     start   [ 0       2          5   6 ]
 *
 * A chunk changes class by one swap with the edge of its class and a move of that edge, so a have-message costs O(1); a chunk
 * enters or leaves the array in O(classes). A random swap inside the new class keeps ties random. After libtorrent's
 * piece_picker (arvidn/libtorrent, src/piece_picker.cpp), without its blocks and user priorities.
 *
 * Complete neighbours raise every chunk alike and are therefore not counted here.
 */
import { PICKER_WALK_CHUNKS_MAX } from '../limits.ts';
import { Bitfield } from '../content/bitfield.ts';
import { shuffle, type Random } from './random.ts';

export class ChunkPicker {
  readonly chunkCount: number;
  readonly #random: Random;
  readonly #availability: Uint16Array;
  readonly #order: Int32Array;
  /** Position in `order`, -1 when the chunk is not pickable. */
  readonly #position: Int32Array;
  /** start[k] is where class k begins; start[classes] is the length of the list. */
  #start: number[] = [0, 0];
  readonly #pickable: Bitfield;

  /** All chunks but those in `have` are pickable. */
  constructor(have: Bitfield, random: Random) {
    this.chunkCount = have.chunkCount;
    this.#random = random;
    this.#availability = new Uint16Array(this.chunkCount);
    this.#order = new Int32Array(this.chunkCount);
    this.#position = new Int32Array(this.chunkCount).fill(-1);
    this.#pickable = new Bitfield(this.chunkCount);
    let length = 0;
    for (let chunk = 0; chunk < this.chunkCount; chunk++) {
      if (have.has(chunk)) continue;
      this.#order[length++] = chunk;
      this.#pickable.add(chunk);
    }
    const list = this.#order.subarray(0, length);
    shuffle(list, random);
    for (let at = 0; at < length; at++) this.#position[list[at] as number] = at;
    this.#start = [0, length];
  }

  /** Chunks that may be picked. */
  get pickable(): Bitfield {
    return this.#pickable;
  }

  get pickableCount(): number {
    return this.#start[this.#start.length - 1] as number;
  }

  /** Pickable chunks that no neighbour has, complete ones not counted. */
  get sourcelessCount(): number {
    return this.#start[1] as number;
  }

  /** Neighbours that have this chunk, complete ones not counted. */
  availability(chunk: number): number {
    return this.#availability[chunk] as number;
  }

  isPickable(chunk: number): boolean {
    return (this.#position[chunk] as number) >= 0;
  }

  /** A neighbour has gained this chunk. */
  raise(chunk: number): void {
    const from = this.#availability[chunk] as number;
    this.#availability[chunk] = from + 1;
    if (!this.isPickable(chunk)) return;
    this.#ensureClass(from + 1);
    const edge = (this.#start[from + 1] as number) - 1;
    this.#swap(this.#position[chunk] as number, edge);
    this.#start[from + 1] = edge;
    this.#mix(chunk, from + 1);
  }

  /** A neighbour has lost this chunk or is gone. */
  lower(chunk: number): void {
    const from = this.#availability[chunk] as number;
    if (from === 0) return;
    this.#availability[chunk] = from - 1;
    if (!this.isPickable(chunk)) return;
    const edge = this.#start[from] as number;
    this.#swap(this.#position[chunk] as number, edge);
    this.#start[from] = edge + 1;
    this.#mix(chunk, from - 1);
  }

  /** The chunk is missing again: it may be picked. */
  enter(chunk: number): void {
    if (this.isPickable(chunk)) return;
    const own = this.#availability[chunk] as number;
    this.#ensureClass(own);
    // open a hole at the end of the list and hand it down, class by class, to the end of the chunk's own class
    let hole = this.pickableCount;
    for (let k = this.#start.length - 1; k > own; k--) {
      const first = this.#start[k] as number;
      if (first !== hole) this.#place(this.#order[first] as number, hole);
      hole = first;
      this.#start[k] = first + 1;
    }
    this.#place(chunk, hole);
    this.#pickable.add(chunk);
    this.#mix(chunk, own);
  }

  /** The chunk is requested or had: it is no longer pickable. */
  leave(chunk: number): void {
    let hole = this.#position[chunk] as number;
    if (hole < 0) return;
    for (let k = (this.#availability[chunk] as number) + 1; k < this.#start.length; k++) {
      const last = (this.#start[k] as number) - 1;
      if (last !== hole) this.#place(this.#order[last] as number, hole);
      hole = last;
      this.#start[k] = last;
    }
    this.#position[chunk] = -1;
    this.#pickable.delete(chunk);
  }

  /** A rarest pickable chunk among `theirs`; -1 when there is none. */
  pickRarest(theirs: Bitfield): number {
    const length = this.pickableCount;
    const walk = Math.min(length, PICKER_WALK_CHUNKS_MAX);
    for (let at = 0; at < walk; at++) {
      const chunk = this.#order[at] as number;
      if (theirs.has(chunk)) return chunk;
    }
    return length > PICKER_WALK_CHUNKS_MAX ? this.#scanRarest(theirs) : -1;
  }

  /** The first pickable chunk among `theirs` at or after `from`; -1 when there is none. */
  pickInOrder(theirs: Bitfield, from = 0): number {
    return this.#pickable.firstCommon(theirs, from);
  }

  /** The same answer by looking at every chunk both have, ties to the one that stands first in `order`. */
  #scanRarest(theirs: Bitfield): number {
    let best = -1;
    let bestPosition = this.chunkCount;
    for (
      let chunk = this.#pickable.firstCommon(theirs, 0);
      chunk >= 0;
      chunk = this.#pickable.firstCommon(theirs, chunk + 1)
    ) {
      const position = this.#position[chunk] as number;
      if (position < bestPosition) {
        best = chunk;
        bestPosition = position;
      }
    }
    return best;
  }

  #ensureClass(k: number): void {
    while (this.#start.length < k + 2) this.#start.push(this.pickableCount);
  }

  #place(chunk: number, at: number): void {
    this.#order[at] = chunk;
    this.#position[chunk] = at;
  }

  #swap(at: number, other: number): void {
    if (at === other) return;
    const chunk = this.#order[at] as number;
    this.#place(this.#order[other] as number, at);
    this.#place(chunk, other);
  }

  /** Moves the chunk to a random place inside its class `k`. */
  #mix(chunk: number, k: number): void {
    const first = this.#start[k] as number;
    const size = (this.#start[k + 1] as number) - first;
    this.#swap(this.#position[chunk] as number, first + this.#random.below(size));
  }
}
