/** Peer exchange between the swarm's words and the wire: addresses as text and as 16 bytes. What has no such form is left out. */
import { toHex } from '../../content/digest.ts';
import { formatAddress, hostFromBytes, hostToBytes, parseAddress } from '../../net/address.ts';
import type { SwarmMessage } from '../../swarm/facts.ts';
import type { PexMessage, PexPeer } from '../../wire/messages.ts';

type SwarmPex = Extract<SwarmMessage, { type: 'pex' }>;

export function encodePeers({ added, dropped }: SwarmPex): PexMessage {
  const peers: PexPeer[] = [];
  for (const { address, key } of added) {
    const { host, port } = parseAddress(address);
    const ip = hostToBytes(host);
    if (ip !== undefined && port > 0) peers.push({ ip, port, peerId: Buffer.from(key, 'hex') });
  }
  return { type: 'pex', added: peers, dropped: dropped.map((key) => Buffer.from(key, 'hex')) };
}

export function decodePeers({ added, dropped }: PexMessage): SwarmPex {
  return {
    type: 'pex',
    added: added.map(({ ip, port, peerId }) => ({
      address: formatAddress({ host: hostFromBytes(ip), port }),
      key: toHex(peerId),
    })),
    dropped: dropped.map((peerId) => toHex(peerId)),
  };
}
