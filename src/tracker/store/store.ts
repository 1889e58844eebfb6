/**
 * What a tracker keeps beyond its process, behind one narrow interface; every implementation passes store-contract.ts.
 *
 * Here: the catalogue (contents with their entries), manifests, last-seen peers. Not here: leases and chunk maps. With one tracker
 * they live in the registry's memory, because peers rebuild them within a renewal after a restart, and because a write for each
 * renewal would buy nothing.
 *
 * A store that several trackers share (any Redis-protocol server) has to hold more than this interface asks for: leases with their
 * expiry, who takes part in which content with its chunk map and links, seeder ranks, and the event log with its ids. All of them
 * are reached through roster.ts, content-swarm.ts and event-log.ts only; that is the seam. Uploads in parts and caches stay local.
 *
 * Changes are absolute ("this content is so"), never relative, so applying one twice does no harm: a batch whose outcome is
 * unknown is simply written again.
 */
import type { ContentId } from '../../content/digest.ts';
import type { Address, Dialect } from '../records.ts';

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
}

export interface StoredPeer {
  readonly key: string;
  readonly kind: 'native' | 'plain';
  readonly peerId: string;
  readonly addresses: readonly Address[];
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

export interface TrackerStore {
  /** Shows all that is stored: contents, longest idle first and served ones last; then entries, oldest first; then peers, longest gone first. */
  load(visitor: StoreVisitor): Promise<void>;
  /** Canonical bytes, as they were put; the reader checks them. */
  manifest(contentId: ContentId): Promise<Uint8Array<ArrayBuffer> | undefined>;
  /** Applies all of them, in order, or none. Resolves when they would survive the death of this process. */
  apply(changes: readonly StoreChange[]): Promise<void>;
  close(): Promise<void>;
}
