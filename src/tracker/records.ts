/** What the tracker remembers, as plain records. Rules live beside: catalogue.ts, roster.ts, content-swarm.ts, registry.ts. */
import type { Bitfield } from '../content/bitfield.ts';
import type { ContentId } from '../content/digest.ts';
import type { EntryName } from '../content/entry-name.ts';
import type { Dialect } from '../contract/dialects.ts';
import type { ContentSwarm } from './content-swarm.ts';
import type { CopyState, VolunteerOffer } from './copy-state.ts';
import type { Proof } from './dial-back.ts';
import type { DueNode } from './due-queue.ts';
import type { ContentHealth } from './swarm-health.ts';

export interface Address {
  readonly host: string;
  readonly port: number;
}

export type { Dialect };

/**
 * Bytes with an identity, as far as the tracker knows them. A content announced by the plain REST call has no manifest and hence no
 * contentId; it belongs to one name, because a peer of the range dialect serves by name.
 */
export interface ContentRecord {
  /** The contentId, or `plain:<size>:<sha256>:<name>`. */
  readonly key: string;
  readonly contentId: ContentId | '';
  readonly size: number;
  /** 64 lower-case hex digits where there is a manifest, else what the announcer gave. */
  readonly sha256: string;
  readonly chunkSize: number;
  readonly chunkCount: number;
  /** Never empty while the content is in the catalogue. */
  readonly entries: EntryRecord[];
  /** Online peers that take part; undefined when there is none. */
  swarm: ContentSwarm | undefined;
  /** The copies that volunteers keep of it; undefined: none are asked for, and none are kept. See replicas.ts. */
  copies: CopyState | undefined;
  /** What it adds to the figures of all; undefined while nobody takes part. See swarm-health.ts. */
  health: ContentHealth | undefined;
  /** Its place in the queue of those that nobody serves; undefined while somebody does. */
  idle: DueNode<ContentRecord> | undefined;
}

/** A name that points at a content. */
export interface EntryRecord {
  readonly name: EntryName;
  /** Changes once at most: from a plain content to the same bytes with a manifest. */
  content: ContentRecord;
  readonly publishedAtMs: number;
  /** Copies that volunteers are to keep; 0: none. Set by the catalogue. */
  replicas: number;
}

/** What one online peer has of one content. */
export interface Holding {
  readonly peer: PeerRecord;
  readonly content: ContentRecord;
  /** null: all chunks. */
  chunks: Bitfield | null;
  /** Index in the swarm's list of complete or partial members; kept by the swarm. */
  position: number;
  /** The swarm's version with which it became a member, or complete. */
  joinedVersion: number;
  /** Connections the peer has in this swarm, as it said last. */
  links: number;
  /** A volunteer has it because it was ordered to, and for no other reason. */
  isReplica: boolean;
  /** The name a range-only peer serves this content under; '' for native peers. */
  rangeName: string;
  /** The swarm's version when this peer was last told about it. */
  toldVersion: number;
  /** Quarters of the content that were announced as milestones. */
  quarters: number;
}

export interface PeerRecord {
  /** The peer id in hex, or `plain:<host>:<port>`. */
  readonly key: string;
  readonly kind: 'native' | 'plain';
  /** 32 hex digits; '' for a plain peer. */
  readonly peerId: string;
  /** Rises with every peer that is new to this tracker; pages of the listing go by it. */
  readonly sequence: number;
  /** As it announced them. */
  addresses: readonly Address[];
  /** Those of them that others may be sent to; undefined: all of them. See dial-back.ts. */
  reachable: readonly Address[] | undefined;
  /** What was found at each of them, by its text, and when to look again. */
  readonly proofs: Map<string, Proof>;
  dialBackDueMs: number;
  /** Where its announcement came from; '' for one that was announced elsewhere. */
  observedHost: string;
  dialects: readonly Dialect[];
  agent: string;
  lastSeenMs: number;
  /** What it offers as a volunteer; undefined: it is none, or not here. Set by replicas.ts. */
  offer: VolunteerOffer | undefined;
  /** Registered with another tracker of those that share the store. */
  elsewhere: boolean;
  /** Its place in the queue of leases; undefined: offline. */
  lease: DueNode<PeerRecord> | undefined;
  /** Empty while offline. */
  readonly holdings: Map<ContentRecord, Holding>;
  /** Where the round of swarm news goes on at the next renewal. */
  newsRound: IterableIterator<Holding> | undefined;
}
