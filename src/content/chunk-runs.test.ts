import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ShoalError } from '../errors.ts';
import { CHUNK_COUNT_MAX } from '../limits.ts';
import { Bitfield } from './bitfield.ts';
import { decodeRuns, encodeRuns } from './chunk-runs.ts';

const NO_LIMIT = Number.POSITIVE_INFINITY;

function mapOf(chunkCount: number, has: (index: number) => boolean): Bitfield {
  const map = new Bitfield(chunkCount);
  for (let index = 0; index < chunkCount; index++) if (has(index)) map.add(index);
  return map;
}

describe('runs of chunks', () => {
  test('are what was said, byte for byte', () => {
    expect(encodeRuns(new Bitfield(9), NO_LIMIT)).toEqual(new Uint8Array(0));
    expect(encodeRuns(Bitfield.full(300), NO_LIMIT)).toEqual(new Uint8Array([0, 0xac, 0x02]));
    expect(
      encodeRuns(
        mapOf(20, (index) => index > 3 && index !== 7 && index < 18),
        NO_LIMIT,
      ),
    ).toEqual(new Uint8Array([4, 3, 1, 10]));
  });

  test('give back every set, and no other bytes do', () => {
    const length = fc.oneof(fc.nat(3), fc.nat(300));
    fc.assert(
      fc.property(fc.array(length, { maxLength: 30 }), fc.nat(40), (lengths, more) => {
        const chunkCount = lengths.reduce((sum, one) => sum + one, 0) + more + 1;
        const ends = lengths.map((_, at) => lengths.slice(0, at + 1).reduce((sum, one) => sum + one, 0));
        const map = mapOf(chunkCount, (index) => ends.findIndex((end) => index < end) % 2 === 1);
        const bytes = encodeRuns(map, NO_LIMIT) as Uint8Array;
        expect(decodeRuns(bytes, chunkCount).toBytes()).toEqual(map.toBytes());
      }),
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 12 }), fc.integer({ min: 1, max: 2_000 }), (bytes, chunkCount) => {
        try {
          expect(encodeRuns(decodeRuns(bytes, chunkCount), NO_LIMIT)).toEqual(new Uint8Array(bytes));
        } catch (error) {
          if (!(error instanceof ShoalError)) throw error;
          expect(error.code).toBe('protocol');
        }
      }),
      { numRuns: 3_000 },
    );
  });

  test('are there for the largest content, and given up where they are long', () => {
    const half = mapOf(CHUNK_COUNT_MAX, (index) => index < CHUNK_COUNT_MAX / 2);
    expect(encodeRuns(half, 8)).toEqual(new Uint8Array([0, 0x80, 0x80, 0x20]));
    expect(decodeRuns(new Uint8Array([0, 0x80, 0x80, 0x40]), CHUNK_COUNT_MAX).isFull).toBe(true);
    const comb = mapOf(4_096, (index) => index % 2 === 1);
    expect(encodeRuns(comb, 64)).toBeUndefined();
    expect(encodeRuns(comb, 4_096)).toHaveLength(4_096);
  });

  test.each([
    ['cut short', [0, 0x80], 'without an end'],
    ['with a length of four bytes', [0, 0x80, 0x80, 0x80, 0x01], 'without an end'],
    ['with a length that could be shorter', [0, 0x81, 0x00], 'without an end'],
    ['with an empty run', [1, 1, 0, 1], 'an empty run'],
    ['of more chunks than there are', [1, 9], 'more than 9'],
    ['with a last run of missing ones', [1, 1, 1], 'missing'],
  ])('are refused %s', (_what, bytes, why) => {
    expect(() => decodeRuns(new Uint8Array(bytes), 9)).toThrow(why);
  });
});
