import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { humanAgo, humanBytes, humanCount, humanDuration, humanPercent, humanRate, humanSeconds } from './human.ts';

describe('quantities for people', () => {
  it.each([
    [0, '0 B'],
    [999, '999 B'],
    [1023, '1023 B'],
    [1024, '1 KiB'],
    [65_536, '64 KiB'],
    [1.5 * 2 ** 30, '1.5 GiB'],
    [2 ** 29, '512 MiB'],
    [2 ** 20 - 1, '1 MiB'],
    [1000 * 2 ** 20, '1000 MiB'],
    [12.34 * 2 ** 20, '12.3 MiB'],
    [2 ** 53, '8 PiB'],
  ])('%d bytes are %s', (bytes, text) => expect(humanBytes(bytes)).toBe(text));

  it('rates count in powers of ten', () => {
    expect([humanRate(112e6), humanRate(999.9e3), humanRate(1.25e9), humanRate(0)]).toEqual([
      '112 MB/s',
      '1 MB/s',
      '1.25 GB/s',
      '0 B/s',
    ]);
  });

  it('times', () => {
    expect([0.4211, 3.22, 59.99, 59.999, 65, 3725, 90_061].map(humanSeconds)).toEqual([
      '0.42 s',
      '3.22 s',
      '59.99 s',
      '1 min 00 s',
      '1 min 05 s',
      '1 h 02 min',
      '1 d 1 h',
    ]);
    expect(humanDuration(3.4)).toBe('3 s');
    expect([0, 1_000, 59_000, 61_000, 7_200_000, 200_000_000].map((agoMs) => humanAgo(0, agoMs))).toEqual([
      'just now',
      'just now',
      '59 s ago',
      '1 min ago',
      '2 h ago',
      '2 d ago',
    ]);
  });

  it('counts have their plural', () => {
    expect([humanCount(1, 'chunk'), humanCount(0, 'chunk'), humanCount(2, 'copy', 'copies')]).toEqual([
      '1 chunk',
      '0 chunks',
      '2 copies',
    ]);
  });

  it('100 % is only said of what is whole', () => {
    expect([humanPercent(999, 1000), humanPercent(1000, 1000), humanPercent(0, 0)]).toEqual(['99 %', '100 %', '100 %']);
  });

  it('no size takes more than eight columns', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (bytes) => {
        expect(humanBytes(bytes).length).toBeLessThanOrEqual(8);
      }),
    );
  });
});
