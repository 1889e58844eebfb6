/**
 * Multicast DNS on every network of this machine: one responder an IPv4 interface, because a machine with several networks has to be
 * heard, and to listen, on each. What the library throws for, or prints, when a network does not take part is not an error here.
 */
import type { Bonjour } from 'bonjour-service';
import type { EventEmitter } from 'node:events';
import { networkInterfaces } from 'node:os';
import { LAN_INTERFACES_MAX } from '../limits.ts';

export interface LanResponders {
  readonly all: ReadonlyMap<string, Bonjour>;
  /** Opens those of networks that have come, closes those of networks that have gone; answers with the new ones. */
  update(): readonly Bonjour[];
  close(): Promise<void>;
}

/** IPv4 addresses of this machine's networks, loopback aside; one for each interface. */
export function lanAddresses(): readonly string[] {
  const first = Object.values(networkInterfaces()).map((addresses = []) =>
    addresses.find(({ family, internal }) => family === 'IPv4' && !internal),
  );
  return first.flatMap((found) => (found === undefined ? [] : [found.address])).slice(0, LAN_INTERFACES_MAX);
}

/** `only`: on the interface with this address, instead of on all. */
export async function openLanResponders(only?: string): Promise<LanResponders> {
  const { Bonjour } = (await import('bonjour-service')).default;
  const open = new Map<string, Bonjour>();
  const ignore = (): void => undefined;
  const self: LanResponders = {
    all: open,
    update() {
      const addresses = lanAddresses().filter((address) => only === undefined || address === only);
      for (const [address, responder] of open) {
        if (addresses.includes(address)) continue;
        responder.destroy();
        open.delete(address);
      }
      const added = addresses.filter((address) => !open.has(address));
      for (const address of added) {
        // bound to all addresses, because what is sent to a group does not come to the socket of one
        const options = { interface: address, bind: '0.0.0.0' } as ConstructorParameters<typeof Bonjour>[0];
        const responder = new Bonjour(options, ignore);
        // a port that cannot be had is told here, and would end the process if nobody listened
        (responder as unknown as { readonly server: { readonly mdns: EventEmitter } }).server.mdns.on('error', ignore);
        open.set(address, responder);
      }
      return added.flatMap((address) => open.get(address) ?? []);
    },
    async close() {
      const closing = [...open.values()].map((responder) => new Promise<void>((resolve) => responder.destroy(resolve)));
      open.clear();
      await Promise.all(closing);
    },
  };
  return self;
}
