import { describe, expect, it } from 'vitest';
import { BanList } from './ban-list.ts';

const MINUTE_MS = 60_000;

describe('BanList', () => {
  it('bans for a minute after one wrong chunk and for a day after a second within the hour', () => {
    const bans = new BanList();
    expect(bans.punish('p', 'integrity', 0)).toBe(MINUTE_MS);
    expect(bans.isBanned('p', MINUTE_MS - 1)).toBe(true);
    expect(bans.isBanned('p', MINUTE_MS)).toBe(false);
    expect(bans.punish('p', 'integrity', 59 * MINUTE_MS)).toBe(59 * MINUTE_MS + 24 * 60 * MINUTE_MS);
  });

  it('forgets a wrong chunk after an hour', () => {
    const bans = new BanList();
    bans.punish('p', 'integrity', 0);
    expect(bans.punish('p', 'integrity', 61 * MINUTE_MS)).toBe(62 * MINUTE_MS);
  });

  it('bans for ten minutes after a broken protocol and for a day after the third time', () => {
    const bans = new BanList();
    expect(bans.punish('p', 'protocol', 0)).toBe(10 * MINUTE_MS);
    expect(bans.punish('p', 'protocol', 20 * MINUTE_MS)).toBe(30 * MINUTE_MS);
    expect(bans.punish('p', 'protocol', 40 * MINUTE_MS)).toBe(40 * MINUTE_MS + 24 * 60 * MINUTE_MS);
  });

  it('never bans one for what another did', () => {
    const bans = new BanList();
    bans.punish('p', 'protocol', 0);
    expect(bans.isBanned('q', 1)).toBe(false);
  });

  it('stays bounded, whoever floods it with names', () => {
    const bans = new BanList();
    for (let index = 0; index < 10_050; index++) bans.punish(`p${index}`, 'protocol', index);
    expect(bans.isBanned('p10049', 10_050)).toBe(true);
    expect(bans.isBanned('p0', 10_050)).toBe(false);
  });
});
