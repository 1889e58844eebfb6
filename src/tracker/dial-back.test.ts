import { describe, expect, test } from 'vitest';
import * as limits from '../limits.ts';
import type { AddressProbe, Expected } from './dial-back.ts';
import { formatAddress, mayBeDialled } from './addresses.ts';
import { CallBudget } from './call-budget.ts';
import { claimOf, createBench, manifestOf, peerIdOf, type Bench } from './test-fixtures.ts';
import type { Address } from './records.ts';

const OUTSIDE = '203.0.113.5';

interface Dialled {
  readonly address: string;
  readonly expected: Expected;
  readonly mayDial: (ip: string) => boolean;
  answer(ok: boolean): void;
}

/** A tracker whose dials are answered by hand, or at once by what is given. */
async function createWatched(answer?: (address: string) => boolean, isPrivate = false) {
  const dials: Dialled[] = [];
  const probe: AddressProbe = (address, expected, mayDial, signal) => {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    signal.addEventListener('abort', () => resolve(false));
    const text = formatAddress(address);
    dials.push({ address: text, expected, mayDial, answer: resolve });
    if (answer !== undefined) resolve(answer(text));
    return promise;
  };
  const bench = await createBench({ probe, isPrivate });
  const manifest = manifestOf('watched');
  const announcer = bench.join(999);
  await bench.publish(announcer, 'a.bin', manifest);
  bench.registry.leave(announcer);
  for (const dialled of dials) dialled.answer(true);
  await settle();
  dials.length = 0;
  return { bench, dials, manifest };
}

/** Lets what was answered take effect. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function register(
  { bench, manifest }: { bench: Bench; manifest: ReturnType<typeof manifestOf> },
  number: number,
  addresses: readonly Address[],
  observedHost = '10.0.0.1',
): string {
  const peerId = peerIdOf(number);
  const holdings = [claimOf(manifest)];
  bench.registry.register({ peerId, addresses, dialects: ['native'], agent: '', holdings }, { observedHost });
  return peerId;
}

async function named({ registry }: Bench, observedHost = '10.0.0.9'): Promise<string[]> {
  const { sources } = await registry.locate(
    { what: 'a.bin', peerId: '', limit: 0, wantManifest: false },
    { observedHost },
  );
  const { sources: plain } = registry.fileSources('a.bin', { observedHost });
  expect(plain.length).toBe(sources.length);
  return sources.flatMap(({ addresses }) => addresses.map(formatAddress));
}

describe('a native peer', () => {
  test('is named when it has answered, where it has answered, and asked by its id', async () => {
    const world = await createWatched();
    const { bench, dials } = world;
    const peerId = register(world, 1, [
      { host: '', port: 7000 },
      { host: '172.17.0.2', port: 7000 },
    ]);
    expect(dials.map(({ address }) => address)).toEqual(['10.0.0.1:7000', '172.17.0.2:7000']);
    expect(dials[0]?.expected).toEqual({ kind: 'native', peerId });
    expect(await named(bench)).toEqual([]);
    dials[0]?.answer(false);
    await settle();
    expect(await named(bench)).toEqual([]);
    dials[1]?.answer(true);
    expect(await bench.registry.reachability(peerId)).toBe('reachable');
    expect(await named(bench)).toEqual(['172.17.0.2:7000']);
    // all that it announced is shown to people
    expect(bench.registry.peers({ limit: 0, after: '' }, { observedHost: '' }).peers.at(-1)?.addresses).toHaveLength(2);
  });

  test('that answers nowhere is named to nobody, is told so, and is tried again with a renewal after a while', async () => {
    let isOpen = false;
    const world = await createWatched(() => isOpen);
    const { bench, dials } = world;
    const peerId = register(world, 1, [{ host: '', port: 7000 }]);
    expect(await bench.registry.reachability(peerId)).toBe('unreachable');
    expect(bench.registry.renew(peerId, []).reachability).toBe('unreachable');
    expect(dials).toHaveLength(1);
    isOpen = true;
    for (let renewed = 0; renewed <= limits.DIAL_BACK_RETRY_MS; renewed += limits.RENEW_MS) {
      bench.clock.nowMs += limits.RENEW_MS;
      bench.registry.renew(peerId, []);
    }
    await settle();
    expect(dials).toHaveLength(2);
    expect(await named(bench)).toEqual(['10.0.0.1:7000']);
    expect(bench.registry.figures()).toMatchObject({ dialBacksSilent: 2, dialBacksAnswered: 1 });
  });

  test('is not dialled again for what is known, but for what is new', async () => {
    const world = await createWatched(() => true);
    const { bench, dials } = world;
    register(world, 1, [{ host: '', port: 7000 }]);
    await settle();
    register(world, 1, [{ host: '', port: 7000 }]);
    await settle();
    expect(dials).toHaveLength(1);
    register(world, 1, [{ host: '', port: 7001 }]);
    await settle();
    expect(dials).toHaveLength(2);
    expect(await named(bench)).toEqual(['10.0.0.1:7001']);
  });

  test('at a name is looked for again now and then: the name may have come to mean another address', async () => {
    let isStill = true;
    const world = await createWatched(() => isStill);
    const { bench, dials } = world;
    const peerId = register(world, 1, [{ host: 'node.example', port: 7000 }]);
    await settle();
    expect(await named(bench)).toEqual(['node.example:7000']);
    expect([dials[0]?.mayDial('192.0.2.1'), dials[0]?.mayDial('127.0.0.1')]).toEqual([true, false]);
    isStill = false;
    for (let renewed = 0; renewed <= limits.DIAL_BACK_NAME_MS; renewed += limits.RENEW_MS) {
      bench.clock.nowMs += limits.RENEW_MS;
      bench.registry.renew(peerId, []);
    }
    await settle();
    expect(dials).toHaveLength(2);
    expect(await named(bench)).toEqual([]);
  });

  test('behind the outer address of its network is named there to its neighbours, and elsewhere to nobody', async () => {
    const world = await createWatched(() => false);
    const inner = [
      { host: '', port: 7000 },
      { host: '192.168.1.5', port: 7000 },
      { host: '198.51.100.7', port: 22 },
      { host: '127.0.0.1', port: 22 },
    ];
    register(world, 1, inner, OUTSIDE);
    await settle();
    expect(await named(world.bench, OUTSIDE)).toEqual(['192.168.1.5:7000']);
    expect(await named(world.bench)).toEqual([]);
    // seen from inside, there is no network that could not be looked into
    register(world, 1, inner, '192.168.1.9');
    await settle();
    expect(await named(world.bench, '192.168.1.9')).toEqual([]);
  });

  test('does not make the tracker dial itself, links or groups', async () => {
    const world = await createWatched(() => true);
    const addresses = ['127.0.0.1', 'localhost', '169.254.169.254', 'fe80::1', '224.0.0.1', '255.255.255.255'];
    const peerId = register(
      world,
      1,
      addresses.map((host) => ({ host, port: 80 })),
    );
    expect(await world.bench.registry.reachability(peerId)).toBe('unreachable');
    expect(world.dials).toEqual([]);
    // for a caller on the tracker's own machine its loopback is as good as any
    register(world, 2, [{ host: '127.0.0.1', port: 7000 }], '127.0.0.1');
    expect(world.dials.map(({ address }) => address)).toEqual(['127.0.0.1:7000']);
  });

  test('that leaves, and its dials that come too late, do no harm; closing ends those that wait', async () => {
    const world = await createWatched();
    const { bench, dials } = world;
    const gone = register(world, 1, [{ host: '', port: 7000 }]);
    bench.registry.leave(gone);
    dials[0]?.answer(true);
    await settle();
    expect(await named(bench)).toEqual([]);
    const waiting = register(world, 2, [{ host: '', port: 7001 }]);
    const answer = bench.registry.reachability(waiting);
    await bench.registry.close();
    expect(await answer).toBe('unknown');
  });
});

describe('whoever wants to make a tracker dial others', () => {
  test('may do so only so often, wherever the addresses lead', async () => {
    const world = await createWatched(() => false);
    for (let number = 0; number < 100; number++) {
      register(world, number, [{ host: `198.51.100.${number}`, port: 80 }], OUTSIDE);
      await settle();
    }
    expect(world.dials).toHaveLength(limits.DIAL_BACK_FOREIGN_BURST);
    world.bench.clock.nowMs += 1_000;
    for (let number = 0; number < 100; number++) register(world, number, [{ host: '', port: 80 }], OUTSIDE);
    await settle();
    // its own address is its own affair
    expect(world.dials.length - limits.DIAL_BACK_FOREIGN_BURST).toBe(100);
  });

  test('leaves room for everybody else behind the same address: each is dialled in the end', async () => {
    const world = await createWatched((address) => address.endsWith(':81'));
    const { bench, dials } = world;
    const peerIds = Array.from({ length: 600 }, (_, number) => {
      const port = number === 599 ? 81 : 80; // the last one answers
      return register(world, number, [{ host: `198.51.100.${number % 250}`, port }], OUTSIDE);
    });
    const verdicts = () => peerIds.map((peerId) => bench.registry.renew(peerId, []).reachability);
    let rounds = 0;
    for (; verdicts().includes('unknown') && rounds < 100; rounds++) {
      bench.clock.nowMs += limits.RENEW_MS;
      await settle();
    }
    expect(verdicts().filter((verdict) => verdict === 'unreachable')).toHaveLength(599);
    expect(await named(bench)).toEqual(['198.51.100.99:81']);
    const seconds = (rounds * limits.RENEW_MS) / 1_000;
    expect(dials.length).toBeLessThanOrEqual(
      limits.DIAL_BACK_FOREIGN_BURST + (seconds + 10) * limits.DIAL_BACK_FOREIGN_PER_SECOND,
    );
  });

  test('may not gather many to dial one', async () => {
    const world = await createWatched(() => false);
    for (let number = 0; number < 100; number++) {
      register(world, number, [{ host: '198.51.100.7', port: 1_000 + number }], `203.0.113.${number}`);
      await settle();
    }
    expect(world.dials).toHaveLength(limits.DIAL_BACK_FOREIGN_BURST);
  });

  test('finds so many dials under way and no more', async () => {
    const world = await createWatched();
    for (let number = 0; number < 100; number++) register(world, number, [{ host: '', port: 1_000 + number }]);
    expect(world.dials).toHaveLength(limits.DIAL_BACKS_MAX);
    world.dials[0]?.answer(true);
    await settle();
    expect(world.dials).toHaveLength(limits.DIAL_BACKS_MAX + 1);
  });
});

describe('a peer of the plain calls', () => {
  const files = [{ name: 'plain.bin', size: 100, sha256: 'f'.repeat(64) }];
  const at = (host: string): Address => ({ host, port: 7000 });
  const sourcesOf = ({ registry }: Bench) =>
    registry.fileSources('plain.bin', { observedHost: '10.0.0.9' }).sources.map(({ addresses }) => addresses[0]?.host);

  test('is named where it says, as it ever was', async () => {
    const { bench, dials } = await createWatched(() => false);
    await bench.registry.announcePlain(at('198.51.100.7'), files, { observedHost: '10.0.0.1' });
    expect(sourcesOf(bench)).toEqual(['198.51.100.7']);
    expect(dials).toEqual([]);
  });

  test('on a private tracker is named at its own address, and elsewhere only where its file is served', async () => {
    const { bench, dials } = await createWatched((address) => address.startsWith('198.51.100.8'), true);
    await bench.registry.announcePlain(at('10.0.0.1'), files, { observedHost: '10.0.0.1' });
    expect(dials).toEqual([]);
    for (const host of ['198.51.100.7', '198.51.100.8'])
      await bench.registry.announcePlain(at(host), files, { observedHost: '10.0.0.1' });
    expect(dials.map(({ expected }) => expected)).toEqual([
      { kind: 'range', name: 'plain.bin', byteCount: 16 },
      { kind: 'range', name: 'plain.bin', byteCount: 16 },
    ]);
    expect(new Set(sourcesOf(bench))).toEqual(new Set(['10.0.0.1', '198.51.100.8']));
  });
});

test.each([
  ['192.0.2.1', true],
  ['10.0.0.1', true],
  ['node.example', true],
  ['2001:db8::1', true],
  ['0.0.0.0', false],
  ['ff02::1', false],
  ['240.0.0.1', false],
])('%s may be dialled for a caller from elsewhere: %s', (host, may) => {
  expect(mayBeDialled(host, false)).toBe(may);
});

test('a budget lets a burst through, then a steady rate, and forgets who was seen longest ago', () => {
  const budget = new CallBudget({ burst: 2, perSecond: 1, keysMax: 2 });
  expect([1, 2, 3].map(() => budget.take('a', 0))).toEqual([true, true, false]);
  expect(budget.take('a', 1_000)).toBe(true);
  expect(budget.take('a', 1_500)).toBe(false);
  expect(budget.take('b', 1_500) && budget.take('c', 1_500)).toBe(true);
  expect(budget.take('a', 1_500)).toBe(true);
});
