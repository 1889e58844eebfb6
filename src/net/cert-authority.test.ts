import { X509Certificate } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { createAuthority, issueCertificate, renewAuthority } from './cert-authority.ts';

const DAY_MS = 24 * 3_600_000;
const nowMs = Date.UTC(2026, 10, 25, 12);
const node = { name: 'alpha', hosts: ['alpha.lan', '192.0.2.7', '2001:db8::7'], nowMs, days: 10 };

describe('the authority of a swarm', () => {
  it('gives a node a certificate for the hosts it is reached under, good at both ends of a connection', async () => {
    const authority = await createAuthority({ nowMs, days: 100 });
    const { cert, key } = await issueCertificate(authority, node);
    const parsed = new X509Certificate(cert);
    const issuer = new X509Certificate(authority.cert);
    expect(parsed.checkIssued(issuer) && parsed.verify(issuer.publicKey)).toBe(true);
    expect(parsed.ca).toBe(false);
    expect(issuer.ca).toBe(true);
    expect(parsed.subjectAltName).toBe('DNS:alpha.lan, IP Address:192.0.2.7, IP Address:2001:DB8:0:0:0:0:0:7');
    expect(parsed.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']);
    expect(parsed.validToDate.getTime()).toBe(nowMs + 10 * DAY_MS);
    expect(key).toMatch(/^-----BEGIN PRIVATE KEY-----/u);
  });

  it('signs for nobody longer than it lasts itself', async () => {
    const authority = await createAuthority({ nowMs, days: 5 });
    const { cert } = await issueCertificate(authority, node);
    expect(new X509Certificate(cert).validToDate.getTime()).toBe(nowMs + 5 * DAY_MS);
    const later = issueCertificate(authority, { ...node, nowMs: nowMs + 6 * DAY_MS });
    await expect(later).rejects.toMatchObject({ code: 'usage' });
  });

  it('stays the same when it is renewed: what it has signed stays good', async () => {
    const authority = await createAuthority({ nowMs, days: 5 });
    const { cert } = await issueCertificate(authority, node);
    const renewed = await renewAuthority(authority, { nowMs, days: 50 });
    const issuer = new X509Certificate(renewed.cert);
    expect(new X509Certificate(cert).checkIssued(issuer)).toBe(true);
    expect(issuer.validToDate.getTime()).toBe(nowMs + 50 * DAY_MS);
    expect(renewed.key).toBe(authority.key);
  });

  it('renews a certificate for the key that is there', async () => {
    const authority = await createAuthority({ nowMs, days: 100 });
    const first = await issueCertificate(authority, node);
    const second = await issueCertificate(authority, { ...node, days: 20 }, first.key);
    expect(second.key).toBe(first.key);
    expect(second.cert).not.toBe(first.cert);
    const names = [first, second].map(({ cert }) => new X509Certificate(cert).publicKey.export({ format: 'jwk' }));
    expect(names[0]).toEqual(names[1]);
  });

  it('is never taken for another', async () => {
    const [one, two] = await Promise.all([createAuthority({ nowMs, days: 5 }), createAuthority({ nowMs, days: 5 })]);
    expect(new X509Certificate(one.cert).subject).not.toBe(new X509Certificate(two.cert).subject);
  });
});
