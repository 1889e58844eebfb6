/** The end-game by expected completion time, rule by rule. */
import { describe, expect, it } from 'vitest';
import * as limits from '../limits.ts';
import { isWorthASecondSource } from './endgame.ts';
import type { LinkId, SwarmMessage } from './facts.ts';
import { ScriptedSwarm } from './fixtures.ts';

const KiB = 1024;
const CHUNK = 256 * KiB;
type Asked = Extract<SwarmMessage, { type: 'request' }>;

class Bench extends ScriptedSwarm {
  #grantId = 0;

  source(index: number): LinkId {
    return this.link(index, { map: { type: 'have-all' }, rttMs: 10 });
  }

  grant(link: LinkId, suggestions: readonly number[] = []): Asked | undefined {
    this.message(link, { type: 'grant', grantId: ++this.#grantId, etaMs: 0, suggestions });
    return this.takeSent('request').at(-1);
  }

  fragment(link: LinkId, { requestId, chunkIndex }: Asked, offset: number, byteCount: number): void {
    if (this.swarm.admitFragment(this.nowMs, link, { requestId, chunkIndex, offset, byteCount }) === 'take')
      this.tell({ type: 'fragment', link, requestId, byteCount });
  }

  /** Gives a chunk in so many milliseconds. */
  give(link: LinkId, request: Asked, tookMs: number): void {
    this.fragment(link, request, 0, 64 * KiB);
    this.passUntil(this.nowMs + tookMs);
    this.fragment(link, request, 64 * KiB, CHUNK - 64 * KiB);
    this.tell({ type: 'verified', link, requestId: request.requestId, ok: true });
    this.tell({ type: 'written', link, requestId: request.requestId, ok: true });
  }
}

/** All but the last chunk is there; that one crawls from `slow`, while `fast` has shown that it takes 50 ms for one. */
function crawling(chunkCount = 64) {
  const bench = new Bench({ chunkCount });
  const [fast, slow] = [bench.source(1), bench.source(2)] as [LinkId, LinkId];
  const last = bench.grant(slow, [chunkCount - 1]) as Asked;
  bench.fragment(slow, last, 0, 8 * KiB);
  for (;;) {
    const request = bench.grant(fast);
    if (request === undefined) break;
    bench.give(fast, request, 50);
  }
  return { bench, fast, slow, last };
}

describe('a second source is worth it', () => {
  it('when it is sooner by 100 ms and by a quarter of what remains', () => {
    expect(isWorthASecondSource(1_000, 749)).toBe(true);
    expect(isWorthASecondSource(1_000, 750)).toBe(false);
    expect(isWorthASecondSource(200, 99)).toBe(true);
    expect(isWorthASecondSource(200, 101)).toBe(false);
  });
});

describe('the end-game', () => {
  it('begins when nothing is left to request, and is looked at every ENDGAME_CHECK_MS', () => {
    const { bench, fast } = crawling();
    bench.take('send');
    // the fast one had nothing to take, and hears of our interest when its grant is wanted
    const sinceMs = bench.nowMs;
    bench.passUntil(sinceMs + limits.ENDGAME_CHECK_MS);
    expect(bench.takeSent('interest').map(({ link }) => link)).toEqual([fast]);
    expect(bench.grant(fast)?.chunkIndex).toBe(63);
  });

  it('does not begin while something is left to request', () => {
    const bench = new Bench({ chunkCount: 64 });
    const [fast, slow] = [bench.source(1), bench.source(2)] as [LinkId, LinkId];
    const crawls = bench.grant(slow, [63]) as Asked;
    bench.fragment(slow, crawls, 0, 8 * KiB);
    for (let turn = 0; turn < 20; turn++) {
      const request = bench.grant(fast) as Asked;
      expect(request.chunkIndex).not.toBe(63);
      bench.give(fast, request, 50);
    }
    expect(bench.takeSent('cancel')).toEqual([]);
  });

  it('lets the slow source go on until one of the two has given all, and then takes the other request back', () => {
    // to take it back at once would let two sources that give nothing hand a chunk to and fro, neither of them ever late
    const { bench, fast, slow, last } = crawling();
    bench.passUntil(bench.nowMs + limits.ENDGAME_CHECK_MS);
    const second = bench.grant(fast) as Asked;
    bench.fragment(slow, last, 8 * KiB, 64 * KiB);
    expect(bench.takeSent('cancel')).toEqual([]);
    bench.give(fast, second, 50);
    expect(bench.takeSent('cancel')).toMatchObject([{ link: slow, requestId: last.requestId }]);
    expect(bench.swarm.isComplete).toBe(true);
    expect(bench.swarm.wastedBytes).toBe(72 * KiB);
  });

  it('asks nobody who would not be sooner, and nobody at all for a chunk that is nearly there', () => {
    const { bench, fast, slow, last } = crawling();
    bench.fragment(slow, last, 8 * KiB, CHUNK - 9 * KiB);
    bench.passUntil(bench.nowMs + 2 * limits.ENDGAME_CHECK_MS);
    expect(bench.grant(fast)).toBeUndefined();
    expect(bench.takeSent('cancel')).toEqual([]);
  });

  it('asks a source once, for one chunk, and a chunk of at most two sources', () => {
    const { bench, fast, slow } = crawling();
    const third = bench.source(3);
    bench.passUntil(bench.nowMs + limits.ENDGAME_CHECK_MS);
    const askedOf = [fast, third, fast, third].filter((link) => bench.grant(link) !== undefined);
    expect(askedOf).toHaveLength(1);
    expect(askedOf).not.toContain(slow);
  });

  it('doubts who has given nothing yet: as a second source it comes after those that have, as a first one it gets company at once', () => {
    const bench = new Bench({ chunkCount: 16 });
    const [fresh, fast, mute] = [1, 2, 3].map((index) => bench.source(index)) as [LinkId, LinkId, LinkId];
    bench.grant(mute, [15]);
    for (let given = 0; given < 15; given++) bench.give(fast, bench.grant(fast) as Asked, 10);
    bench.passUntil(bench.nowMs + limits.ENDGAME_CHECK_MS);
    expect(bench.grant(fresh)).toBeUndefined();
    expect(bench.grant(fast)?.chunkIndex).toBe(15);
  });

  it('asks who has given nothing when nobody else is left, once it is worth the doubt', () => {
    const bench = new Bench({ chunkCount: 64 });
    const [fast, fresh] = [bench.source(1), bench.source(2)] as [LinkId, LinkId];
    for (let given = 0; given < 63; given++) bench.give(fast, bench.grant(fast) as Asked, 50);
    bench.fragment(fast, bench.grant(fast) as Asked, 0, 64 * KiB);
    bench.passUntil(bench.nowMs + limits.ENDGAME_CHECK_MS);
    expect(bench.grant(fresh)).toBeUndefined();
    bench.passUntil(bench.nowMs + limits.REQUEST_STALL_MIN_MS - 200);
    expect(bench.grant(fresh)?.chunkIndex).toBeDefined();
  });

  it('stops when more than ENDGAME_WASTE_CHUNKS_MAX chunks, or the same share of the content, were wasted', () => {
    const chunkCount = 16;
    const bench = new Bench({ chunkCount });
    const fast = bench.source(1);
    const slow = Array.from({ length: 8 }, (_, index) => bench.source(10 + index));
    // all but eight come at once; eight crawl when nearly three quarters are there
    const crawls = slow.map((link, index) => bench.grant(link, [index]) as Asked);
    crawls.forEach((request, at) => bench.fragment(slow[at] as LinkId, request, 0, 192 * KiB));
    for (let request = bench.grant(fast); request !== undefined; request = bench.grant(fast))
      bench.give(fast, request, 20);
    let seconds = 0;
    for (let turn = 0; turn < 60; turn++) {
      bench.passUntil(bench.nowMs + limits.ENDGAME_CHECK_MS);
      const request = bench.grant(fast);
      if (request === undefined) continue;
      seconds++;
      bench.give(fast, request, 20);
    }
    expect(seconds).toBeGreaterThan(0);
    // each second source may cost a chunk at most, and has cost three quarters of one
    expect(bench.swarm.wastedBytes).toBe(seconds * 192 * KiB);
    expect(seconds * 192 * KiB).toBeLessThanOrEqual(limits.ENDGAME_WASTE_CHUNKS_MAX * CHUNK);
    expect((seconds + 1) * 192 * KiB).toBeGreaterThan((limits.ENDGAME_WASTE_CHUNKS_MAX - 1) * CHUNK);
  });
});
