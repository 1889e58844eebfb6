/** Randomness as a parameter: the same seed gives the same run, in a node, in a test and in the simulator. */

export interface Random {
  /** A number in [0, 1). */
  next(): number;
  /** An integer in [0, bound); 0 for a bound below 2. */
  below(bound: number): number;
}

/**
 * sfc32 by Chris Doty-Humphrey (PractRand): small, fast, passes the usual test batteries; not for secrets. A 32-bit seed is spread
 * over the state and the first outputs are thrown away, as its author advises.
 */
export function createRandom(seed: number): Random {
  let a = 0x9e3779b9;
  let b = seed | 0;
  let c = 0x243f6a88 ^ seed;
  let counter = 1;
  const next32 = (): number => {
    const sum = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return sum >>> 0;
  };
  for (let round = 0; round < 12; round++) next32();
  return {
    next: () => next32() / 4_294_967_296,
    below: (bound) => (bound < 2 ? 0 : Math.floor((next32() / 4_294_967_296) * bound)),
  };
}

/** Shuffles in place (Fisher-Yates). */
export function shuffle<T>(items: { [index: number]: T; readonly length: number }, random: Random): void {
  for (let index = items.length - 1; index > 0; index--) {
    const other = random.below(index + 1);
    const kept = items[index] as T;
    items[index] = items[other] as T;
    items[other] = kept;
  }
}
