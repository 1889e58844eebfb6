import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ShoalError } from '../errors.ts';
import * as limits from '../limits.ts';
import { FrameDecoder } from './decode.ts';
import { encodeFragmentHeader, encodeMessage } from './encode.ts';
import { annotatedHex, arbitraryItem, createRecorder, streamOf, type Item } from './fixtures.ts';

/** Pushes the stream in pieces through one memory that is overwritten after each, as a socket's is. */
function pushInPieces(decoder: FrameDecoder, stream: Uint8Array, sizes: readonly number[]): void {
  const memory = new Uint8Array(65_536 + 7);
  for (let at = 0, turn = 0; at < stream.length; turn++) {
    const size = Math.min(sizes[turn % sizes.length] ?? 1, stream.length - at);
    memory.set(stream.subarray(at, at + size), 7);
    expect(decoder.push(memory, 7, 7 + size)).toBe(size);
    memory.fill(0xee);
    at += size;
  }
}

function problemOf(work: () => void): ShoalError | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    if (error instanceof ShoalError) return error;
    throw error;
  }
}

/** Work of a decoder for a stream of 64 KiB fragments that comes byte by byte. */
function dribbleWork(fragmentCount: number): number {
  const destination = new Uint8Array(65_536);
  let ended = 0;
  const decoder = new FrameDecoder({
    message: () => undefined,
    fragment: () => destination,
    fragmentEnd: () => void ended++,
  });
  const payload = new Uint8Array(65_536).fill(0x77);
  for (let count = 0; count < fragmentCount; count++) {
    const header = encodeFragmentHeader({ requestId: 1, chunkIndex: 2, offset: count * 65_536, byteCount: 65_536 });
    for (let at = 0; at < header.length; at++) decoder.push(header, at, at + 1);
    for (let at = 0; at < payload.length; at++) decoder.push(payload, at, at + 1);
  }
  expect(ended).toBe(fragmentCount);
  expect(destination).toEqual(payload);
  return decoder.work;
}

function beforeHandshake(): FrameDecoder {
  return new FrameDecoder(createRecorder(), 'handshake');
}

describe('FrameDecoder', () => {
  it('delivers the same from any pieces as from one', () => {
    fc.assert(
      fc.property(
        fc.array(arbitraryItem, { maxLength: 12 }),
        fc.array(fc.oneof(fc.integer({ min: 1, max: 30 }), fc.integer({ min: 1, max: 4000 })), {
          minLength: 1,
          maxLength: 20,
        }),
        (items, sizes) => {
          const recorder = createRecorder();
          const decoder = new FrameDecoder(recorder);
          pushInPieces(decoder, streamOf(items), sizes);
          expect(recorder.items).toEqual(items);
          expect(decoder.frameCount).toBe(items.length);
          expect(decoder.hasPartialFrame).toBe(false);
        },
      ),
      { numRuns: 300 },
    );
  });

  it('delivers the same when payloads are put to their place directly, wherever the pieces end', () => {
    fc.assert(
      fc.property(
        fc.array(arbitraryItem, { minLength: 1, maxLength: 8 }),
        fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1, maxLength: 20 }),
        (items, sizes) => {
          const recorder = createRecorder();
          const decoder = new FrameDecoder(recorder);
          const stream = streamOf(items);
          for (let at = 0, turn = 0; at < stream.length; turn++) {
            const size = Math.min(sizes[turn % sizes.length] ?? 1, stream.length - at);
            const { room } = decoder;
            if (room !== undefined && turn % 3 > 0) {
              const direct = Math.min(size, room.length);
              room.set(stream.subarray(at, at + direct));
              decoder.filled(direct);
              at += direct;
            } else {
              decoder.push(stream, at, at + size);
              at += size;
            }
          }
          expect(recorder.items).toEqual(items);
          expect(decoder.room).toBeUndefined();
          expect(() => decoder.filled(1)).toThrow('no room');
        },
      ),
      { numRuns: 200 },
    );
  });

  it('throws nothing but protocol errors at arbitrary bytes, and keeps no more than has arrived', () => {
    const frameLike = fc
      .tuple(fc.nat(300), fc.nat(255), fc.uint8Array({ maxLength: 300 }))
      .map(([length, typeId, body]) => [0, 0, length >> 8, length & 0xff, typeId, 0, 0, 0, ...body]);
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({ maxLength: 400 }).map((bytes) => [...bytes]),
          fc.array(frameLike).map((all) => all.flat()),
        ),
        fc.integer({ min: 1, max: 50 }),
        (bytes, size) => {
          const decoder = new FrameDecoder(createRecorder());
          const problem = problemOf(() => {
            for (let at = 0; at < bytes.length; at += size) {
              decoder.push(Uint8Array.from(bytes.slice(at, at + size)));
              expect(decoder.bufferBytes).toBeLessThanOrEqual(at + size + limits.BODY_GATHER_STEP_BYTES);
            }
          });
          if (problem !== undefined) expect(problem.code).toBe('protocol');
        },
      ),
      { numRuns: 500 },
    );
  });

  it('throws nothing but protocol errors at damaged streams', () => {
    fc.assert(
      fc.property(
        fc.array(arbitraryItem, { minLength: 1, maxLength: 6 }),
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        (items, damage) => {
          const stream = streamOf(items);
          for (const [at, value] of damage) stream[at % stream.length] = value;
          const problem = problemOf(() => new FrameDecoder(createRecorder()).push(stream));
          if (problem !== undefined) expect(problem.code).toBe('protocol');
        },
      ),
      { numRuns: 500 },
    );
  });

  it('gathers the largest bodies byte for byte in memory that grows with what has arrived', () => {
    const items: Item[] = [
      {
        kind: 'message',
        message: { type: 'bitfield', chunkCount: limits.CHUNK_COUNT_MAX, bytes: new Uint8Array(131_072).fill(0xa5) },
      },
      {
        kind: 'message',
        message: {
          type: 'manifest-part',
          offset: 0,
          totalBytes: limits.MANIFEST_BYTES_MAX,
          bytes: new Uint8Array(65_536).fill(0x5a),
        },
      },
    ];
    for (const item of items) {
      const recorder = createRecorder();
      const decoder = new FrameDecoder(recorder);
      const stream = streamOf([item]);
      for (let at = 0; at < stream.length; at++) {
        decoder.push(stream, at, at + 1);
        if (decoder.bufferBytes > at + limits.BODY_GATHER_STEP_BYTES)
          expect.fail(`${decoder.bufferBytes} bytes are held after ${at + 1}`);
      }
      expect(recorder.items).toEqual([item]);
      expect(decoder.bufferBytes).toBeLessThan(1024);
      expect(decoder.work).toBeLessThan(stream.length * 8);
    }
  });

  it('does linear work for fragments that dribble in byte by byte', () => {
    const one = dribbleWork(1);
    expect(one).toBeLessThan(65_556 * 2.1);
    expect(dribbleWork(8)).toBe(one * 8);
  });

  it('drops the payload of a fragment that gets no destination, and goes on behind it', () => {
    const items: Item[] = [1, 2, 3].map((requestId) => ({
      kind: 'fragment',
      header: { requestId, chunkIndex: 0, offset: 0, byteCount: 100 },
      payload: new Uint8Array(100).fill(requestId),
    }));
    const recorder = createRecorder((header) => header.requestId === 2);
    pushInPieces(new FrameDecoder(recorder), streamOf(items), [13]);
    expect(recorder.items).toEqual([items[0], items[2]]);
  });

  it('refuses a destination of the wrong size as a bug of the handler', () => {
    const decoder = new FrameDecoder({ ...createRecorder(), fragment: () => new Uint8Array(99) });
    const stream = encodeFragmentHeader({ requestId: 1, chunkIndex: 0, offset: 0, byteCount: 100 });
    expect(() => decoder.push(stream)).toThrow(expect.objectContaining({ code: 'bug' }));
  });

  it('stops inside a packet when the handler says so, and goes on from there', () => {
    const recorder = createRecorder();
    const decoder: FrameDecoder = new FrameDecoder({
      ...recorder,
      message: (message) => {
        recorder.message(message);
        decoder.stop();
      },
    });
    const stream = new Uint8Array([
      ...encodeMessage({ type: 'have-all' }),
      ...encodeMessage({ type: 'cancel', requestId: 1 }),
    ]);
    expect(decoder.push(stream)).toBe(8);
    expect(recorder.items).toHaveLength(1);
    expect(decoder.push(stream, 8)).toBe(10);
    expect(recorder.items).toHaveLength(2);
  });

  it('says whether a header or a body waits for its rest, but not a payload', () => {
    const decoder = new FrameDecoder(createRecorder());
    const stream = streamOf([
      { kind: 'message', message: { type: 'cancel', requestId: 1 } },
      {
        kind: 'fragment',
        header: { requestId: 1, chunkIndex: 0, offset: 0, byteCount: 2 },
        payload: Uint8Array.of(1, 2),
      },
    ]);
    const partial = Array.from(stream, (_, at) => {
      decoder.push(stream, at, at + 1);
      return decoder.hasPartialFrame ? 'p' : '-';
    });
    expect(partial.join('')).toBe(`${'p'.repeat(9)}-${'p'.repeat(19)}---`);
  });

  it('skips unknown types that may be skipped, and tells', () => {
    const recorder = createRecorder();
    const decoder = new FrameDecoder(recorder);
    decoder.push(annotatedHex('00000003 80 00 0000 010203  00000000 ff 00 0000  00000000 10 00 0000'));
    expect(recorder.skippedTypes).toEqual([0x80, 0xff]);
    expect(recorder.items).toEqual([{ kind: 'message', message: { type: 'have-all' } }]);
    expect(decoder.frameCount).toBe(3);
  });

  it('admits only the handshake before and everything else after it, by the header alone', () => {
    expect(() => beforeHandshake().push(annotatedHex('00020004 12 00 0000'))).toThrow(
      'a bitfield frame came before the handshake',
    );
    expect(() => beforeHandshake().push(annotatedHex('00000001 80 00 0000'))).toThrow('unknown type 0x80');
    expect(beforeHandshake().push(annotatedHex('00000054 01 00 0000'))).toBe(8);
    expect(beforeHandshake().push(annotatedHex('00000005 3f 00 0000'))).toBe(8);
    const after = beforeHandshake();
    after.enter('traffic');
    expect(() => after.push(annotatedHex('00000054 01 00 0000'))).toThrow('a hello frame came after the handshake');
  });

  it('stays broken after a violation', () => {
    const decoder = new FrameDecoder(createRecorder());
    expect(() => decoder.push(annotatedHex('00000000 10 01 0000'))).toThrow('flags');
    expect(() => decoder.push(annotatedHex('00000000 10 00 0000'))).toThrow('flags');
  });

  it.each([
    ['an unknown type', '00000000 0f 00 0000', 'unknown type 0x0f'],
    ['flags', '00000000 10 80 0000', 'flags 128'],
    ['a channel', '00000000 10 00 0001', 'channel 1'],
    ['a body where none belongs', '00000001 10 00 0000', 'have-all frame has 1 bytes'],
    ['a length of 4 GiB', 'ffffffff 12 00 0000', 'bitfield frame has 4294967295 bytes'],
    ['a skippable frame over the limit', '00004001 80 00 0000', 'to be skipped'],
    ['an empty fragment', '0000000c 24 00 0000', 'fragment frame has 12 bytes'],
    ['a fragment over the limit', '0004000d 24 00 0000', 'fragment frame has 262157 bytes'],
    ['a fragment with a reserved field', '0000000d 24 00 0000 0001 0001 00000000 00000000', 'reserved'],
    ['a fragment of a chunk no content has', '0000000d 24 00 0000 0001 0000 00100000 00000000', 'chunk 1048576'],
    ['a fragment beyond the largest chunk', '0000000d 24 00 0000 0001 0000 00000000 04000000', 'largest chunk'],
    ['a have with too few bytes', '00000006 13 00 0000 0002 00000001', 'too short'],
    ['a have with too many bytes', '0000000a 13 00 0000 0001 00000001 00000002', 'too many'],
    ['a have of nothing', '00000006 13 00 0000 0000 00000001', 'says 0'],
    ['a chunk no content has', '00000006 14 00 0000 0001 00100000', 'chunk 1048576'],
    ['five suggestions', '00000016 20 00 0000 0001 0000 05 00 0000000000000000 0000000000000000', 'says 5'],
    ['a reserved byte in a grant', '00000006 20 00 0000 0001 0000 00 01', 'reserved'],
    ['an unknown reason of a decline', '00000003 22 00 0000 0001 03', 'unknown reason 3'],
    ['an interest that is neither on nor off', '00000004 23 00 0000 02 00 0000', 'says 2'],
    ['an unknown reason of a reject', '00000006 26 00 0000 0001 04 00 0000', 'unknown reason 4'],
    ['spare bits', '00000005 12 00 0000 00000007 01', 'beyond its last chunk'],
    ['a bitfield of another length', '00000006 12 00 0000 00000008 0100', 'too many'],
    ['more chunks than any content has', '00000004 12 00 0000 00100001', 'says 1048577'],
    ['a pace below the least', '00000004 a0 00 0000 000003e7', 'asks for 999'],
    ['a pace with a byte too many', '00000005 a0 00 0000 00000fff 00', 'pace frame has 5 bytes'],
    ['a pex that says more than it has', '00000002 32 00 0000 01 00', 'too short'],
    ['a pex over the limit', '00000002 32 00 0000 15 00', 'says 21'],
    ['a manifest part beyond its end', '00000009 34 00 0000 00000038 00000038 00', 'beyond the end'],
    ['a manifest that is too small', '00000009 34 00 0000 00000000 00000037 00', 'says 55'],
    ['an offset no manifest has', '00000004 33 00 0000 02000038', 'asks for offset'],
    ['a goodbye that is not UTF-8', '00000006 3f 00 0000 00 00000000 ff', 'not valid UTF-8'],
    ['a goodbye for an unknown reason', '00000005 3f 00 0000 09 00000000', 'unknown reason 9'],
  ])('refuses %s', (_what, hex, message) => {
    const problem = problemOf(() => new FrameDecoder(createRecorder()).push(annotatedHex(hex)));
    expect(problem?.code).toBe('protocol');
    expect(problem?.message).toContain(message);
  });

  it.each([
    ['another protocol', 0, 0x54, 'does not begin with "SHLP"'],
    ['another version', 4, 2, 'is of version 2; this peer speaks version 1'],
    ['unknown role bits', 5, 4, 'unknown role bits'],
    ['more grants than are allowed', 81, 33, 'says 33'],
    ['a reserved field', 83, 1, 'reserved'],
  ])('refuses a hello with %s', (_what, at, value, message) => {
    const stream = encodeMessage({
      type: 'hello',
      complete: false,
      uploadDisabled: false,
      listenPort: 0,
      features: 0,
      contentId: new Uint8Array(32),
      peerId: new Uint8Array(16),
      nonce: new Uint8Array(16),
      inFlightBytesMax: 0,
      grantsMax: 0,
    });
    stream[8 + at] = value;
    const problem = problemOf(() => new FrameDecoder(createRecorder()).push(stream));
    expect(problem?.code).toBe('protocol');
    expect(problem?.message).toContain(message);
  });
});
