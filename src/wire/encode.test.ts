import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FrameDecoder } from './decode.ts';
import { encodeFragmentHeader, encodeMessage } from './encode.ts';
import { annotatedHex, arbitraryMessage, createRecorder } from './fixtures.ts';
import { createGoodbye, fitGoodbyeText } from './goodbye.ts';
import type { ControlMessage } from './messages.ts';

const filled = (byteCount: number, value: number): Uint8Array => new Uint8Array(byteCount).fill(value);

const GOLDEN: readonly (readonly [ControlMessage, string])[] = [
  [
    {
      type: 'hello',
      complete: true,
      uploadDisabled: false,
      listenPort: 9001,
      features: 0x80000001,
      contentId: filled(32, 0xc1),
      peerId: filled(16, 0xd2),
      nonce: filled(16, 0xe3),
      inFlightBytesMax: 64 * 1024 * 1024,
      grantsMax: 32,
    },
    `00000054 01 00 0000        | 84 bytes, type, flags, channel
     53484c50 01 01 2329        | "SHLP", version, role: complete, listen port
     80000001                   | features
     c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1 | contentId
     d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2 | peer id
     e3e3e3e3e3e3e3e3e3e3e3e3e3e3e3e3 | nonce
     04000000 0020 0000         | in-flight bytes, grants, reserved`,
  ],
  [
    { type: 'auth', mac: filled(32, 0xaa) },
    `00000020 02 00 0000
     aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa`,
  ],
  [{ type: 'have-all' }, '00000000 10 00 0000'],
  [{ type: 'have-none' }, '00000000 11 00 0000'],
  [
    { type: 'bitfield', chunkCount: 10, bytes: Uint8Array.of(0x80, 0x40) },
    `00000006 12 00 0000
     0000000a 80 40             | 10 chunks; chunk 0, chunk 9`,
  ],
  [{ type: 'have', chunkIndexes: [1, 0xfffff] }, '0000000a 13 00 0000  0002 00000001 000fffff'],
  [{ type: 'lost', chunkIndexes: [258] }, '00000006 14 00 0000  0001 00000102'],
  [
    { type: 'grant', grantId: 0x1234, etaMs: 500, suggestions: [7, 8] },
    `0000000e 20 00 0000
     1234 01f4 02 00            | grant, eta, 2 suggestions, reserved
     00000007 00000008`,
  ],
  [{ type: 'request', grantId: 1, requestId: 2, chunkIndex: 3 }, '00000008 21 00 0000  0001 0002 00000003'],
  [{ type: 'decline', grantId: 0xffff, reason: 'disk' }, '00000003 22 00 0000  ffff 02'],
  [{ type: 'interest', interested: true, wantedCount: 70_000 }, '00000004 23 00 0000  01 00 ffff | saturated'],
  [{ type: 'cancel', requestId: 9 }, '00000002 25 00 0000  0009'],
  [{ type: 'reject', requestId: 9, reason: 'busy', retryMs: 1000 }, '00000006 26 00 0000  0009 02 00 03e8'],
  [{ type: 'ping', token: 0xdeadbeef }, '00000004 30 00 0000  deadbeef'],
  [{ type: 'pong', token: 0xdeadbeef, heldMicros: 256 }, '00000008 31 00 0000  deadbeef 00000100'],
  [{ type: 'pace', bytesPerSecond: 100_000 }, '00000004 a0 00 0000  000186a0'],
  [{ type: 'pace', bytesPerSecond: Number.POSITIVE_INFINITY }, '00000004 a0 00 0000  ffffffff'],
  [{ type: 'pace', bytesPerSecond: 1_000 }, '00000004 a0 00 0000  000003e8 | the least'],
  [
    { type: 'pex', added: [{ ip: filled(16, 0x0b), port: 80, peerId: filled(16, 0x0c) }], dropped: [filled(16, 0x0d)] },
    `00000034 32 00 0000
     01 01                      | 1 added, 1 dropped
     0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b 0050 0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c
     0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d`,
  ],
  [{ type: 'manifest-request', offset: 65536 }, '00000004 33 00 0000  00010000'],
  [
    { type: 'manifest-part', offset: 56, totalBytes: 88, bytes: Uint8Array.of(1, 2, 3) },
    '0000000b 34 00 0000  00000038 00000058 010203',
  ],
  [
    { type: 'goodbye', reason: 'timeout', retryMs: 30_000, text: 'né' },
    `00000008 3f 00 0000
     07 00007530 6ec3a9         | reason, retry, UTF-8`,
  ],
];

describe('encodeMessage()', () => {
  it.each(GOLDEN.map(([message, hex]) => [message.type, message, hex] as const))(
    'writes %s as the table of frames says',
    (_type, message, hex) => {
      expect(encodeMessage(message)).toEqual(annotatedHex(hex));
    },
  );

  it.each(GOLDEN.map(([message, hex]) => [message.type, message, hex] as const))(
    '%s is read back from the table',
    (_type, message, hex) => {
      const recorder = createRecorder();
      new FrameDecoder(recorder).push(annotatedHex(hex));
      const expected = message.type === 'interest' ? { ...message, wantedCount: 0xffff } : message;
      expect(recorder.items).toEqual([{ kind: 'message', message: expected }]);
    },
  );

  it('comes back from the decoder as it went in, whatever the message', () => {
    fc.assert(
      fc.property(arbitraryMessage, (message) => {
        const recorder = createRecorder();
        const decoder = new FrameDecoder(recorder);
        decoder.push(encodeMessage(message));
        expect(recorder.items).toEqual([{ kind: 'message', message }]);
        expect(decoder.hasPartialFrame).toBe(false);
        expect(decoder.frameCount).toBe(1);
      }),
      { numRuns: 500 },
    );
  });

  it.each([
    [1, 1_000],
    [1e12, 0xffff_fffe],
  ])('writes a pace of %d as the nearest that can be asked for', (asked, written) => {
    const recorder = createRecorder();
    new FrameDecoder(recorder).push(encodeMessage({ type: 'pace', bytesPerSecond: asked }));
    expect(recorder.items).toEqual([{ kind: 'message', message: { type: 'pace', bytesPerSecond: written } }]);
  });

  it.each<readonly [string, ControlMessage]>([
    ['a have without chunks', { type: 'have', chunkIndexes: [] }],
    ['a have with too many chunks', { type: 'have', chunkIndexes: Array.from({ length: 513 }, (_, index) => index) }],
    ['a chunk no content has', { type: 'lost', chunkIndexes: [2 ** 20] }],
    ['five suggestions', { type: 'grant', grantId: 1, etaMs: 0, suggestions: [1, 2, 3, 4, 5] }],
    ['a request id of 17 bits', { type: 'cancel', requestId: 0x1_0000 }],
    ['half a request id', { type: 'cancel', requestId: 0.5 }],
    ['a short mac', { type: 'auth', mac: new Uint8Array(31) }],
    ['spare bits', { type: 'bitfield', chunkCount: 7, bytes: Uint8Array.of(1) }],
    ['a bitfield of the wrong length', { type: 'bitfield', chunkCount: 8, bytes: new Uint8Array(2) }],
    ['a text that is too long', { type: 'goodbye', reason: 'leaving', retryMs: 0, text: 'x'.repeat(129) }],
    ['half a character', { type: 'goodbye', reason: 'leaving', retryMs: 0, text: '\ud800' }],
    ['a part beyond the manifest', { type: 'manifest-part', offset: 80, totalBytes: 88, bytes: new Uint8Array(9) }],
  ])('refuses %s as a bug', (_what, message) => {
    expect(() => encodeMessage(message)).toThrow(expect.objectContaining({ code: 'bug' }));
  });
});

describe('encodeFragmentHeader()', () => {
  const header = { requestId: 0x0102, chunkIndex: 3, offset: 65_536, byteCount: 65_536 };
  const golden = annotatedHex(`0001000c 24 00 0000        | 65,548 bytes
                               0102 0000 00000003 00010000 | request, reserved, chunk, offset`);

  it('writes the 20 bytes before a payload', () => {
    expect(encodeFragmentHeader(header)).toEqual(golden);
  });

  it('writes into memory it is given', () => {
    const into = new Uint8Array(20).fill(0xff);
    expect(encodeFragmentHeader(header, into)).toBe(into);
    expect(into).toEqual(golden);
  });

  it.each([
    ['an empty fragment', { ...header, byteCount: 0 }],
    ['a fragment over the limit', { ...header, byteCount: 262_145 }],
    ['a fragment beyond the largest chunk', { ...header, offset: 64 * 1024 * 1024 - 65_535 }],
  ])('refuses %s as a bug', (_what, bad) => {
    expect(() => encodeFragmentHeader(bad)).toThrow(expect.objectContaining({ code: 'bug' }));
  });
});

describe('createGoodbye()', () => {
  it('cuts a text at a character so that it fits', () => {
    expect(fitGoodbyeText('ü'.repeat(100))).toBe('ü'.repeat(64));
    expect(fitGoodbyeText(`${'x'.repeat(126)}😀`)).toBe('x'.repeat(126));
    expect(fitGoodbyeText('short')).toBe('short');
  });

  it('makes only what can be sent, whatever the text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => {
        expect(encodeMessage(createGoodbye('useless', text)).length).toBeLessThanOrEqual(8 + 5 + 128);
      }),
    );
    expect(() => encodeMessage(createGoodbye('useless', `${'x'.repeat(127)}\ud83d\ude00`))).not.toThrow();
  });
});
