import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TokenBucket } from './token-bucket.ts';

describe('TokenBucket', () => {
  it('holds the mean rate within three percent over ten seconds, whatever the rate and the size of a taking', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 200_000, max: 1_000_000_000 }),
        fc.integer({ min: 1_000, max: 65_536 }),
        (rate, piece) => {
          const bucket = new TokenBucket(rate, 0);
          let taken = 0;
          for (let nowMs = 0; nowMs < 10_000; nowMs++)
            while (taken < rate * 20 && bucket.take(piece, nowMs)) taken += piece;
          const burst = Math.max(65_536, rate * 0.05);
          expect(taken).toBeGreaterThan(rate * 10 * 0.97);
          expect(taken).toBeLessThan(rate * 10 * 1.005 + burst + piece);
        },
      ),
      { numRuns: 20 },
    );
  });

  it('says exactly when the next taking is allowed', () => {
    const bucket = new TokenBucket(1_000_000, 0);
    while (bucket.take(50_000, 0));
    const waitMs = bucket.waitMs(0);
    expect(bucket.take(1, waitMs - 1)).toBe(false);
    expect(bucket.take(1, waitMs + 0.01)).toBe(true);
  });

  it('never waits without a limit, and takes a new one at once', () => {
    const bucket = new TokenBucket(Number.POSITIVE_INFINITY, 0);
    for (let round = 0; round < 1_000; round++) expect(bucket.take(1e9, 0)).toBe(true);
    bucket.setRate(1_000, 0);
    expect(bucket.take(10_000, 10_000)).toBe(true);
    while (bucket.take(100_000, 10_000));
    expect(bucket.waitMs(10_000)).toBeGreaterThan(0);
    bucket.setRate(Number.POSITIVE_INFINITY, 10_000);
    expect(bucket.waitMs(10_000)).toBe(0);
  });
});
