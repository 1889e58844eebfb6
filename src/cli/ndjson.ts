/**
 * The events of `--json`: one JSON object a line, with exactly the field names that docs/api.md promises. This file alone decides how
 * an event looks; what it means is decided where it happens.
 */
import { ERROR_TABLE, type ShoalError } from '../errors.ts';
import type { GetProgress, GetResult, SharedEntry, SharedFolder } from '../peer/api.ts';
import type { LoopDelay } from './loop-delay.ts';

export interface TrackerListeningEvent {
  readonly event: 'listening';
  readonly url: string;
}
export interface PeerListeningEvent {
  readonly event: 'listening';
  readonly address: string;
  readonly peer: string;
}
export interface SharedEvent {
  readonly event: 'shared';
  readonly name: string;
  readonly size: number;
  readonly sha256: string;
  readonly content: string;
}
export interface SharedFolderEvent {
  readonly event: 'shared-folder';
  readonly name: string;
  readonly files: number;
  /** Of its files together. */
  readonly size: number;
  readonly content: string;
}
export interface WithdrawnEvent {
  readonly event: 'withdrawn';
  readonly name: string;
  readonly content: string;
}
export interface UnreachableEvent {
  readonly event: 'unreachable';
  readonly addresses: readonly string[];
}
/** The tracker went away, or is back. */
export interface TrackerEvent {
  readonly event: 'tracker';
  readonly state: 'connected' | 'away';
  readonly url: string;
}
export interface BackupEvent {
  readonly event: 'backup';
  readonly path: string;
  readonly bytes: number;
  readonly entries: number;
}
export interface ProblemEvent {
  readonly event: 'problem';
  readonly path: string;
  readonly message: string;
}
/** What a node offers for replicas, and uses of it. */
export interface VolunteeringEvent {
  readonly event: 'volunteering';
  readonly offered: number;
  readonly used: number;
  readonly contents: number;
}
/** All chunks ordered of a content are kept now. */
export interface ReplicaEvent {
  readonly event: 'replica';
  readonly name: string;
  readonly content: string;
  /** Of so many that the content has. */
  readonly chunks: number;
  readonly of: number;
  readonly bytes: number;
}
export interface ReplicaDroppedEvent {
  readonly event: 'replica-dropped';
  readonly name: string;
  readonly content: string;
  readonly chunks: number;
}
export interface ReadyEvent {
  readonly event: 'ready';
}
export interface ProgressEvent {
  readonly event: 'progress';
  readonly bytes: number;
  readonly total: number;
  readonly bytesPerSecond: number;
  readonly peers: number;
  readonly etaSeconds: number | null;
  /** Why nothing moves; only while nothing does. */
  readonly stalled?: string;
  /** What it waits for most; null while that is not known. */
  readonly bottleneck: string | null;
  /** Missing chunks that do not move, by reason. */
  readonly reasons: Readonly<Record<string, number>>;
}
export interface PeerBannedEvent {
  readonly event: 'peer-banned';
  readonly address: string;
  readonly reason: string;
}
export interface DoneEvent {
  readonly event: 'done';
  readonly name: string;
  readonly path: string;
  readonly size: number;
  readonly sha256: string;
  readonly content: string;
  readonly seconds: number;
  readonly bytesPerSecond: number;
  readonly resumedBytes: number;
  /** Of a folder: its files, and those of them that were there already. */
  readonly files?: number;
  readonly keptFiles?: number;
  readonly peers: readonly {
    readonly address: string;
    readonly peer: string;
    readonly bytes: number;
    readonly chunks: number;
    readonly rttMs: number | null;
    readonly seconds: number;
  }[];
  /** Only where a benchmark asked for it. */
  readonly loopDelay?: LoopDelay;
}
export interface ErrorEvent {
  readonly event: 'error';
  readonly code: string;
  readonly message: string;
  readonly exit: number;
}

/** Where a node's figures are served. */
export interface MetricsEvent {
  readonly event: 'metrics';
  readonly url: string;
}

export type CliEvent =
  | TrackerListeningEvent
  | PeerListeningEvent
  | SharedEvent
  | SharedFolderEvent
  | WithdrawnEvent
  | MetricsEvent
  | UnreachableEvent
  | TrackerEvent
  | BackupEvent
  | ProblemEvent
  | VolunteeringEvent
  | ReplicaEvent
  | ReplicaDroppedEvent
  | ReadyEvent
  | ProgressEvent
  | PeerBannedEvent
  | DoneEvent
  | ErrorEvent;

export function encodeEvent(event: CliEvent): string {
  return `${JSON.stringify(event)}\n`;
}

export function sharedEvent({ name, manifest }: SharedEntry): SharedEvent {
  return { event: 'shared', name, size: manifest.size, sha256: manifest.sha256, content: manifest.contentId };
}

export function sharedFolderEvent({ name, manifest, fileCount, byteCount }: SharedFolder): SharedFolderEvent {
  return { event: 'shared-folder', name, files: fileCount, size: byteCount, content: manifest.contentId };
}

export function progressEvent(progress: GetProgress): ProgressEvent {
  const { bytes, total, peers, etaSeconds, stalled, bottleneck, reasons } = progress;
  return {
    event: 'progress',
    bytes,
    total,
    bytesPerSecond: Math.round(progress.bytesPerSecond),
    peers,
    etaSeconds: etaSeconds === null ? null : round(etaSeconds, 1),
    ...(stalled === null ? {} : { stalled }),
    bottleneck,
    reasons,
  };
}

export function doneEvent(result: GetResult, loopDelay?: LoopDelay): DoneEvent {
  return {
    event: 'done',
    name: result.name,
    path: result.path,
    size: result.size,
    sha256: result.sha256,
    content: result.content,
    seconds: round(result.seconds, 3),
    bytesPerSecond: Math.round(result.bytesPerSecond),
    resumedBytes: result.resumedBytes,
    ...(result.folder === undefined ? {} : { files: result.folder.files, keptFiles: result.folder.kept }),
    peers: result.peers.map(({ address, peer, bytes, chunks, rttMs, seconds }) => ({
      address,
      peer,
      bytes,
      chunks,
      rttMs: rttMs === null ? null : round(rttMs, 2),
      seconds: round(seconds, 3),
    })),
    ...(loopDelay && { loopDelay }),
  };
}

export function errorEvent(error: ShoalError): ErrorEvent {
  return { event: 'error', code: error.code, message: error.message, exit: ERROR_TABLE[error.code].exit };
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
