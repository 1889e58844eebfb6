import { X509Certificate } from 'node:crypto';
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createAuthority, issueCertificate } from '../net/cert-authority.ts';
import { runFake } from './fixtures.ts';
import { readTls, tlsWarnings } from './tls-option.ts';

const DAY_MS = 24 * 3_600_000;
let dir = '';
beforeEach(async () => {
  dir = join(await mkdtemp(join(tmpdir(), 'shoal-cert-')), 'certs');
});
afterEach(() => rm(join(dir, '..'), { recursive: true, force: true }));

async function cert(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const { stdout, stderr, code } = runFake(['cert', ...args, '--dir', dir]);
  return { code: await code, out: stdout.text, err: stderr.text };
}

const certificate = async (...path: string[]): Promise<X509Certificate> =>
  new X509Certificate(await readFile(join(dir, ...path)));

describe('shoal cert', () => {
  it('makes an authority and the folders of several nodes in one go, with keys that only their owner reads', async () => {
    expect((await cert('node', 'tracker.lan', 'alice')).code).toBe(0);
    const authority = await certificate('ca.pem');
    for (const name of ['tracker.lan', 'alice']) {
      const own = await certificate(name, 'cert.pem');
      expect(own.verify(authority.publicKey)).toBe(true);
      expect(own.checkHost(name)).toBe(name);
      expect(own.checkIP('127.0.0.1')).toBe('127.0.0.1');
      expect((await stat(join(dir, name, 'key.pem'))).mode & 0o777).toBe(0o600);
      expect(readTls({ tls: join(dir, name) })?.ca).toBe(await readFile(join(dir, 'ca.pem'), 'utf8'));
    }
    expect((await stat(join(dir, 'ca.key'))).mode & 0o777).toBe(0o600);
    expect(JSON.parse((await cert('show', '--json')).out)).toHaveLength(3);
  });

  it('overwrites nothing, and makes nothing when one of several is there', async () => {
    await cert('node', 'alice');
    const before = await readFile(join(dir, 'alice', 'cert.pem'), 'utf8');
    const again = await cert('node', 'bob', 'alice');
    expect(again).toMatchObject({ code: 2 });
    expect(again.err).toMatch(/alice is there already and is not overwritten.*--renew/su);
    expect(await readFile(join(dir, 'alice', 'cert.pem'), 'utf8')).toBe(before);
    await expect(stat(join(dir, 'bob'))).rejects.toThrow();
    expect((await cert('ca')).code).toBe(2);
  });

  it('renews: a node keeps its key and its hosts, an authority reaches the folders of its nodes', async () => {
    await cert('node', 'alice', '--host', '192.0.2.7,[2001:db8::7]', '--host', 'alice.lan');
    const before = { own: await certificate('alice', 'cert.pem'), key: await readFile(join(dir, 'alice', 'key.pem')) };
    expect(before.own.checkIP('2001:db8::7')).toBe('2001:db8::7');
    expect((await cert('node', 'alice', '--renew', '--days', '700')).code).toBe(0);
    const after = await certificate('alice', 'cert.pem');
    expect(after.validToDate.getTime() - before.own.validToDate.getTime()).toBeGreaterThan(300 * DAY_MS);
    expect(after.subjectAltName?.split(', ').toSorted()).toEqual(before.own.subjectAltName?.split(', ').toSorted());
    expect(before.key.equals(await readFile(join(dir, 'alice', 'key.pem')))).toBe(true);

    expect((await cert('ca', '--renew', '--days', '5000')).code).toBe(0);
    expect(await readFile(join(dir, 'alice', 'ca.pem'))).toEqual(await readFile(join(dir, 'ca.pem')));
    expect(readTls({ tls: join(dir, 'alice') })).toBeDefined();
    expect((await cert('node', 'nobody', '--renew')).code).toBe(2);
  });

  it.each([
    ['a name that is a path', ['node', '../alice']],
    ['the name of the authority', ['node', 'ca.pem']],
    ['a host that is none', ['node', 'alice', '--host', 'a b']],
    ['hosts for several nodes', ['node', 'alice', 'bob', '--host', 'box.lan']],
    ['no days at all', ['node', 'alice', '--days', '0']],
    ['a folder without certificates', ['show']],
  ])('refuses %s', async (_what, args) => {
    expect((await cert(...args)).code).toBe(2);
    await expect(stat(dir)).rejects.toThrow();
  });
});

describe('--tls', () => {
  it('wants files that belong together', async () => {
    await cert('node', 'alice', 'bob');
    const [alice, bob] = [join(dir, 'alice'), join(dir, 'bob')];
    const other = await createAuthority({ nowMs: Date.now(), days: 5 });
    await writeFile(join(dir, 'other.pem'), other.cert);
    const wrong = [
      { tls: join(dir, 'nowhere') },
      { tls: alice, tlsKey: join(bob, 'key.pem') },
      { tls: alice, tlsCa: join(dir, 'other.pem') },
      { tls: alice, tlsCert: join(alice, 'key.pem') },
      { tls: alice, tlsKey: join(alice, 'cert.pem') },
      { tlsCert: join(alice, 'cert.pem') },
    ];
    for (const flags of wrong) expect(() => readTls(flags)).toThrow(expect.objectContaining({ code: 'usage' }));
    expect(readTls({})).toBeUndefined();
    expect(readTls({ tls: '' })).toBeUndefined();
    expect(readTls({ tlsCa: join(dir, 'ca.pem') })).toMatchObject({ cert: undefined, key: undefined });
  });

  it('warns of what runs out soon and of keys that others may read; what has run out is refused', async () => {
    await cert('node', 'alice', '--days', '40');
    const nowMs = (await certificate('alice', 'cert.pem')).validToDate.getTime() - 40 * DAY_MS;
    const flags = { tls: join(dir, 'alice') };
    expect(tlsWarnings(flags, nowMs)).toEqual([]);
    expect(tlsWarnings(flags, nowMs + 20 * DAY_MS).join()).toMatch(/cert\.pem runs out on \d{4}-\d\d-\d\d/u);
    expect(() => tlsWarnings(flags, nowMs + 41 * DAY_MS)).toThrow(expect.objectContaining({ code: 'not-allowed' }));
    await chmod(join(dir, 'alice', 'key.pem'), 0o644);
    expect(tlsWarnings(flags, nowMs).join()).toMatch(/chmod 600/u);
  });

  it('takes a certificate with the chain that leads to its authority', async () => {
    const authority = await createAuthority({ nowMs: Date.now(), days: 5 });
    const own = await issueCertificate(authority, { name: 'a', hosts: ['a'], nowMs: Date.now(), days: 5 });
    await cert('ca');
    const path = (name: string): string => join(dir, name);
    await writeFile(path('chain.pem'), own.cert + authority.cert);
    await writeFile(path('a.key'), own.key);
    const flags = { tlsCert: path('chain.pem'), tlsKey: path('a.key'), tlsCa: path('ca.pem') };
    expect(readTls(flags)?.cert).toContain(own.cert);
  });

  it('says that a tracker named in clear text is talked to in clear text', async () => {
    await cert('node', 'alice');
    const flags = ['ls', '--tls', join(dir, 'alice'), '--tracker'];
    const said = await Promise.all(
      ['http://127.0.0.1:9', 'https://127.0.0.1:9'].map(async (url) => {
        const { stderr, code } = runFake([...flags, url]);
        await code;
        return /clear text/u.test(stderr.text);
      }),
    );
    expect(said).toEqual([true, false]);
  });

  it('is named on the command line of every command, and means https where no tracker is named', async () => {
    await cert('node', 'alice');
    const { stderr, code } = runFake(['ls', '--tls', join(dir, 'alice'), '--tls-key', join(dir, 'ca.key')]);
    expect(await code).toBe(2);
    expect(stderr.text).toMatch(/is not the one of the certificate/u);
  });
});
