import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createRandom } from './random.ts';
import { TokenBucket } from './token-bucket.ts';

interface Sent {
  readonly atMs: number;
  readonly byteCount: number;
}

/** A sender with always something to send, whose loop wakes when the bucket says, late by what `lateMs` says. */
function pump(bucket: TokenBucket, untilMs: number, lateMs: (nowMs: number) => number, fromMs = 0): Sent[] {
  const sent: Sent[] = [];
  let nowMs = fromMs;
  while (nowMs < untilMs) {
    for (let byteCount = bucket.pieceBytes; bucket.take(byteCount, nowMs); byteCount = bucket.pieceBytes)
      sent.push({ atMs: nowMs, byteCount });
    nowMs += Math.max(1, Math.ceil(bucket.waitMs(nowMs))) + lateMs(nowMs);
  }
  return sent;
}

const total = (sent: readonly Sent[]): number => sent.reduce((sum, { byteCount }) => sum + byteCount, 0);

/** The most bytes in any span of this length. */
function mostWithin(sent: readonly Sent[], spanMs: number): number {
  let most = 0;
  let sum = 0;
  let first = 0;
  for (const { atMs, byteCount } of sent) {
    sum += byteCount;
    while ((sent[first]?.atMs ?? 0) <= atMs - spanMs) sum -= sent[first++]?.byteCount ?? 0;
    most = Math.max(most, sum);
  }
  return most;
}

describe('TokenBucket', () => {
  it('holds the rate within three percent over any ten seconds, from 100 kB/s to 10 GB/s, and never bursts', () => {
    fc.assert(
      fc.property(fc.double({ min: 5, max: 10, noNaN: true }), (magnitude) => {
        const rate = Math.round(10 ** magnitude);
        const bucket = new TokenBucket(rate, 0);
        // ten seconds of the steady state: the first moment may use what was saved up
        const seconds = rate > 1e8 ? 2 : 10;
        pump(bucket, 1_000, () => 0);
        const sent = pump(bucket, 1_000 + seconds * 1_000, () => 0, 1_000);
        expect(total(sent) / (rate * seconds)).toBeGreaterThan(0.97);
        expect(total(sent) / (rate * seconds)).toBeLessThan(1.03);
        // a window of 100 ms has its share and at most the burst of 50 ms more
        expect(mostWithin(sent, 100)).toBeLessThanOrEqual(rate * 0.151 + 2 * bucket.pieceBytes);
      }),
      { numRuns: 25 },
    );
  });

  it('makes up for an event loop that is held up, without a burst', () => {
    const rate = 10_000_000;
    const bucket = new TokenBucket(rate, 0);
    const random = createRandom(3);
    // every now and then the loop stands still for up to 200 ms: four times what the bucket holds
    const sent = pump(bucket, 10_000, () => (random.next() < 0.02 ? random.below(200) : 0));
    expect(total(sent) / (rate * 10)).toBeGreaterThan(0.97);
    expect(total(sent) / (rate * 10)).toBeLessThan(1.03);
    expect(mostWithin(sent, 100)).toBeLessThanOrEqual(rate * 0.1 * 1.21 + rate * 0.05 + 2 * bucket.pieceBytes);
  });

  it('owes nothing for time in which nobody wanted anything', () => {
    const rate = 1_000_000;
    const bucket = new TokenBucket(rate, 0);
    pump(bucket, 1_000, () => 0);
    // the last taking is granted: nobody waits any more
    bucket.take(1, 1_000 + bucket.waitMs(1_000) + 1);
    const sent = pump(bucket, 21_000, () => 0, 20_000);
    expect(total(sent)).toBeLessThanOrEqual(rate * 1.06 + 2 * bucket.pieceBytes);
  });

  it('takes small pieces of a low rate and whole fragments of a high one', () => {
    expect(new TokenBucket(100_000, 0).pieceBytes).toBe(2_048);
    expect(new TokenBucket(1_000_000, 0).pieceBytes).toBe(20_000);
    expect(new TokenBucket(100_000_000, 0).pieceBytes).toBe(65_536);
    expect(new TokenBucket(Number.POSITIVE_INFINITY, 0).pieceBytes).toBe(65_536);
  });

  it('says exactly when the next taking is allowed', () => {
    const bucket = new TokenBucket(1_000_000, 0);
    while (bucket.take(50_000, 0));
    const waitMs = bucket.waitMs(0);
    expect(bucket.take(1, waitMs - 1)).toBe(false);
    expect(bucket.isWaitedFor).toBe(true);
    expect(bucket.take(1, waitMs + 0.01)).toBe(true);
    expect(bucket.isWaitedFor).toBe(false);
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
