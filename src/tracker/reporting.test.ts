import { describe, expect, test } from 'vitest';
import * as limits from '../limits.ts';
import type { PeerReport } from './reporting.ts';
import type { Caller } from './state.ts';
import { claimOf, createBench, manifestOf, peerIdOf, type Bench } from './test-fixtures.ts';

const big = manifestOf('big');
const LIAR = 1;
const HONEST = 2;
/** Peers that fetch it, from 10. */
const FETCHING = 10;

async function createSwarm(fetchingCount = 2 * limits.REPORTERS_MIN): Promise<Bench> {
  const bench = await createBench();
  await bench.publish(bench.join(HONEST), 'big.bin', big);
  bench.join(LIAR, claimOf(big));
  for (let index = 0; index < fetchingCount; index++) bench.join(FETCHING + index, claimOf(big, [0]));
  return bench;
}

function reportOn(number: number, more: Partial<PeerReport> = {}): PeerReport {
  const address = { host: '10.0.0.1', port: 9000 + number };
  return { contentId: big.contentId, peerId: peerIdOf(number), address, offence: 'wrong-bytes', ...more };
}

function from(host: string): Caller {
  return { observedHost: host };
}

/** As many as it takes, each from an address of its own. */
function reportAll(bench: Bench, number: number, count = limits.REPORTERS_MIN, network = '10.0.1'): void {
  for (let index = 0; index < count; index++)
    bench.registry.reportPeers(peerIdOf(FETCHING + index), [reportOn(number)], from(`${network}.${index}`));
}

async function isNamed(bench: Bench, number: number): Promise<boolean> {
  return (await bench.located('big.bin')).includes(number);
}

async function bansSince(bench: Bench, afterId: number): Promise<readonly Readonly<Record<string, unknown>>[]> {
  const stop = new AbortController();
  const bans: Readonly<Record<string, unknown>>[] = [];
  for await (const event of bench.registry.events.watch({ afterId, signal: stop.signal, silenceMs: 0 })) {
    if (event === undefined) stop.abort();
    else if (event.type === 'peer-banned') bans.push(event.data);
  }
  return bans;
}

test('a peer that enough others report is named to nobody, in no call, and an event says so', async () => {
  const bench = await createSwarm();
  const before = bench.registry.events.lastId;
  reportAll(bench, LIAR, limits.REPORTERS_MIN - 1);
  expect(await isNamed(bench, LIAR)).toBe(true);
  expect(await bansSince(bench, before)).toEqual([]);
  reportAll(bench, LIAR);
  expect(await isNamed(bench, LIAR)).toBe(false);
  const file = bench.registry.fileSources('big.bin', from('10.0.9.9'));
  expect(file.sources.map(({ peerId }) => peerId)).toEqual([peerIdOf(HONEST)]);
  expect(bench.registry.figures().peersBanned).toBe(1);
  expect(await bansSince(bench, before)).toMatchObject([
    { peer: peerIdOf(LIAR), address: '10.0.0.1:9001', reason: 'wrong-bytes', reporters: limits.REPORTERS_MIN },
  ]);
});

test('it comes back when the reports are old', async () => {
  const bench = await createSwarm();
  reportAll(bench, LIAR);
  for (let waited = 0; waited < limits.REPORT_MEMORY_MS; waited += limits.LEASE_MS / 2) {
    expect(await isNamed(bench, LIAR)).toBe(false);
    bench.clock.nowMs += limits.LEASE_MS / 2;
    for (const number of [LIAR, HONEST]) bench.registry.renew(peerIdOf(number), []);
  }
  bench.clock.nowMs += limits.TRACKER_SWEEP_MS;
  expect(await isNamed(bench, LIAR)).toBe(true);
  expect(bench.registry.figures().peersBanned).toBe(0);
});

test('another peer id at the same address does not help it', async () => {
  const bench = await createSwarm();
  reportAll(bench, LIAR);
  bench.registry.leave(peerIdOf(LIAR));
  const address = { host: '10.0.0.1', port: 9000 + LIAR };
  bench.registry.register(
    { peerId: peerIdOf(99), addresses: [address], dialects: ['native'], agent: '', holdings: [claimOf(big)] },
    from('10.0.0.1'),
  );
  expect(await isNamed(bench, LIAR)).toBe(false);
});

describe('honest peers are not banned', () => {
  test('by one address with many peer ids', async () => {
    const bench = await createSwarm();
    for (let index = 0; index < 6; index++)
      expect(bench.registry.reportPeers(peerIdOf(FETCHING + index), [reportOn(HONEST)], from('10.0.1.1'))).toBe(1);
    for (let index = 0; index < 6; index++)
      bench.registry.reportPeers(peerIdOf(FETCHING + index), [reportOn(HONEST)], from(`2001:db8:0:1::${index + 1}`));
    expect(await isNamed(bench, HONEST)).toBe(true);
  });

  test('by peers on the machine of a proxy, where all calls seem to come from', async () => {
    const bench = await createSwarm();
    for (let index = 0; index < 6; index++)
      bench.registry.reportPeers(peerIdOf(FETCHING + index), [reportOn(HONEST)], from('127.0.0.1'));
    expect(await isNamed(bench, HONEST)).toBe(true);
  });

  test('by those who do not take part in the content, or are not here', async () => {
    const bench = await createSwarm(0);
    for (let index = 0; index < 6; index++) {
      const stranger = bench.join(FETCHING + index);
      expect(bench.registry.reportPeers(stranger, [reportOn(HONEST)], from(`10.0.1.${index}`))).toBe(0);
      const unknown = peerIdOf(500 + index);
      expect(bench.registry.reportPeers(unknown, [reportOn(HONEST)], from(`10.0.1.${index}`))).toBeUndefined();
    }
    expect(await isNamed(bench, HONEST)).toBe(true);
  });

  test('for what somebody at another address did in their name', async () => {
    const bench = await createSwarm();
    const elsewhere = { address: { host: '10.0.0.66', port: 9066 } };
    for (let index = 0; index < 6; index++)
      expect(
        bench.registry.reportPeers(peerIdOf(FETCHING + index), [reportOn(HONEST, elsewhere)], from(`10.0.1.${index}`)),
      ).toBe(0);
  });

  test('by one who accuses everybody: it is believed about a few only', async () => {
    const bench = await createSwarm(3 * limits.REPORTS_PER_REPORTER_MAX);
    const [gang, others] = [['10.0.1.1', '10.0.1.2', '10.0.1.3'], 2 * limits.REPORTS_PER_REPORTER_MAX];
    for (let accused = 0; accused < others; accused++)
      for (const [index, host] of gang.entries())
        bench.registry.reportPeers(peerIdOf(FETCHING + index), [reportOn(FETCHING + 5 + accused)], from(host));
    expect(bench.registry.figures().peersBanned).toBe(limits.REPORTS_PER_REPORTER_MAX);
  });

  test('by those who are banned themselves', async () => {
    const bench = await createSwarm(8);
    for (const accused of [0, 1, 2])
      for (const index of [3, 4, 5])
        bench.registry.reportPeers(peerIdOf(FETCHING + index), [reportOn(FETCHING + accused)], from(`10.0.1.${index}`));
    expect(bench.registry.figures().peersBanned).toBe(3);
    reportAll(bench, HONEST);
    expect(await isNamed(bench, HONEST)).toBe(true);
  });

  test('away from those who have no other complete source', async () => {
    const bench = await createSwarm();
    bench.registry.leave(peerIdOf(LIAR));
    reportAll(bench, HONEST);
    expect(bench.registry.figures().peersBanned).toBe(1);
    expect(await isNamed(bench, HONEST)).toBe(true);
  });
});

test('in a swarm on one machine peer ids are enough', async () => {
  const bench = await createBench();
  const address = { host: '127.0.0.1', port: 9_500 };
  await bench.publish(bench.join(HONEST), 'big.bin', big);
  const register = (number: number, port: number, chunks?: readonly number[]): void => {
    const holdings = [claimOf(big, chunks)];
    const addresses = [{ host: '127.0.0.1', port }];
    bench.registry.register(
      { peerId: peerIdOf(number), addresses, dialects: ['native'], agent: '', holdings },
      from('127.0.0.1'),
    );
  };
  register(LIAR, address.port);
  for (let index = 0; index < limits.REPORTERS_MIN; index++) {
    register(FETCHING + index, 9_600 + index, [0]);
    bench.registry.reportPeers(peerIdOf(FETCHING + index), [reportOn(LIAR, { address })], from('127.0.0.1'));
  }
  expect(await bench.located('big.bin')).not.toContain(500);
  expect(bench.registry.figures().peersBanned).toBe(1);
});

test('a call with too many reports is refused', async () => {
  const bench = await createSwarm(1);
  const reporter = peerIdOf(FETCHING);
  const reports = Array.from({ length: limits.REPORTS_PER_CALL_MAX + 1 }, () => reportOn(LIAR));
  expect(() => bench.registry.reportPeers(reporter, reports, from('10.0.1.1'))).toThrow(/at most/u);
});
