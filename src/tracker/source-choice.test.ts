import { expect, test } from 'vitest';
import * as limits from '../limits.ts';
import { changeOf, claimOf, createBench, manifestOf, peerIdOf, type Bench } from './test-fixtures.ts';

const big = manifestOf('big', 64);
const LIMIT = limits.LOCATE_SOURCES_MAX;

/** A swarm of complete peers 1.. and partial peers 1001.., each partial one with the chunks `has` gives it. */
async function swarm(
  complete: number,
  partial: number,
  has = (_number: number): number[] => [0],
  options: Parameters<typeof createBench>[0] = {},
): Promise<Bench> {
  const bench = await createBench(options);
  await bench.publish(bench.join(1), 'big', big);
  for (let number = 2; number <= complete; number++) bench.join(number, claimOf(big));
  for (let number = 1; number <= partial; number++) bench.join(1000 + number, claimOf(big, has(number)));
  if (complete === 0) bench.registry.leave(peerIdOf(1));
  return bench;
}

test('all sources are named when they fit, without the asking peer', async () => {
  const bench = await swarm(2, 3);
  expect((await bench.located('big')).toSorted((a, b) => a - b)).toEqual([1, 2, 1001, 1002, 1003]);
  expect((await bench.located('big', peerIdOf(1001))).toSorted((a, b) => a - b)).toEqual([1, 2, 1002, 1003]);
});

test('exactly the limit besides the asking peer still fits', async () => {
  const bench = await swarm(1, LIMIT);
  expect(await bench.located('big', peerIdOf(1001))).toHaveLength(LIMIT);
  expect(new Set(await bench.located('big', peerIdOf(1001)))).not.toContain(1001);
});

test('many leechers come with two complete peers', async () => {
  const bench = await swarm(10, 100);
  const located = await bench.located('big');
  expect(located).toHaveLength(LIMIT);
  expect(new Set(located).size).toBe(LIMIT);
  expect(located.filter((number) => number < 1000)).toHaveLength(2);
});

test('many complete peers come with the few leechers there are', async () => {
  const bench = await swarm(100, 3);
  const located = await bench.located('big');
  expect(located).toHaveLength(LIMIT);
  expect(new Set(located.filter((number) => number > 1000))).toEqual(new Set([1001, 1002, 1003]));
});

test('the asking peer is never named, however many there are', async () => {
  const bench = await swarm(40, 40);
  for (let turn = 0; turn < 60; turn++) {
    expect(await bench.located('big', peerIdOf(1007))).not.toContain(1007);
    expect(await bench.located('big', peerIdOf(7))).not.toContain(7);
  }
});

test('sources are named in turns', async () => {
  const bench = await swarm(1, 100);
  const named = new Map<number, number>();
  for (let turn = 0; turn < 50; turn++)
    for (const number of await bench.located('big')) named.set(number, (named.get(number) ?? 0) + 1);
  const times = [...named].filter(([number]) => number > 1000).map(([, count]) => count);
  expect(times).toHaveLength(100);
  expect(Math.max(...times) - Math.min(...times)).toBeLessThanOrEqual(2);
});

test('peers with few links are preferred', async () => {
  const bench = await swarm(1, 48);
  for (let number = 1001; number <= 1048; number++)
    bench.registry.renew(peerIdOf(number), [changeOf(big, { links: number % 2 === 0 ? 30 : 2 })]);
  let busy = 0;
  for (let turn = 0; turn < 20; turn++)
    busy += (await bench.located('big')).filter((number) => number > 1000 && number % 2 === 0).length;
  expect(busy).toBe(0);
});

test('without a complete peer the holders of the rarest chunks are among those named', async () => {
  const bench = await swarm(0, 200, (number) => (number === 77 ? [0, 63] : number === 150 ? [0, 40] : [0]));
  for (let turn = 0; turn < 30; turn++) {
    const located = await bench.located('big');
    expect(located).toHaveLength(LIMIT);
    expect(located).toEqual(expect.arrayContaining([1077, 1150]));
  }
});

test('where the complete peers answer nobody, partial ones take their places and the rarest chunks are covered', async () => {
  const answers = ({ port }: { readonly port: number }): Promise<boolean> => Promise.resolve(port > 9000 + 1000);
  const has = (number: number): number[] => (number === 48 ? [0, 63] : [0]);
  // no more than one caller may have dialled at once
  const bench = await swarm(3, limits.DIAL_BACK_FOREIGN_BURST - 8, has, { probe: answers });
  for (const number of [1, 2, 3, 1048]) await bench.registry.reachability(peerIdOf(number));
  for (let turn = 0; turn < 30; turn++) {
    const located = await bench.located('big');
    expect(located).toHaveLength(LIMIT);
    expect(located).toContain(1048);
    expect(located.every((number) => number > 1000)).toBe(true);
  }
});

test('a caller may ask for fewer, and gets a complete and a partial peer still', async () => {
  const bench = await swarm(10, 10);
  const located = await bench.located('big', '', 2);
  expect(located.map((number) => number > 1000)).toEqual([false, true]);
});

test('loopback addresses come last for others and first for those on loopback', async () => {
  const bench = await createBench();
  const addresses = [
    { host: '127.0.0.1', port: 1 },
    { host: '10.0.0.1', port: 1 },
    { host: '::1', port: 1 },
  ];
  const registration = { peerId: peerIdOf(1), addresses, dialects: [], agent: '', holdings: [] };
  bench.registry.register(registration, { observedHost: '10.0.0.9' });
  const seenFrom = (observedHost: string): string[] =>
    bench.registry
      .peers({ limit: 0, after: '' }, { observedHost })
      .peers.flatMap((peer) => peer.addresses.map(({ host }) => host));
  expect(seenFrom('10.0.0.9')).toEqual(['10.0.0.1', '127.0.0.1', '::1']);
  expect(seenFrom('127.0.0.1')).toEqual(['127.0.0.1', '::1', '10.0.0.1']);
});
