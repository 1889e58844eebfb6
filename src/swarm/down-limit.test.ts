import { describe, expect, it } from 'vitest';
import { PACE_REVIEW_MS } from '../limits.ts';
import { DownLimit, type LimitedSource } from './down-limit.ts';

const KiB = 1024;
const CHUNK = 64 * KiB;
const STEP_MS = 10;

interface Scripted {
  readonly source: LimitedSource;
  /** What it could send a second. */
  capacity: number;
  /** It is as good as its word. */
  readonly obeys: boolean;
  receivedBytes: number;
}

/** Sources that send as fast as they can and are asked to. */
class Bench {
  readonly limit: DownLimit;
  readonly all: Scripted[] = [];
  nowMs = 0;

  constructor(bytesPerSecond: number) {
    this.limit = new DownLimit(bytesPerSecond, 0);
  }

  source(more: { capacity?: number; group?: object; paces?: boolean; obeys?: boolean } = {}): Scripted {
    const { capacity = 1e9, group = this, paces = true, obeys = true } = more;
    const one = { source: this.limit.add(group, paces), capacity, obeys, receivedBytes: 0 };
    this.all.push(one);
    return one;
  }

  start(...sources: readonly Scripted[]): void {
    for (const { source } of sources) this.limit.asked(source, CHUNK, this.nowMs);
  }

  stop({ source }: Scripted): void {
    this.limit.setActive(source, false, this.nowMs);
  }

  mayAsk({ source }: Scripted): boolean {
    return this.limit.mayAsk(source, 0, 200, CHUNK, this.nowMs);
  }

  /** Bytes that came in this time. */
  pass(ms: number): number {
    const before = this.receivedBytes;
    for (const untilMs = this.nowMs + ms; this.nowMs < untilMs;) {
      this.nowMs += STEP_MS;
      for (const one of this.all) {
        if (!one.source.isActive) continue;
        const rate = Math.min(one.capacity, one.obeys ? one.source.paceBytesPerSecond : Number.POSITIVE_INFINITY);
        const byteCount = (rate * STEP_MS) / 1000;
        one.receivedBytes += byteCount;
        this.limit.received(one.source, byteCount, this.nowMs);
      }
      if (this.nowMs % PACE_REVIEW_MS === 0) this.limit.divide(this.nowMs);
    }
    return this.receivedBytes - before;
  }

  get receivedBytes(): number {
    return this.all.reduce((sum, one) => sum + one.receivedBytes, 0);
  }

  get paces(): number[] {
    return this.all.map(({ source }) => source.paceBytesPerSecond);
  }
}

/** Within three percent of what the limit allows in this time. */
function expectExact(bytes: number, bytesPerSecond: number, ms: number): void {
  expect(bytes / ((bytesPerSecond * ms) / 1000)).toBeGreaterThan(0.97);
  expect(bytes / ((bytesPerSecond * ms) / 1000)).toBeLessThan(1.03);
}

describe('DownLimit', () => {
  it('asks a single source for all of the limit, and nobody for anything without one', () => {
    const bench = new Bench(100_000);
    bench.start(bench.source());
    expect(bench.paces).toEqual([100_000]);
    bench.limit.setRate(Number.POSITIVE_INFINITY, 0);
    expect(bench.paces).toEqual([Number.POSITIVE_INFINITY]);
    expect(bench.limit.isHolding(0)).toBe(false);
  });

  it('divides anew when a source begins and when one ends', () => {
    const bench = new Bench(300_000);
    const [a, b, c] = [bench.source(), bench.source(), bench.source()];
    bench.start(a, b, c);
    expect(bench.paces).toEqual([100_000, 100_000, 100_000]);
    bench.stop(b);
    expect(a.source.paceBytesPerSecond).toBe(150_000);
    bench.limit.remove(c.source, bench.nowMs);
    expect(a.source.paceBytesPerSecond).toBe(300_000);
  });

  it('gives what a slow source cannot use to the others, and gives it back when it can', () => {
    const bench = new Bench(3_000_000);
    const slow = bench.source({ capacity: 100_000 });
    const fast = [bench.source(), bench.source()];
    bench.start(slow, ...fast);
    bench.pass(3_000);
    expectExact(bench.pass(10_000), 3_000_000, 10_000);
    expect(slow.source.paceBytesPerSecond).toBeLessThan(150_000);
    slow.capacity = 1e9;
    bench.pass(15_000);
    expect(slow.source.paceBytesPerSecond).toBeGreaterThan(900_000);
    expectExact(bench.pass(10_000), 3_000_000, 10_000);
  });

  it('gives each of several downloads the same, whatever the number of its sources', () => {
    const bench = new Bench(1_000_000);
    const [one, other] = [{}, {}];
    const sources = [bench.source({ group: one }), ...Array.from({ length: 4 }, () => bench.source({ group: other }))];
    bench.start(...sources);
    expect(bench.paces).toEqual([500_000, 125_000, 125_000, 125_000, 125_000]);
  });

  it('makes up for what came beyond the limit, so that ten seconds are exact', () => {
    const bench = new Bench(1_000_000);
    const one = bench.source();
    bench.start(one);
    // what was under way when the limit was set
    bench.limit.received(one.source, 600_000, bench.nowMs);
    expectExact(600_000 + bench.pass(10_000), 1_000_000, 10_000);
    // never by more than a fifth of the limit at a time
    expect(Math.min(...bench.paces)).toBeGreaterThan(800_000);
  });

  it('saves nothing up while sources cannot fill it', () => {
    const bench = new Bench(1_000_000);
    const one = bench.source({ capacity: 10_000 });
    bench.start(one);
    bench.pass(60_000);
    one.capacity = 1e9;
    bench.pass(1_500);
    expectExact(bench.pass(10_000), 1_000_000, 10_000);
  });

  it('is a new limit at once', () => {
    const bench = new Bench(10_000_000);
    bench.start(bench.source(), bench.source());
    bench.pass(5_000);
    bench.limit.setRate(200_000, bench.nowMs);
    expect(bench.paces).toEqual([100_000, 100_000]);
    expectExact(bench.pass(10_000), 200_000, 10_000);
  });

  it('asks few sources when a chunk of each would take long, and more when those cannot fill it', () => {
    const bench = new Bench(200_000);
    const sources = [1, 2, 3, 4, 5].map(() => bench.source({ capacity: 60_000 }));
    const started: number[] = [];
    sources.forEach((one, at) => {
      if (!bench.mayAsk(one)) return;
      bench.start(one);
      started.push(at);
    });
    expect(started).toEqual([0, 1, 2]);
    bench.pass(5_000);
    // three give 180 kB/s: a fourth is let in, and is enough
    expect(bench.mayAsk(sources[3] as Scripted)).toBe(true);
    bench.start(sources[3] as Scripted);
    expect(bench.mayAsk(sources[4] as Scripted)).toBe(false);
    bench.pass(5_000);
    expectExact(bench.pass(10_000), 200_000, 10_000);
    expect(bench.mayAsk(sources[4] as Scripted)).toBe(false);
  });

  it('asks a source for its next chunk when the last is nearly there', () => {
    const bench = new Bench(100_000);
    const one = bench.source();
    bench.start(one);
    expect(bench.limit.mayAsk(one.source, CHUNK, 200, CHUNK, 0)).toBe(false);
    expect(bench.limit.mayAsk(one.source, 20_000, 200, CHUNK, 0)).toBe(true);
  });

  it('no longer trusts a source that says that it keeps to a pace and does not', () => {
    const bench = new Bench(100_000);
    const [liar, honest] = [bench.source({ capacity: 400_000, obeys: false }), bench.source()];
    bench.start(liar, honest);
    bench.pass(8_000);
    expect(liar.source.paces).toBe(false);
    expect(honest.source.paces).toBe(true);
    // it gets no chunk before those it has sent are paid for
    bench.limit.asked(liar.source, 10 * CHUNK, bench.nowMs);
    expect(bench.mayAsk(liar)).toBe(false);
  });

  it('lets sources that keep to no pace have chunks at the rate of the limit', () => {
    const bench = new Bench(100_000);
    const old = bench.source({ paces: false });
    let chunks = 0;
    for (; bench.nowMs < 20_000; bench.nowMs += STEP_MS) {
      if (!bench.mayAsk(old)) continue;
      bench.limit.asked(old.source, CHUNK, bench.nowMs);
      chunks++;
    }
    expect(chunks * CHUNK).toBeGreaterThan(20 * 100_000 * 0.97);
    expect(chunks * CHUNK).toBeLessThan(20 * 100_000 + CHUNK);
    expect(bench.limit.isHolding(bench.nowMs)).toBe(true);
  });

  it('says that it holds things up when it does', () => {
    const bench = new Bench(100_000);
    const one = bench.source({ capacity: 20_000 });
    bench.start(one);
    bench.pass(3_000);
    expect(bench.limit.isHolding(bench.nowMs)).toBe(false);
    one.capacity = 1e9;
    bench.pass(3_000);
    expect(bench.limit.isHolding(bench.nowMs)).toBe(true);
  });
});
