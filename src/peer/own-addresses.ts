/** Which addresses a node announces: what it was told to, else where it listens, else what the tracker and the interfaces show. */
import { isIPv6 } from 'node:net';
import { networkInterfaces } from 'node:os';
import { ADDRESSES_PER_PEER_MAX } from '../limits.ts';
import { isUnspecified, parseAddress } from '../net/address.ts';
import type { TrackerAddress } from './tracker-client.ts';

/** An empty host stands for the address from which the tracker sees us; it comes first, as the one most likely to be right. */
export function ownAddresses(listenHost: string, port: number, advertise: string | undefined): TrackerAddress[] {
  if (advertise !== undefined && advertise !== '') return [advertisedAddress(advertise, port)];
  if (!isUnspecified(listenHost)) return [{ host: listenHost, port }];
  const hosts = [''];
  for (const addresses of Object.values(networkInterfaces())) {
    for (const { address, internal } of addresses ?? []) {
      // link-local addresses mean nothing without the interface they belong to
      if (!internal && !address.toLowerCase().startsWith('fe80:')) hosts.push(address);
    }
  }
  return hosts.slice(0, ADDRESSES_PER_PEER_MAX).map((host) => ({ host, port }));
}

/** `host`, or `host:port` where a port of another machine leads here; IPv6 in brackets when a port follows. */
export function advertisedAddress(text: string, ownPort: number): TrackerAddress {
  if (isIPv6(text) || !/[:\]]/u.test(text)) return { host: text, port: ownPort };
  if (text.startsWith('[') && text.endsWith(']')) return parseAddress(`${text}:${ownPort}`);
  return parseAddress(text);
}
