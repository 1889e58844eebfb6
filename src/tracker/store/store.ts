/**
 * What a tracker keeps beyond its process, behind one narrow interface; every implementation passes store-contract.ts.
 *
 * Here: the catalogue (contents with their entries), manifests, last-seen peers. Not here: leases and chunk maps. With one tracker
 * they live in the registry's memory, because peers rebuild them within a renewal after a restart, and because a write for each
 * renewal would buy nothing.
 *
 * A store that several trackers share (any Redis-protocol server) has `exchange` besides: every tracker keeps the whole state in its
 * memory and tells the others, through the store's log, what its own peers do. Uploads in parts and caches stay local.
 *
 * Changes are absolute ("this content is so"), never relative, so applying one twice does no harm: a batch whose outcome is
 * unknown is simply written again.
 */
import type { ContentId } from '../../content/digest.ts';
import type { VolunteerOffer } from '../copy-state.ts';
import type { Address, Dialect } from '../records.ts';
import type { CountedReport } from '../reporting.ts';

export interface StoredContent {
  readonly key: string;
  readonly contentId: ContentId | '';
  readonly size: number;
  readonly sha256: string;
  readonly chunkSize: number;
  readonly chunkCount: number;
  /** Since when nobody serves it; null: somebody did when this was written. */
  readonly idleSinceMs: number | null;
}

export interface StoredEntry {
  readonly name: string;
  readonly contentKey: string;
  readonly publishedAtMs: number;
  /** Copies that volunteers are to keep of its content. */
  readonly replicas: number;
}

export interface StoredPeer {
  readonly key: string;
  readonly kind: 'native' | 'plain';
  readonly peerId: string;
  readonly addresses: readonly Address[];
  /** Where others may be sent; undefined: to all of them. Told between trackers; what is restored is offline and needs none. */
  readonly reachable?: readonly Address[] | undefined;
  /** As a volunteer; told between trackers as well. */
  readonly offer?: VolunteerOffer | undefined;
  readonly dialects: readonly Dialect[];
  readonly agent: string;
  readonly lastSeenMs: number;
}

export type StoreChange =
  | { readonly type: 'put-content'; readonly content: StoredContent }
  | { readonly type: 'set-idle'; readonly key: string; readonly idleSinceMs: number | null }
  | { readonly type: 'put-manifest'; readonly contentId: ContentId; readonly bytes: Uint8Array }
  /** Its manifest goes with it. */
  | { readonly type: 'remove-content'; readonly key: string }
  | { readonly type: 'put-entry'; readonly entry: StoredEntry }
  | { readonly type: 'remove-entry'; readonly name: string; readonly contentKey: string }
  | { readonly type: 'put-peer'; readonly peer: StoredPeer }
  | { readonly type: 'remove-peer'; readonly key: string };

export interface StoreVisitor {
  content(content: StoredContent): void;
  entry(entry: StoredEntry): void;
  peer(peer: StoredPeer): void;
}

/**
 * What trackers that share a store tell each other of their peers, as absolute as the changes above. None of it is kept: a tracker that
 * missed some of it, or has just started, asks (`ask`), and whoever a peer is registered with tells again.
 */
export type LiveChange =
  /** Registered with the tracker that says so, and with no other any more. */
  | { readonly type: 'peer-here'; readonly peer: StoredPeer }
  | { readonly type: 'peers-renewed'; readonly keys: readonly string[] }
  | { readonly type: 'peer-left'; readonly key: string }
  /** `chunks` null: all of them; else the bitfield of the wire in Base64, '' for none. */
  | {
      readonly type: 'holding';
      readonly key: string;
      readonly contentKey: string;
      readonly chunks: string | null;
      readonly links: number;
      readonly rangeName: string;
      /** Absent: false. */
      readonly isReplica?: boolean;
    }
  | { readonly type: 'holding-ended'; readonly key: string; readonly contentKey: string }
  /** Undefined: it is no volunteer any more. */
  | { readonly type: 'volunteer'; readonly key: string; readonly offer?: VolunteerOffer | undefined }
  | ({ readonly type: 'peer-reported' } & CountedReport)
  /** Tell of these peers again; of all when there is none. */
  | { readonly type: 'ask'; readonly keys: readonly string[] };

export type RemoteChange = StoreChange | LiveChange;

export interface SharedLog {
  /** Tells the other trackers, and gives back what they have told since the last time. When it rejects, nothing may have been told. */
  exchange(told: readonly LiveChange[]): Promise<readonly RemoteChange[]>;
  figures(): StoreFigures;
}

/** Of a shared store, for monitors. */
export interface StoreFigures {
  /** Batches to a primary: that replicas have confirmed, that no replica had to, and that too few confirmed in time. */
  readonly writes: { readonly byReplicas: number; readonly byPrimary: number; readonly unconfirmed: number };
  /** Of the primary that has the fewest, as it said with the last write. */
  readonly replicasLinked: number;
}

export interface TrackerStore {
  /** Only where several trackers share the store. */
  readonly shared?: SharedLog;
  /** Shows all that is stored: contents, longest idle first and served ones last; then entries, oldest first; then peers, longest gone first. */
  load(visitor: StoreVisitor): Promise<void>;
  /** Canonical bytes, as they were put; the reader checks them. */
  manifest(contentId: ContentId): Promise<Uint8Array<ArrayBuffer> | undefined>;
  /**
   * Applies all of them, in order, or none. Resolves when they would survive the death of this process; of a shared store that has
   * replicas, also that of the server that took them.
   */
  apply(changes: readonly StoreChange[]): Promise<void>;
  close(): Promise<void>;
}
