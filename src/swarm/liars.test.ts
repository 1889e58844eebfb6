import { describe, expect, test } from 'vitest';
import { DENIALS_MAX, DENIALS_UNADMITTED_MAX, SNUBS_MAX } from '../limits.ts';
import { keyOf, ScriptedSwarm } from './fixtures.ts';
import type { LinkId } from './facts.ts';

const CHUNKS = 256;

/** A grant of a link, and the chunk that is asked for with it; -1: none. */
function ask(swarm: ScriptedSwarm, link: LinkId, grantId: number): { requestId: number; chunkIndex: number } {
  swarm.message(link, { type: 'grant', grantId, etaMs: 0, suggestions: [] });
  const [request] = swarm.takeSent('request');
  return request ?? { requestId: -1, chunkIndex: -1 };
}

/** Gives what was asked for, and says what came of its digest. */
function deliver(swarm: ScriptedSwarm, link: LinkId, requestId: number, ok: boolean): void {
  const byteCount = 256 * 1024;
  const chunkIndex = swarm.swarm.have.count;
  expect(swarm.swarm.admitFragment(swarm.nowMs, link, { requestId, chunkIndex, offset: 0, byteCount })).toBe('take');
  swarm.tell({ type: 'fragment', link, requestId, byteCount });
  swarm.tell({ type: 'verified', link, requestId, ok });
}

describe('who sent a wrong chunk is banned', () => {
  test('and named as whom we dialled, and where', () => {
    const swarm = new ScriptedSwarm({ chunkCount: CHUNKS });
    const link = swarm.link(1, { map: { type: 'have-all' } });
    deliver(swarm, link, ask(swarm, link, 0).requestId, false);
    expect(swarm.take('banned')).toMatchObject([
      { key: keyOf(1), offence: 'integrity', reached: { key: keyOf(1), address: '198.51.100.1:9001' } },
    ]);
    expect(swarm.take('close')).toMatchObject([{ link, reason: 'integrity' }]);
  });

  test('but nobody is named when it came to us: what it says of its address proves nothing', () => {
    const swarm = new ScriptedSwarm({ chunkCount: CHUNKS });
    const link = swarm.link(1, { outbound: false, map: { type: 'have-all' } });
    deliver(swarm, link, ask(swarm, link, 0).requestId, false);
    expect(swarm.take('banned')).toMatchObject([{ key: keyOf(1), reached: undefined }]);
  });
});

test('a map of another length is an offence', () => {
  const swarm = new ScriptedSwarm({ chunkCount: CHUNKS });
  swarm.link(1, { map: { type: 'bitfield', chunkCount: CHUNKS + 8, bytes: new Uint8Array(CHUNKS / 8 + 1) } });
  swarm.link(2, { map: { type: 'bitfield', chunkCount: CHUNKS, bytes: new Uint8Array(CHUNKS / 8 - 1) } });
  expect(swarm.take('banned')).toMatchObject([
    { key: keyOf(1), offence: 'protocol' },
    { key: keyOf(2), offence: 'protocol' },
  ]);
});

describe('a source that claims chunks and does not give them', () => {
  function deny(swarm: ScriptedSwarm, link: LinkId, times: number, admits: boolean): void {
    for (let turn = 0; turn < times; turn++) {
      const { requestId, chunkIndex } = ask(swarm, link, turn);
      if (requestId < 0) return;
      swarm.message(link, { type: 'reject', requestId, reason: 'no-chunk', retryMs: 0 });
      if (admits) swarm.message(link, { type: 'lost', chunkIndexes: [chunkIndex] });
    }
  }

  /** It is asked, gives nothing, and takes it back when it is told to. */
  function askInVain(swarm: ScriptedSwarm, link: LinkId, grantId: number): void {
    const { requestId } = ask(swarm, link, grantId);
    expect(requestId).toBeGreaterThanOrEqual(0);
    swarm.passUntil(swarm.nowMs + 70_000);
    swarm.message(link, { type: 'reject', requestId, reason: 'cancelled', retryMs: 0 });
  }

  test('is banned when it refuses one after another', () => {
    const swarm = new ScriptedSwarm({ chunkCount: CHUNKS });
    const link = swarm.link(1, { map: { type: 'have-all' } });
    deny(swarm, link, DENIALS_UNADMITTED_MAX, false);
    expect(swarm.take('banned')).toEqual([]);
    deny(swarm, link, 1, false);
    expect(swarm.take('banned')).toMatchObject([{ key: keyOf(1), offence: 'undelivered' }]);
  });

  test('is believed longer when it calls them lost, as one with a broken disk does', () => {
    const swarm = new ScriptedSwarm({ chunkCount: CHUNKS });
    const link = swarm.link(1, { map: { type: 'have-all' } });
    deny(swarm, link, DENIALS_MAX, true);
    expect(swarm.take('banned')).toEqual([]);
    deny(swarm, link, 1, true);
    expect(swarm.take('banned')).toMatchObject([{ key: keyOf(1), offence: 'undelivered' }]);
  });

  test('is banned when it grants again and again and no byte ever comes', () => {
    const swarm = new ScriptedSwarm({ chunkCount: CHUNKS });
    const link = swarm.link(1, { map: { type: 'have-all' } });
    const other = swarm.link(2, { map: { type: 'have-all' } });
    deliver(swarm, other, ask(swarm, other, 0).requestId, true);
    for (let turn = 0; turn < SNUBS_MAX; turn++) {
      expect(swarm.take('banned')).toEqual([]);
      askInVain(swarm, link, turn);
    }
    expect(swarm.take('banned')).toMatchObject([{ key: keyOf(1), offence: 'undelivered' }]);
  });

  test('is banned when it gives nothing and does not answer the cancel, though it goes on talking', () => {
    const swarm = new ScriptedSwarm({ chunkCount: CHUNKS });
    const [mute, silent] = [1, 2].map((index) => swarm.link(index, { map: { type: 'have-all' } }));
    const other = swarm.link(3, { map: { type: 'have-all' } });
    deliver(swarm, other, ask(swarm, other, 0).requestId, true);
    for (const link of [mute, silent]) expect(ask(swarm, link ?? 0, 0).requestId).toBeGreaterThanOrEqual(0);
    for (let turn = 0; turn < 30; turn++) {
      swarm.passUntil(swarm.nowMs + 1_500);
      swarm.tell({ type: 'rtt', link: mute ?? 0, rttMs: 1 });
    }
    swarm.passUntil(swarm.nowMs + 2_000);
    expect(swarm.take('banned')).toMatchObject([{ key: keyOf(1), offence: 'undelivered' }]);
  });

  test('is only left alone for a while when there is nobody else: it may be slow', () => {
    const swarm = new ScriptedSwarm({ chunkCount: CHUNKS });
    const link = swarm.link(1, { map: { type: 'have-all' } });
    for (let turn = 0; turn < SNUBS_MAX; turn++) askInVain(swarm, link, turn);
    expect(swarm.take('banned')).toEqual([]);
  });

  test('is only left alone for a while when it has ever given something', () => {
    const swarm = new ScriptedSwarm({ chunkCount: CHUNKS });
    const link = swarm.link(1, { map: { type: 'have-all' } });
    swarm.link(2, { map: { type: 'have-all' } });
    const { requestId } = ask(swarm, link, 100);
    deliver(swarm, link, requestId, true);
    swarm.tell({ type: 'written', link, requestId, ok: true });
    for (let turn = 0; turn < SNUBS_MAX; turn++) {
      askInVain(swarm, link, turn);
    }
    expect(swarm.take('banned')).toEqual([]);
    expect(swarm.take('close')).toMatchObject([{ link, reason: 'timeout' }]);
  });
});

test('who lied before it was linked is not dialled', () => {
  const swarm = new ScriptedSwarm({ chunkCount: CHUNKS });
  const candidate = (index: number) =>
    ({ key: keyOf(index), addresses: [`198.51.100.${index}:9000`], dialect: 'native', complete: true }) as const;
  swarm.tell({
    type: 'convicted',
    key: keyOf(1),
    address: '198.51.100.1:9000',
    offence: 'integrity',
    text: 'the manifest is that of another content',
  });
  swarm.tell({ type: 'candidates', candidates: [candidate(1), candidate(2)], listed: true });
  expect(swarm.take('dial').map((action) => action.candidate.key)).toEqual([keyOf(2)]);
  expect(swarm.take('banned')).toMatchObject([{ reached: { key: keyOf(1), address: '198.51.100.1:9000' } }]);
});
