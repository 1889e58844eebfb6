import { describe, expect, it } from 'vitest';
import { UnprovenConnections } from './unproven.ts';

/** Admits these hosts in turn; answers who had to go, as `host#turn: why`. */
function crowd(unproven: UnprovenConnections, hosts: readonly string[]): { gone: string[]; leave: (() => void)[] } {
  const gone: string[] = [];
  const leave = hosts.map((host, turn) => unproven.admit(host, (why) => void gone.push(`${host}#${turn}: ${why}`)));
  return { gone, leave };
}

describe('UnprovenConnections', () => {
  it('lets newcomers in at the expense of the oldest of their own address', () => {
    const unproven = new UnprovenConnections({ inAll: 50, perAddress: 2, loopback: 3 });
    const { gone } = crowd(unproven, [
      '192.0.2.1',
      '::ffff:192.0.2.1',
      '192.0.2.1',
      '127.0.0.1',
      '::1',
      '127.0.0.2',
      '::1',
    ]);
    expect(gone).toEqual(['192.0.2.1#0: address-full', '127.0.0.1#3: address-full']);
    expect(unproven.count).toBe(5);
  });

  it('at the bound in all lets the address with the most go first, so that a crowd displaces only itself', () => {
    const unproven = new UnprovenConnections({ inAll: 4, perAddress: 3, loopback: 3 });
    const { gone } = crowd(unproven, ['192.0.2.9', '192.0.2.1', '192.0.2.1', '192.0.2.1', '192.0.2.7', '192.0.2.8']);
    expect(gone).toEqual(['192.0.2.1#1: full', '192.0.2.1#2: full']);
    expect(unproven.count).toBe(4);
  });

  it('never asks a connection to go that has proved itself, and counts it off once', () => {
    const unproven = new UnprovenConnections({ inAll: 2, perAddress: 1, loopback: 1 });
    const { gone, leave } = crowd(unproven, ['192.0.2.1']);
    leave[0]?.();
    leave[0]?.();
    expect(unproven.count).toBe(0);
    crowd(unproven, ['192.0.2.1', '192.0.2.1', '192.0.2.1']);
    expect(gone).toEqual([]);
    expect(unproven.count).toBe(1);
  });
});
