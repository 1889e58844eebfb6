/** The registry's answers as the JSON of the REST calls. */
import { toHex } from '../../content/digest.ts';
import { chunkDigest, type Manifest } from '../../content/manifest.ts';
import { formatAddress } from '../addresses.ts';
import type { ChunkPage, PeerView, SourceView } from '../lookups.ts';
import type { OthersWithFile } from '../plain-calls.ts';
import type { EntryView } from '../state.ts';

export function fileRow(entry: EntryView) {
  return {
    name: entry.name,
    size: entry.size,
    sha256: entry.sha256,
    content: entry.contentId,
    chunk_size: entry.chunkSize,
    chunks: entry.chunkCount,
    seeders: entry.seeders,
    leechers: entry.leechers,
    published_at: isoTime(entry.publishedAtMs),
    replicas: entry.replicas,
    replicas_reached: entry.replicasReached,
    replica_chunks_missing: entry.replicaChunksMissing,
    volunteers: entry.volunteers,
  };
}

export function sourceRow({ peerId, addresses, dialects }: SourceView) {
  return { ip: addresses[0]?.host ?? '', port: addresses[0]?.port ?? 0, peer: peerId, dialects: [...dialects] };
}

export function othersRow({ name, addresses }: OthersWithFile) {
  return { name, peers: addresses.map(({ host, port }) => ({ ip: host, port })) };
}

export function partialRow(source: SourceView, { chunkCount }: EntryView) {
  const percent = Math.floor(((source.chunks?.count ?? 0) * 100) / Math.max(1, chunkCount));
  return { ...sourceRow(source), percent, replica: source.isReplica };
}

export function peerRow(peer: PeerView) {
  return {
    ip: peer.addresses[0]?.host ?? '',
    port: peer.addresses[0]?.port ?? 0,
    state: peer.online ? ('online' as const) : ('offline' as const),
    peer: peer.peerId,
    addresses: peer.addresses.map(formatAddress),
    dialects: [...peer.dialects],
    agent: peer.agent,
    banned: peer.banned,
    last_seen: isoTime(peer.lastSeenMs),
    complete: peer.completeContents,
    partial: peer.partialContents,
    files: [...peer.names],
    offered_bytes: peer.offer?.offeredBytes ?? 0,
    used_bytes: peer.offer?.usedBytes ?? 0,
    replicas: peer.replicaContents,
    reachability: peer.reachability,
  };
}

export function chunkAnswer({ entry, chunks, nextFrom }: ChunkPage) {
  return {
    file: fileRow(entry),
    chunks: chunks.map(({ index, sha256, sourceCount, sources }) => ({
      index,
      sha256,
      sources: sourceCount,
      peers: [...sources],
    })),
    next_from: nextFrom ?? null,
  };
}

export function descriptorPath(name: string): string {
  return `/torrents/${namePath(name)}.json`;
}

/** A name in a path: each segment percent-encoded, the slashes left. */
export function namePath(name: string): string {
  return name.split('/').map(encodeURIComponent).join('/');
}

/** Digests written to a descriptor at a time. */
const PIECES_PER_PART = 1_024;

/** The descriptor as JSON text in parts: it may name a million pieces. */
export function* descriptorText(entry: EntryView, manifest: Manifest): IterableIterator<string> {
  const head = {
    file_name: entry.name,
    total_pieces: manifest.chunkCount,
    size: manifest.size,
    sha256: manifest.sha256,
    chunk_size: manifest.chunkSize,
    content: manifest.contentId,
    links: { file: `/file/${namePath(entry.name)}`, chunks: `/file/${namePath(entry.name)}/chunks` },
  };
  yield `${JSON.stringify(head).slice(0, -1)},"pieces":[`;
  let part = '';
  for (let index = 0; index < manifest.chunkCount; index++) {
    part += `${index === 0 ? '' : ','}{"number":${index + 1},"hash":"${toHex(chunkDigest(manifest, index))}"}`;
    if ((index + 1) % PIECES_PER_PART !== 0) continue;
    yield part;
    part = '';
  }
  yield `${part}]}`;
}

export function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}
