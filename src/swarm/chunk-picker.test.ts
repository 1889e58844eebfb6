import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Bitfield } from '../content/bitfield.ts';
import { ChunkPicker } from './chunk-picker.ts';
import { createRandom } from './random.ts';

/** A picker in which chunk k has the availability that digit k says; "-" is a chunk we have. */
function pickerOf(availability: string, seed = 1): ChunkPicker {
  const have = new Bitfield(availability.length);
  availability.split('').forEach((digit, chunk) => digit === '-' && have.add(chunk));
  const picker = new ChunkPicker(have, createRandom(seed));
  availability.split('').forEach((digit, chunk) => {
    for (let copies = Number(digit) || 0; copies > 0; copies--) picker.raise(chunk);
  });
  return picker;
}

/** The chunks at which the text has an "x". */
function fieldOf(text: string): Bitfield {
  const field = new Bitfield(text.length);
  text.split('').forEach((letter, chunk) => letter === 'x' && field.add(chunk));
  return field;
}

describe('ChunkPicker', () => {
  it('picks the rarest chunk the neighbour has', () => {
    expect(pickerOf('2221333').pickRarest(fieldOf('xxxxxxx'))).toBe(3);
    expect(pickerOf('2221333').pickRarest(fieldOf('xxx.xxx'))).toBeLessThan(3);
    expect(pickerOf('2221333').pickRarest(fieldOf('....xxx'))).toBeGreaterThan(3);
  });

  it('picks nothing that we have, that is requested, or that the neighbour lacks', () => {
    const picker = pickerOf('-1-');
    expect(picker.pickRarest(fieldOf('x.x'))).toBe(-1);
    expect(picker.pickRarest(fieldOf('xxx'))).toBe(1);
    picker.leave(1);
    expect(picker.pickRarest(fieldOf('xxx'))).toBe(-1);
    picker.enter(1);
    expect(picker.pickRarest(fieldOf('xxx'))).toBe(1);
  });

  it('picks in order from where it is told', () => {
    const picker = pickerOf('0-00');
    expect(picker.pickInOrder(fieldOf('xxxx'))).toBe(0);
    expect(picker.pickInOrder(fieldOf('xxxx'), 1)).toBe(2);
    expect(picker.pickInOrder(fieldOf('...x'))).toBe(3);
    expect(picker.pickInOrder(fieldOf('xxx.'), 3)).toBe(-1);
  });

  it('breaks ties at random, each about as often', () => {
    const seen = new Map<number, number>();
    for (let seed = 0; seed < 1_000; seed++) {
      const chunk = pickerOf('1111', seed).pickRarest(fieldOf('xxxx'));
      seen.set(chunk, (seen.get(chunk) ?? 0) + 1);
    }
    for (let chunk = 0; chunk < 4; chunk++) expect(seen.get(chunk)).toBeGreaterThan(150);
  });

  it('agrees with a scan of everything on the availability of every pick, under any history', () => {
    const chunkCount = 200;
    const change = fc.record({
      what: fc.constantFrom('raise', 'lower', 'leave', 'enter'),
      chunk: fc.nat(chunkCount - 1),
    });
    fc.assert(
      fc.property(
        fc.array(change, { maxLength: 600 }),
        fc.array(fc.nat(chunkCount - 1), { maxLength: 60 }),
        fc.integer(),
        (changes, theirs, seed) => {
          const picker = new ChunkPicker(new Bitfield(chunkCount), createRandom(seed));
          const availability = Array.from({ length: chunkCount }, () => 0);
          const pickable = new Set(availability.keys());
          for (const { what, chunk } of changes) {
            picker[what as 'raise'](chunk);
            if (what === 'raise') availability[chunk] = (availability[chunk] as number) + 1;
            if (what === 'lower') availability[chunk] = Math.max(0, (availability[chunk] as number) - 1);
            if (what === 'leave') pickable.delete(chunk);
            if (what === 'enter') pickable.add(chunk);
          }
          expect(picker.pickableCount).toBe(pickable.size);
          expect(new Set(picker.pickable)).toEqual(pickable);
          availability.forEach((copies, chunk) => expect(picker.availability(chunk)).toBe(copies));
          const field = new Bitfield(chunkCount);
          for (const chunk of theirs) field.add(chunk);
          // emptying the picker by picks visits every class and must never go back to a rarer one
          let last = -1;
          for (;;) {
            const best = Math.min(
              ...[...pickable].filter((chunk) => field.has(chunk)).map((chunk) => availability[chunk] as number),
            );
            const pick = picker.pickRarest(field);
            if (best === Number.POSITIVE_INFINITY) {
              expect(pick).toBe(-1);
              break;
            }
            expect(pickable.has(pick) && field.has(pick)).toBe(true);
            expect(availability[pick]).toBe(best);
            expect(best).toBeGreaterThanOrEqual(last);
            last = best;
            picker.leave(pick);
            pickable.delete(pick);
          }
        },
      ),
      { numRuns: 150 },
    );
  });
});
