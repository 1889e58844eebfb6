import { describe, expect, it } from 'vitest';
import { Bitfield } from '../content/bitfield.ts';
import { ScriptedSwarm, keyOf } from './fixtures.ts';

const told = (index: number, host = `203.0.113.${index % 256}`): { address: string; key: string } => ({
  address: `${host}:${9000 + index}`,
  key: keyOf(index),
});
const range = (from: number, count: number): number[] => Array.from({ length: count }, (_, at) => from + at);

describe('telling', () => {
  it('names the peers that we dialled, soon after the map, and never a peer to itself', () => {
    const peer = new ScriptedSwarm();
    const links = [1, 2, 3].map((index) => peer.link(index));
    peer.passUntil(900);
    expect(peer.takeSent('pex')).toEqual([]);
    peer.passUntil(1_100);
    const sent = peer.takeSent('pex');
    expect(sent.map(({ link }) => link).toSorted((a, b) => a - b)).toEqual(links);
    const first = sent.find(({ link }) => link === links[0]);
    expect(first?.added.map(({ key }) => key).toSorted((a, b) => a.localeCompare(b))).toEqual([keyOf(2), keyOf(3)]);
    expect(first?.added.map(({ address }) => address)).toContain('198.51.100.2:9002');
  });

  it('names a peer that came to us only after it was found where it says that it listens', () => {
    const peer = new ScriptedSwarm();
    const [liar, honest] = [peer.link(1, { outbound: false }), peer.link(2, { outbound: false })];
    peer.passUntil(2_000);
    expect(peer.takeSent('pex')).toEqual([]);
    const probes = peer.take('probe');
    expect(probes.map(({ link, address, key }) => ({ link, address, key }))).toEqual([
      { link: liar, address: '198.51.100.1:9001', key: keyOf(1) },
      { link: honest, address: '198.51.100.2:9002', key: keyOf(2) },
    ]);
    peer.tell({ type: 'probed', link: liar, ok: false });
    peer.tell({ type: 'probed', link: honest, ok: true });
    peer.passUntil(4_000);
    const sent = peer.takeSent('pex');
    expect(sent.map(({ link, added }) => [link, added.map(({ key }) => key)])).toEqual([[liar, [keyOf(2)]]]);
  });

  it('does not knock at anybody while there is nobody to be told of it', () => {
    const peer = new ScriptedSwarm();
    peer.link(1, { outbound: false });
    peer.passUntil(60_000);
    expect(peer.take('probe')).toEqual([]);
  });

  it('knocks at a few at a time', () => {
    const peer = new ScriptedSwarm();
    for (const index of range(1, 12)) peer.link(index, { outbound: false });
    peer.passUntil(2_000);
    const probes = peer.take('probe');
    expect(probes).toHaveLength(4);
    for (const { link } of probes) peer.tell({ type: 'probed', link, ok: true });
    expect(peer.take('probe')).toHaveLength(4);
  });

  it('speaks at most every 30 s on a link, in messages of at most 20, and takes back who has gone', () => {
    const peer = new ScriptedSwarm();
    const watcher = peer.link(1);
    const others = range(2, 30).map((index) => peer.link(index));
    const heard = (): { added: number; dropped: number }[] =>
      peer
        .takeSent('pex')
        .filter(({ link }) => link === watcher)
        .map(({ added, dropped }) => ({ added: added.length, dropped: dropped.length }));
    peer.passUntil(1_100);
    expect(heard()).toEqual([{ added: 20, dropped: 0 }]);
    for (const link of others.slice(0, 6)) peer.tell({ type: 'unlinked', link, misbehaved: false });
    peer.passUntil(30_900);
    expect(heard()).toEqual([]);
    peer.passUntil(32_000);
    const [second, ...rest] = heard();
    expect(rest).toEqual([]);
    expect((second?.added ?? 0) - (second?.dropped ?? 0)).toBe(24 - 20);
    peer.passUntil(500_000);
    expect(heard()).toEqual([]);
  });

  it('names nobody when peer exchange is off, and does not believe what it is told', () => {
    const peer = new ScriptedSwarm({ peerExchange: false });
    const [one] = [1, 2, 3].map((index) => peer.link(index, { outbound: index < 3 }));
    peer.message(one as number, { type: 'pex', added: [told(7)], dropped: [] });
    peer.passUntil(100_000);
    expect(peer.takeSent('pex')).toEqual([]);
    expect(peer.take('probe')).toEqual([]);
    expect(peer.take('dial')).toEqual([]);
    peer.tell({ type: 'peer-exchange', enabled: true });
    peer.passUntil(102_000);
    expect(peer.takeSent('pex').length).toBeGreaterThan(0);
  });

  it('tells nobody outside of addresses inside', () => {
    const peer = new ScriptedSwarm();
    const outside = peer.link(1);
    const inside = peer.link(2, { host: '192.168.1.2' });
    const here = peer.link(3, { host: '127.0.0.1' });
    peer.passUntil(1_500);
    const heard = new Map(peer.takeSent('pex').map(({ link, added }) => [link, added.map(({ key }) => key)]));
    expect(heard.get(outside) ?? []).toEqual([]);
    expect(heard.get(inside)).toEqual([keyOf(1)]);
    expect(heard.get(here)?.toSorted((a, b) => a.localeCompare(b))).toEqual([keyOf(1), keyOf(2)]);
  });

  it('sends a newcomer on when there is no room for it', () => {
    const peer = new ScriptedSwarm();
    for (const index of range(1, 40)) peer.link(index);
    peer.actions = [];
    const newcomer = peer.link(99, { outbound: false, map: false });
    const [pex] = peer.takeSent('pex');
    expect(pex?.link).toBe(newcomer);
    expect(pex?.added).toHaveLength(20);
    expect(peer.take('close')).toMatchObject([{ link: newcomer, reason: 'full' }]);
  });
});

describe('being told', () => {
  const dialled = (peer: ScriptedSwarm): string[] => peer.take('dial').flatMap(({ candidate }) => candidate.addresses);

  it('dials who is named, after those the tracker lists', () => {
    const peer = new ScriptedSwarm();
    const link = peer.link(1);
    peer.message(link, { type: 'pex', added: range(10, 7).map((index) => told(index)), dropped: [] });
    expect(dialled(peer)).toHaveLength(7);
    const listed = { key: keyOf(50), addresses: ['192.0.2.50:1'], dialect: 'native' as const, complete: false };
    const other = new ScriptedSwarm();
    const from = other.link(1, { map: false });
    // eight dials at a time: the listed one is among them though seven more were told first
    other.message(from, { type: 'pex', added: range(10, 20).map((index) => told(index)), dropped: [] });
    const first = dialled(other);
    expect(first).toHaveLength(8);
    other.tell({ type: 'candidates', candidates: [listed], listed: true });
    other.tell({ type: 'dial-failed', key: first[0] ?? '' });
    expect(dialled(other)[0]).toBe('192.0.2.50:1');
  });

  it('does not let a stranger on the Internet send it into the private network or to itself', () => {
    const peer = new ScriptedSwarm();
    const link = peer.link(1);
    const inner = ['127.0.0.1', '10.0.0.1', '192.168.0.1', '169.254.1.1', '[fe80::1]', '[::1]', '0.0.0.0', '224.0.0.1'];
    peer.message(link, {
      type: 'pex',
      added: [...inner.map((host) => told(20, host)), { ...told(21), key: peer.swarm.neighbours()[0]?.key ?? '' }],
      dropped: [],
    });
    expect(dialled(peer)).toEqual([]);
  });

  it('stops believing a source whose peers cannot be reached, and dials no more of its lies', () => {
    const peer = new ScriptedSwarm();
    const link = peer.link(1);
    const victims = new Set<string>();
    for (let round = 0; round < 40; round++) {
      peer.message(link, {
        type: 'pex',
        added: range(1000 + round * 20, 20).map((index) => told(index, `203.${index >> 8}.113.${index & 255}`)),
        dropped: [],
      });
      for (let turn = 0; turn < 40; turn++) {
        for (const { candidate } of peer.take('dial')) {
          victims.add(candidate.key);
          peer.tell({ type: 'dial-failed', key: candidate.key });
        }
        peer.passUntil(peer.nowMs + 1_000);
      }
    }
    expect(victims.size).toBeLessThanOrEqual(18);
  });

  it('dials for any number of liars together no more than a burst and one a second', () => {
    const peer = new ScriptedSwarm();
    const links = range(1, 10).map((index) => peer.link(index, { outbound: false }));
    let dials = 0;
    const seconds = 120;
    for (let second = 0; second < seconds; second++) {
      links.forEach((link, at) =>
        peer.message(link, {
          type: 'pex',
          added: range(0, 20).map((index) => told(index, `203.${at}.${second % 256}.${index}`)),
          dropped: [],
        }),
      );
      for (let turn = 0; turn < 4; turn++) {
        for (const { candidate } of peer.take('dial')) {
          dials++;
          peer.tell({ type: 'dial-failed', key: candidate.key });
        }
        peer.passUntil(peer.nowMs + 250);
      }
    }
    expect(dials).toBeLessThanOrEqual(32 + seconds);
  });

  it('does not let many ports of one host be named', () => {
    const peer = new ScriptedSwarm();
    const link = peer.link(1);
    peer.message(link, { type: 'pex', added: range(1, 20).map((index) => told(index, '203.0.113.9')), dropped: [] });
    let count = 0;
    for (let turn = 0; turn < 20; turn++) {
      for (const { candidate } of peer.take('dial')) {
        count++;
        peer.tell({ type: 'dial-failed', key: candidate.key });
      }
    }
    expect(count).toBeLessThanOrEqual(8);
  });

  it('does not let a lie about an address keep it from a peer', () => {
    const peer = new ScriptedSwarm();
    const [liar, honest] = [peer.link(1), peer.link(2)];
    peer.message(liar, { type: 'pex', added: [{ address: '203.0.113.66:1', key: keyOf(30) }], dropped: [] });
    peer.message(honest, { type: 'pex', added: [told(30)], dropped: [] });
    expect(dialled(peer)).toEqual(['203.0.113.66:1', told(30).address]);
  });

  it('does not dial who is linked already, under its id or its address', () => {
    const peer = new ScriptedSwarm();
    const [one] = [peer.link(1), peer.link(2)];
    const twice = { address: '203.0.113.2:1', key: keyOf(2) };
    peer.message(one, { type: 'pex', added: [told(2, '198.51.100.2'), twice], dropped: [] });
    expect(dialled(peer)).toEqual([]);
  });

  it('is deaf when it has everything', () => {
    const peer = new ScriptedSwarm({ have: Bitfield.full(16) });
    const link = peer.link(1);
    peer.message(link, { type: 'pex', added: [told(9)], dropped: [] });
    expect(dialled(peer)).toEqual([]);
  });

  it('drops from its list who has gone before it was dialled', () => {
    const peer = new ScriptedSwarm();
    const link = peer.link(1);
    peer.message(link, { type: 'pex', added: range(10, 12).map((index) => told(index)), dropped: [] });
    const first = dialled(peer);
    expect(first).toHaveLength(8);
    peer.nowMs = 30_000;
    peer.message(link, { type: 'pex', added: [], dropped: range(10, 12).map(keyOf) });
    for (const key of first) peer.tell({ type: 'dial-failed', key });
    expect(dialled(peer)).toEqual([]);
  });
});

describe('the degree', () => {
  it('is 10 of our own at first, and 20 in all for whoever is dialled by few', () => {
    const peer = new ScriptedSwarm();
    const candidates = range(100, 40).map((index) => ({
      key: keyOf(index),
      addresses: [told(index).address],
      dialect: 'native' as const,
      complete: false,
    }));
    peer.tell({ type: 'candidates', candidates, listed: true });
    let made = 0;
    const linkAllDialled = (): void => {
      for (let turn = 0; turn < 10; turn++) {
        for (const { candidate } of peer.take('dial')) {
          made++;
          peer.tell({
            type: 'linked',
            link: 1_000 + made,
            key: candidate.key,
            address: candidate.addresses[0] ?? '',
            outbound: true,
            dialledKey: candidate.key,
          });
        }
      }
    };
    linkAllDialled();
    expect(made).toBe(10);
    for (const index of range(1, 6)) peer.link(index, { outbound: false });
    peer.passUntil(900);
    linkAllDialled();
    expect(made).toBe(10);
    peer.passUntil(5_000);
    linkAllDialled();
    expect(made).toBe(14);
    peer.passUntil(9_000);
    expect(peer.take('dial')).toEqual([]);
  });

  it('at 20 gives up a link on which nothing moved for a minute, one in 30 s, when there is somebody else', () => {
    const peer = new ScriptedSwarm();
    const links = range(1, 20).map((index) => peer.link(index, { outbound: index <= 12 }));
    peer.passUntil(200_000);
    expect(peer.take('close')).toEqual([]);
    peer.message(links[0] as number, { type: 'pex', added: range(100, 5).map((index) => told(index)), dropped: [] });
    peer.passUntil(231_000);
    expect(peer.take('close')).toMatchObject([{ reason: 'useless' }]);
  });
});
