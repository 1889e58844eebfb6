/** Addresses that peers announce: what is a host, what stands for "where this call came from", and which to name first. */
import { BlockList, isIP, isIPv6 } from 'node:net';
import { ShoalError } from '../errors.ts';
import { quote } from '../content/entry-name.ts';
import type { Address, PeerRecord } from './records.ts';

const HOST_NAME =
  /^(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*\.?$/iu;
const ONLY_DIGITS_AND_DOTS = /^[0-9.]+$/u;
const MAPPED_IPV4 = /^::ffff:(?=.*\.)/iu;
const UNSPECIFIED = new Set(['', '0.0.0.0', '::']);

/** An IP address or host name in one spelling, without brackets. Throws `usage` for anything else. */
export function parseHost(text: string): string {
  const bare = text.startsWith('[') && text.endsWith(']') ? text.slice(1, -1) : text;
  const host = plainIp(bare);
  if (isIP(host) !== 0 && !host.includes('%')) return host.toLowerCase();
  if (HOST_NAME.test(host) && !ONLY_DIGITS_AND_DOTS.test(host)) return host.toLowerCase();
  throw new ShoalError('usage', `${quote(text)} is neither an IP address nor a host name`);
}

/** Throws `usage` for anything but a port one can dial. */
export function parsePort(port: number): number {
  if (Number.isInteger(port) && port >= 1 && port <= 65_535) return port;
  throw new ShoalError('usage', `${port} is not a port: it takes a number from 1 to 65535`);
}

/** A registered address; an empty or unspecified host (0.0.0.0, ::) stands for the host the call came from. */
export function parseAddress(address: Address, observedHost: string): Address {
  const host = UNSPECIFIED.has(address.host) ? observedHost : address.host;
  return { host: parseHost(host), port: parsePort(address.port) };
}

/** The host of a socket as others would write it: IPv4 in IPv6 clothes is undressed, a zone is dropped. */
export function observedHostOf(remoteAddress: string | undefined): string {
  return plainIp((remoteAddress ?? '').replace(/%.*$/u, '')) || '127.0.0.1';
}

export function isLoopback(host: string): boolean {
  return host === '::1' || host === 'localhost' || (host.startsWith('127.') && isIP(host) === 4);
}

/**
 * Who counts as one where the tracker counts callers: an IPv4 address, or the /64 of an IPv6 address, because one host usually has all
 * of it. All of loopback is one.
 */
export function reporterGroup(host: string): string {
  if (isLoopback(host)) return 'loopback';
  if (isIP(host) !== 6) return host;
  // the URL parser owns the short form of IPv6; what `::` leaves out is zeros
  const [head = '', tail] = new URL(`http://[${host.replace(/%.*$/u, '')}]/`).hostname.slice(1, -1).split('::');
  const groups = head === '' ? [] : head.split(':');
  if (tail !== undefined) {
    const rest = tail === '' ? [] : tail.split(':');
    groups.push(...Array.from({ length: 8 - groups.length - rest.length }, () => '0'), ...rest);
  }
  return `${groups.slice(0, 4).join(':')}::/64`;
}

/** Whether it is a name, which may come to mean another address. */
export function isName(host: string): boolean {
  return isIP(host) === 0;
}

/** No host has them: this network, links, groups, everybody. */
const NOBODYS = blockList([
  '0.0.0.0/8',
  '169.254.0.0/16',
  '224.0.0.0/4',
  '240.0.0.0/4',
  '::/128',
  'fe80::/10',
  'ff00::/8',
]);
/** Of networks that others cannot see into. */
const INNER = blockList([
  '10.0.0.0/8',
  '172.16.0.0/12',
  '192.168.0.0/16',
  '100.64.0.0/10',
  '127.0.0.0/8',
  'fc00::/7',
  '::1/128',
]);

/** Whether an announced host may be dialled: this machine's own loopback is not for callers from elsewhere. Names may; judge what they mean. */
export function mayBeDialled(host: string, fromLoopback: boolean): boolean {
  if (isLoopback(host)) return fromLoopback;
  return isName(host) || !isIn(NOBODYS, host);
}

/** An address of an inner network: 192.168.1.5, fd00::5. Not a name. */
export function isInner(host: string): boolean {
  return !isName(host) && isIn(INNER, host);
}

/**
 * Where to send a requester for a peer: where it is known to answer. Two that are seen from the same outer address may be in one inner
 * network, which a tracker outside cannot look into: they are told each other's addresses there as well.
 */
export function routesTo(
  peer: Pick<PeerRecord, 'addresses' | 'reachable' | 'observedHost'>,
  requesterHost: string,
): readonly Address[] {
  const { addresses, reachable, observedHost } = peer;
  if (reachable === undefined) return addressesFor(addresses, requesterHost);
  if (requesterHost !== observedHost || isInner(observedHost)) return addressesFor(reachable, requesterHost);
  return addresses.filter(
    (address) => reachable.includes(address) || (isInner(address.host) && !isLoopback(address.host)),
  );
}

/** Addresses in the order a requester can likely use them: loopback first for one that comes from loopback, else last. */
export function addressesFor(addresses: readonly Address[], requesterHost: string): readonly Address[] {
  if (addresses.length < 2) return addresses;
  const near = isLoopback(requesterHost);
  return [
    ...addresses.filter((address) => isLoopback(address.host) === near),
    ...addresses.filter((address) => isLoopback(address.host) !== near),
  ];
}

/** `host:port`, with brackets around IPv6. */
export function formatAddress(address: Address): string {
  return address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}

function plainIp(host: string): string {
  return host.replace(MAPPED_IPV4, '');
}

function blockList(networks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const network of networks) {
    const [address = '', bits = ''] = network.split('/');
    list.addSubnet(address, Number(bits), isIPv6(address) ? 'ipv6' : 'ipv4');
  }
  return list;
}

function isIn(list: BlockList, host: string): boolean {
  return list.check(host, isIPv6(host) ? 'ipv6' : 'ipv4');
}
