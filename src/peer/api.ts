/** What a node offers to the command line, the shell and tests: plain data in, plain data and events out. */
import type { ContentId, Sha256Hex } from '../content/digest.ts';
import type { Manifest } from '../content/manifest.ts';

/** PEM texts. */
export interface TlsFiles {
  /** This node's certificate and its key; both or none. */
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  /** The authority of the swarm, in place of those the system trusts. */
  readonly ca?: string | undefined;
}

export interface NodeOptions {
  /** Base URLs of trackers, tried in order. */
  readonly trackerUrls: readonly string[];
  /** Where else a tracker is: asked each time that none of them answers. Rejects only when the signal ends it. */
  readonly findTracker?: ((signal: AbortSignal) => Promise<string | undefined>) | undefined;
  /** Where to accept connections; port 0: any free one. */
  readonly listen: { readonly host: string; readonly port: number };
  /** `host` or `host:port` to announce instead of what the tracker sees. */
  readonly advertise?: string | undefined;
  /** Where the node keeps its index; undefined: a node that shares no library (a plain `get`). */
  readonly dataDir?: string | undefined;
  /** Bytes a second; undefined: no limit. */
  readonly limitUp?: number | undefined;
  readonly limitDown?: number | undefined;
  /** Of a private swarm (contract/token.ts): what the tracker is shown, and what peers prove to each other. */
  readonly token?: string | undefined;
  /** Certificates of an encrypted swarm: for calls to the tracker and, with all three, between peers. */
  readonly tls?: TlsFiles | undefined;
  /** Called when the tracker cannot reach this node at any of these addresses, and so sends nobody. */
  readonly onUnreachable?: ((addresses: readonly string[]) => void) | undefined;
  /** Called when the tracker that had this node does not answer any longer, and when one has it again; not for the first time it is reached. */
  readonly onTracker?: ((news: TrackerNews) => void) | undefined;
  /** Where its figures are served for Prometheus; port 0: any free one; undefined: nowhere. */
  readonly metrics?: { readonly host: string; readonly port: number } | undefined;
  /** The data home below which other processes of this user find the node; undefined: it has no control socket. */
  readonly controlHome?: string | undefined;
}

export interface TrackerNews {
  readonly state: 'connected' | 'away';
  /** The one that is spoken to, or was last. */
  readonly url: string;
}

/** A file of the library that has its manifest. */
export interface SharedEntry {
  readonly name: string;
  readonly path: string;
  readonly manifest: Manifest;
}

/** A shared folder as a content of its own. */
export interface SharedFolder {
  /** Ends with a slash. */
  readonly name: string;
  readonly path: string;
  readonly manifest: Manifest;
  /** Files in it, at any depth, and their bytes. */
  readonly fileCount: number;
  readonly byteCount: number;
}

export interface ShareProgress {
  /** Files and bytes found so far, and of those the ones that are hashed or known to be unchanged. */
  readonly filesTotal: number;
  readonly filesDone: number;
  readonly bytesTotal: number;
  readonly bytesDone: number;
}

export interface ShareOptions {
  readonly chunkSize?: number | undefined;
  /** Copies of all this that volunteers are to keep; undefined: as it was asked for before. */
  readonly replicas?: number | undefined;
  readonly onProgress?: (progress: ShareProgress) => void;
  /** Called for each entry when the tracker has it; again for files that appear or change later. */
  readonly onShared?: (entry: SharedEntry) => void;
  /** Called for each folder that can be had as a whole, when the tracker has it; again when it has changed. */
  readonly onSharedFolder?: (folder: SharedFolder) => void;
  /** Called for each entry that is withdrawn (changed or deleted). */
  readonly onWithdrawn?: (entry: SharedEntry) => void;
  /** Called for files that cannot be shared: where and why. */
  readonly onProblem?: (path: string, message: string) => void;
}

/** What a volunteer offers, and whom to tell of what it does. */
export interface VolunteerOptions {
  /** Space for copies of what others share; less than is used: it is rid of some, once others keep them. */
  readonly offeredBytes: number;
  /** What the node shares besides; its data directory is the one for these. */
  readonly paths?: readonly string[] | undefined;
  /** All chunks ordered of a content are there. */
  readonly onKept?: (kept: ReplicaNews & { readonly of: number; readonly bytes: number }) => void;
  /** Chunks were let go of, because enough others keep them. */
  readonly onDropped?: (dropped: ReplicaNews) => void;
  readonly onProblem?: (message: string) => void;
}

export interface ReplicaNews {
  readonly name: string;
  readonly content: ContentId;
  readonly chunks: number;
}

export interface VolunteerStatus {
  /** Bytes, as the tracker is told them. */
  readonly offeredBytes: number;
  readonly usedBytes: number;
  readonly contents: number;
}

export interface GetOptions {
  /** A name, `name@hex`, a contentId, or a descriptor: its URL, or its path, which is absolute or begins with a dot. */
  readonly what: string;
  /** `undefined`: the current folder; a folder (ends with a separator or exists); a file; `-`: standard output, in order. */
  readonly output?: string | undefined;
  readonly expectedSha256?: Sha256Hex | undefined;
  /** `host:port` of peers to use besides those the tracker names. */
  readonly from?: readonly string[] | undefined;
  /** Use one source, the best, instead of all. */
  readonly single?: boolean | undefined;
  /** Fetch chunks in order. */
  readonly sequential?: boolean | undefined;
  /** Give up after this long without a byte; the partial file stays. */
  readonly stallTimeoutMs?: number | undefined;
  readonly onProgress?: (progress: GetProgress) => void;
  readonly onPeerBanned?: (banned: { readonly address: string; readonly reason: string }) => void;
  readonly signal?: AbortSignal | undefined;
}

export interface GetProgress {
  /** Bytes verified and written, those of an earlier run included. */
  readonly bytes: number;
  readonly total: number;
  readonly bytesPerSecond: number;
  /** Connected sources. */
  readonly peers: number;
  readonly etaSeconds: number | null;
  /** Why nothing moves, when nothing moves; else null. */
  readonly stalled: string | null;
  /** What it waits for most: `disk`, `hash`, `link-up`, `link-down`, `source` or `rate-limit`; null: not known yet. */
  readonly bottleneck: string | null;
  /** How many missing chunks do not move, by reason; those whose bytes are coming are not in it. */
  readonly reasons: Readonly<Record<string, number>>;
  readonly name: string;
}

export interface SourceTally {
  /** `host:port`. */
  readonly address: string;
  /** Peer id in hex; '' for a range source. */
  readonly peer: string;
  readonly bytes: number;
  readonly chunks: number;
  readonly rttMs: number | null;
  /** Seconds from this source's first to its last byte. */
  readonly seconds: number;
}

export interface GetResult {
  readonly name: string;
  /** Where the file is; '-' for standard output. */
  readonly path: string;
  readonly size: number;
  readonly sha256: Sha256Hex;
  /** '' for an entry that has no manifest. */
  readonly content: ContentId | '';
  readonly seconds: number;
  readonly bytesPerSecond: number;
  /** Bytes that were there already, from an earlier run. */
  readonly resumedBytes: number;
  readonly peers: readonly SourceTally[];
  /** Of a folder: its files, and how many of them were there already. */
  readonly folder?: { readonly files: number; readonly kept: number } | undefined;
}

export interface TransferStatus {
  readonly name: string;
  readonly content: string;
  readonly size: number;
  readonly bytes: number;
  /** `serving`: it has a part, serves that, and fetches no more of it (what a volunteer keeps). */
  readonly state: 'seeding' | 'serving' | 'fetching' | 'stalled';
  readonly reason: string | null;
  /** As in the progress of a download; of what is only served, what the sends wait for. */
  readonly bottleneck: string | null;
  readonly reasons: Readonly<Record<string, number>>;
  readonly peers: number;
  readonly bytesPerSecondUp: number;
  readonly bytesPerSecondDown: number;
}

/** Missing chunks, from 0, that do not move for the same reason; null: their bytes are coming. */
export interface ChunkReasonRange {
  readonly first: number;
  last: number;
  readonly reason: string | null;
}

/** Why the missing chunks of a transfer do not move. */
export interface TransferChunks {
  readonly name: string;
  readonly content: string;
  readonly chunkCount: number;
  readonly missingCount: number;
  readonly ranges: readonly ChunkReasonRange[];
}

/** Bytes a second; null: no limit; undefined: as it is. */
export interface NodeLimits {
  readonly up?: number | null | undefined;
  readonly down?: number | null | undefined;
}

export interface NodeStatus {
  readonly peer: string;
  /** Of its process. */
  readonly pid: number;
  readonly address: string;
  readonly tracker: { readonly url: string; readonly state: 'connected' | 'away' };
  /** Absolute paths, without symbolic links, of the folders and files that are shared. */
  readonly roots: readonly string[];
  readonly sharedFiles: number;
  readonly sharedBytes: number;
  /** Bytes a second; null: no limit. */
  readonly limitUp: number | null;
  readonly limitDown: number | null;
  /** Undefined: it offers no space. */
  readonly volunteer?: VolunteerStatus | undefined;
  readonly connections: number;
  readonly uploadedBytes: number;
  readonly downloadedBytes: number;
  readonly transfers: readonly TransferStatus[];
}

export interface PeerNode {
  /** Peer id in hex. */
  readonly peerId: string;
  /** `host:port` on which the node accepts connections. */
  readonly address: string;
  /** Where its figures are served; undefined: nowhere. */
  readonly metricsUrl: string | undefined;
  /** Indexes and announces files and folders; resolves when all that was found is announced. Goes on watching until close. */
  share(paths: readonly string[], options?: ShareOptions): Promise<void>;
  /** Offers space for copies of what others share, until close; resolves when what was kept before is known. Once only. */
  volunteer(options: VolunteerOptions): Promise<VolunteerStatus>;
  /** Downloads one content; resolves when it is whole, verified and in place. Rejects with a ShoalError. */
  get(options: GetOptions): Promise<GetResult>;
  status(): NodeStatus;
  /** The transfers of this name or content (or the first digits of one), chunk by chunk. */
  chunks(what: string): readonly TransferChunks[];
  /** Changes the limits of a running node, at once and for all its transfers; answers its status after that. */
  setLimits(limits: NodeLimits): NodeStatus;
  /** Leaves the swarm and the tracker, flushes journals, closes every handle. */
  close(): Promise<void>;
}
