/** What a node counts for its metrics, and what is read at the moment of a scrape. metrics-server.ts makes text of both. */
import { Histogram } from '../contract/prometheus-text.ts';
import type { Offence } from '../swarm/ban-list.ts';

/** Upper bounds in seconds: from what a fast disk takes to what somebody waits for. */
const WORK_SECONDS = [0.0005, 0.002, 0.01, 0.05, 0.2, 1, 5] as const;
/** A chunk has 64 KiB to 4 MiB and comes over links of every speed. */
const CHUNK_SECONDS = [0.005, 0.02, 0.1, 0.5, 2, 10, 60] as const;

/** What a node has done since its start, counted where it happens, for all its contents together. */
export class NodeCounters {
  chunksVerified = 0;
  chunksRejected = 0;
  /** Of chunks that are verified and in their place. */
  keptBytes = 0;
  writesFailed = 0;
  readonly bans: Record<Offence, number> = { integrity: 0, protocol: 0, undelivered: 0 };
  readonly hashSeconds = new Histogram(WORK_SECONDS);
  readonly writeSeconds = new Histogram(WORK_SECONDS);
  /** From the first byte of a chunk to its place on the disk. */
  readonly chunkSeconds = new Histogram(CHUNK_SECONDS);
}

/** What is read at the moment of a scrape. */
export interface NodeFigures {
  readonly sentBytes: { readonly native: number; readonly range: number };
  readonly receivedBytes: number;
  readonly wastedBytes: number;
  readonly connections: number;
  readonly links: number;
  /** Contents by what the node does with them. */
  readonly contents: { readonly fetching: number; readonly serving: number };
  /** Chunks asked for whose bytes are still to come, and those that are hashed or written. */
  readonly requests: { readonly awaited: number; readonly checking: number };
  /** Chunks that leave, promises that nobody has used yet, and requests that wait for their turn. */
  readonly uploads: { readonly sending: number; readonly granted: number; readonly queued: number };
  readonly sharedFiles: number;
  readonly sharedBytes: number;
  readonly limits: { readonly up: number; readonly down: number };
  readonly isRegistered: boolean;
  readonly volunteer: { readonly offeredBytes: number; readonly usedBytes: number } | undefined;
}
