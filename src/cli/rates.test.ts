import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ShoalError } from '../errors.ts';
import {
  parseChunkSize,
  parseCount,
  parseDurationMs,
  parseListen,
  parsePeerAddress,
  parsePort,
  parseRate,
  parseSize,
  parseTrackerUrls,
} from './rates.ts';

function usage(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(ShoalError);
    expect((error as ShoalError).exitCode).toBe(2);
    return (error as ShoalError).message;
  }
  throw new Error('it was accepted');
}

describe('rates', () => {
  it.each([
    ['60M', 60e6],
    ['1.5G', 1.5e9],
    ['500mbit', 62.5e6],
    ['1Gbit/s', 125e6],
    ['8kbps', 1000],
    ['250k', 250e3],
    ['250KB/s', 250e3],
    ['1000', 1000],
    [' 2 MB/s ', 2e6],
  ])('reads %s as %d bytes a second', (text, rate) => expect(parseRate(text)).toBe(rate));

  it.each(['', '0', '-1M', '1.2.3M', '60Q', 'fast', '60 M M', '1e9', '0.1', '9999999999T', '60MiB'])(
    'refuses %j',
    (text) => expect(usage(() => parseRate(text))).toContain('60M'),
  );
});

describe('sizes', () => {
  it.each([
    ['64KiB', 65_536],
    ['1MiB', 1_048_576],
    ['2GiB', 2 ** 31],
    ['50G', 50e9],
    ['512M', 512e6],
    ['10 kB', 10e3],
    ['0', 0],
    ['123', 123],
  ])('reads %s as %d bytes', (text, size) => expect(parseSize(text)).toBe(size));

  it('of chunks are powers of two, and what is not is told the nearest', () => {
    expect(parseChunkSize('16KiB')).toBe(16_384);
    expect(parseChunkSize('64MiB')).toBe(67_108_864);
    for (const [text, nearest] of [
      ['256KB', '256KiB'],
      ['1MB', '1MiB'],
      ['8KiB', '16KiB'],
      ['0', '16KiB'],
      ['1G', '64MiB'],
    ] as const) {
      expect(usage(() => parseChunkSize(text))).toContain('powers of two from 16KiB to 64MiB');
      expect(() => parseChunkSize(text)).toThrow(
        expect.objectContaining({ hint: expect.stringContaining(nearest) as string }),
      );
    }
  });

  it.each(['', '-1', '1XiB', '5iB', 'big', '99999999T'])('refuses %j', (text) =>
    expect(usage(() => parseSize(text))).toContain('64KiB'),
  );
});

describe('times', () => {
  it.each([
    ['30', 30_000],
    ['0.5', 500],
    ['500ms', 500],
    ['5m', 300_000],
    ['2 min', 120_000],
    ['1h', 3_600_000],
  ])('reads %s as %d ms', (text, durationMs) => expect(parseDurationMs(text)).toBe(durationMs));

  it.each(['', '0', '-3', '1d', '600h', 'soon'])('refuses %j', (text) =>
    expect(usage(() => parseDurationMs(text))).toContain('seconds'),
  );
});

describe('addresses', () => {
  it('reads what to listen on', () => {
    expect(parseListen('127.0.0.1:9001')).toEqual({ host: '127.0.0.1', port: 9001 });
    expect(parseListen('[::1]:0')).toEqual({ host: '::1', port: 0 });
    expect(parseListen(':9001')).toEqual({ host: '::', port: 9001 });
    expect(parseListen('9001')).toEqual({ host: '::', port: 9001 });
    expect(parseListen('peer.example')).toEqual({ host: 'peer.example', port: 0 });
    for (const bad of ['', '1:2:3', 'a b:1', 'host:', 'host:70000', '[::1']) usage(() => parseListen(bad));
  });

  it('reads a peer only with its port', () => {
    expect(parsePeerAddress('192.0.2.7:9001')).toBe('192.0.2.7:9001');
    expect(parsePeerAddress('[2001:db8::1]:9001')).toBe('[2001:db8::1]:9001');
    for (const bad of ['192.0.2.7', 'a:0', 'a:65536', ':9', '2001:db8::1:9001'])
      expect(usage(() => parsePeerAddress(bad))).toMatch(/HOST:PORT|port/);
  });

  it('reads ports and counts', () => {
    expect([parsePort('0'), parsePort('65535'), parseCount('7')]).toEqual([0, 65_535, 7]);
    for (const bad of ['', '-1', '65536', '1.5', 'x']) usage(() => parsePort(bad));
    for (const bad of ['', '0', '-1', 'all']) usage(() => parseCount(bad));
  });

  it('reads one or more trackers', () => {
    expect(parseTrackerUrls('http://a:9000/')).toEqual(['http://a:9000']);
    expect(parseTrackerUrls('a:9000, https://b/x/ ,http://a:9000')).toEqual(['http://a:9000', 'https://b/x']);
    for (const bad of ['', ' , ', 'ftp://a', 'http://', 'http://user:secret@a']) {
      const message = usage(() => parseTrackerUrls(bad));
      expect(message).not.toContain('secret');
    }
  });
});

it('no text makes a parser throw anything but a usage error, or answer with what is no safe number', () => {
  const text = fc.oneof(fc.string(), fc.stringMatching(/^[0-9.]{0,20} ?[kmgtKMGTiBbs/]{0,6}$/));
  fc.assert(
    fc.property(text, (input) => {
      for (const parse of [parseRate, parseSize, parseDurationMs, parsePort, parseCount]) {
        try {
          expect(Number.isSafeInteger(parse(input))).toBe(true);
        } catch (error) {
          if (!(error instanceof ShoalError) || error.code !== 'usage') throw error;
        }
      }
    }),
  );
});
