import { describe, expect, it } from 'vitest';
import * as limits from '../limits.ts';
import { dialectOf, type Dialect } from './first-bytes.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

describe('dialectOf()', () => {
  it.each<readonly [string, Dialect, Dialect]>([
    ['\0', 'native', 'native'],
    ['\0\0\0T', 'native', 'native'],
    ['\x16\x03\x01', 'unusable', 'unusable'],
    ['\n', 'unusable', 'unusable'],
    ['big.bin:0:1', 'range', 'range'],
    ['ü.bin:0:1', 'range', 'range'],
    ['G', 'unclear', 'range'],
    ['GE', 'unclear', 'range'],
    ['GE:0:1\n', 'range', 'range'],
    ['GET ', 'unclear', 'range'],
    ['GET /content/x', 'unclear', 'range'],
    ['GET something:0:10\n', 'range', 'range'],
    ['GET / HTTP/1.1\r\n', 'http', 'http'],
    ['GET / HTTP/1.1', 'unclear', 'http'],
    ['HEAD /x HTTP/1.0\r\nHost: y\r\n', 'http', 'http'],
    ['HEADER:0:10', 'range', 'range'],
    ['POST / HTTP/1.1\r\n', 'range', 'range'],
    [`GET ${'x'.repeat(limits.RANGE_LINE_BYTES_MAX)}`, 'unusable', 'unusable'],
  ])('%j is %s, and %s when no more comes', (text, early, late) => {
    expect(dialectOf(bytes(text), false)).toBe(early);
    expect(dialectOf(bytes(text), true)).toBe(late);
  });
});
