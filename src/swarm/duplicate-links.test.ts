import { describe, expect, it } from 'vitest';
import { Bitfield } from '../content/bitfield.ts';
import { loserOf, overdueDuplicate } from './duplicate-links.ts';
import { Neighbour } from './neighbour.ts';

const neighbour = (link: number, key: string, outbound: boolean, nowMs = 0): Neighbour =>
  new Neighbour({
    link,
    key,
    address: '192.0.2.1:1',
    outbound,
    candidateKey: undefined,
    listensAt: undefined,
    paces: true,
    theirs: new Bitfield(1),
    nowMs,
  });

describe('loserOf()', () => {
  it('of crossing dials leaves the one dialled by the smaller id, whichever side looks and whatever came first', () => {
    // a dialled the first, b the second; `a` sees the first as outbound
    const atA = { first: neighbour(1, 'b', true), second: neighbour(2, 'b', false) };
    const atB = { first: neighbour(1, 'a', false), second: neighbour(2, 'a', true) };
    expect(loserOf(atA.first, atA.second, 'a')).toBe(atA.second);
    expect(loserOf(atA.second, atA.first, 'a')).toBe(atA.second);
    expect(loserOf(atB.first, atB.second, 'b')).toBe(atB.second);
    expect(loserOf(atB.second, atB.first, 'b')).toBe(atB.second);
  });

  it('of two dials from one side leaves the decision to the dialler, who keeps the first', () => {
    const [first, second] = [neighbour(1, 'b', true), neighbour(2, 'b', true)];
    expect(loserOf(first, second, 'a')).toBe(second);
    const [accepted, acceptedLater] = [neighbour(1, 'a', false), neighbour(2, 'a', false)];
    expect(loserOf(accepted, acceptedLater, 'b')).toBeUndefined();
    expect(loserOf(acceptedLater, accepted, 'b')).toBeUndefined();
  });
});

describe('overdueDuplicate()', () => {
  it('names the older of two accepted links when the dialler has closed none', () => {
    const links = [neighbour(1, 'a', false, 0), neighbour(2, 'c', false, 0), neighbour(3, 'a', false, 500)];
    expect(overdueDuplicate(links, 2_499)).toBeUndefined();
    expect(overdueDuplicate(links, 2_500)).toBe(links[0]);
    expect(overdueDuplicate(links.slice(1), 9_000)).toBeUndefined();
  });
});
