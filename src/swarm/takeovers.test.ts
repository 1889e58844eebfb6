/** A request that waits in a queue goes to a source that can begin sooner. */
import { describe, expect, it } from 'vitest';
import { TAKEOVER_GAIN_MIN_MS } from '../limits.ts';
import type { LinkId, SwarmOptions } from './facts.ts';
import { ScriptedSwarm } from './fixtures.ts';

const CHUNK = 256 * 1024;

/** Two neighbours that have the only chunk; it has been asked of the first, which says that it begins in `etaMs`. */
function queued(etaMs: number, options: Partial<SwarmOptions> = {}) {
  const bench = new ScriptedSwarm({ chunkCount: 1, ...options });
  const [busy, other] = [1, 2].map((index) => bench.link(index, { map: { type: 'have-all' }, rttMs: 40 })) as [
    LinkId,
    LinkId,
  ];
  bench.message(busy, { type: 'grant', grantId: 1, etaMs, suggestions: [] });
  const [request] = bench.takeSent('request');
  return { bench, busy, other, requestId: request?.requestId ?? -1 };
}

describe('a request that waits in a queue', () => {
  it('goes to a source that begins sooner, and is taken back from the first before', () => {
    const { bench, busy, other, requestId } = queued(100);
    bench.nowMs = 20;
    bench.message(other, { type: 'grant', grantId: 1, etaMs: 0, suggestions: [] });
    const sent = bench.actions.flatMap((action) =>
      action.type === 'send' && (action.message.type === 'cancel' || action.message.type === 'request')
        ? [{ link: action.link, ...action.message }]
        : [],
    );
    expect(sent).toMatchObject([
      { link: busy, type: 'cancel', requestId },
      { link: other, type: 'request', chunkIndex: 0 },
    ]);
    expect(bench.swarm.wastedBytes).toBe(0);
  });

  it('stays where little is gained, also when the source that would take it is no later than it should be', () => {
    const { bench, other } = queued(100);
    bench.nowMs = 100 - TAKEOVER_GAIN_MIN_MS;
    bench.message(other, { type: 'grant', grantId: 1, etaMs: 0, suggestions: [] });
    expect(bench.takeSent('request')).toEqual([]);
    expect(bench.takeSent('decline')).toMatchObject([{ link: other, reason: 'nothing-needed' }]);
  });

  it('is not handed on once more by a source that is late: what is overdue is the business of other rules', () => {
    const { bench, other } = queued(100);
    bench.nowMs = 1_000;
    bench.message(other, { type: 'grant', grantId: 1, etaMs: 0, suggestions: [] });
    expect(bench.takeSent('cancel')).toEqual([]);
  });

  it('stays as soon as its first bytes have come', () => {
    const { bench, busy, other, requestId } = queued(1_000);
    const fragment = { requestId, chunkIndex: 0, offset: 0, byteCount: CHUNK / 4 };
    expect(bench.swarm.admitFragment(0, busy, fragment)).toBe('take');
    bench.tell({ type: 'fragment', link: busy, requestId, byteCount: CHUNK / 4 });
    bench.message(other, { type: 'grant', grantId: 1, etaMs: 0, suggestions: [] });
    expect(bench.takeSent('cancel')).toEqual([]);
  });

  it('stays under a download limit', () => {
    const { bench, other } = queued(1_000, { downBytesPerSecond: 100_000_000 });
    bench.message(other, { type: 'grant', grantId: 1, etaMs: 0, suggestions: [] });
    expect(bench.takeSent('cancel')).toEqual([]);
  });
});
