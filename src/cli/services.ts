/**
 * What commands are made of, loaded when a command needs it, so that `--help` and a mistyped option answer at once. Tests give their own.
 */
import { ShoalError } from '../errors.ts';
import type { NodeOptions, NodeStatus, PeerNode } from '../peer/api.ts';
import type { TrackerClient } from '../peer/tracker-client.ts';
import type { HashedFile, HashFileOptions } from '../storage/hash-file.ts';
import type { Tracker, TrackerOptions } from '../tracker/server.ts';

export interface Services {
  createNode(options: NodeOptions): Promise<PeerNode>;
  startTracker(options: TrackerOptions): Promise<Tracker>;
  createTrackerClient(options: { urls: readonly string[]; token?: string | undefined }): Promise<TrackerClient>;
  hashFile(path: string, options?: HashFileOptions): Promise<HashedFile>;
  /** What the nodes of this user on this machine say of themselves; with `dataDir` only that one's. */
  readNodeStatuses(options: { dataDir?: string | undefined; signal: AbortSignal }): Promise<readonly NodeStatus[]>;
}

export const systemServices: Services = {
  async createNode(options) {
    const { createNode } = await import('../peer/node.ts');
    return createNode(options);
  },
  async startTracker(options) {
    const { startTracker } = await import('../tracker/server.ts');
    return startTracker(options);
  },
  async createTrackerClient(options) {
    const { createTrackerClient } = await import('../peer/tracker-client.ts');
    return createTrackerClient(options);
  },
  async hashFile(path, options) {
    const { hashFile } = await import('../storage/hash-file.ts');
    return hashFile(path, options);
  },
  readNodeStatuses() {
    // the seam: nodes have no control socket yet
    return Promise.reject(
      new ShoalError('unknown-peer', 'the nodes of this version cannot be asked for their status', {
        hint: 'ask the tracker instead: shoal peers',
      }),
    );
  },
};
