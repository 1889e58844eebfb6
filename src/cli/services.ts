/**
 * What commands are made of, loaded when a command needs it, so that `--help` and a mistyped option answer at once. Tests give their own.
 */
import { parseToken } from '../contract/token.ts';
import type { ShoalError } from '../errors.ts';
import { DIAL_BACK_TIMEOUT_MS } from '../limits.ts';
import type { NodeOptions, NodeStatus, PeerNode } from '../peer/api.ts';
import type { RunningNode } from '../peer/control-client.ts';
import type { TrackerClient, TrackerClientOptions } from '../peer/tracker-client.ts';
import type { HashedFile, HashFileOptions } from '../storage/hash-file.ts';
import type { Tracker, TrackerOptions } from '../tracker/server.ts';
import type { StoreBackup } from '../tracker/store/sqlite-backup.ts';
import type { TrackerAnnouncement } from '../net/lan-trackers.ts';
import { isDefaultTrackerThere, type LanSearch } from './default-tracker.ts';

export interface NodeQuery {
  readonly signal: AbortSignal;
  /** Called for each node that is there and gave no answer. */
  readonly onSilent: (problem: ShoalError) => void;
}

export interface HandOver {
  readonly node: RunningNode;
  /** `-o` as that node understands it. */
  readonly output: string;
  readonly folder: string;
}

export interface TrackerPlan extends Omit<TrackerOptions, 'probe'> {
  /** Whether it dials what peers announce before it names it. Default true. */
  readonly dialBack?: boolean | undefined;
}

export interface Services {
  createNode(options: NodeOptions): Promise<PeerNode>;
  startTracker(options: TrackerPlan): Promise<Tracker>;
  /** Copies the store of a tracker, running or not, to a file that must not exist yet. */
  backupTracker(dataDir: string, target: string): Promise<StoreBackup>;
  /** Says on the local network that a tracker is there, until closed. */
  announceTracker(tracker: TrackerAnnouncement): Promise<{ close(): Promise<void> }>;
  readonly lan: LanSearch;
  createTrackerClient(options: TrackerClientOptions): Promise<TrackerClient>;
  hashFile(path: string, options?: HashFileOptions): Promise<HashedFile>;
  /** What the nodes of this user on this machine say of themselves; with `dataDir` only that one's. */
  readNodeStatuses(options: NodeQuery & { readonly dataDir?: string | undefined }): Promise<readonly NodeStatus[]>;
  /** The same nodes, to be told something. */
  findNodes(options: NodeQuery & { readonly dataDir?: string | undefined }): Promise<readonly RunningNode[]>;
  /** A running node that shares the folder into which `output` leads, to download there instead of a node of our own. */
  findNodeFor(
    options: NodeQuery & { readonly output: string | undefined; readonly trackerUrls: readonly string[] },
  ): Promise<HandOver | undefined>;
}

export const systemServices: Services = {
  async createNode(options) {
    const { createNode } = await import('../peer/node.ts');
    return createNode({ ...options, controlHome: await homeOfNodes() });
  },
  async startTracker({ dialBack = true, ...options }) {
    const { startTracker } = await import('../tracker/server.ts');
    return startTracker({ ...options, probe: dialBack ? await createProbe(options) : undefined });
  },
  async backupTracker(dataDir, target) {
    const { backupSqliteStore } = await import('../tracker/store/sqlite-backup.ts');
    return backupSqliteStore(dataDir, target);
  },
  async announceTracker(tracker) {
    const { announceTracker } = await import('../net/lan-trackers.ts');
    return announceTracker(tracker);
  },
  lan: {
    isDefaultThere: isDefaultTrackerThere,
    async findTrackers(signal) {
      const { findTrackers } = await import('../net/lan-trackers.ts');
      return findTrackers(signal);
    },
  },
  async createTrackerClient(options) {
    const { createTrackerClient } = await import('../peer/tracker-client.ts');
    return createTrackerClient(options);
  },
  async hashFile(path, options) {
    const { hashFile } = await import('../storage/hash-file.ts');
    return hashFile(path, options);
  },
  async readNodeStatuses(query) {
    const { readNodeStatuses } = await import('../peer/control-client.ts');
    const home = await homeOfNodes();
    return home === undefined ? [] : readNodeStatuses({ ...query, home });
  },
  async findNodes(query) {
    const { findNodes } = await import('../peer/control-client.ts');
    const home = await homeOfNodes();
    return home === undefined ? [] : findNodes({ ...query, home });
  },
  async findNodeFor({ output, ...query }) {
    const { findNodeFor, handOverTarget } = await import('../peer/control-client.ts');
    const home = await homeOfNodes();
    const target = home === undefined ? undefined : await handOverTarget(output, process.cwd());
    if (home === undefined || target === undefined) return undefined;
    const node = await findNodeFor({ ...query, home, folder: target.folder });
    return node === undefined ? undefined : { node, ...target };
  },
};

/** Dials peers as other peers of the swarm do: with the key of its token, and with its certificates. */
async function createProbe({ token, tls }: TrackerOptions): Promise<TrackerOptions['probe']> {
  const [{ createPeerProbe }, { openSwarmKey, privateSwarmKeys }] = await Promise.all([
    import('../net/peer-probe.ts'),
    import('../net/swarm-key.ts'),
  ]);
  const swarmKeys = token === undefined ? openSwarmKey : await privateSwarmKeys(parseToken(token).readPart);
  if (tls?.ca === undefined) return createPeerProbe({ swarmKeys });
  const { createPeerTls } = await import('../net/peer-tls.ts');
  return createPeerProbe({ swarmKeys, tls: createPeerTls({ ...tls, ca: tls.ca }, DIAL_BACK_TIMEOUT_MS) });
}

/** Undefined for a user who has no home folder: such nodes cannot be found. */
async function homeOfNodes(): Promise<string | undefined> {
  const { dataHome } = await import('../storage/data-directory.ts');
  try {
    return dataHome(process.env);
  } catch {
    return undefined;
  }
}
