/** Whom an uploader serves next: the one it has served least, and who lacks much a little before its turn. */
import { describe, expect, it } from 'vitest';
import { Bitfield } from '../content/bitfield.ts';
import { NEED_LEAD_CHUNKS_MAX } from '../limits.ts';
import type { SwarmMessage } from './facts.ts';
import { ScriptedSwarm } from './fixtures.ts';

const CHUNKS = 64;

/** A complete peer with neighbours that lack so many of its chunks each. */
function serving(lacking: readonly number[]) {
  const bench = new ScriptedSwarm({ chunkCount: CHUNKS, have: Bitfield.full(CHUNKS) });
  const links = lacking.map((count, index) => {
    const theirs = new Bitfield(CHUNKS);
    for (let chunk = 0; chunk < CHUNKS - count; chunk++) theirs.add(chunk);
    const map: SwarmMessage = { type: 'bitfield', chunkCount: CHUNKS, bytes: theirs.toBytes() };
    return bench.link(index, { map, rttMs: 40 });
  });
  return { bench, links };
}

/** Takes grant after grant, and answers how many went to each: every chunk arrives at once, and none becomes less that is lacked. */
function served({ bench, links }: ReturnType<typeof serving>, rounds: number): number[] {
  const counts = links.map(() => 0);
  for (let round = 0; round < rounds; round++) {
    for (const { link, grantId } of bench.takeSent('grant')) {
      const at = links.indexOf(link);
      counts[at] = (counts[at] ?? 0) + 1;
      bench.message(link, { type: 'request', grantId, requestId: round, chunkIndex: CHUNKS - 1 });
      bench.tell({ type: 'sent', link, requestId: round, byteCount: 256 * 1024, last: true });
    }
  }
  return counts;
}

describe('an uploader', () => {
  it('serves alike who lacks alike', () => {
    const counts = served(serving([32, 32, 32, 32]), 40);
    expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(2);
  });

  it('serves who lacks more than others some chunks more, and not ever more', () => {
    const [usual = 0, , , lagging = 0] = served(serving([2, 2, 2, 60]), 200);
    expect(lagging - usual).toBeGreaterThanOrEqual(NEED_LEAD_CHUNKS_MAX / 2);
    expect(lagging - usual).toBeLessThanOrEqual(NEED_LEAD_CHUNKS_MAX + 1);
  });
});
