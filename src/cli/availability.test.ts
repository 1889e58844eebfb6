import { expect, it } from 'vitest';
import { Bitfield } from '../content/bitfield.ts';
import { availabilityLine, availabilityStrip, countCopies } from './availability.ts';
import { indexRanges } from './index-ranges.ts';

function map(drawn: string): Bitfield {
  const field = new Bitfield(drawn.length);
  for (const [index, mark] of drawn.split('').entries()) if (mark === '#') field.add(index);
  return field;
}

it('counts partial and whole sources together', () => {
  const availability = countCopies(4, [map('##..'), map('#.#.'), undefined]);
  expect([...availability.copies]).toEqual([3, 2, 2, 1]);
  expect(availabilityLine(availability)).toBe('all 4 can be had, each from 1 to 3 sources');
});

it('says how many chunks nobody has', () => {
  expect(availabilityLine(countCopies(4, [map('##..')]))).toBe('2 of 4 can be had, 2 have no source');
  expect(availabilityLine(countCopies(4, []))).toBe('none of 4 can be had at the moment');
  expect(availabilityLine(countCopies(0, [undefined]))).toBe('none: it is empty');
  expect(availabilityLine(countCopies(3, [undefined]))).toBe('all 3 can be had, each from 1 source');
});

it('draws the rarest chunk of each part', () => {
  expect(availabilityStrip(countCopies(8, [map('####.###'), undefined]), 4)).toBe('2212');
  expect(availabilityStrip(countCopies(4, [map('##..')]), 60)).toBe('11..');
  expect(availabilityStrip(countCopies(2, Array.from({ length: 12 })), 60)).toBe('++');
});

it('writes indexes as ranges, and counts what is too much', () => {
  expect(indexRanges([3, 7, 8, 9, 12], 10)).toBe('3, 7-9, 12');
  expect(indexRanges([1, 3, 5, 6, 9], 2)).toBe('1, 3 and 3 more');
  expect(indexRanges([], 2)).toBe('');
});
