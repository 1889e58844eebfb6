/**
 * How far an address reaches, so that peers tell each other only of addresses the other could use and may know: a peer on the
 * Internet neither learns the addresses of somebody's home network nor can send anybody to one.
 */

/** `named`: not an IP address in its usual form; nothing is known of it. */
export type AddressScope = 'global' | 'private' | 'loopback' | 'link-local' | 'unusable' | 'named';

const DOT = 0x2e;
const ZERO = 0x30;

/** Of the host in `host:port`, with brackets around IPv6. */
export function addressScope(address: string): AddressScope {
  const host = hostOf(address);
  const octets = ipv4Octets(host);
  if (octets !== undefined) return ipv4Scope(octets);
  return host.includes(':') ? ipv6Scope(host.toLowerCase()) : 'named';
}

/** The host in `host:port`, without brackets. */
export function hostOf(address: string): string {
  const host = address.slice(0, Math.max(0, address.lastIndexOf(':')));
  return host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host;
}

/** Whether an address of scope `what` may pass between us and a peer whose own address is of scope `peer`, either way. */
export function mayPass(what: AddressScope, peer: AddressScope): boolean {
  if (what === 'global') return peer !== 'unusable';
  // who is on this machine, or in the private network, can reach what is there
  if (what === 'private') return peer === 'private' || peer === 'loopback';
  return what === 'loopback' && peer === 'loopback';
}

function ipv4Octets(host: string): readonly number[] | undefined {
  const octets: number[] = [];
  let octet = 0;
  let digits = 0;
  for (let at = 0; at <= host.length; at++) {
    const code = at < host.length ? host.charCodeAt(at) : DOT;
    if (code === DOT) {
      if (digits === 0 || octet > 255) return undefined;
      octets.push(octet);
      octet = 0;
      digits = 0;
    } else {
      if (code < ZERO || code > ZERO + 9 || ++digits > 3) return undefined;
      octet = octet * 10 + code - ZERO;
    }
  }
  return octets.length === 4 ? octets : undefined;
}

/** After the registry of special-purpose addresses (RFC 6890). */
function ipv4Scope([a = 0, b = 0]: readonly number[]): AddressScope {
  if (a === 127) return 'loopback';
  if (a === 0 || a >= 224) return 'unusable';
  if (a === 169 && b === 254) return 'link-local';
  const isPrivate = a === 10 || (a === 172 && b >= 16 && b < 32) || (a === 192 && b === 168);
  // addresses behind a carrier's translation (RFC 6598) are as private as those behind one's own
  return isPrivate || (a === 100 && b >= 64 && b < 128) ? 'private' : 'global';
}

/** `host` in lower case, in any form the URL standard writes; IPv4 within IPv6 counts as the IPv4 address. */
function ipv6Scope(host: string): AddressScope {
  if (host.includes('%')) return 'link-local';
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/u.exec(host)?.[1];
  const octets = mapped === undefined ? undefined : ipv4Octets(mapped);
  if (octets !== undefined) return ipv4Scope(octets);
  if (host === '::1') return 'loopback';
  const first = Number.parseInt(host.split(':')[0] || '0', 16);
  // ::, and the forms that carry an IPv4 address whose scope would have to be guessed
  if (first === 0 || first === 0x64 || first === 0x2002) return 'unusable';
  if ((first & 0xffc0) === 0xfe80) return 'link-local';
  if ((first & 0xfe00) === 0xfc00) return 'private';
  return (first & 0xff00) === 0xff00 ? 'unusable' : 'global';
}
