/** The requests that the tracker benchmark sends: prepared bytes, so that making them costs the run nothing. */
import { create, toBinary, type DescMessage, type MessageInitShape } from '@bufbuild/protobuf';
import { createHash } from 'node:crypto';
import { createChunkLayout } from '../../src/content/chunk-layout.ts';
import { digestBytes } from '../../src/content/digest.ts';
import { createManifest, type Manifest } from '../../src/content/manifest.ts';
import {
  LocateRequestSchema,
  PublishRequestSchema,
  RegisterRequestSchema,
  RenewRequestSchema,
} from '../../src/contract/gen/shoal/v1/tracker_pb.ts';

export interface Crowd {
  readonly swarms: number;
  readonly peersEach: number;
}

const CHUNK_SIZE = 64 * 1024;
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest();

export function manifestOf(seed: number, chunkCount: number): Manifest {
  const digests = new Uint8Array(chunkCount * 32);
  for (let index = 0; index < chunkCount; index++) digests.set(sha256(Buffer.from(`${seed}/${index}`)), index * 32);
  return createManifest(
    createChunkLayout(chunkCount * CHUNK_SIZE, CHUNK_SIZE),
    sha256(Buffer.from(`${seed}`)),
    digests,
    (bytes) => new Uint8Array(sha256(bytes)),
  );
}

/** Peers in an order that goes round the swarms. */
export function* membersOf({ swarms, peersEach }: Crowd): IterableIterator<{ swarm: number; peer: number }> {
  for (let peer = 0; peer < peersEach; peer++) for (let swarm = 0; swarm < swarms; swarm++) yield { swarm, peer };
}

export function bittorrentAnnounces(crowd: Crowd, want: number): Buffer[] {
  return Array.from(membersOf(crowd), ({ swarm, peer }) => {
    const hash = escaped(infoHash(swarm));
    const id = escaped(Buffer.from(`-SH0001-${String(peer).padStart(6, '0')}${String(swarm).padStart(6, '0')}`));
    const query = `info_hash=${hash}&peer_id=${id}&port=${portOf(peer)}&uploaded=0&downloaded=0&left=0&numwant=${want}&compact=1`;
    return Buffer.from(`GET /announce?${query} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: keep-alive\r\n\r\n`);
  });
}

export function infoHash(swarm: number): Buffer {
  return createHash('sha1').update(`swarm ${swarm}`).digest();
}

export function restAnnounces(crowd: Crowd, want: number): Buffer[] {
  return Array.from(membersOf(crowd), ({ swarm, peer }) => {
    const files = [
      { name: `file-${swarm}.bin`, size: 1_000_000 + swarm, sha256: sha256(infoHash(swarm)).toString('hex') },
    ];
    const body = JSON.stringify({ ip: '127.0.0.1', port: portOf(peer * crowd.swarms + swarm), files });
    return post(`/announce?peers=${want}`, 'application/json', Buffer.from(body));
  });
}

/** A distinct port for each peer of one address; BitTorrent trackers here see all peers at 127.0.0.1. */
function portOf(peer: number): number {
  return 1_024 + (peer % 64_000);
}

export function peerIdOf(peer: number): Buffer {
  return createHash('sha256').update(`peer ${peer}`).digest().subarray(0, 16);
}

export function registers(peers: number, contents: readonly Manifest[], first = 0): Buffer[] {
  return numbers(peers, first).map((peer) =>
    rpc('Register', RegisterRequestSchema, {
      peerId: peerIdOf(peer),
      addresses: [{ host: `10.${peer >> 16}.${(peer >> 8) & 255}.${peer & 255}`, port: 4_000 }],
      dialects: [1, 2],
      agent: 'bench',
      holdings: contents.map(({ contentId }) => ({ contentId: digestBytes(contentId), complete: false })),
    }),
  );
}

export function publication(peer: number, contents: readonly Manifest[]): Buffer {
  const items = contents.map(({ contentId, bytes }, index) => ({
    name: `content-${index}.bin`,
    manifest: bytes,
    contentId: digestBytes(contentId),
  }));
  return rpc('Publish', PublishRequestSchema, { peerId: peerIdOf(peer), items });
}

/**
 * What a downloading node says every ten seconds: some chunks gained in one content, its links, its bytes. Two of each peer, one after
 * the other's turn: what the first gains the second has lost, so that every one of them changes something however long this goes on.
 */
export function renewals(peers: number, contents: readonly Manifest[], first = 0): Buffer[] {
  const chunks = (peer: number, round: number, count: number): number[] =>
    Array.from({ length: 4 }, (_none, step) => (peer * 7 + step * 13 + round * 101) % (count - 1));
  return [0, 1].flatMap((round) =>
    numbers(peers, first).map((peer) => {
      const { contentId, chunkCount } = contents[peer % contents.length] as Manifest;
      const [gained, lost] = [chunks(peer, round, chunkCount), chunks(peer, 1 - round, chunkCount)];
      const change = { contentId: digestBytes(contentId), gained, lost, links: peer % 20, bytesUp: 65_536n };
      return rpc('Renew', RenewRequestSchema, { peerId: peerIdOf(peer), changes: [change] });
    }),
  );
}

export function locates(peers: number, contents: readonly Manifest[], first = 0): Buffer[] {
  return numbers(peers, first).map((peer) =>
    rpc('Locate', LocateRequestSchema, {
      contentId: digestBytes((contents[peer % contents.length] as Manifest).contentId),
      peerId: peerIdOf(peer),
    }),
  );
}

function numbers(count: number, first: number): number[] {
  return Array.from({ length: count }, (_, index) => first + index);
}

let callCount = 0;

/** With the headers of a node's own client (src/peer/tracker-http.ts): every call has a name of its own. */
function rpc<Schema extends DescMessage>(method: string, schema: Schema, message: MessageInitShape<Schema>): Buffer {
  const body = Buffer.from(toBinary(schema, create(schema, message)));
  const before = `connect-protocol-version: 1\r\nx-request-id: 5e1f00d5-${++callCount}\r\n`;
  const after = 'connect-timeout-ms: 10000\r\nConnection: keep-alive\r\n';
  return post(`/shoal.v1.TrackerService/${method}`, 'application/proto', body, before, after);
}

function post(path: string, type: string, body: Buffer, before = '', after = ''): Buffer {
  const head = `POST ${path} HTTP/1.1\r\ncontent-type: ${type}\r\n${before}content-length: ${body.length}\r\n${after}Host: 127.0.0.1\r\n\r\n`;
  return Buffer.concat([Buffer.from(head), body]);
}

function escaped(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');
}
