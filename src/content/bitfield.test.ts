import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Bitfield } from './bitfield.ts';

describe('Bitfield', () => {
  it('puts chunk 0 into the highest bit of the first byte', () => {
    const field = new Bitfield(10);
    field.add(0);
    field.add(9);
    expect(field.toBytes()).toEqual(new Uint8Array([0x80, 0x40]));
  });

  it('behaves like a set of numbers under any sequence of changes', () => {
    const change = fc.record({ add: fc.boolean(), index: fc.nat(99) });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 100 }), fc.array(change), (chunkCount, changes) => {
        const field = new Bitfield(chunkCount);
        const model = new Set<number>();
        for (const { add, index } of changes) {
          const chunk = index % chunkCount;
          if (add) expect(field.add(chunk)).toBe(!model.has(chunk));
          else expect(field.delete(chunk)).toBe(model.has(chunk));
          if (add) model.add(chunk);
          else model.delete(chunk);
        }
        expect([...field]).toEqual([...model].toSorted((a, b) => a - b));
        expect(field.count).toBe(model.size);
        expect(field.isFull).toBe(model.size === chunkCount);
        const missing =
          Array.from({ length: chunkCount }, (_, index) => index).find((index) => !model.has(index)) ?? -1;
        expect(field.firstMissing()).toBe(missing);
        expect([...Bitfield.fromBytes(field.toBytes(), chunkCount)]).toEqual([...field]);
      }),
    );
  });

  it('is full without spare bits when it is made full, for every count', () => {
    for (let chunkCount = 0; chunkCount < 40; chunkCount++) {
      const field = Bitfield.full(chunkCount);
      expect(field.isFull).toBe(true);
      expect(Bitfield.fromBytes(field.toBytes(), chunkCount).count).toBe(chunkCount);
      expect(field.firstMissing()).toBe(-1);
    }
  });

  it.each([
    ['too few bytes', [0x80], 9],
    ['too many bytes', [0x80, 0, 0], 9],
    ['a spare bit that is set', [0xff, 0xff], 9],
  ])('refuses wire bytes with %s', (_what, bytes, chunkCount) => {
    expect(() => Bitfield.fromBytes(Uint8Array.from(bytes), chunkCount)).toThrow(
      expect.objectContaining({ code: 'protocol' }),
    );
  });

  it('refuses chunks outside the content', () => {
    expect(() => new Bitfield(8).add(8)).toThrow(/outside/);
    expect(() => new Bitfield(8).add(-1)).toThrow(/outside/);
  });
});
