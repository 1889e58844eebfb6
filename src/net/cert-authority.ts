/**
 * A private authority and the certificates it gives to the nodes of a swarm: ECDSA on P-256, good for both ends of a connection. Makes
 * PEM texts; where they are kept is its caller's affair. Loaded only by who makes some: the library behind it is not small.
 */
// oxlint-disable-next-line import/no-unassigned-import -- the library wants it to be there, and loaded first
import 'reflect-metadata';
import * as x509 from '@peculiar/x509';
import { createPrivateKey, randomBytes, webcrypto } from 'node:crypto';
import { isIP } from 'node:net';
import { ShoalError } from '../errors.ts';

/** PEM: a certificate and its private key (PKCS #8). */
export interface Certified {
  readonly cert: string;
  readonly key: string;
}

export interface Validity {
  readonly nowMs: number;
  readonly days: number;
}

export interface NodeCertificate extends Validity {
  /** For people. */
  readonly name: string;
  /** Host names and addresses under which the node is reached. */
  readonly hosts: readonly string[];
}

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const SIGNING = { name: 'ECDSA', hash: 'SHA-256' } as const;
const DAY_MS = 24 * 3_600_000;
/** The clocks of two machines differ: what was made a moment ago is not to be from the future anywhere. */
const EARLIER_MS = 3_600_000;
const SERIAL_BYTES = 16;

/** A new authority. Its name is its own, so that two of them are never taken for one. */
export async function createAuthority(validity: Validity): Promise<Certified> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  return selfSigned(keys, `Shoal swarm ${randomBytes(4).toString('hex')}`, validity);
}

/** The same authority for longer: what it has signed stays good. */
export async function renewAuthority(authority: Certified, validity: Validity): Promise<Certified> {
  const { cert, keys } = await open(authority);
  const { cert: renewed } = await selfSigned(keys, commonNameOf(cert), validity);
  return { cert: renewed, key: authority.key };
}

/** A certificate for a node, with a new key or for one it has. It does not outlive its authority. */
export async function issueCertificate(
  authority: Certified,
  { name, hosts, nowMs, days }: NodeCertificate,
  key?: string,
): Promise<Certified> {
  const issuer = await open(authority);
  const keys =
    key === undefined ? await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']) : await keysOf(key);
  const endMs = Math.min(nowMs + days * DAY_MS, issuer.cert.notAfter.getTime());
  if (endMs <= nowMs)
    throw new ShoalError('usage', 'the authority of this swarm has run out', { hint: 'shoal cert ca --renew' });
  const cert = await x509.X509CertificateGenerator.create(
    {
      ...period(nowMs, endMs),
      subject: [{ CN: [name] }],
      issuer: issuer.cert.subjectName.toJSON(),
      publicKey: keys.publicKey,
      signingKey: issuer.keys.privateKey,
      signingAlgorithm: SIGNING,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
        new x509.SubjectAlternativeNameExtension(
          hosts.map((host) => ({ type: isIP(host) === 0 ? x509.DNS : x509.IP, value: host })),
        ),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
        await x509.AuthorityKeyIdentifierExtension.create(issuer.keys.publicKey),
      ],
    },
    webcrypto,
  );
  return { cert: pem(cert), key: key ?? (await pemOfKey(keys.privateKey)) };
}

async function selfSigned(keys: webcrypto.CryptoKeyPair, name: string, { nowMs, days }: Validity): Promise<Certified> {
  const cert = await x509.X509CertificateGenerator.createSelfSigned(
    {
      ...period(nowMs, nowMs + days * DAY_MS),
      name: [{ CN: [name] }],
      keys,
      signingAlgorithm: SIGNING,
      extensions: [
        new x509.BasicConstraintsExtension(true, 0, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      ],
    },
    webcrypto,
  );
  return { cert: pem(cert), key: await pemOfKey(keys.privateKey) };
}

function period(nowMs: number, endMs: number) {
  const serialNumber = randomBytes(SERIAL_BYTES);
  serialNumber[0] = (serialNumber[0] as number) & 0x7f; // a serial number is positive
  return {
    serialNumber: serialNumber.toString('hex'),
    notBefore: new Date(nowMs - EARLIER_MS),
    notAfter: new Date(endMs),
  };
}

async function open({ cert, key }: Certified): Promise<{ cert: x509.X509Certificate; keys: webcrypto.CryptoKeyPair }> {
  return { cert: new x509.X509Certificate(cert), keys: await keysOf(key) };
}

async function keysOf(key: string): Promise<webcrypto.CryptoKeyPair> {
  const { d, ...point } = createPrivateKey(key).export({ format: 'jwk' });
  if (point.crv !== ALGORITHM.namedCurve || d === undefined)
    throw new ShoalError('usage', 'the key is not one that shoal cert made: it takes ECDSA on P-256');
  const { subtle } = webcrypto;
  return {
    privateKey: await subtle.importKey('jwk', { ...point, d }, ALGORITHM, true, ['sign']),
    publicKey: await subtle.importKey('jwk', point, ALGORITHM, true, ['verify']),
  };
}

function commonNameOf(cert: x509.X509Certificate): string {
  return cert.subjectName.getField('CN')[0] ?? 'Shoal swarm';
}

function pem(cert: x509.X509Certificate): string {
  return `${cert.toString('pem')}\n`;
}

async function pemOfKey(key: CryptoKey): Promise<string> {
  return x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY') + '\n';
}
