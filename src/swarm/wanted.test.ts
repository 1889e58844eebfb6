import { expect, test } from 'vitest';
import { Bitfield } from '../content/bitfield.ts';
import { Swarm } from './swarm.ts';
import type { SwarmAction } from './facts.ts';

const CHUNKS = 8;
const SIZE = 16_384;

function field(...chunks: number[]): Bitfield {
  const bits = new Bitfield(CHUNKS);
  for (const chunk of chunks) bits.add(chunk);
  return bits;
}

/** A swarm beside one complete source that answers every grant. */
function createDownload(wanted: Bitfield | undefined) {
  const swarm = new Swarm(
    {
      ownKey: 'aa',
      size: CHUNKS * SIZE,
      chunkSize: SIZE,
      have: new Bitfield(CHUNKS),
      wanted,
      seed: 1,
      order: 'rarest',
      single: false,
      upload: true,
      downBytesPerSecond: Number.POSITIVE_INFINITY,
      upBytesPerSecond: Number.POSITIVE_INFINITY,
    },
    0,
  );
  let nowMs = 0;
  let grantId = 0;
  let completions = 0;
  const step = (fact: Parameters<Swarm['step']>[1]): readonly SwarmAction[] => {
    const actions = swarm.step(++nowMs, fact);
    completions += actions.filter(({ type }) => type === 'complete').length;
    return actions;
  };
  step({ type: 'linked', link: 1, key: 'bb', address: '10.0.0.1:1', outbound: true });
  step({ type: 'message', link: 1, message: { type: 'have-all' } });
  return {
    swarm,
    step,
    completions: () => completions,
    /** Gives chunks until none is asked for; says which were. */
    drain(): number[] {
      const fetched: number[] = [];
      for (;;) {
        const grant = { type: 'grant', grantId: ++grantId, etaMs: 0, suggestions: [7, 6, 5] } as const;
        const request = step({ type: 'message', link: 1, message: grant }).find(
          (action) => action.type === 'send' && action.message.type === 'request',
        );
        if (request?.type !== 'send' || request.message.type !== 'request') return fetched.toSorted((a, b) => a - b);
        const { requestId, chunkIndex } = request.message;
        fetched.push(chunkIndex);
        swarm.admitFragment(nowMs, 1, { requestId, chunkIndex, offset: 0, byteCount: SIZE });
        step({ type: 'fragment', link: 1, requestId, byteCount: SIZE });
        step({ type: 'verified', link: 1, requestId, ok: true });
        step({ type: 'written', link: 1, requestId, ok: true });
      }
    },
  };
}

test('only wanted chunks are fetched, whatever is suggested, and then it is complete', () => {
  const download = createDownload(field(0, 1));
  expect(download.drain()).toEqual([0, 1]);
  expect(download.completions()).toBe(1);
  expect(download.swarm.isComplete).toBe(false);
  expect(download.swarm.stallReason(60_000)).toBeNull();
});

test('more may be wanted later, and the source is told', () => {
  const download = createDownload(field(0));
  download.drain();
  const actions = download.step({ type: 'want', chunks: field(0, 5, 6) });
  expect(actions).toContainEqual(
    expect.objectContaining({ type: 'send', message: expect.objectContaining({ type: 'interest', interested: true }) }),
  );
  expect(download.drain()).toEqual([5, 6]);
  expect(download.completions()).toBe(2);
});

test('a wanted chunk that is lost is fetched again; one that is not, is not', () => {
  const download = createDownload(field(0, 1));
  download.drain();
  download.step({ type: 'chunk-lost', chunkIndex: 1 });
  download.step({ type: 'chunk-lost', chunkIndex: 7 });
  expect(download.drain()).toEqual([1]);
});

test('without a choice every chunk is wanted', () => {
  const download = createDownload(undefined);
  expect(download.drain()).toHaveLength(CHUNKS);
  expect([download.completions(), download.swarm.isComplete]).toEqual([1, true]);
});

test('a chunk that made room is told to be lost, and neither fetched again nor missing', () => {
  const download = createDownload(field(0, 1, 2));
  const { swarm, step } = download;
  expect(download.drain()).toEqual([0, 1, 2]);
  const told = step({ type: 'chunk-dropped', chunkIndex: 0 });
  expect(told).toContainEqual({ type: 'send', link: 1, message: { type: 'lost', chunkIndexes: [0] } });
  expect([...swarm.have]).toEqual([1, 2]);
  expect(download.drain()).toEqual([]);
  step({ type: 'want', chunks: field(3, 4) });
  expect(download.drain()).toEqual([3, 4]);
  expect(download.completions()).toBe(2);
  // one that we do not have is not dropped, and stays wanted
  step({ type: 'want', chunks: field(5) });
  expect(step({ type: 'chunk-dropped', chunkIndex: 5 })).toEqual([]);
  expect(download.drain()).toEqual([5]);
});
