/** What a node says of itself: to `shoal status`, to programs, and to those who read its metrics. */
import { CONTROL_CHUNK_RANGES_MAX } from '../limits.ts';
import type { Announcer } from './announcer.ts';
import type { NodeStatus, TransferChunks, TransferStatus } from './api.ts';
import type { NodeFigures } from './node-metrics.ts';
import type { OpenSession, Sessions } from './sessions.ts';
import type { SharedLibrary } from './shared-library.ts';
import type { Uploader } from './uploader.ts';
import type { Volunteer } from './volunteer.ts';

/** What is looked at, as it is at this moment. */
export interface NodeReportParts {
  readonly peerId: string;
  readonly address: string;
  readonly trackerUrl: string;
  readonly nowMs: number;
  readonly announcer: Pick<Announcer, 'state'>;
  readonly sessions: Sessions;
  readonly uploader: Uploader;
  readonly connectionCount: number;
  readonly shared: SharedLibrary | undefined;
  readonly volunteer: Volunteer | undefined;
  /** Bytes that were sent by the range dialect, which has no sessions. */
  readonly rangeSentBytes: number;
}

/** Digits of a contentId that name it. */
const CONTENT_DIGITS_MIN = 8;

export function nodeStatus(parts: NodeReportParts): NodeStatus {
  const { peerId, address, trackerUrl, nowMs, announcer, sessions, uploader } = parts;
  const { connectionCount, shared, volunteer, rangeSentBytes } = parts;
  const open = [...sessions.all()];
  const { past } = sessions;
  return {
    peer: peerId,
    pid: process.pid,
    address: address,
    tracker: { url: trackerUrl, state: announcer.state },
    roots: shared?.roots ?? [],
    sharedFiles: shared?.fileCount ?? 0,
    sharedBytes: shared?.byteCount ?? 0,
    limitUp: finiteOrNull(uploader.limit),
    limitDown: finiteOrNull(sessions.downLimit),
    ...(volunteer === undefined ? {} : { volunteer: volunteer.status() }),
    connections: connectionCount,
    uploadedBytes: open.reduce((sum, { session }) => sum + session.sentBytes, past.up + rangeSentBytes),
    downloadedBytes: open.reduce((sum, { session }) => sum + session.receivedBytes, past.down),
    transfers: open.map((one) => transferStatus(one, nowMs)),
  };
}

/** @param what a name, or the first digits of a contentId */
export function transferChunks(sessions: Sessions, what: string): readonly TransferChunks[] {
  const found: TransferChunks[] = [];
  for (const { name, manifest, session } of sessions.all()) {
    const content = manifest?.contentId ?? '';
    const isMeant = name === what || (what.length >= CONTENT_DIGITS_MIN && content.startsWith(what));
    const { layout, swarm } = session;
    if (!isMeant || swarm.isComplete) continue;
    found.push({
      name,
      content,
      chunkCount: layout.chunkCount,
      missingCount: layout.chunkCount - swarm.have.count,
      ranges: session.chunkReasons(CONTROL_CHUNK_RANGES_MAX),
    });
  }
  return found;
}

export function nodeFigures(parts: NodeReportParts): NodeFigures {
  const { sessions, uploader, announcer, connectionCount, shared, volunteer, rangeSentBytes } = parts;
  const open = [...sessions.all()];
  const { past } = sessions;
  const load = { awaited: 0, checking: 0, sending: 0, granted: 0, queued: 0 };
  const figures = { native: past.up, received: past.down, wasted: past.wasted, links: 0, fetching: 0 };
  for (const { session, kind } of open) {
    const { swarm } = session;
    for (const [name, count] of Object.entries(swarm.load)) load[name as keyof typeof load] += count;
    figures.native += session.sentBytes;
    figures.received += session.receivedBytes;
    figures.wasted += swarm.wastedBytes;
    figures.links += session.linkCount;
    if (!swarm.isComplete && kind !== 'served') figures.fetching++;
  }
  return {
    sentBytes: { native: figures.native, range: rangeSentBytes },
    receivedBytes: figures.received,
    wastedBytes: figures.wasted,
    connections: connectionCount,
    links: figures.links,
    contents: { fetching: figures.fetching, serving: open.length - figures.fetching },
    requests: { awaited: load.awaited, checking: load.checking },
    uploads: { sending: load.sending, granted: load.granted, queued: load.queued },
    sharedFiles: shared?.fileCount ?? 0,
    sharedBytes: shared?.byteCount ?? 0,
    limits: { up: uploader.limit, down: sessions.downLimit },
    isRegistered: announcer.state === 'connected',
    volunteer: volunteer?.status(),
  };
}

function transferStatus({ name, manifest, session, kind }: OpenSession, nowMs: number): TransferStatus {
  const { swarm, layout } = session;
  const reason = session.stallReason();
  return {
    name,
    content: manifest?.contentId ?? '',
    size: layout.size,
    bytes: Math.min(layout.size, swarm.have.count * layout.chunkSize),
    state: swarm.isComplete ? 'seeding' : kind === 'served' ? 'serving' : reason === null ? 'fetching' : 'stalled',
    reason,
    bottleneck: session.bottleneck(),
    reasons: session.reasons(),
    peers: session.linkCount,
    bytesPerSecondUp: Math.round(swarm.upBytesPerSecond(nowMs)),
    bytesPerSecondDown: Math.round(swarm.downBytesPerSecond(nowMs)),
  };
}

function finiteOrNull(rate: number): number | null {
  return Number.isFinite(rate) ? rate : null;
}
