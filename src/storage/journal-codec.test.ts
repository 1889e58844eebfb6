import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Bitfield } from '../content/bitfield.ts';
import { createChunkLayout } from '../content/chunk-layout.ts';
import {
  encodeJournalHeader,
  encodeJournalRecords,
  headerCrc,
  JOURNAL_HEADER_BYTES,
  JOURNAL_RECORD_BYTES,
  replayJournal,
  type JournalRecord,
} from './journal-codec.ts';

const CHUNKS = 20;
const layout = createChunkLayout(CHUNKS * 16_384 - 5, 16_384);
const identity = new Uint8Array(32).fill(7);
const boots = [new Uint8Array(8).fill(1), new Uint8Array(8).fill(2)] as const;

function journal(records: readonly JournalRecord[]): Uint8Array<ArrayBuffer> {
  const header = encodeJournalHeader({ identity, layout, bootId: boots[0] });
  const body = encodeJournalRecords(records, { firstSequence: 1, headerCrc: headerCrc(header) });
  const bytes = new Uint8Array(header.length + body.length);
  bytes.set(header);
  bytes.set(body, header.length);
  return bytes;
}

function replay(bytes: Uint8Array) {
  const result = replayJournal(bytes, { identity, layout });
  if (result === undefined) throw new Error('the journal was not recognised');
  return result;
}

const chunkIndex = fc.nat(CHUNKS - 1);
const record: fc.Arbitrary<JournalRecord> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ type: fc.constant('done' as const), chunkIndex }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('sync' as const), upToSequence: fc.nat(40) }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('lost' as const), chunkIndex }) },
  { weight: 1, arbitrary: fc.constantFrom(...boots).map((bootId) => ({ type: 'boot' as const, pid: 42, bootId })) },
  { weight: 1, arbitrary: fc.constant({ type: 'clean' as const }) },
  {
    weight: 1,
    arbitrary: fc.uniqueArray(chunkIndex).map((members) => {
      const durable = new Bitfield(CHUNKS);
      for (const member of members) durable.add(member);
      return { type: 'snap' as const, durable };
    }),
  },
);
const records = fc.array(record, { maxLength: 40 });

/** What a reader may believe, said the slow and obvious way. */
function modelOf(list: readonly JournalRecord[]) {
  const state = new Map<number, 'durable' | 'suspect' | number>();
  let boot: Uint8Array = boots[0];
  for (const [at, entry] of list.entries()) {
    if (entry.type === 'done' && state.get(entry.chunkIndex) !== 'durable') state.set(entry.chunkIndex, at + 1);
    if (entry.type === 'lost') state.delete(entry.chunkIndex);
    if (entry.type === 'sync') {
      for (const [chunk, what] of state)
        if (typeof what === 'number' && what <= entry.upToSequence) state.set(chunk, 'durable');
    }
    if (entry.type === 'boot') {
      if (entry.bootId !== boot)
        for (const [chunk, what] of state) if (typeof what === 'number') state.set(chunk, 'suspect');
      boot = entry.bootId;
    }
    if (entry.type === 'snap') {
      state.clear();
      for (const chunk of entry.durable) state.set(chunk, 'durable');
    }
  }
  const having = (test: (what: 'durable' | 'suspect' | number) => boolean) =>
    [...state].filter(([, what]) => test(what)).map(([chunk]) => chunk);
  return {
    durable: having((what) => what === 'durable').toSorted((a, b) => a - b),
    recent: having((what) => typeof what === 'number').toSorted((a, b) => a - b),
    suspect: having((what) => what === 'suspect').toSorted((a, b) => a - b),
  };
}

describe('replayJournal()', () => {
  it('believes of any journal exactly what the rules say', () => {
    fc.assert(
      fc.property(records, (list) => {
        const result = replay(journal(list));
        expect({
          durable: [...result.durable],
          recent: [...result.recent],
          suspect: [...result.suspect],
        }).toEqual(modelOf(list));
        expect(result).toMatchObject({
          isTorn: false,
          recordCount: list.length,
          isClean: list.at(-1)?.type === 'clean',
        });
      }),
      { numRuns: 500 },
    );
  });

  it('believes of a journal cut anywhere what its whole records say', () => {
    fc.assert(
      fc.property(records, fc.nat(), (list, cut) => {
        const bytes = journal(list);
        const length = JOURNAL_HEADER_BYTES + (cut % (bytes.length - JOURNAL_HEADER_BYTES + 1));
        const result = replay(bytes.subarray(0, length));
        expect(result.isTorn).toBe(result.validByteCount !== length);
        const kept = modelOf(list.slice(0, result.recordCount));
        expect([...result.durable]).toEqual(kept.durable);
        expect(result.validByteCount).toBe(journal(list.slice(0, result.recordCount)).length);
      }),
      { numRuns: 300 },
    );
  });

  it('stops at the first damaged byte and never believes what follows', () => {
    fc.assert(
      fc.property(
        fc.array(record, { minLength: 1, maxLength: 40 }),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        (list, at, flip) => {
          const bytes = journal(list);
          const where = JOURNAL_HEADER_BYTES + (at % (bytes.length - JOURNAL_HEADER_BYTES));
          bytes[where] = (bytes[where] ?? 0) ^ flip;
          const result = replay(bytes);
          expect(result.validByteCount).toBeLessThanOrEqual(where);
          expect([...result.durable]).toEqual(modelOf(list.slice(0, result.recordCount)).durable);
        },
      ),
      { numRuns: 300 },
    );
  });

  it('counts a chunk that was done twice once', () => {
    const done = { type: 'done', chunkIndex: 3 } as const;
    const result = replay(journal([done, done, { type: 'sync', upToSequence: 1 }, { type: 'clean' }]));
    expect([...result.durable, ...result.recent]).toEqual([3]);
  });

  it('knows no journal of another content, size or chunk size, nor a damaged header', () => {
    const bytes = journal([{ type: 'clean' }]);
    const other = new Uint8Array(32);
    expect(replayJournal(bytes, { identity: other, layout })).toBeUndefined();
    expect(replayJournal(bytes, { identity, layout: createChunkLayout(layout.size - 1, 16_384) })).toBeUndefined();
    expect(replayJournal(bytes, { identity, layout: createChunkLayout(layout.size, 32_768) })).toBeUndefined();
    for (let at = 0; at < JOURNAL_HEADER_BYTES; at++) {
      const spoiled = bytes.slice();
      spoiled[at] = (spoiled[at] ?? 0) ^ 0x10;
      expect(replayJournal(spoiled, { identity, layout })).toBeUndefined();
    }
    expect(replayJournal(bytes.subarray(0, JOURNAL_HEADER_BYTES - 1), { identity, layout })).toBeUndefined();
  });

  it('does not take records of another journal for its own', () => {
    const foreign = encodeJournalRecords([{ type: 'done', chunkIndex: 1 }], { firstSequence: 1, headerCrc: 99 });
    const bytes = new Uint8Array([...journal([]), ...foreign]);
    expect(foreign.length).toBe(JOURNAL_RECORD_BYTES);
    expect(replay(bytes)).toMatchObject({ recordCount: 0, isTorn: true });
  });

  it('never throws on arbitrary bytes after a good header', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (tail) => {
        expect(replay(new Uint8Array([...journal([]), ...tail])).durable.count).toBe(0);
      }),
    );
  });
});
