/**
 * Addresses as text and as bytes: `host:port` with brackets around IPv6, one form for each address, and which of them are this
 * machine. Looks nothing up.
 */
import { isIPv4, isIPv6 as isIPv6Slowly } from 'node:net';
import { ShoalError } from '../errors.ts';

export interface Address {
  /** An IPv4 or IPv6 address, or a name; IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
}

const PORT = /^\d{1,5}$/u;
const HOST_NAME = /^(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*\.?$/iu;
const MAPPED_PREFIX = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff);

/** Reads `host:port` or `[ipv6]:port`. Throws `usage` for anything else. Port 0 passes: it means "any free one" to a listener. */
export function parseAddress(text: string): Address {
  const refuse = (problem: string): ShoalError =>
    new ShoalError('usage', `${JSON.stringify(text.slice(0, 80))} is not an address: ${problem}`, {
      hint: 'Write it as 192.0.2.1:9001, name:9001 or [2001:db8::1]:9001.',
    });
  const colon = text.lastIndexOf(':');
  if (colon < 1) throw refuse('the port is missing');
  const portText = text.slice(colon + 1);
  const port = Number(portText);
  if (!PORT.test(portText) || port > 0xffff) throw refuse('the port is not a number from 0 to 65535');
  const hostText = text.slice(0, colon);
  if (hostText.startsWith('[') && hostText.endsWith(']')) {
    const host = hostText.slice(1, -1);
    if (!isIPv6(host)) throw refuse('what stands between the brackets is not an IPv6 address');
    return { host: normalHost(host), port };
  }
  if (hostText.includes(':')) throw refuse('an IPv6 address needs brackets around it');
  if (!isIPv4(hostText) && !HOST_NAME.test(hostText)) throw refuse('the host is neither an address nor a name');
  return { host: hostText, port };
}

/** `host:port`, with brackets around IPv6. */
export function formatAddress(address: Address): string {
  const host = normalHost(address.host);
  return host.includes(':') ? `[${host}]:${address.port}` : `${host}:${address.port}`;
}

/** One form for each address: IPv4 mapped into IPv6 as IPv4, IPv6 in its short form. Names and zones stay as they are. */
export function normalHost(host: string): string {
  if (!isIPv6(host) || host.includes('%')) return host;
  return hostFromBytes(ipv6Bytes(host));
}

/** Whether the host is this machine: 127.0.0.0/8, ::1, or the name localhost. */
export function isLoopback(host: string): boolean {
  const normal = normalHost(host);
  if (isIPv4(normal)) return normal.startsWith('127.');
  return normal === '::1' || normal.toLowerCase() === 'localhost';
}

/** Whether the host means "every address of this machine" and so cannot be told to others. */
export function isUnspecified(host: string): boolean {
  const normal = normalHost(host);
  return normal === '0.0.0.0' || normal === '::';
}

/**
 * Whom limits "per address" count together: an IPv4 address, or the /64 of an IPv6 address, because one host usually has all of
 * it. All of loopback is one.
 */
export function addressGroup(host: string): string {
  if (isLoopback(host)) return 'loopback';
  const normal = normalHost(host).replace(/%.*$/u, '');
  if (!isIPv6(normal)) return normal;
  const bytes = ipv6Bytes(normal);
  return `${hostFromBytes(bytes.fill(0, 8))}/64`;
}

/** 16 bytes of an IPv4 (as ::ffff:a.b.c.d) or IPv6 address; undefined for names and for addresses with a zone. */
export function hostToBytes(host: string): Uint8Array<ArrayBuffer> | undefined {
  if (isIPv4(host)) {
    const bytes = new Uint8Array(16);
    bytes.set(MAPPED_PREFIX);
    bytes.set(host.split('.').map(Number), 12);
    return bytes;
  }
  return isIPv6(host) && !host.includes('%') ? ipv6Bytes(host) : undefined;
}

/** The text of 16 bytes; the inverse of `hostToBytes`. */
export function hostFromBytes(bytes: Uint8Array): string {
  if (bytes.length !== 16) throw new ShoalError('bug', `an address has 16 bytes, not ${bytes.length}`);
  if (MAPPED_PREFIX.every((byte, at) => bytes[at] === byte)) return bytes.subarray(12).join('.');
  const groups: string[] = [];
  for (let at = 0; at < 16; at += 2)
    groups.push((((bytes[at] as number) << 8) | (bytes[at + 1] as number)).toString(16));
  // the URL parser owns the rule for the short form
  return new URL(`http://[${groups.join(':')}]/`).hostname.slice(1, -1);
}

/** Node compiles a large pattern at the first call (some milliseconds), which an IPv4 address or a name is not worth. */
function isIPv6(host: string): boolean {
  return host.includes(':') && isIPv6Slowly(host);
}

/** `host` passes isIPv6 and has no zone. */
function ipv6Bytes(host: string): Uint8Array<ArrayBuffer> {
  const text = new URL(`http://[${host}]/`).hostname.slice(1, -1);
  const [head = '', tail] = text.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const bytes = new Uint8Array(16);
  left.forEach((group, index) => writeGroup(bytes, index, group));
  right.forEach((group, index) => writeGroup(bytes, 8 - right.length + index, group));
  return bytes;
}

function writeGroup(bytes: Uint8Array, index: number, group: string): void {
  const value = Number.parseInt(group, 16);
  bytes[2 * index] = value >> 8;
  bytes[2 * index + 1] = value & 0xff;
}
