/**
 * What one shell holds: the tracker it talks to, its node once it needs one, and a tracker of its own if it started one. Everything is
 * given back by `close`.
 */
import { ShoalError } from '../../errors.ts';
import type { NodeStatus, PeerNode, SharedEntry, SharedFolder, TlsFiles } from '../../peer/api.ts';
import type { TrackerClient } from '../../peer/tracker-client.ts';
import type { Tracker } from '../../tracker/server.ts';
import { printable } from '../display-width.ts';
import { EVERYWHERE } from '../rates.ts';
import { problemTeller, trackerTeller, unreachableTeller } from '../share-problems.ts';
import { nodeTls, type GlobalOptions, type Runtime } from '../runtime.ts';
import type { TrackerPlan } from '../services.ts';

/** A tracker of this shell's own takes what its node takes. */
function trackerTls({ cert, key, ca }: TlsFiles = {}): TrackerPlan['tls'] {
  return cert === undefined || key === undefined ? undefined : { cert, key, ca };
}

export class ShellSession {
  readonly runtime: Runtime;
  readonly #token: string | undefined;
  readonly #tls: TlsFiles | undefined;
  /** Until a tracker is named here. */
  #findTracker: GlobalOptions['findTracker'];
  #trackerUrls: readonly string[];
  #client: TrackerClient | undefined;
  #node: PeerNode | undefined;
  #registering: Promise<void> | undefined;
  #tracker: Tracker | undefined;
  readonly #published = new Map<string, SharedEntry>();

  constructor(runtime: Runtime, shared: GlobalOptions) {
    this.runtime = runtime;
    this.#trackerUrls = shared.trackerUrls;
    this.#findTracker = shared.findTracker;
    this.#token = shared.token;
    this.#tls = nodeTls(shared);
  }

  get trackerUrls(): readonly string[] {
    return this.#trackerUrls;
  }

  /** What this shell's node shares, by name. */
  get published(): readonly SharedEntry[] {
    return [...this.#published.values()];
  }

  get status(): NodeStatus | undefined {
    return this.#node?.status();
  }

  /** Other nodes of this user on this machine, such as the one that shares in the container into which this shell was called. */
  async otherNodes(signal: AbortSignal): Promise<readonly NodeStatus[]> {
    const { services, output } = this.runtime;
    const all = await services.readNodeStatuses({ signal, onSilent: ({ message }) => output.note(printable(message)) });
    return all.filter(({ peer }) => peer !== this.#node?.peerId);
  }

  async client(): Promise<TrackerClient> {
    this.#client ??= await this.#open(this.#trackerUrls);
    return this.#client;
  }

  /** From now on this is the tracker; the node leaves the one before. Rejects when it does not answer, and stays where it was. */
  async connect(trackerUrls: readonly string[], signal: AbortSignal): Promise<PeerNode> {
    const client = await this.#open(trackerUrls);
    try {
      await client.listPeers({ limit: 1 }, signal);
    } catch (error) {
      client.close();
      throw error;
    }
    await this.#leave();
    this.#client = client;
    this.#trackerUrls = trackerUrls;
    this.#findTracker = undefined;
    const node = await this.node();
    await this.#registering;
    return node;
  }

  /** The node, registered at the tracker as soon as that can be reached. */
  async node(): Promise<PeerNode> {
    if (this.#node !== undefined) return this.#node;
    const node = await this.runtime.services.createNode({
      trackerUrls: this.#trackerUrls,
      findTracker: this.#findTracker,
      token: this.#token,
      tls: this.#tls,
      listen: { host: EVERYWHERE, port: 0 },
      onUnreachable: unreachableTeller(this.runtime.output),
      onTracker: trackerTeller(this.runtime.output),
    });
    this.#node = node;
    this.#registering = node.share([]);
    // whoever waits for it hears of it; a tracker that is away is tried again by the node
    this.#registering.catch(() => undefined);
    return node;
  }

  /** What was announced now: files, and folders that can be had as a whole. */
  async publish(path: string): Promise<{ files: readonly SharedEntry[]; folders: readonly SharedFolder[] }> {
    const { output } = this.runtime;
    const node = await this.node();
    const files: SharedEntry[] = [];
    const folders: SharedFolder[] = [];
    await node.share([path], {
      onShared: (entry) => {
        this.#published.set(entry.name, entry);
        files.push(entry);
      },
      onWithdrawn: (entry) => {
        this.#published.delete(entry.name);
        output.note(`withdrawn: ${printable(entry.name)} (it changed or is gone)`);
      },
      onSharedFolder: (folder) => folders.push(folder),
      onProblem: problemTeller(output),
    });
    return { files, folders };
  }

  /** A tracker in this process; the shell talks to it from then on. */
  async startTracker(host: string, port: number): Promise<Tracker> {
    if (this.#tracker !== undefined)
      throw new ShoalError('conflict', `this shell runs a tracker already, at ${this.#tracker.url}`);
    const tracker = await this.runtime.services.startTracker({
      host,
      port,
      store: 'memory',
      token: this.#token,
      tls: trackerTls(this.#tls),
    });
    this.#tracker = tracker;
    await this.#leave();
    this.#trackerUrls = [tracker.url];
    this.#findTracker = undefined;
    return tracker;
  }

  async close(): Promise<void> {
    await this.#leave();
    await this.#tracker?.close();
    this.#tracker = undefined;
  }

  #open(urls: readonly string[]): Promise<TrackerClient> {
    return this.runtime.services.createTrackerClient({ urls, token: this.#token, tls: this.#tls });
  }

  async #leave(): Promise<void> {
    const [node, client] = [this.#node, this.#client];
    this.#node = undefined;
    this.#client = undefined;
    this.#published.clear();
    await node?.close();
    client?.close();
  }
}
