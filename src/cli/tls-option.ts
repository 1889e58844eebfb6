/** The certificates of an encrypted swarm as the command line gives them: a folder, single files, or the environment. */
import type { X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { ShoalError, systemErrorCode } from '../errors.ts';
import { CERTIFICATE_WARNING_MS, PEM_FILE_BYTES_MAX } from '../limits.ts';
import type { TlsFiles } from '../peer/api.ts';

export interface TlsFlags {
  /** A folder with CERT_FILE, KEY_FILE and CA_FILE. */
  readonly tls?: string | undefined;
  readonly tlsCert?: string | undefined;
  readonly tlsKey?: string | undefined;
  readonly tlsCa?: string | undefined;
}

/** What `shoal cert` calls the files in the folder of a node. */
export const CERT_FILE = 'cert.pem';
export const KEY_FILE = 'key.pem';
export const CA_FILE = 'ca.pem';

/** A command whose node speaks TLS with its peers has all three. */
export type PeerTlsFiles = Required<{ [File in keyof TlsFiles]: string }>;

/** Undefined: nothing is given. Throws `usage` for files that cannot be read or do not belong together. */
export function readTls(flags: TlsFlags): TlsFiles | undefined {
  const paths = pathsOf(flags);
  if (paths.cert === undefined && paths.key === undefined && paths.ca === undefined) return undefined;
  if ((paths.cert === undefined) !== (paths.key === undefined))
    throw new ShoalError('usage', 'TLS takes both a certificate and its key', {
      hint: 'give --tls-cert and --tls-key, or --tls with a folder that shoal cert made',
    });
  const [cert, key, ca] = [read(paths.cert), read(paths.key), read(paths.ca)];
  const authorities = ca === undefined ? [] : certificatesIn(ca, paths.ca);
  if (cert !== undefined && key !== undefined) {
    const [own, ...chain] = certificatesIn(cert, paths.cert);
    checkKey(own, key, paths.key);
    if (ca !== undefined && chain.length === 0) checkAuthority(own, authorities, paths);
  }
  return { cert, key, ca };
}

/** What a person should know of them by now, one sentence each. Throws `not-allowed` for a certificate that has run out. */
export function tlsWarnings(flags: TlsFlags, nowMs: number): readonly string[] {
  const paths = pathsOf(flags);
  const warnings: string[] = [];
  for (const path of [paths.cert, paths.ca]) {
    if (path === undefined) continue;
    for (const one of certificatesIn(read(path) ?? '', path)) {
      const leftMs = one.validToDate.getTime() - nowMs;
      const until = one.validToDate.toISOString().slice(0, 10);
      const renew = path === paths.ca ? 'shoal cert ca --renew' : 'shoal cert node NAME --renew';
      if (leftMs <= 0)
        throw new ShoalError('not-allowed', `the certificate in ${path} has run out on ${until}`, {
          hint: `renew it: ${renew}`,
        });
      if (leftMs <= CERTIFICATE_WARNING_MS) warnings.push(`the certificate in ${path} runs out on ${until}: ${renew}`);
    }
  }
  if (paths.key !== undefined && isReadByOthers(paths.key))
    warnings.push(`others on this machine may read ${paths.key}: chmod 600 ${paths.key}`);
  return warnings;
}

function pathsOf({ tls, tlsCert, tlsKey, tlsCa }: TlsFlags): { cert?: string; key?: string; ca?: string } {
  const [folder, cert, key, ca] = [tls, tlsCert, tlsKey, tlsCa].map((path) => (path === '' ? undefined : path));
  const inFolder = (name: string): string | undefined => (folder === undefined ? undefined : join(folder, name));
  const paths = { cert: cert ?? inFolder(CERT_FILE), key: key ?? inFolder(KEY_FILE), ca: ca ?? inFolder(CA_FILE) };
  return Object.fromEntries(Object.entries(paths).filter(([, path]) => path !== undefined));
}

function read(path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  try {
    if (statSync(path).size > PEM_FILE_BYTES_MAX) throw new ShoalError('usage', `${path} is too large to be PEM`);
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof ShoalError) throw error;
    const problem = systemErrorCode(error) === 'ENOENT' ? 'does not exist' : 'cannot be read';
    throw new ShoalError('usage', `${path} ${problem}`, {
      cause: error,
      hint: `--tls takes a folder with ${CERT_FILE}, ${KEY_FILE} and ${CA_FILE}, as shoal cert makes it`,
    });
  }
}

/** Loaded only by who gives certificates: every command reads this file when it starts. */
const crypto = () => process.getBuiltinModule('node:crypto');

const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/gu;

function certificatesIn(text: string, path = ''): [X509Certificate, ...X509Certificate[]] {
  try {
    const [first, ...more] = (text.match(PEM_CERTIFICATE) ?? []).map((pem) => new (crypto().X509Certificate)(pem));
    if (first !== undefined) return [first, ...more];
  } catch (error) {
    throw new ShoalError('usage', `${path} holds a certificate that cannot be read`, { cause: error });
  }
  throw new ShoalError('usage', `${path} holds no certificate in PEM`);
}

function checkKey(own: X509Certificate, key: string, path = ''): void {
  let belongs: boolean;
  try {
    belongs = own.checkPrivateKey(crypto().createPrivateKey(key));
  } catch (error) {
    throw new ShoalError('usage', `${path} holds no private key that can be used without a pass phrase`, {
      cause: error,
    });
  }
  if (!belongs) throw new ShoalError('usage', `the key in ${path} is not the one of the certificate`);
}

function checkAuthority(
  own: X509Certificate,
  authorities: readonly X509Certificate[],
  { cert = '', ca = '' }: { cert?: string; ca?: string },
): void {
  if (authorities.some((authority) => own.checkIssued(authority) && own.verify(authority.publicKey))) return;
  throw new ShoalError('usage', `the certificate in ${cert} is not by the authority in ${ca}`, {
    hint: 'give each node the folder that shoal cert made for it, as it is',
  });
}

function isReadByOthers(path: string): boolean {
  return process.platform !== 'win32' && (statSync(path).mode & 0o077) !== 0;
}
