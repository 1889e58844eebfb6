/**
 * A peer node: joins library, sessions, sockets and tracker. It composes and routes; the rules live in the rooms it joins.
 */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { Bitfield } from '../content/bitfield.ts';
import { bytesEqual, toHex, type ContentId } from '../content/digest.ts';
import { isFolderName } from '../content/entry-name.ts';
import { chunkDigest, type Manifest } from '../content/manifest.ts';
import { parseToken } from '../contract/token.ts';
import { ShoalError } from '../errors.ts';
import { CHUNK_WORKERS_BYTES_MIN, CONTROL_CHUNK_RANGES_MAX, FIRST_BYTE_TIMEOUT_MS } from '../limits.ts';
import { formatAddress, parseAddress } from '../net/address.ts';
import { ConnectionSet } from '../net/connection-set.ts';
import { listen, type Listener } from '../net/listener.ts';
import type { PeerTls } from '../net/peer-tls.ts';
import { openSwarmKey, privateSwarmKeys, type SwarmKeys } from '../net/swarm-key.ts';
import { createChunkWorkers, type SharedBytes } from '../storage/chunk-workers.ts';
import { createFolderWorkers } from '../storage/folder-workers.ts';
import { createWholeDigest, type WholeDigest } from '../storage/whole-digest.ts';
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
  TransferStatus,
  VolunteerOptions,
  VolunteerStatus,
} from './api.ts';
import { createReceiveBuffers, createSendBuffers } from './chunk-buffers.ts';
import type { Ban, ChunkStore, ContentSession, SessionEvents } from './content-session.ts';
import { ControlPoints } from './control-points.ts';
import { FinishedFiles } from './finished-files.ts';
import { NativeFrontend } from './frontends/native.ts';
import { RangeFrontend } from './frontends/range.ts';
import { findContent, type WantedContent } from './find-content.ts';
import type { FolderGetHost } from './get-folder.ts';
import { runGet, type GetHost } from './get-job.ts';
import type { MetricsServer } from './metrics-server.ts';
import { NodeCounters, type NodeFigures } from './node-metrics.ts';
import { ownAddresses } from './own-addresses.ts';
import { readerStore } from './reader-store.ts';
import { Sessions, type OpenSession } from './sessions.ts';
import type { SharedLibrary } from './shared-library.ts';
import type { Volunteer, VolunteerHost } from './volunteer.ts';
import type { ChunkPlace } from './transfer.ts';
import { createTrackerClient, type SwarmNews, type TrackerClient } from './tracker-client.ts';
import { Uploader } from './uploader.ts';

/** Digits of a contentId that name it. */
const CONTENT_DIGITS_MIN = 8;
const PEER_ID = /^[0-9a-f]{32}$/u;
const NO_NAMES: ReadonlySet<string> = new Set();

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
  readonly #cwd: string;
  readonly #workers = createChunkWorkers();
  readonly #folderWorkers = createFolderWorkers();
  readonly #finished = new FinishedFiles();
  readonly #uploader: Uploader;
  readonly #connections: ConnectionSet;
  readonly #sessions: Sessions;
  readonly #native: NativeFrontend;
  readonly #range: RangeFrontend;
  readonly #announcer: Announcer;
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
    this.#cwd = cwd;
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

  get metricsUrl(): string | undefined {
    return this.#metrics?.url;
  }

  async #serveMetrics(at: { readonly host: string; readonly port: number }): Promise<void> {
    const { nodeMetricsText, serveMetrics } = await import('./metrics-server.ts');
    this.#metrics = await serveMetrics(at, (process_) => nodeMetricsText(this.#counters, this.#figures(), process_));
  }

  #figures(): NodeFigures {
    const open = [...this.#sessions.all()];
    const { past } = this.#sessions;
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
      sentBytes: { native: figures.native, range: this.#rangeSentBytes },
      receivedBytes: figures.received,
      wastedBytes: figures.wasted,
      connections: this.#connections.size,
      links: figures.links,
      contents: { fetching: figures.fetching, serving: open.length - figures.fetching },
      requests: { awaited: load.awaited, checking: load.checking },
      uploads: { sending: load.sending, granted: load.granted, queued: load.queued },
      sharedFiles: this.#shared?.fileCount ?? 0,
      sharedBytes: this.#shared?.byteCount ?? 0,
      limits: { up: this.#uploader.limit, down: this.#sessions.downLimit },
      isRegistered: this.#announcer.state === 'connected',
      volunteer: this.#volunteer?.status(),
    };
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
    return this.#track(this.#get({ ...options, signal }));
  }

  status(): NodeStatus {
    const nowMs = this.#clock();
    const open = [...this.#sessions.all()];
    const { past } = this.#sessions;
    return {
      peer: this.peerId,
      pid: process.pid,
      address: this.address,
      tracker: { url: this.#tracker.url, state: this.#announcer.state },
      roots: this.#shared?.roots ?? [],
      sharedFiles: this.#shared?.fileCount ?? 0,
      sharedBytes: this.#shared?.byteCount ?? 0,
      limitUp: finiteOrNull(this.#uploader.limit),
      limitDown: finiteOrNull(this.#sessions.downLimit),
      ...(this.#volunteer === undefined ? {} : { volunteer: this.#volunteer.status() }),
      connections: this.#connections.size,
      uploadedBytes: open.reduce((sum, { session }) => sum + session.sentBytes, past.up + this.#rangeSentBytes),
      downloadedBytes: open.reduce((sum, { session }) => sum + session.receivedBytes, past.down),
      transfers: open.map((one) => transferStatus(one, nowMs)),
    };
  }

  chunks(what: string): readonly TransferChunks[] {
    const found: TransferChunks[] = [];
    for (const { name, manifest, session } of this.#sessions.all()) {
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
      this.#finished.close(),
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
    this.#volunteer = await Volunteer.open(this.#volunteerHost(), join(dataDir, 'replicas'), options);
    this.#announcer.touch();
    this.#announcer.start();
    return this.#volunteer.status();
  }

  #volunteerHost(): VolunteerHost {
    const isBusyWith = (contentId: ContentId): boolean =>
      this.#shared?.find(contentId) !== undefined ||
      ['fetching', 'kept'].includes(this.#sessions.get(contentId)?.kind ?? '');
    return {
      ...this.#getHost(),
      isBusyWith,
      announcer: this.#announcer,
      signal: this.#abort.signal,
      session: (contentId) => (isBusyWith(contentId) ? undefined : this.#sessions.get(contentId)?.session),
      open: ({ manifest, ...plan }) =>
        this.#sessions.open({
          ...plan,
          manifest,
          kind: 'replica',
          layout: manifest,
          verify: async (chunkIndex, bytes) => {
            const { digest, kept } = await this.#workers.digest(bytes);
            return { ok: bytesEqual(digest, chunkDigest(manifest, chunkIndex)), kept };
          },
          order: 'rarest',
          single: false,
        }),
      settle: (contentId) => {
        const open = this.#sessions.get(contentId);
        if (open?.kind === 'replica') open.kind = 'served';
      },
      close: (replica) => this.#sessions.close(replica, ['replica', 'served']),
    };
  }

  /** The session of a content somebody wants from us: an open one, or a new one over a shared file. */
  #sessionOf(contentId: ContentId): ContentSession | undefined {
    const open = this.#sessions.get(contentId);
    if (open !== undefined || this.#abort.signal.aborted) return open?.session;
    const file = this.#shared?.find(contentId);
    if (file === undefined) return this.#volunteer?.sessionOf(contentId);
    const { manifest, reader, name } = file;
    return this.#sessions.open({
      name,
      manifest,
      kind: 'served',
      layout: manifest,
      have: Bitfield.full(manifest.chunkCount),
      store: readerStore(reader),
      verify: () => Promise.resolve({ ok: true }),
      order: 'rarest',
      single: false,
      events: {
        needPeers: () => undefined,
        diskProblem: (_error, chunkIndex) => void this.#shared?.reportMismatch(contentId, chunkIndex),
        accused: (chunkIndexes) => void this.#shared?.checkAccused(contentId, chunkIndexes),
      },
    });
  }

  #onNews(news: SwarmNews): void {
    if (news.seederCount > 0)
      this.#sessions.get(news.contentId)?.session.setSeedRank(news.seederRank, news.seederCount);
  }

  // ---- fetching ------------------------------------------------------------------------------------------------------------

  async #get(options: GetOptions): Promise<GetResult> {
    await this.#control.openPlain();
    const host = this.#getHost();
    const askedAtMs = this.#clock();
    const found = { askedAtMs, ...(await findContent(host, options, options.signal ?? this.#abort.signal)) };
    if (!isFolderName(found.wanted.name)) return await runGet(host, options, this.#cwd, found);
    const { runFolderGet } = await import('./get-folder.ts');
    return await runFolderGet(this.#folderHost(host), options, this.#cwd, found);
  }

  #folderHost(host: GetHost): FolderGetHost {
    return {
      ...host,
      workers: this.#folderWorkers,
      keepFolder: (wanted, store, session) => this.#keepFolder(wanted, store, session),
      keepFor: async ({ manifest }, session, path) => {
        if (manifest === undefined) return;
        const reader = await this.#finished.open(path, manifest);
        session.useStore(readerStore(reader));
      },
    };
  }

  /** A folder that is whole and in place is served from there, until the node closes. */
  #keepFolder(wanted: WantedContent, store: ChunkStore, session: ContentSession | undefined): void {
    const { name, manifest } = wanted;
    if (manifest === undefined) return;
    const open = this.#sessions.get(manifest.contentId);
    if (session !== undefined && open?.session === session) {
      session.useStore(store);
      open.kind = 'kept';
      this.#announcer.touch();
      return;
    }
    if (open !== undefined || this.#shared?.find(manifest.contentId) !== undefined) return;
    const kept = this.#sessions.open({
      name,
      manifest,
      kind: 'kept',
      layout: manifest,
      have: Bitfield.full(manifest.chunkCount),
      store,
      verify: () => Promise.resolve({ ok: true }),
      order: 'rarest',
      single: false,
      events: { needPeers: () => undefined },
    });
    this.#announce(manifest, kept);
  }

  #getHost(): GetHost {
    return {
      peerId: this.peerId,
      tracker: this.#tracker,
      tls: this.#options.tls,
      clock: this.#clock,
      // the session writes what it received, and that lies in shared memory
      writeChunk: (descriptor, bytes, position) => this.#workers.write(descriptor, bytes as SharedBytes, position),
      prepare: ({ layout }) => {
        if (layout.size >= CHUNK_WORKERS_BYTES_MIN) this.#workers.prepare(layout.chunkSize);
      },
      fetchManifest: (address, contentId, signal) => this.#native.fetchManifest(address, contentId, signal),
      wholeDigest: (path, size) => createWholeDigest(path, size, this.#workers),
      report: (contentId, ban) => this.#report(contentId, ban),
      openDownload: (wanted, partial, whole, options, events, chunks) =>
        this.#openDownload(wanted, partial, whole, options, events, chunks),
      finished: (wanted, session, path) => this.#onFinished(wanted, session, path),
      serve: (wanted, path) => this.#serve(wanted, path),
      abandon: async (wanted) => {
        if (wanted.manifest !== undefined) this.#announcer.drop(wanted.manifest.contentId);
        await this.#sessions.close(wanted, ['fetching']);
        if (wanted.manifest !== undefined) this.#volunteer?.announceAgain(wanted.manifest.contentId);
      },
    };
  }

  /** A tracker counts only what came from where we dialled a peer. */
  #report(contentId: ContentId, { key, offence, reached }: Ban): void {
    if (reached === undefined) return;
    const peerId = [reached.key, key].find((one) => PEER_ID.test(one)) ?? '';
    const address = parseAddress(reached.address);
    this.#announcer.report({ contentId, peerId, address, offence: offence === 'integrity' ? 'wrong-bytes' : offence });
  }

  #openDownload(
    wanted: WantedContent,
    partial: ChunkPlace,
    whole: WholeDigest,
    options: GetOptions,
    events: Omit<SessionEvents, 'dial' | 'probe'>,
    chunks?: Bitfield,
  ): ContentSession {
    const { manifest, layout, name } = wanted;
    const held = manifest === undefined ? undefined : this.#shared?.find(manifest.contentId);
    if (held !== undefined)
      throw new ShoalError('conflict', `this node shares ${name} already: ${held.path} has the same content`);
    // what this node keeps of it for others gives way to the download, which has its own place
    void this.#sessions.close({ name, manifest }, ['replica', 'served']);
    const session = this.#sessions.open({
      name,
      manifest,
      kind: 'fetching',
      layout,
      have: partial.have.clone(),
      wanted: chunks,
      store: {
        read: async (chunkIndex, into) => void (await partial.read(chunkIndex, into)),
        readAtOnce: (chunkIndex, offset, into) => partial.readAtOnce?.(chunkIndex, offset, into) ?? false,
        write: (chunkIndex, bytes) => partial.write(chunkIndex, bytes),
      },
      verify:
        manifest === undefined
          ? () => Promise.resolve({ ok: true })
          : async (chunkIndex, bytes) => {
              const expected = chunkDigest(manifest, chunkIndex);
              const position = chunkIndex * layout.chunkSize;
              const part = whole.onThread && { whole: whole.onThread, position, expected };
              const { digest, kept } = await this.#workers.digest(bytes, part);
              return { ok: bytesEqual(digest, expected), kept };
            },
      order: options.sequential === true || options.output === '-' ? 'in-order' : 'rarest',
      single: options.single ?? false,
      events,
    });
    if (manifest !== undefined) this.#announce(manifest, session);
    return session;
  }

  /** A file that was whole before anything had to be fetched: served like one that was. */
  async #serve({ name, manifest }: WantedContent, path: string): Promise<void> {
    if (manifest === undefined || this.#sessions.get(manifest.contentId) !== undefined) return;
    if (this.#shared?.find(manifest.contentId) !== undefined) return;
    const reader = await this.#finished.open(path, manifest);
    const have = Bitfield.full(manifest.chunkCount);
    const session = this.#sessions.open({
      name,
      manifest,
      kind: 'kept',
      layout: manifest,
      have,
      store: readerStore(reader),
      verify: () => Promise.resolve({ ok: true }),
      order: 'rarest',
      single: false,
      events: { needPeers: () => undefined },
    });
    this.#announce(manifest, session);
  }

  #announce(manifest: Manifest, session: ContentSession): void {
    this.#announcer.put({
      manifest,
      names: NO_NAMES,
      have: () => session.swarm.have,
      links: () => session.linkCount,
    });
    this.#announcer.start();
  }

  /** From now on the content is served from where it is, until the node closes. */
  async #onFinished(wanted: WantedContent, session: ContentSession, path: string): Promise<void> {
    const { manifest } = wanted;
    if (manifest === undefined) {
      await this.#sessions.close(wanted, ['fetching']);
      return;
    }
    const shared = await this.#shared?.adopt(path, manifest);
    const reader = shared?.reader ?? (await this.#finished.open(path, manifest));
    session.useStore(readerStore(reader));
    const open = this.#sessions.get(manifest.contentId);
    // the library's own sessions close when nobody asks for them, or when their file is withdrawn
    if (open !== undefined) open.kind = shared === undefined ? 'kept' : 'served';
    this.#announcer.touch();
  }
}

function transferStatus({ name, manifest, session, kind }: OpenSession, nowMs: number): TransferStatus {
  const { swarm, layout } = session;
  const reason = session.stallReason();
  return {
    name,
    content: manifest?.contentId ?? '',
    size: layout.size,
    bytes: Math.min(layout.size, swarm.have.count * layout.chunkSize),
    state: swarm.isComplete || kind === 'served' ? 'seeding' : reason === null ? 'fetching' : 'stalled',
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
