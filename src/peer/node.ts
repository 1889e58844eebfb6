/**
 * A peer node: joins library, sessions, sockets and tracker. It composes and routes; the rules live in the rooms it joins.
 */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { toHex, type ContentId } from '../content/digest.ts';
import { parseToken } from '../contract/token.ts';
import { ShoalError } from '../errors.ts';
import { FIRST_BYTE_TIMEOUT_MS } from '../limits.ts';
import { formatAddress } from '../net/address.ts';
import { ConnectionSet } from '../net/connection-set.ts';
import { listen, type Listener } from '../net/listener.ts';
import type { PeerTls } from '../net/peer-tls.ts';
import { openSwarmKey, privateSwarmKeys, type SwarmKeys } from '../net/swarm-key.ts';
import { createChunkWorkers } from '../storage/chunk-workers.ts';
import { createFolderWorkers } from '../storage/folder-workers.ts';
import { Announcer } from './announcer.ts';
import type {
  GetOptions,
  GetResult,
  NodeLimits,
  NodeOptions,
  NodeStatus,
  PeerNode,
  ShareOptions,
  TlsFiles,
  TransferChunks,
  VolunteerOptions,
  VolunteerStatus,
} from './api.ts';
import { createReceiveBuffers, createSendBuffers } from './chunk-buffers.ts';
import type { ContentSession } from './content-session.ts';
import { ControlPoints } from './control-points.ts';
import { NativeFrontend } from './frontends/native.ts';
import { RangeFrontend } from './frontends/range.ts';
import type { MetricsServer } from './metrics-server.ts';
import { NodeFetching } from './node-fetching.ts';
import { NodeCounters } from './node-metrics.ts';
import { nodeFigures, nodeStatus, transferChunks, type NodeReportParts } from './node-report.ts';
import { ownAddresses } from './own-addresses.ts';
import { readerStore } from './reader-store.ts';
import { Sessions } from './sessions.ts';
import type { SharedLibrary } from './shared-library.ts';
import { createTrackerClient, type SwarmNews, type TrackerClient } from './tracker-client.ts';
import { Uploader } from './uploader.ts';
import type { Volunteer } from './volunteer.ts';

/** Opens the node's port. Rejects with `usage` when it is in use. */
export async function createNode(options: NodeOptions, cwd: string = process.cwd()): Promise<PeerNode> {
  const secret = options.token === undefined ? undefined : parseToken(options.token).readPart;
  const keys = secret === undefined ? openSwarmKey : await privateSwarmKeys(secret);
  const node = new Node(options, keys, await openTls(options.tls), cwd);
  await node.open();
  return node;
}

/** TLS between peers takes a certificate, its key and the authority; an authority alone is for the tracker only. */
async function openTls({ cert, key, ca }: TlsFiles = {}): Promise<PeerTls | undefined> {
  if (cert === undefined || key === undefined || ca === undefined) return undefined;
  const { createPeerTls } = await import('../net/peer-tls.ts');
  return createPeerTls({ cert, key, ca }, FIRST_BYTE_TIMEOUT_MS);
}

class Node implements PeerNode {
  readonly peerId: string;
  readonly #clock = (): number => performance.now();
  readonly #options: NodeOptions;
  readonly #tls: PeerTls | undefined;
  readonly #workers = createChunkWorkers();
  readonly #folderWorkers = createFolderWorkers();
  readonly #uploader: Uploader;
  readonly #connections: ConnectionSet;
  readonly #sessions: Sessions;
  readonly #native: NativeFrontend;
  readonly #range: RangeFrontend;
  readonly #announcer: Announcer;
  readonly #fetching: NodeFetching;
  readonly #tracker: TrackerClient;
  readonly #control: ControlPoints;
  readonly #abort = new AbortController();
  readonly #jobs = new Set<Promise<unknown>>();
  #listener: Listener | undefined;
  #shared: SharedLibrary | undefined;
  #sharing: Promise<SharedLibrary> | undefined;
  #volunteer: Volunteer | undefined;
  readonly #counters = new NodeCounters();
  #metrics: MetricsServer | undefined;
  #rangeSentBytes = 0;
  /** What was last told of the tracker; undefined: it was never reached. */
  #toldState: 'connected' | 'away' | undefined;
  #closed: Promise<void> | undefined;

  constructor(options: NodeOptions, swarmKeys: SwarmKeys, tls: PeerTls | undefined, cwd: string) {
    const upBytesPerSecond = options.limitUp ?? Number.POSITIVE_INFINITY;
    const downBytesPerSecond = options.limitDown ?? Number.POSITIVE_INFINITY;
    const peerId = randomBytes(16);
    this.#options = options;
    this.#tls = tls;
    this.peerId = toHex(peerId);
    this.#uploader = new Uploader(createSendBuffers(), upBytesPerSecond, this.#clock);
    this.#connections = new ConnectionSet({ clock: this.#clock });
    this.#sessions = new Sessions({
      ownKey: this.peerId,
      buffers: createReceiveBuffers((buffer) => this.#workers.forget(buffer.buffer)),
      uploader: this.#uploader,
      counters: this.#counters,
      clock: this.#clock,
      downBytesPerSecond,
      tls,
      dialNative: (session, contentId, candidate, signal) =>
        this.#native.dial(session, contentId, candidate.addresses, candidate.key, signal),
      probe: (contentId, address, key, signal) => this.#native.probe(contentId, address, key, signal),
    });
    this.#native = new NativeFrontend({
      peerId,
      swarmKeys,
      tls,
      connections: this.#connections,
      listenPort: () => this.#listener?.address.port ?? 0,
      sessionOf: (contentId) => this.#sessionOf(contentId),
      manifestOf: (contentId) => this.#sessions.get(contentId)?.manifest,
    });
    this.#range = new RangeFrontend({
      open: (name) => Promise.resolve(this.#shared?.openForRange(name)),
      reserve: (byteCount) => this.#uploader.reserve(byteCount),
      pieceBytes: () => this.#uploader.pieceBytes,
      onSent: (byteCount) => {
        this.#rangeSentBytes += byteCount;
      },
    });
    this.#tracker = createTrackerClient({
      ...{ urls: options.trackerUrls, findTracker: options.findTracker, token: options.token, tls: options.tls },
      onLost: () => this.#announcer.lost(),
    });
    this.#announcer = new Announcer({
      client: this.#tracker,
      peerId: this.peerId,
      addresses: () => ownAddresses(options.listen.host, this.#listener?.address.port ?? 0, options.advertise),
      // a line of text proves nothing, so a private swarm has no range dialect
      dialects: options.token === undefined ? ['native', 'range'] : ['native'],
      random: Math.random,
      onNews: (news) => this.#onNews(news),
      onPeerExchange: (allowed) => this.#sessions.setPeerExchange(allowed),
      onReachability: (reachability, addresses) => {
        if (reachability === 'unreachable') options.onUnreachable?.(addresses.map(formatAddress));
      },
      onState: (state) => this.#onTrackerState(state),
      onPublishProblem: (name, problem) => this.#shared?.refused(name, problem),
      offer: () => this.#volunteer?.offer(),
      onOrders: (orders) => this.#volunteer?.ordered(orders),
      onUnknown: (contentIds) => this.#volunteer?.unknown(contentIds),
    });
    this.#fetching = new NodeFetching({
      peerId: this.peerId,
      tls: options.tls,
      cwd,
      clock: this.#clock,
      signal: this.#abort.signal,
      tracker: this.#tracker,
      announcer: this.#announcer,
      sessions: this.#sessions,
      native: this.#native,
      workers: this.#workers,
      folderWorkers: this.#folderWorkers,
      shared: () => this.#shared,
      volunteer: () => this.#volunteer,
    });
    this.#control = new ControlPoints({ host: this, peerId: this.peerId, home: options.controlHome });
  }

  get address(): string {
    return this.#listener === undefined ? '' : formatAddress(this.#listener.address);
  }

  async open(): Promise<void> {
    const { metrics } = this.#options;
    if (metrics !== undefined) await this.#serveMetrics(metrics);
    this.#listener = await listen({
      ...this.#options.listen,
      connections: this.#connections,
      tls: this.#tls,
      onNative: (connection, arrival) => void this.#native.accept(connection, arrival),
      onRange: (arrival) => {
        if (this.#options.token !== undefined) {
          arrival.socket.destroy();
          return;
        }
        arrival.proven();
        this.#range.serve(arrival.socket, arrival.head);
      },
    });
  }

  #onTrackerState(state: 'connected' | 'away'): void {
    if (state === this.#toldState) return;
    // before it was reached for the first time whoever shares or fetches hears of it
    if (this.#toldState !== undefined) this.#options.onTracker?.({ state, url: this.#tracker.url });
    if (this.#toldState !== undefined || state === 'connected') this.#toldState = state;
  }

  #parts(): NodeReportParts {
    return {
      peerId: this.peerId,
      address: this.address,
      trackerUrl: this.#tracker.url,
      nowMs: this.#clock(),
      announcer: this.#announcer,
      sessions: this.#sessions,
      uploader: this.#uploader,
      connectionCount: this.#connections.size,
      shared: this.#shared,
      volunteer: this.#volunteer,
      rangeSentBytes: this.#rangeSentBytes,
    };
  }

  get metricsUrl(): string | undefined {
    return this.#metrics?.url;
  }

  async #serveMetrics(at: { readonly host: string; readonly port: number }): Promise<void> {
    const { nodeMetricsText, serveMetrics } = await import('./metrics-server.ts');
    this.#metrics = await serveMetrics(at, (process_) =>
      nodeMetricsText(this.#counters, nodeFigures(this.#parts()), process_),
    );
  }

  share(paths: readonly string[], options: ShareOptions = {}): Promise<void> {
    return this.#track(this.#share(paths, options));
  }

  volunteer(options: VolunteerOptions): Promise<VolunteerStatus> {
    return this.#track(this.#offerSpace(options));
  }

  get(options: GetOptions): Promise<GetResult> {
    const signal =
      options.signal === undefined ? this.#abort.signal : AbortSignal.any([options.signal, this.#abort.signal]);
    return this.#track(this.#control.openPlain().then(() => this.#fetching.get({ ...options, signal })));
  }

  status(): NodeStatus {
    return nodeStatus(this.#parts());
  }

  chunks(what: string): readonly TransferChunks[] {
    return transferChunks(this.#sessions, what);
  }

  setLimits({ up, down }: NodeLimits): NodeStatus {
    if (up !== undefined) this.#uploader.setLimit(up ?? Number.POSITIVE_INFINITY);
    if (down !== undefined) this.#sessions.setDownLimit(down ?? Number.POSITIVE_INFINITY);
    this.#sessions.limitsChanged();
    return this.status();
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  /** In an order that lets others hear of it: first the tracker and the peers, then the port, last the files. */
  async #close(): Promise<void> {
    const hungUp = this.#control.close();
    this.#abort.abort();
    await Promise.allSettled([hungUp, ...this.#jobs]);
    const left = this.#announcer.close();
    this.#range.close();
    await this.#sessions.closeAll();
    await this.#volunteer?.close();
    await this.#connections.close();
    await this.#listener?.close();
    this.#uploader.close();
    await Promise.allSettled([
      left,
      this.#metrics?.close(),
      this.#shared?.close(),
      this.#fetching.close(),
      this.#workers.close(),
      this.#folderWorkers.close(),
    ]);
    this.#tracker.close();
  }

  async #track<T>(job: Promise<T>): Promise<T> {
    this.#jobs.add(job);
    try {
      return await job;
    } finally {
      this.#jobs.delete(job);
    }
  }

  // ---- sharing -------------------------------------------------------------------------------------------------------------

  async #share(paths: readonly string[], options: ShareOptions): Promise<void> {
    const shared = await this.#openShared(paths);
    this.#announcer.start();
    await shared.share(paths, options, this.#abort.signal);
  }

  /** The library, with the data directory and its lock. */
  async #openShared(paths: readonly string[]): Promise<SharedLibrary> {
    this.#sharing ??= (async () => {
      // indexing and watching are loaded by those who share only
      const library = await import('./shared-library.ts');
      const shared = await library.SharedLibrary.open({
        dataDir: this.#options.dataDir,
        paths,
        announcer: this.#announcer,
        linksOf: (contentId) => this.#sessions.get(contentId)?.session.linkCount ?? 0,
        onGone: (content) => {
          void this.#sessions.close(content, ['served']);
          this.#volunteer?.announceAgain(content.manifest.contentId);
        },
        folderWorkers: this.#folderWorkers,
      });
      this.#shared = shared;
      return shared;
    })();
    const shared = await this.#sharing;
    await this.#control.openShared(shared.dataDir);
    return shared;
  }

  // ---- copies of what others share -----------------------------------------------------------------------------------------

  async #offerSpace(options: VolunteerOptions): Promise<VolunteerStatus> {
    if (this.#volunteer !== undefined) throw new ShoalError('usage', 'this node offers space already');
    const { dataDir } = await this.#openShared(options.paths ?? []);
    const { Volunteer } = await import('./volunteer.ts');
    this.#volunteer = await Volunteer.open(this.#fetching.volunteerHost(), join(dataDir, 'replicas'), options);
    this.#announcer.touch();
    this.#announcer.start();
    return this.#volunteer.status();
  }

  /** The session of a content somebody wants from us: an open one, or a new one over a shared file. */
  #sessionOf(contentId: ContentId): ContentSession | undefined {
    const open = this.#sessions.get(contentId);
    if (open !== undefined || this.#abort.signal.aborted) return open?.session;
    const file = this.#shared?.find(contentId);
    if (file === undefined) return this.#volunteer?.sessionOf(contentId);
    const { manifest, reader, name } = file;
    return this.#sessions.openWhole({
      name,
      manifest,
      kind: 'served',
      store: readerStore(reader),
      events: {
        diskProblem: (_error, chunkIndex) => void this.#shared?.reportMismatch(contentId, chunkIndex),
        accused: (chunkIndexes) => void this.#shared?.checkAccused(contentId, chunkIndexes),
      },
    });
  }

  #onNews(news: SwarmNews): void {
    if (news.seederCount > 0)
      this.#sessions.get(news.contentId)?.session.setSeedRank(news.seederRank, news.seederCount);
  }
}
