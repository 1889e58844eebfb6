import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { seededBytes } from './fixtures.ts';
import { nativeLanes, nodeLanes, sha256Lanes, type Sha256Lanes } from './sha256-lanes.ts';

const digestOf = (bytes: Uint8Array): Uint8Array => new Uint8Array(createHash('sha256').update(bytes).digest());
const native = nativeLanes();

const kinds: [string, Sha256Lanes][] = [
  ['Node', nodeLanes()],
  ['this machine', sha256Lanes()],
];
if (native !== undefined) kinds.push(['OpenSSL', native]);

describe.each(kinds)('SHA-256 in lanes, by %s', (_name, lanes) => {
  it('is right for two streams of every pair of lengths around the edges of a block', () => {
    const bytes = seededBytes(1_000);
    for (const one of [0, 1, 55, 56, 64, 119, 120, 128, 500]) {
      for (const two of [0, 3, 55, 56, 63, 64, 65, 448]) {
        const first = lanes.begin();
        const second = lanes.begin();
        lanes.update(first, bytes.subarray(0, one), second, bytes.subarray(500, 500 + two));
        expect(lanes.digest(first)).toEqual(digestOf(bytes.subarray(0, one)));
        expect(lanes.digest(second)).toEqual(digestOf(bytes.subarray(500, 500 + two)));
      }
    }
  });

  it('goes on piece by piece, alone and in company, and from a fork', () => {
    const bytes = seededBytes(64 * 100 + 7);
    const whole = lanes.begin();
    for (let at = 0; at < 64 * 50; at += 640) lanes.update(whole, bytes.subarray(at, at + 640));
    const fork = lanes.fork(whole);
    const chunk = lanes.begin();
    lanes.update(whole, bytes.subarray(64 * 50), chunk, bytes.subarray(64 * 50));
    lanes.update(fork, bytes.subarray(0, 64), lanes.begin(), bytes.subarray(0, 128));
    expect(whole.byteCount).toBe(bytes.length);
    expect(lanes.digest(whole)).toEqual(digestOf(bytes));
    expect(lanes.digest(chunk)).toEqual(digestOf(bytes.subarray(64 * 50)));
    expect(lanes.digest(fork)).toEqual(digestOf(Buffer.concat([bytes.subarray(0, 64 * 50), bytes.subarray(0, 64)])));
  });
});

describe.runIf(native !== undefined)('SHA-256 in lanes, by OpenSSL', () => {
  it('refuses to go on behind a piece that is not whole blocks, and one stream in two lanes', () => {
    const lanes = native as Sha256Lanes;
    const stream = lanes.begin();
    expect(() => lanes.update(stream, seededBytes(64), stream, seededBytes(64))).toThrow('two lanes');
    lanes.update(stream, seededBytes(65));
    expect(() => lanes.update(stream, seededBytes(64))).toThrow('whole blocks');
  });
});
