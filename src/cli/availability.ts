/** How many copies of each chunk there are, told in a line and drawn in a strip. Pure. */
import type { Bitfield } from '../content/bitfield.ts';

export interface Availability {
  readonly chunkCount: number;
  /** Chunks that no source has. */
  readonly missingCount: number;
  /** Copies of the rarest and of the commonest chunk. */
  readonly copiesMin: number;
  readonly copiesMax: number;
  /** Copies of each chunk. */
  readonly copies: Uint32Array;
}

/** `maps`: what each source has; undefined is everything. */
export function countCopies(chunkCount: number, maps: readonly (Bitfield | undefined)[]): Availability {
  const copies = new Uint32Array(chunkCount);
  let whole = 0;
  for (const map of maps) {
    if (map === undefined) whole++;
    else for (const chunkIndex of map) copies[chunkIndex] = (copies[chunkIndex] ?? 0) + 1;
  }
  let copiesMin = Number.POSITIVE_INFINITY;
  let copiesMax = 0;
  let missingCount = 0;
  for (let chunkIndex = 0; chunkIndex < chunkCount; chunkIndex++) {
    const count = (copies[chunkIndex] ?? 0) + whole;
    copies[chunkIndex] = count;
    copiesMin = Math.min(copiesMin, count);
    copiesMax = Math.max(copiesMax, count);
    if (count === 0) missingCount++;
  }
  return { chunkCount, missingCount, copiesMin: chunkCount === 0 ? 0 : copiesMin, copiesMax, copies };
}

export function availabilityLine({ chunkCount, missingCount, copiesMin, copiesMax }: Availability): string {
  if (chunkCount === 0) return 'none: it is empty';
  if (missingCount === chunkCount) return `none of ${chunkCount} can be had at the moment`;
  if (missingCount > 0)
    return `${chunkCount - missingCount} of ${chunkCount} can be had, ${missingCount} have no source`;
  const copies = copiesMin === copiesMax ? `${copiesMin}` : `${copiesMin} to ${copiesMax}`;
  return `all ${chunkCount} can be had, each from ${copies} ${copiesMax === 1 ? 'source' : 'sources'}`;
}

/** A digit a column: the copies of the rarest chunk there; `.` for none, `+` for ten and more. */
export function availabilityStrip({ copies, chunkCount }: Availability, columnsMax: number): string {
  const columns = Math.min(columnsMax, chunkCount);
  let strip = '';
  for (let column = 0; column < columns; column++) {
    const from = Math.floor((column * chunkCount) / columns);
    const to = Math.floor(((column + 1) * chunkCount) / columns);
    const rarest = copies.subarray(from, to).reduce((least, count) => Math.min(least, count), Number.POSITIVE_INFINITY);
    strip += rarest === 0 ? '.' : rarest > 9 ? '+' : String(rarest);
  }
  return strip;
}
