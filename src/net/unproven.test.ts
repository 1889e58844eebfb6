import { describe, expect, it } from 'vitest';
import { UnprovenConnections } from './unproven.ts';

describe('UnprovenConnections', () => {
  it('counts in all, by address and for loopback', () => {
    const unproven = new UnprovenConnections({ inAll: 5, perAddress: 2, loopback: 3 });
    const hosts = ['192.0.2.1', '::ffff:192.0.2.1', '192.0.2.1', '127.0.0.1', '::1', '127.0.0.2', '192.0.2.2'];
    const answers = hosts.map((host) => {
      const answer = unproven.admit(host);
      return typeof answer === 'string' ? answer : 'yes';
    });
    expect(answers).toEqual(['yes', 'yes', 'address-full', 'yes', 'yes', 'yes', 'full']);
    expect(unproven.count).toBe(5);
  });

  it('takes a connection off once, however often it is told', () => {
    const unproven = new UnprovenConnections({ inAll: 2, perAddress: 1, loopback: 1 });
    const first = unproven.admit('192.0.2.1');
    expect(unproven.admit('192.0.2.1')).toBe('address-full');
    if (typeof first === 'string') expect.fail(first);
    first();
    first();
    expect(unproven.count).toBe(0);
    expect(unproven.admit('192.0.2.1')).toBeTypeOf('function');
  });
});
