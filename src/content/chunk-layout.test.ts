import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chunkBytes, chunkOffset, createChunkLayout, defaultChunkSize, isPowerOfTwo } from './chunk-layout.ts';

const KiB = 1024;
const MiB = 1024 * KiB;
const GiB = 1024 * MiB;

describe('defaultChunkSize()', () => {
  it.each([
    [0, 64 * KiB],
    [1, 64 * KiB],
    [64 * MiB, 64 * KiB],
    [64 * MiB + 1, 128 * KiB],
    [128 * MiB, 128 * KiB],
    [256 * MiB, 256 * KiB],
    [1 * GiB, 1 * MiB],
    [4 * GiB, 4 * MiB],
    [5 * GiB, 4 * MiB],
    [256 * GiB, 4 * MiB],
    [256 * GiB + 1, 8 * MiB],
    [2048 * GiB, 32 * MiB],
  ])('chooses for %d bytes chunks of %d', (size, chunkSize) => {
    expect(defaultChunkSize(size)).toBe(chunkSize);
  });

  it('makes at most 65,536 chunks of a power-of-two size up to 4 TiB', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 4096 * GiB }), (size) => {
        const layout = createChunkLayout(size);
        expect(isPowerOfTwo(layout.chunkSize)).toBe(true);
        expect(layout.chunkCount).toBeLessThanOrEqual(65_536);
      }),
    );
  });
});

describe('createChunkLayout()', () => {
  it('covers every byte once, whatever the size', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 3 * MiB }), fc.integer({ min: 14, max: 20 }), (size, power) => {
        const layout = createChunkLayout(size, 2 ** power);
        let next = 0;
        for (let chunkIndex = 0; chunkIndex < layout.chunkCount; chunkIndex++) {
          expect(chunkOffset(layout, chunkIndex)).toBe(next);
          expect(chunkBytes(layout, chunkIndex)).toBeGreaterThan(0);
          next += chunkBytes(layout, chunkIndex);
        }
        expect(next).toBe(size);
      }),
    );
  });

  it.each([
    ['a negative size', -1, 64 * KiB],
    ['a fraction of a byte', 1.5, 64 * KiB],
    ['a chunk size that is no power of two', 100, 100_000],
    ['a chunk size just under the limit', 100, 8 * KiB],
    ['a chunk size just over the limit', 100, 128 * MiB],
    ['more chunks than are allowed', 2 ** 20 * 16 * KiB + 1, 16 * KiB],
  ])('refuses %s', (_what, size, chunkSize) => {
    expect(() => createChunkLayout(size, chunkSize)).toThrow(expect.objectContaining({ code: 'usage' }));
  });

  it('allows exactly as many chunks as the limit says', () => {
    expect(createChunkLayout(2 ** 20 * 16 * KiB, 16 * KiB).chunkCount).toBe(2 ** 20);
  });
});
