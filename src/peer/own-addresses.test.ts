import { expect, test } from 'vitest';
import { ADDRESSES_PER_PEER_MAX } from '../limits.ts';
import { ownAddresses } from './own-addresses.ts';

test('what the user advertises is all there is', () => {
  expect(ownAddresses('0.0.0.0', 9001, 'node.example')).toEqual([{ host: 'node.example', port: 9001 }]);
});

test('a port of another machine that leads here is advertised with it', () => {
  const advertised = ['gate.example:19001', '[2001:db8::7]:19001', '[2001:db8::7]', '2001:db8::7', '192.0.2.7:19001'];
  expect(advertised.map((text) => ownAddresses('::', 9001, text)[0])).toEqual([
    { host: 'gate.example', port: 19001 },
    { host: '2001:db8::7', port: 19001 },
    { host: '2001:db8::7', port: 9001 },
    { host: '2001:db8::7', port: 9001 },
    { host: '192.0.2.7', port: 19001 },
  ]);
});

test('a node that listens on one address announces that one', () => {
  expect(ownAddresses('192.0.2.1', 9001, undefined)).toEqual([{ host: '192.0.2.1', port: 9001 }]);
  expect(ownAddresses('127.0.0.1', 9001, '')).toEqual([{ host: '127.0.0.1', port: 9001 }]);
});

test.each(['0.0.0.0', '::'])('a node on every address (%s) lets the tracker say where it is, first of all', (host) => {
  const addresses = ownAddresses(host, 9001, undefined);
  expect(addresses[0]).toEqual({ host: '', port: 9001 });
  expect(addresses.length).toBeLessThanOrEqual(ADDRESSES_PER_PEER_MAX);
  for (const address of addresses) {
    expect(address.port).toBe(9001);
    expect(address.host).not.toMatch(/^(?:fe80:|127\.|::1$|0\.0\.0\.0$|::$)/iu);
  }
});
