/** Certificates for tests, made once a process: two swarms that do not know each other, and a certificate that has run out. */
import { createAuthority, issueCertificate } from './cert-authority.ts';
import type { PeerTlsFiles } from './peer-tls.ts';

const DAY_MS = 24 * 3_600_000;
export const LOCAL_HOSTS = ['localhost', '127.0.0.1', '::1'];

export interface TestCertificates {
  /** A node of the swarm. */
  readonly own: PeerTlsFiles;
  /** A node of another swarm. */
  readonly foreign: PeerTlsFiles;
  /** A node of the swarm whose certificate has run out. */
  readonly over: PeerTlsFiles;
}

let made: Promise<TestCertificates> | undefined;

export function testCertificates(): Promise<TestCertificates> {
  made ??= make();
  return made;
}

async function make(): Promise<TestCertificates> {
  const nowMs = Date.now();
  const [ours, theirs] = await Promise.all([
    createAuthority({ nowMs, days: 30 }),
    createAuthority({ nowMs, days: 30 }),
  ]);
  const node = { name: 'test', hosts: LOCAL_HOSTS, nowMs, days: 2 };
  return {
    own: { ...(await issueCertificate(ours, node)), ca: ours.cert },
    foreign: { ...(await issueCertificate(theirs, node)), ca: theirs.cert },
    over: { ...(await issueCertificate(ours, { ...node, nowMs: nowMs - 10 * DAY_MS })), ca: ours.cert },
  };
}
