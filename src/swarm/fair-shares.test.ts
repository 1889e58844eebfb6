import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fairShares } from './fair-shares.ts';

describe('fairShares()', () => {
  it('divides by weight', () => {
    const claim = { most: Number.POSITIVE_INFINITY };
    expect(
      fairShares(90, [
        { ...claim, weight: 1 },
        { ...claim, weight: 2 },
      ]),
    ).toEqual({ shares: [30, 60], left: 0 });
  });

  it('gives the others what one cannot use, and says what nobody can', () => {
    expect(
      fairShares(90, [
        { weight: 1, most: 10 },
        { weight: 1, most: 35 },
        { weight: 1, most: 1_000 },
      ]),
    ).toEqual({ shares: [10, 35, 45], left: 0 });
    expect(fairShares(90, [{ weight: 1, most: 10 }])).toEqual({ shares: [10], left: 80 });
    expect(fairShares(90, [])).toEqual({ shares: [], left: 90 });
  });

  it('gives away no more than there is, to nobody more than it can use, and to nobody less than another of its weight that uses all', () => {
    const claims = fc.array(
      fc.record({ weight: fc.constantFrom(0.25, 0.5, 1), most: fc.oneof(fc.nat(100), fc.constant(Infinity)) }),
      { maxLength: 8 },
    );
    fc.assert(
      fc.property(fc.nat(500), claims, (total, all) => {
        const { shares, left } = fairShares(total, all);
        expect(shares.reduce((sum, share) => sum + share, left)).toBeCloseTo(total, 6);
        shares.forEach((share, at) => {
          const { most, weight } = all[at] as (typeof all)[number];
          expect(share).toBeLessThanOrEqual(most);
          if (share >= most) return;
          expect(left).toBeCloseTo(0, 6);
          shares.forEach((other, index) => {
            expect(other / (all[index]?.weight ?? 1)).toBeLessThanOrEqual(share / weight + 1e-6);
          });
        });
      }),
    );
  });
});
