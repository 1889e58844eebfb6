/** What a peer speaks on its port, between the words used inside and the numbers of the contract. */
import { DIALECT_NUMBER } from './messages.ts';

export type Dialect = 'native' | 'range';

/** Numbers this version does not know are left out: they are dialects of later ones. */
export function dialectsFromWire(numbers: readonly number[]): readonly Dialect[] {
  const known = new Set<Dialect>();
  for (const number of numbers) {
    if (number === DIALECT_NUMBER.native) known.add('native');
    else if (number === DIALECT_NUMBER.range) known.add('range');
  }
  return [...known];
}

export function dialectsToWire(dialects: readonly Dialect[]): (typeof DIALECT_NUMBER)[Dialect][] {
  return dialects.map((dialect) => DIALECT_NUMBER[dialect]);
}
