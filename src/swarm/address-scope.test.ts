import { describe, expect, it } from 'vitest';
import { addressScope, hostOf, mayPass, type AddressScope } from './address-scope.ts';

describe('addressScope()', () => {
  it.each<[string, AddressScope]>([
    ['127.0.0.1:1', 'loopback'],
    ['127.255.0.9:1', 'loopback'],
    ['[::1]:1', 'loopback'],
    ['10.0.0.1:1', 'private'],
    ['172.16.0.1:1', 'private'],
    ['172.32.0.1:1', 'global'],
    ['192.168.9.9:1', 'private'],
    ['192.169.9.9:1', 'global'],
    ['100.64.0.1:1', 'private'],
    ['100.128.0.1:1', 'global'],
    ['[fd00::7]:1', 'private'],
    ['169.254.1.1:1', 'link-local'],
    ['[fe80::1]:1', 'link-local'],
    ['[febf::1]:1', 'link-local'],
    ['[fe80::1%eth0]:1', 'link-local'],
    ['0.0.0.0:1', 'unusable'],
    ['255.255.255.255:1', 'unusable'],
    ['239.1.1.1:1', 'unusable'],
    ['[::]:1', 'unusable'],
    ['[ff02::1]:1', 'unusable'],
    ['[2002:7f00:1::]:1', 'unusable'],
    ['[64:ff9b::7f00:1]:1', 'unusable'],
    ['[::ffff:127.0.0.1]:1', 'loopback'],
    ['8.8.8.8:1', 'global'],
    ['[2001:db8::1]:1', 'global'],
    ['peer.example:1', 'named'],
    ['1.2.3:1', 'named'],
    ['256.1.1.1:1', 'named'],
  ])('%s is %s', (address, scope) => {
    expect(addressScope(address)).toBe(scope);
  });

  it('reads the host of an address', () => {
    expect(hostOf('[2001:db8::1]:9')).toBe('2001:db8::1');
    expect(hostOf('192.0.2.1:9')).toBe('192.0.2.1');
  });
});

describe('mayPass()', () => {
  it('keeps addresses of a machine and of a network where they are', () => {
    expect(mayPass('loopback', 'loopback')).toBe(true);
    expect(mayPass('loopback', 'private')).toBe(false);
    expect(mayPass('loopback', 'global')).toBe(false);
    expect(mayPass('private', 'private')).toBe(true);
    expect(mayPass('private', 'loopback')).toBe(true);
    expect(mayPass('private', 'global')).toBe(false);
    expect(mayPass('private', 'named')).toBe(false);
  });

  it('lets everybody know of what everybody can reach, and nobody of the rest', () => {
    for (const peer of ['global', 'private', 'loopback', 'named'] as const) {
      expect(mayPass('global', peer)).toBe(true);
      for (const what of ['link-local', 'unusable', 'named'] as const) expect(mayPass(what, peer)).toBe(false);
    }
  });
});
