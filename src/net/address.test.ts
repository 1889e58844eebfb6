import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  addressGroup,
  formatAddress,
  hostFromBytes,
  hostToBytes,
  isLoopback,
  isUnspecified,
  normalHost,
  parseAddress,
} from './address.ts';

describe('parseAddress()', () => {
  it.each([
    ['192.0.2.1:9001', '192.0.2.1', 9001],
    ['[::1]:9001', '::1', 9001],
    ['[2001:DB8:0::1]:0', '2001:db8::1', 0],
    ['[::ffff:192.0.2.1]:80', '192.0.2.1', 80],
    ['seed-1.lab.example:65535', 'seed-1.lab.example', 65_535],
    ['localhost:1', 'localhost', 1],
  ])('reads %s', (text, host, port) => {
    expect(parseAddress(text)).toEqual({ host, port });
  });

  it.each([
    ['', 'the port is missing'],
    ['192.0.2.1', 'the port is missing'],
    [':9001', 'the port is missing'],
    ['192.0.2.1:', 'the port is not'],
    ['192.0.2.1:65536', 'the port is not'],
    ['192.0.2.1:-1', 'the port is not'],
    ['192.0.2.1:1e3', 'the port is not'],
    ['::1:9001', 'needs brackets'],
    ['[::1]', 'the port is not'],
    ['[192.0.2.1]:9001', 'not an IPv6 address'],
    ['http://x:9001', 'needs brackets'],
    ['a b:9001', 'neither'],
    [`${'x'.repeat(254)}:9001`, 'neither'],
  ])('refuses %s', (text, problem) => {
    expect(() => parseAddress(text)).toThrow(expect.objectContaining({ code: 'usage' }));
    expect(() => parseAddress(text)).toThrow(problem);
  });

  it('reads what formatAddress() writes', () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), fc.nat(65_535), (host, port) => {
        const address = { host: normalHost(host), port };
        expect(parseAddress(formatAddress(address))).toEqual(address);
      }),
    );
  });
});

describe('hosts as bytes', () => {
  it('come back as they went in', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (bytes) => {
        const host = hostFromBytes(bytes);
        expect(hostToBytes(host)).toEqual(bytes);
        expect(normalHost(host)).toBe(host);
      }),
    );
  });

  it.each([
    ['127.0.0.1', '00000000000000000000ffff7f000001'],
    ['::ffff:7f00:1', '00000000000000000000ffff7f000001'],
    ['::1', '00000000000000000000000000000001'],
    ['2001:db8::', '20010db8000000000000000000000000'],
  ])('%s is %s', (host, hex) => {
    expect(Buffer.from(hostToBytes(host) ?? []).toString('hex')).toBe(hex);
  });

  it('names and zones have none', () => {
    expect(hostToBytes('localhost')).toBeUndefined();
    expect(hostToBytes('fe80::1%eth0')).toBeUndefined();
  });
});

describe('what an address is', () => {
  it.each([
    ['127.0.0.1', true],
    ['127.9.9.9', true],
    ['::1', true],
    ['::ffff:127.0.0.1', true],
    ['LocalHost', true],
    ['128.0.0.1', false],
    ['127.example', false],
    ['::2', false],
  ])('%s is loopback: %s', (host, expected) => {
    expect(isLoopback(host)).toBe(expected);
  });

  it('unspecified addresses are known', () => {
    expect(['0.0.0.0', '::', '::ffff:0.0.0.0', '::1'].map(isUnspecified)).toEqual([true, true, true, false]);
  });

  it.each([
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8:1:2::1', '2001:db8:1:2::/64'],
    ['fe80::1%eth0', 'fe80::/64'],
    ['127.0.0.5', 'loopback'],
    ['::1', 'loopback'],
  ])('%s counts with %s', (host, group) => {
    expect(addressGroup(host)).toBe(group);
  });
});
