/**
 * What a node does for its downloads, whole folders and replicas among them: opens their sessions, announces what they have, and
 * serves what is whole from where it lies, until the node closes.
 */
import type { Bitfield } from '../content/bitfield.ts';
import { bytesEqual, type ContentId } from '../content/digest.ts';
import { isFolderName } from '../content/entry-name.ts';
import { chunkDigest, type Manifest } from '../content/manifest.ts';
import { ShoalError } from '../errors.ts';
import { CHUNK_WORKERS_BYTES_MIN } from '../limits.ts';
import { parseAddress } from '../net/address.ts';
import type { ChunkWorkers, SharedBytes } from '../storage/chunk-workers.ts';
import type { FolderWorkers } from '../storage/folder-workers.ts';
import { createWholeDigest, type WholeDigest } from '../storage/whole-digest.ts';
import type { Announcer } from './announcer.ts';
import type { GetOptions, GetResult, TlsFiles } from './api.ts';
import type { Ban, ChunkStore, ContentSession, SessionEvents } from './content-session.ts';
import { findContent, type WantedContent } from './find-content.ts';
import { FinishedFiles } from './finished-files.ts';
import type { NativeFrontend } from './frontends/native.ts';
import type { FolderGetHost } from './get-folder.ts';
import { runGet, type GetHost } from './get-job.ts';
import { readerStore } from './reader-store.ts';
import type { Sessions } from './sessions.ts';
import type { SharedLibrary } from './shared-library.ts';
import type { TrackerClient } from './tracker-client.ts';
import type { ChunkPlace } from './transfer.ts';
import type { Volunteer, VolunteerHost } from './volunteer.ts';

export interface NodeFetchingParts {
  readonly peerId: string;
  readonly tls: TlsFiles | undefined;
  /** Where a target without a folder goes. */
  readonly cwd: string;
  readonly clock: () => number;
  /** Aborts when the node closes. */
  readonly signal: AbortSignal;
  readonly tracker: TrackerClient;
  readonly announcer: Announcer;
  readonly sessions: Sessions;
  readonly native: Pick<NativeFrontend, 'fetchManifest'>;
  readonly workers: ChunkWorkers;
  readonly folderWorkers: FolderWorkers;
  /** What this node shares; undefined: nothing (yet). */
  shared(): SharedLibrary | undefined;
  /** Undefined: this node offers no space (yet). */
  volunteer(): Volunteer | undefined;
}

const PEER_ID = /^[0-9a-f]{32}$/u;
const NO_NAMES: ReadonlySet<string> = new Set();

export class NodeFetching {
  readonly #parts: NodeFetchingParts;
  readonly #finished = new FinishedFiles();
  readonly #host: GetHost;

  constructor(parts: NodeFetchingParts) {
    this.#parts = parts;
    this.#host = this.#createHost();
  }

  async get(options: GetOptions): Promise<GetResult> {
    const { clock, cwd, signal } = this.#parts;
    const askedAtMs = clock();
    const found = { askedAtMs, ...(await findContent(this.#host, options, options.signal ?? signal)) };
    if (!isFolderName(found.wanted.name)) return await runGet(this.#host, options, cwd, found);
    const { runFolderGet } = await import('./get-folder.ts');
    return await runFolderGet(this.#folderHost(), options, cwd, found);
  }

  /** What keeps copies for others fetches by. */
  volunteerHost(): VolunteerHost {
    const { sessions, announcer, signal, workers } = this.#parts;
    const isBusyWith = (contentId: ContentId): boolean =>
      this.#parts.shared()?.find(contentId) !== undefined ||
      ['fetching', 'kept'].includes(sessions.get(contentId)?.kind ?? '');
    return {
      ...this.#host,
      isBusyWith,
      announcer,
      signal,
      session: (contentId) => (isBusyWith(contentId) ? undefined : sessions.get(contentId)?.session),
      open: ({ manifest, ...plan }) =>
        sessions.open({
          ...plan,
          manifest,
          kind: 'replica',
          layout: manifest,
          verify: async (chunkIndex, bytes) => {
            const { digest, kept } = await workers.digest(bytes);
            return { ok: bytesEqual(digest, chunkDigest(manifest, chunkIndex)), kept };
          },
          order: 'rarest',
          single: false,
        }),
      settle: (contentId) => {
        const open = sessions.get(contentId);
        if (open?.kind === 'replica') open.kind = 'served';
      },
      close: (replica) => sessions.close(replica, ['replica', 'served']),
    };
  }

  /** Closes the files that finished downloads are served from; the sessions that read them are closed before. */
  close(): Promise<void> {
    return this.#finished.close();
  }

  #createHost(): GetHost {
    const { peerId, tracker, tls, clock, sessions, native, workers } = this.#parts;
    return {
      peerId,
      tracker,
      tls,
      clock,
      // the session writes what it received, and that lies in shared memory
      writeChunk: (descriptor, bytes, position) => workers.write(descriptor, bytes as SharedBytes, position),
      prepare: ({ layout }) => {
        if (layout.size >= CHUNK_WORKERS_BYTES_MIN) workers.prepare(layout.chunkSize);
      },
      fetchManifest: (address, contentId, signal) => native.fetchManifest(address, contentId, signal),
      wholeDigest: (path, size) => createWholeDigest(path, size, workers),
      report: (contentId, ban) => this.#report(contentId, ban),
      openDownload: (wanted, partial, whole, options, events, chunks) =>
        this.#openDownload(wanted, partial, whole, options, events, chunks),
      finished: (wanted, session, path) => this.#onFinished(wanted, session, path),
      serve: (wanted, path) => this.#serve(wanted, path),
      abandon: async (wanted) => {
        const contentId = wanted.manifest?.contentId;
        if (contentId !== undefined) this.#parts.announcer.drop(contentId);
        await sessions.close(wanted, ['fetching']);
        if (contentId !== undefined) this.#parts.volunteer()?.announceAgain(contentId);
      },
    };
  }

  #folderHost(): FolderGetHost {
    return {
      ...this.#host,
      workers: this.#parts.folderWorkers,
      keepFolder: (wanted, store, session) => this.#keepFolder(wanted, store, session),
      keepFor: async ({ manifest }, session, path) => {
        if (manifest === undefined) return;
        const reader = await this.#finished.open(path, manifest);
        session.useStore(readerStore(reader));
      },
    };
  }

  /** A tracker counts only what came from where we dialled a peer. */
  #report(contentId: ContentId, { key, offence, reached }: Ban): void {
    if (reached === undefined) return;
    const peerId = [reached.key, key].find((one) => PEER_ID.test(one)) ?? '';
    const address = parseAddress(reached.address);
    this.#parts.announcer.report({
      contentId,
      peerId,
      address,
      offence: offence === 'integrity' ? 'wrong-bytes' : offence,
    });
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
    const { sessions, workers } = this.#parts;
    const held = manifest === undefined ? undefined : this.#parts.shared()?.find(manifest.contentId);
    if (held !== undefined)
      throw new ShoalError('conflict', `this node shares ${name} already: ${held.path} has the same content`);
    // what this node keeps of it for others gives way to the download, which has its own place
    void sessions.close({ name, manifest }, ['replica', 'served']);
    const session = sessions.open({
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
              const { digest, kept } = await workers.digest(bytes, part);
              return { ok: bytesEqual(digest, expected), kept };
            },
      order: options.sequential === true || options.output === '-' ? 'in-order' : 'rarest',
      single: options.single ?? false,
      events,
    });
    if (manifest !== undefined) this.#announce(manifest, session);
    return session;
  }

  /** A folder that is whole and in place is served from there, until the node closes. */
  #keepFolder({ name, manifest }: WantedContent, store: ChunkStore, session: ContentSession | undefined): void {
    if (manifest === undefined) return;
    const open = this.#parts.sessions.get(manifest.contentId);
    if (session !== undefined && open?.session === session) {
      session.useStore(store);
      open.kind = 'kept';
      this.#parts.announcer.touch();
      return;
    }
    if (open !== undefined || this.#parts.shared()?.find(manifest.contentId) !== undefined) return;
    this.#announce(manifest, this.#parts.sessions.openWhole({ name, manifest, kind: 'kept', store }));
  }

  /** A file that was whole before anything had to be fetched: served like one that was. */
  async #serve({ name, manifest }: WantedContent, path: string): Promise<void> {
    const { sessions } = this.#parts;
    if (manifest === undefined || sessions.get(manifest.contentId) !== undefined) return;
    if (this.#parts.shared()?.find(manifest.contentId) !== undefined) return;
    const store = readerStore(await this.#finished.open(path, manifest));
    this.#announce(manifest, sessions.openWhole({ name, manifest, kind: 'kept', store }));
  }

  #announce(manifest: Manifest, session: ContentSession): void {
    this.#parts.announcer.put({
      manifest,
      names: NO_NAMES,
      have: () => session.swarm.have,
      links: () => session.linkCount,
    });
    this.#parts.announcer.start();
  }

  /** From now on the content is served from where it is, until the node closes. */
  async #onFinished(wanted: WantedContent, session: ContentSession, path: string): Promise<void> {
    const { manifest } = wanted;
    const { sessions } = this.#parts;
    if (manifest === undefined) {
      await sessions.close(wanted, ['fetching']);
      return;
    }
    const shared = await this.#parts.shared()?.adopt(path, manifest);
    const reader = shared?.reader ?? (await this.#finished.open(path, manifest));
    session.useStore(readerStore(reader));
    const open = sessions.get(manifest.contentId);
    // the library's own sessions close when nobody asks for them, or when their file is withdrawn
    if (open !== undefined) open.kind = shared === undefined ? 'kept' : 'served';
    this.#parts.announcer.touch();
  }
}
