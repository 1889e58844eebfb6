/** What a peer speaks on its port, between the words used inside and the numbers of the contract. */
import { Dialect as Wire } from './gen/shoal/v1/tracker_pb.ts';

export type Dialect = 'native' | 'range';

/** Numbers this version does not know are left out: they are dialects of later ones. */
export function dialectsFromWire(numbers: readonly Wire[]): readonly Dialect[] {
  const known = new Set<Dialect>();
  for (const number of numbers) {
    if (number === Wire.NATIVE) known.add('native');
    else if (number === Wire.RANGE) known.add('range');
  }
  return [...known];
}

export function dialectsToWire(dialects: readonly Dialect[]): Wire[] {
  return dialects.map((dialect) => (dialect === 'native' ? Wire.NATIVE : Wire.RANGE));
}
