/** What a download does when something goes wrong, rule by rule: each test is named after what happens and what follows from it. */
import { describe, expect, it } from 'vitest';
import { Bitfield } from '../content/bitfield.ts';
import * as limits from '../limits.ts';
import type { LinkId, SwarmMessage } from './facts.ts';
import { keyOf, ScriptedSwarm } from './fixtures.ts';

const KiB = 1024;
const CHUNK = 256 * KiB;
const MINUTE_MS = 60_000;

type Sent<T extends SwarmMessage['type']> = Extract<SwarmMessage, { type: T }>;

/** A download whose sources are scripts. */
class Bench extends ScriptedSwarm {
  #grantId = 0;

  /** A source with these chunks; default all. */
  source(index: number, chunks?: readonly number[], options: { outbound?: boolean } = {}): LinkId {
    if (chunks === undefined) return this.link(index, { ...options, map: { type: 'have-all' }, rttMs: 10 });
    const have = new Bitfield(this.swarm.have.chunkCount);
    for (const chunk of chunks) have.add(chunk);
    const map = { type: 'bitfield', chunkCount: have.chunkCount, bytes: have.toBytes() } as const;
    return this.link(index, { ...options, map, rttMs: 10 });
  }

  /** Grants; answers the request it was used for, or the decline. */
  grant(link: LinkId, etaMs = 0, suggestions: readonly number[] = []): Sent<'request'> | Sent<'decline'> {
    this.#grantId++;
    this.message(link, { type: 'grant', grantId: this.#grantId, etaMs, suggestions });
    const [declined] = this.takeSent('decline');
    return declined ?? (this.takeSent('request').at(-1) as Sent<'request'>);
  }

  ask(link: LinkId, etaMs = 0, suggestions: readonly number[] = []): Sent<'request'> {
    const answer = this.grant(link, etaMs, suggestions);
    if (answer.type !== 'request') throw new Error(`declined: ${answer.reason}`);
    return answer;
  }

  fragment(
    link: LinkId,
    { requestId, chunkIndex }: Sent<'request'>,
    offset: number,
    byteCount: number,
  ): 'take' | 'skip' {
    const verdict = this.swarm.admitFragment(this.nowMs, link, { requestId, chunkIndex, offset, byteCount });
    if (verdict === 'take') this.tell({ type: 'fragment', link, requestId, byteCount });
    return verdict;
  }

  /** All of a chunk comes, and is right. */
  finish(link: LinkId, request: Sent<'request'>): void {
    this.fragment(link, request, 0, CHUNK);
    this.tell({ type: 'verified', link, requestId: request.requestId, ok: true });
    this.tell({ type: 'written', link, requestId: request.requestId, ok: true });
  }

  isSnubbed(link: LinkId): boolean {
    return this.swarm.neighbours().find((one) => one.link === link)?.snubbed ?? false;
  }

  isLinked(link: LinkId): boolean {
    return this.swarm.neighbours().some((one) => one.link === link);
  }

  /** What it was cancelled for, of the requests of a link. */
  cancelled(link: LinkId): number[] {
    return this.takeSent('cancel').flatMap((one) => (one.link === link ? [one.requestId] : []));
  }
}

describe('accepting a grant', () => {
  it('is limited to IN_FLIGHT_BYTES_MAX, whatever the number of sources', () => {
    const bench = new Bench({ chunkCount: 128, chunkSize: 4 * 1024 * KiB });
    const links = Array.from({ length: 20 }, (_, index) => bench.source(index));
    let taken = 0;
    for (const link of links) for (let turn = 0; turn < 4; turn++) if (bench.grant(link).type === 'request') taken++;
    expect(taken).toBe(limits.IN_FLIGHT_BYTES_MAX / (4 * 1024 * KiB));
  });

  it('goes up to what the measured rate and path need, and at least to two chunks of each source', () => {
    const bench = new Bench({ chunkCount: 256 });
    const link = bench.source(1);
    // a megabyte a second on a path of 10 ms: four chunks are more than that needs
    for (let turn = 0; turn < 8; turn++) {
      const request = bench.ask(link);
      bench.nowMs += 256;
      bench.finish(link, request);
    }
    bench.take('send');
    const answers = Array.from({ length: 6 }, () => bench.grant(link));
    expect(answers.map(({ type }) => type)).toEqual(['request', 'request', 'request', 'request', 'decline', 'decline']);
    expect(answers.at(-1)).toMatchObject({ reason: 'busy' });
  });

  it('declined as busy is made up for: one of those told to wait hears of interest with every chunk that completes, in turn', () => {
    const bench = new Bench({ chunkCount: 64, chunkSize: 16 * 1024 * KiB });
    const [a, b, c] = [bench.source(1), bench.source(2), bench.source(3)] as [LinkId, LinkId, LinkId];
    const requests = Array.from({ length: 4 }, () => bench.ask(a));
    for (const link of [b, c]) expect(bench.grant(link)).toMatchObject({ type: 'decline', reason: 'busy' });
    const woken: LinkId[] = [];
    for (const request of requests.slice(0, 2)) {
      bench.fragment(a, request, 0, 16 * 1024 * KiB);
      bench.tell({ type: 'verified', link: a, requestId: request.requestId, ok: true });
      bench.tell({ type: 'written', link: a, requestId: request.requestId, ok: true });
      woken.push(...bench.takeSent('interest').map(({ link }) => link));
    }
    expect(woken).toEqual([b, c]);
  });

  it('stops while too much waits for its digest or the disk', () => {
    const bench = new Bench({ chunkCount: 256 });
    const link = bench.source(1);
    for (let turn = 0; turn * CHUNK <= limits.CHECKING_BYTES_MAX; turn++)
      bench.fragment(link, bench.ask(link), 0, CHUNK);
    expect(bench.grant(link)).toMatchObject({ type: 'decline', reason: 'busy' });
  });
});

describe('a first byte that is late', () => {
  it.each([
    ['at once, after the least', 0, limits.REQUEST_FIRST_BYTE_MIN_MS + 40],
    ['in five seconds, after those, four round trips and two seconds', 5_000, 7_040],
    ['in a minute, after the most', 60_000, limits.REQUEST_FIRST_BYTE_MAX_MS],
  ])('of a grant that said %s: cancelled, missing again, its source snubbed', (_what, etaMs, patienceMs) => {
    const bench = new Bench();
    const [slow, other] = [bench.source(1), bench.source(2)] as [LinkId, LinkId];
    const request = bench.ask(slow, etaMs);
    bench.passUntil(patienceMs - 1);
    expect(bench.cancelled(slow)).toEqual([]);
    bench.passUntil(patienceMs + limits.OVERDUE_CHECK_MS);
    expect(bench.cancelled(slow)).toEqual([request.requestId]);
    expect(bench.isSnubbed(slow)).toBe(true);
    expect(bench.ask(other, 0, [request.chunkIndex]).chunkIndex).toBe(request.chunkIndex);
  });
});

describe('a stall within a chunk', () => {
  it('of a fast source counts after two seconds and the time of four fragments', () => {
    const bench = new Bench();
    const link = bench.source(1);
    bench.source(2);
    const first = bench.ask(link);
    bench.fragment(link, first, 0, CHUNK / 2);
    bench.nowMs += 128;
    bench.fragment(link, first, CHUNK / 2, CHUNK / 2);
    bench.tell({ type: 'verified', link, requestId: first.requestId, ok: true });
    bench.tell({ type: 'written', link, requestId: first.requestId, ok: true });
    // 2 MiB a second: four fragments take 125 ms
    const request = bench.ask(link);
    bench.fragment(link, request, 0, 64 * KiB);
    const stallsAtMs = bench.nowMs + 2_125;
    bench.passUntil(stallsAtMs - 1);
    expect(bench.isSnubbed(link)).toBe(false);
    bench.passUntil(stallsAtMs + limits.OVERDUE_CHECK_MS);
    expect(bench.cancelled(link)).toEqual([request.requestId]);
    expect(bench.isSnubbed(link)).toBe(true);
  });

  it('of a source whose rate is not known counts after the most', () => {
    const bench = new Bench();
    const link = bench.source(1);
    bench.source(2);
    const request = bench.ask(link);
    bench.fragment(link, request, 0, 64 * KiB);
    bench.passUntil(limits.REQUEST_STALL_MAX_MS - 1);
    expect(bench.isSnubbed(link)).toBe(false);
    bench.passUntil(limits.REQUEST_STALL_MAX_MS + limits.OVERDUE_CHECK_MS);
    expect(bench.cancelled(link)).toEqual([request.requestId]);
  });

  it('does not count while bytes come, however slowly', () => {
    const bench = new Bench();
    const link = bench.source(1);
    const request = bench.ask(link);
    for (let at = 0; at < 10; at++) {
      bench.fragment(link, request, at * 1_000, 1_000);
      bench.passUntil(bench.nowMs + 9_000);
    }
    expect(bench.cancelled(link)).toEqual([]);
  });

  it('leaves the late bytes of the cancelled request to be thrown away, and they are no offence', () => {
    const bench = new Bench();
    const link = bench.source(1);
    bench.source(2);
    const request = bench.ask(link);
    bench.passUntil(60_000);
    expect(bench.fragment(link, request, 0, 64 * KiB)).toBe('skip');
    expect(bench.swarm.have.count).toBe(0);
    expect(bench.isLinked(link)).toBe(true);
  });
});

describe('a source that alone has a chunk', () => {
  it('is waited for, however late it is, until somebody else has it', () => {
    const bench = new Bench({ chunkCount: 2 });
    const link = bench.source(1);
    bench.source(2, [1]);
    bench.ask(link, 0, [0]);
    bench.passUntil(limits.SOLE_SOURCE_PATIENCE_MS - 1_000);
    expect(bench.cancelled(link)).toEqual([]);
    expect(bench.isSnubbed(link)).toBe(false);
    bench.source(3);
    bench.passUntil(bench.nowMs + limits.OVERDUE_CHECK_MS);
    expect(bench.cancelled(link)).toHaveLength(1);
    expect(bench.isSnubbed(link)).toBe(true);
  });

  it('is waited for anew with every byte, and given up when none has come for SOLE_SOURCE_PATIENCE_MS', () => {
    const bench = new Bench({ chunkCount: 1 });
    const link = bench.source(1);
    const request = bench.ask(link);
    bench.passUntil(limits.SOLE_SOURCE_PATIENCE_MS - 1_000);
    expect(bench.fragment(link, request, 0, 64 * KiB)).toBe('take');
    const sinceMs = bench.nowMs;
    bench.passUntil(sinceMs + limits.SOLE_SOURCE_PATIENCE_MS - 1_000);
    expect(bench.cancelled(link)).toEqual([]);
    bench.passUntil(sinceMs + limits.SOLE_SOURCE_PATIENCE_MS + limits.OVERDUE_CHECK_MS);
    expect(bench.cancelled(link)).toHaveLength(1);
  });
});

describe('a snubbed source', () => {
  /** Four that are well, and one that has just been snubbed. */
  function withSnubbed(chunks: readonly number[]) {
    const bench = new Bench({ chunkCount: 64 });
    const snubbed = bench.source(9, chunks);
    const well = [1, 2, 3, 4].map((index) =>
      bench.source(
        index,
        Array.from({ length: 60 }, (_, at) => at),
      ),
    );
    const { requestId } = bench.ask(snubbed, 0, [chunks[0] as number]);
    bench.passUntil(2_040 + limits.OVERDUE_CHECK_MS);
    // it is late, but it answers: one that has not ended a cancelled request is asked for nothing
    expect(bench.grant(snubbed, 0, [63]).type).toBe('decline');
    bench.message(snubbed, { type: 'reject', requestId, reason: 'cancelled', retryMs: 0 });
    expect(bench.isSnubbed(snubbed)).toBe(true);
    bench.take('send');
    return { bench, snubbed, well };
  }

  it('is refused what others have', () => {
    const { bench, snubbed } = withSnubbed([0, 1, 2]);
    expect(bench.grant(snubbed)).toMatchObject({ type: 'decline', reason: 'busy' });
  });

  it('is asked for what nobody else has', () => {
    const { bench, snubbed } = withSnubbed([0, 1, 62]);
    expect(bench.grant(snubbed, 0, [1])).toMatchObject({ type: 'request', chunkIndex: 62 });
  });

  it('is tried with one chunk again after SNUB_RETRY_UNPROVEN_MS, having given nothing', () => {
    const { bench, snubbed } = withSnubbed([0, 1, 2]);
    bench.nowMs += limits.SNUB_RETRY_UNPROVEN_MS;
    expect(bench.grant(snubbed).type).toBe('request');
    expect(bench.grant(snubbed)).toMatchObject({ type: 'decline', reason: 'busy' });
  });

  it('is all there is when nobody else has anything, and is then asked at once', () => {
    const { bench, snubbed, well } = withSnubbed([0, 1, 2]);
    for (const link of well) bench.tell({ type: 'unlinked', link, misbehaved: false });
    expect(bench.grant(snubbed).type).toBe('request');
  });

  it('is cleared by one complete chunk', () => {
    const { bench, snubbed } = withSnubbed([0, 62]);
    bench.finish(snubbed, bench.ask(snubbed));
    expect(bench.isSnubbed(snubbed)).toBe(false);
  });

  it('is closed at the third time within ten minutes, and each time is waited for longer', () => {
    const { bench, snubbed } = withSnubbed([0, 1, 2]);
    const waited: number[] = [];
    while (bench.isLinked(snubbed)) {
      bench.nowMs += limits.SNUB_RETRY_UNPROVEN_MS;
      const { requestId } = bench.ask(snubbed);
      const sinceMs = bench.nowMs;
      while (bench.isLinked(snubbed) && bench.cancelled(snubbed).length === 0) bench.passUntil(bench.nowMs + 250);
      bench.message(snubbed, { type: 'reject', requestId, reason: 'cancelled', retryMs: 0 });
      waited.push(bench.nowMs - sinceMs);
    }
    expect(waited).toHaveLength(limits.SNUBS_MAX - 1);
    expect(waited[0]).toBeGreaterThanOrEqual(4 * 2_040);
    expect(waited[1]).toBeGreaterThanOrEqual(16 * 2_040);
    expect(bench.take('close')).toMatchObject([{ link: snubbed, reason: 'timeout' }]);
    expect(bench.take('banned')).toEqual([]);
  });
});

describe('a chunk with the wrong digest', () => {
  function lie(bench: Bench, index: number, outbound = true): LinkId {
    const link = bench.source(index, undefined, { outbound });
    const request = bench.ask(link);
    bench.fragment(link, request, 0, CHUNK);
    bench.tell({ type: 'verified', link, requestId: request.requestId, ok: false });
    return link;
  }

  it('is discarded, its source closed and banned for a minute, and the chunk fetched elsewhere', () => {
    const bench = new Bench({ chunkCount: 1 });
    const liar = lie(bench, 1);
    expect(bench.take('discard')).toHaveLength(1);
    expect(bench.take('write')).toEqual([]);
    expect(bench.take('close')).toMatchObject([{ link: liar, reason: 'integrity' }]);
    expect(bench.take('banned')).toMatchObject([{ key: keyOf(1), untilMs: limits.BAN_INTEGRITY_MS }]);
    expect(bench.swarm.wastedBytes).toBe(CHUNK);
    const honest = bench.source(2);
    bench.finish(honest, bench.ask(honest));
    expect(bench.swarm.isComplete).toBe(true);
  });

  it('keeps its source out by id and by the address we dialled; both come back when the ban is over', () => {
    const bench = new Bench();
    lie(bench, 1);
    bench.take('close');
    const again = bench.source(1);
    expect(bench.isLinked(again)).toBe(false);
    expect(bench.take('close')).toMatchObject([{ link: again, reason: 'full' }]);
    const candidate = (key: string, address: string) =>
      ({ key, addresses: [address], dialect: 'native', complete: true }) as const;
    bench.tell({ type: 'candidates', listed: true, candidates: [candidate(keyOf(77), '198.51.100.1:9001')] });
    expect(bench.take('dial')).toEqual([]);
    bench.passUntil(limits.BAN_INTEGRITY_MS + limits.NEED_PEERS_INTERVAL_MS);
    expect(bench.take('dial')).toHaveLength(1);
    expect(bench.isLinked(bench.source(1))).toBe(true);
  });

  it('a second time within the hour means a day', () => {
    const bench = new Bench();
    lie(bench, 1);
    bench.take('banned');
    bench.nowMs = 30 * MINUTE_MS;
    lie(bench, 1);
    expect(bench.take('banned')).toMatchObject([{ untilMs: 30 * MINUTE_MS + limits.BAN_INTEGRITY_AGAIN_MS }]);
  });

  it('is not held against the address that an accepted peer merely claims', () => {
    const bench = new Bench();
    lie(bench, 1, false);
    bench.tell({
      type: 'candidates',
      listed: true,
      candidates: [{ key: keyOf(5), addresses: ['198.51.100.1:9001'], dialect: 'native', complete: true }],
    });
    expect(bench.take('dial')).toHaveLength(1);
  });
});

describe('a broken protocol', () => {
  it('closes and bans for ten minutes, and the third time for a day', () => {
    const bench = new Bench();
    const bans = [0, 20, 40].map((minutes) => {
      bench.nowMs = minutes * MINUTE_MS;
      const link = bench.source(1);
      bench.message(link, { type: 'request', grantId: 7, requestId: 1, chunkIndex: 0 });
      expect(bench.isLinked(link)).toBe(false);
      expect(bench.take('close')).toMatchObject([{ reason: 'protocol-error' }]);
      return (bench.take('banned')[0]?.untilMs ?? 0) - bench.nowMs;
    });
    expect(bans).toEqual([limits.BAN_PROTOCOL_MS, limits.BAN_PROTOCOL_MS, limits.BAN_PROTOCOL_AGAIN_MS]);
  });

  it('that the connection found out counts the same', () => {
    const bench = new Bench();
    bench.tell({ type: 'unlinked', link: bench.source(1), misbehaved: true });
    expect(bench.take('banned')).toMatchObject([{ untilMs: limits.BAN_PROTOCOL_MS }]);
  });
});

describe('a failed dial', () => {
  const candidate = { key: keyOf(1), addresses: ['198.51.100.1:9001'], dialect: 'native', complete: true } as const;

  it('is repeated after a second, doubled each time up to a minute, with jitter of half, and given up after eight', () => {
    const bench = new Bench();
    bench.link(2);
    bench.tell({ type: 'candidates', candidates: [candidate], listed: true });
    const waits: number[] = [];
    expect(bench.take('dial')).toHaveLength(1);
    for (;;) {
      const failedAtMs = bench.nowMs;
      bench.tell({ type: 'dial-failed', key: candidate.key });
      const giveUpAtMs = bench.nowMs + 3 * limits.DIAL_BACKOFF_MAX_MS;
      while (bench.nowMs < giveUpAtMs && bench.take('dial').length === 0) bench.passUntil(bench.nowMs + 50);
      if (bench.nowMs >= giveUpAtMs) break;
      waits.push(bench.nowMs - failedAtMs);
    }
    expect(waits).toHaveLength(limits.DIAL_FAILURES_MAX - 1);
    waits.forEach((waitMs, failures) => {
      const base = Math.min(limits.DIAL_BACKOFF_MAX_MS, limits.DIAL_BACKOFF_MIN_MS * 2 ** failures);
      expect(waitMs).toBeGreaterThanOrEqual(base * 0.5);
      expect(waitMs).toBeLessThanOrEqual(base * 1.5 + limits.DIAL_RETRY_MS + 100);
    });
    // until the tracker lists it again
    bench.tell({ type: 'candidates', candidates: [candidate], listed: true });
    expect(bench.take('dial')).toHaveLength(1);
  });
});

describe('a normal end', () => {
  it.each(['leaving', 'full', 'useless', undefined] as const)('(%s) is no offence', (reason) => {
    const bench = new Bench();
    const link = bench.source(1);
    bench.ask(link);
    bench.tell({ type: 'unlinked', link, misbehaved: false, reason });
    expect(bench.take('banned')).toEqual([]);
    const again = bench.source(1);
    expect(bench.isLinked(again)).toBe(true);
    expect(bench.grant(again).type).toBe('request');
  });
});

describe('a chunk of ours that cannot be read or is damaged', () => {
  it('is rejected to who asked for it, lost to all, and missing again', () => {
    const bench = new Bench({ chunkCount: 4, have: Bitfield.full(4) });
    const [asker, other] = [bench.link(1), bench.link(2)] as [LinkId, LinkId];
    const grant = bench.takeSent('grant').find(({ link }) => link === asker);
    bench.message(asker, { type: 'request', grantId: grant?.grantId ?? -1, requestId: 5, chunkIndex: 2 });
    expect(bench.take('start-send')).toMatchObject([{ link: asker, chunkIndex: 2 }]);
    bench.tell({ type: 'send-ended', link: asker, requestId: 5, why: 'unreadable' });
    expect(bench.takeSent('reject')).toMatchObject([{ link: asker, requestId: 5, reason: 'disk' }]);
    bench.tell({ type: 'chunk-lost', chunkIndex: 2 });
    expect(bench.takeSent('lost').map(({ link, chunkIndexes }) => [link, ...chunkIndexes])).toEqual([
      [asker, 2],
      [other, 2],
    ]);
    expect(bench.swarm.have.has(2)).toBe(false);
    const source = bench.source(3);
    expect(bench.ask(source).chunkIndex).toBe(2);
  });

  it('at a source makes the source one without it, and no worse', () => {
    const bench = new Bench({ chunkCount: 2 });
    const [broken, whole] = [bench.source(1), bench.source(2)] as [LinkId, LinkId];
    const request = bench.ask(broken, 0, [1]);
    bench.message(broken, { type: 'reject', requestId: request.requestId, reason: 'disk', retryMs: 0 });
    expect(bench.take('banned')).toEqual([]);
    expect(bench.isSnubbed(broken)).toBe(false);
    expect(bench.ask(broken, 0, [1]).chunkIndex).toBe(0);
    expect(bench.ask(whole, 0, [1]).chunkIndex).toBe(1);
  });
});
