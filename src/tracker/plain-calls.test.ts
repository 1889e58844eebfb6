import { describe, expect, test } from 'vitest';
import * as limits from '../limits.ts';
import { caller, createBench, manifestOf, peerIdOf, type Bench } from './test-fixtures.ts';

const big = manifestOf('big');
const one = { host: '192.168.1.10', port: 7001 };
const two = { host: '192.168.1.20', port: 7002 };
const pdf = { name: 'KTMT.pdf', size: 102_400, sha256: 'abcd1234...' };
const pptx = { name: 'OS.pptx', size: 204_800, sha256: 'efgh5678...' };

function holders(bench: Bench, name: string): readonly string[] {
  return bench.registry.fileSources(name, caller).sources.map(({ addresses }) => addresses[0]?.host ?? '');
}

test('an announcement is all that the peer shares: another one replaces it', async () => {
  const bench = await createBench();
  await bench.registry.announcePlain(one, [pdf, pptx], caller);
  expect(holders(bench, 'KTMT.pdf')).toEqual([one.host]);
  await bench.registry.announcePlain(one, [pptx], caller);
  expect(holders(bench, 'KTMT.pdf')).toEqual([]);
  expect(holders(bench, 'OS.pptx')).toEqual([one.host]);
});

test('what an announcement gives as sha256 is given back as it was', async () => {
  const bench = await createBench();
  await bench.registry.announcePlain(one, [pdf], caller);
  expect(bench.registry.versions('KTMT.pdf')).toMatchObject([{ ...pdf, contentId: '', chunkCount: 0 }]);
});

test('two peers with the same file are two sources of one entry', async () => {
  const bench = await createBench();
  await bench.registry.announcePlain(one, [pdf], caller);
  await bench.registry.announcePlain(two, [pdf], caller);
  expect(bench.registry.versions('KTMT.pdf')).toHaveLength(1);
  expect(holders(bench, 'KTMT.pdf').toSorted()).toEqual([one.host, two.host]);
});

test('complete adds a source; an unknown peer and an unknown name are refused', async () => {
  const bench = await createBench();
  await bench.registry.announcePlain(one, [pdf], caller);
  expect(() => bench.registry.completePlain(two, pdf.name, caller)).toThrow(
    expect.objectContaining({ code: 'unknown-peer' }),
  );
  await bench.registry.announcePlain(two, [], caller);
  expect(() => bench.registry.completePlain(two, 'x', caller)).toThrow(
    expect.objectContaining({ code: 'no-such-name' }),
  );
  bench.registry.completePlain(two, pdf.name, caller);
  bench.registry.completePlain(two, pdf.name, caller);
  expect(holders(bench, pdf.name).toSorted()).toEqual([one.host, two.host]);
});

test('heartbeats keep a plain peer, silence and leave end it', async () => {
  const bench = await createBench();
  await bench.registry.announcePlain(one, [pdf], caller);
  await bench.registry.announcePlain(two, [pdf], caller);
  bench.clock.nowMs += limits.PLAIN_LEASE_MS - 1;
  expect(holders(bench, pdf.name)).toEqual([one.host, two.host]);
  bench.registry.heartbeatPlain(one, caller);
  bench.clock.nowMs += limits.PLAIN_LEASE_MS - 1;
  expect(holders(bench, pdf.name)).toEqual([one.host]);
  expect(() => bench.registry.heartbeatPlain(two, caller)).toThrow(/announce first/u);
  bench.registry.leavePlain(one, caller);
  expect(holders(bench, pdf.name)).toEqual([]);
});

test('plain and native leases run out each at their own time, whichever began first', async () => {
  const bench = await createBench();
  await bench.registry.announcePlain(one, [pdf], caller);
  await bench.publish(bench.join(1), 'big.bin', big);
  await bench.registry.announcePlain(two, [pdf], caller);
  bench.clock.nowMs += limits.LEASE_MS;
  expect(await bench.located('big.bin')).toEqual([]);
  expect(holders(bench, pdf.name)).toEqual([one.host, two.host]);
  bench.clock.nowMs += limits.PLAIN_LEASE_MS - limits.LEASE_MS;
  expect(holders(bench, pdf.name)).toEqual([]);
});

describe('plain calls that name the address of a native peer', () => {
  const native = { host: '10.0.0.1', port: 9001 };

  test('are let pass and change nothing', async () => {
    const bench = await createBench();
    await bench.publish(bench.join(1), 'big.bin', big);
    await bench.registry.announcePlain(one, [pdf], caller);
    bench.clock.nowMs += limits.LEASE_MS - 1;
    bench.registry.completePlain(native, pdf.name, caller);
    bench.registry.heartbeatPlain(native, caller);
    bench.registry.leavePlain(native, caller);
    expect(holders(bench, pdf.name)).toEqual([one.host]);
    expect(await bench.located('big.bin')).toEqual([1]);
    bench.clock.nowMs += 1;
    expect(await bench.located('big.bin')).toEqual([]);
  });

  test('are refused for an unknown name, and when nobody is there any more', async () => {
    const bench = await createBench();
    bench.join(1);
    const unknown = expect.objectContaining({ code: 'unknown-peer' });
    expect(() => bench.registry.completePlain(native, 'x', caller)).toThrow(/no entry/u);
    const elsewhere = { peerId: peerIdOf(1), addresses: [one], dialects: [], agent: '', holdings: [] };
    bench.registry.register(elsewhere, caller);
    expect(() => bench.registry.heartbeatPlain(native, caller)).toThrow(unknown);
    bench.registry.heartbeatPlain(one, caller);
    bench.join(2);
    bench.registry.register({ ...elsewhere, addresses: [{ host: '10.0.0.1', port: 9002 }] }, caller);
    bench.registry.leave(peerIdOf(1));
    bench.registry.heartbeatPlain({ host: '10.0.0.1', port: 9002 }, caller); // the other one is still there
    bench.clock.nowMs += limits.LEASE_MS;
    expect(() => bench.registry.heartbeatPlain({ host: '10.0.0.1', port: 9002 }, caller)).toThrow(unknown);
  });

  test('mean the plain peer where both are at one address', async () => {
    const bench = await createBench();
    bench.join(1);
    await bench.registry.announcePlain(native, [pdf], caller);
    bench.registry.leavePlain(native, caller);
    expect(holders(bench, pdf.name)).toEqual([]);
    bench.registry.leavePlain(native, caller);
  });
});

test('a plain peer becomes a range source of the same bytes under the same name, whichever comes first', async () => {
  for (const plainFirst of [true, false]) {
    const bench = await createBench();
    const file = { name: 'big.bin', size: big.size, sha256: big.sha256.toUpperCase() };
    if (plainFirst) await bench.registry.announcePlain(one, [file], caller);
    await bench.publish(bench.join(1), 'big.bin', big);
    if (!plainFirst) await bench.registry.announcePlain(one, [file], caller);
    expect(bench.registry.versions('big.bin')).toMatchObject([{ contentId: big.contentId, seeders: 2 }]);
    const query = { what: 'big.bin', peerId: '', limit: 0, wantManifest: false };
    const { sources } = await bench.registry.locate(query, caller);
    expect(sources.find(({ peerId }) => peerId === '')).toMatchObject({
      addresses: [one],
      dialects: ['range'],
      rangeName: 'big.bin',
    });
    expect(bench.registry.figures()).toMatchObject({ entries: 1, contents: 1, holdings: 2 });
  }
});

test('other bytes under the same name are another entry', async () => {
  const bench = await createBench();
  await bench.publish(bench.join(1), 'big.bin', big);
  await bench.registry.announcePlain(one, [{ name: 'big.bin', size: big.size + 1, sha256: big.sha256 }], caller);
  expect(bench.registry.versions('big.bin').map(({ seeders }) => seeders)).toEqual([1, 1]);
});

test('an announcement with one bad file changes nothing', async () => {
  const bench = await createBench();
  await bench.registry.announcePlain(one, [pdf], caller);
  for (const bad of [
    { ...pptx, name: '../../etc/passwd' },
    { ...pptx, size: -1 },
    { ...pptx, size: 0.5 },
    { ...pptx, sha256: '' },
    { ...pptx, sha256: 'x'.repeat(limits.PLAIN_SHA256_CHARS_MAX + 1) },
    { ...pptx, sha256: 'a\nb' },
  ])
    await expect(bench.registry.announcePlain(one, [pptx, bad], caller)).rejects.toMatchObject({ code: 'usage' });
  expect(holders(bench, pdf.name)).toEqual([one.host]);
  expect(bench.registry.has('OS.pptx')).toBe(false);
});

test('hosts and ports are checked', async () => {
  const bench = await createBench();
  for (const address of [
    { host: 'not a host', port: 1 },
    { host: '1.2.3', port: 1 },
    { host: '1.2.3.4', port: 0 },
    { host: '1.2.3.4', port: 65_536 },
    { host: 'fe80::1%eth0', port: 1 },
  ])
    await expect(bench.registry.announcePlain(address, [], caller)).rejects.toMatchObject({ code: 'usage' });
  for (const host of ['peer1', 'peer-1.example.org', '::1', '[2001:db8::1]'])
    await bench.registry.announcePlain({ host, port: 1 }, [], caller);
});
