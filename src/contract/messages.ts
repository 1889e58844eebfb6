/**
 * The messages and calls of proto/shoal/v1/tracker.proto as tables, for message-codec.ts. Written by hand, beside the code that is
 * generated: messages.test.ts fails when the two differ in a field, a number, a type or a call.
 */
import { many, one, type Fields, type MessageOf } from './message-codec.ts';

/** What a peer speaks on its port; numbers this version does not know belong to later ones. */
export const DIALECT_NUMBER = { native: 1, range: 2 } as const;
/** What a tracker has found out about a peer's addresses. */
export const REACHABILITY_NUMBER = { unknown: 0, reachable: 1, unreachable: 2 } as const;

/** Which peers are listed. */
export const PEER_STATE_NUMBER = { online: 1, offline: 2 } as const;

/** What a peer is reported for. */
export const OFFENCE_NUMBER = { 'wrong-bytes': 1, protocol: 2, undelivered: 3 } as const;

const ADDRESS = { host: one(1, 'string'), port: one(2, 'uint32') };
const HOLDING = {
  contentId: one(1, 'bytes'),
  complete: one(2, 'bool'),
  chunks: one(3, 'bytes'),
  replica: one(4, 'bool'),
  runs: one(5, 'bytes'),
};
const VOLUNTEER_OFFER = { offeredBytes: one(1, 'uint64'), usedBytes: one(2, 'uint64') };
const REPLICA_ORDER = { contentId: one(1, 'bytes'), hold: many(2, 'uint32'), drop: many(3, 'uint32') };
const REPLICA_GOAL = { copies: one(1, 'uint32') };
const HOLDING_CHANGE = {
  contentId: one(1, 'bytes'),
  complete: one(2, 'bool'),
  gained: many(3, 'uint32'),
  lost: many(4, 'uint32'),
  dropped: one(5, 'bool'),
  links: one(6, 'uint32'),
  bytesUp: one(7, 'uint64'),
  bytesDown: one(8, 'uint64'),
};
const SWARM_NEWS = {
  contentId: one(1, 'bytes'),
  seederRank: one(2, 'uint32'),
  seederCount: one(3, 'uint32'),
  peerCount: one(4, 'uint32'),
};
const ENTRY = {
  name: one(1, 'string'),
  size: one(2, 'uint64'),
  sha256: one(3, 'string'),
  contentId: one(4, 'bytes'),
  chunkSize: one(5, 'uint32'),
  chunkCount: one(6, 'uint32'),
  publishedAtMs: one(7, 'uint64'),
  seeders: one(8, 'uint32'),
  leechers: one(9, 'uint32'),
  replicas: one(10, 'uint32'),
  replicasReached: one(11, 'uint32'),
  replicaChunksMissing: one(12, 'uint32'),
  volunteers: one(13, 'uint32'),
};
const SOURCE = {
  peerId: one(1, 'bytes'),
  addresses: many(2, ADDRESS),
  dialects: many(3, 'enum'),
  holding: one(4, HOLDING),
  rangeName: one(5, 'string'),
};
const PUBLISH_ITEM = {
  name: one(1, 'string'),
  manifest: one(2, 'bytes'),
  contentId: one(3, 'bytes'),
  partial: one(4, 'bool'),
  replicas: one(5, REPLICA_GOAL),
};
const PUBLISH_RESULT = { entry: one(1, ENTRY), problem: one(2, 'string') };
const PEER_INFO = {
  peerId: one(1, 'bytes'),
  addresses: many(2, ADDRESS),
  dialects: many(3, 'enum'),
  agent: one(4, 'string'),
  online: one(5, 'bool'),
  lastSeenMs: one(6, 'uint64'),
  completeContents: one(7, 'uint32'),
  partialContents: one(8, 'uint32'),
  banned: one(9, 'bool'),
  volunteer: one(10, VOLUNTEER_OFFER),
  reachability: one(11, 'enum'),
  replicaContents: one(12, 'uint32'),
};
const PEER_REPORT = {
  contentId: one(1, 'bytes'),
  peerId: one(2, 'bytes'),
  address: one(3, ADDRESS),
  offence: one(4, 'enum'),
};

export type AddressMessage = MessageOf<typeof ADDRESS>;
export type EntryMessage = MessageOf<typeof ENTRY>;
export type SourceMessage = MessageOf<typeof SOURCE>;
export type SwarmNewsMessage = MessageOf<typeof SWARM_NEWS>;
export type ReplicaOrderMessage = MessageOf<typeof REPLICA_ORDER>;
export type PeerInfoMessage = MessageOf<typeof PEER_INFO>;
export type WatchMessage = MessageOf<typeof CALLS.watch.answer>;

export interface CallShape {
  /** As the service spells it. */
  readonly method: string;
  readonly request: Fields;
  readonly answer: Fields;
}

export const SERVICE_NAME = 'shoal.v1.TrackerService';

export const CALLS = {
  register: {
    method: 'Register',
    request: {
      peerId: one(1, 'bytes'),
      addresses: many(2, ADDRESS),
      dialects: many(3, 'enum'),
      agent: one(4, 'string'),
      holdings: many(5, HOLDING),
      volunteer: one(6, VOLUNTEER_OFFER),
    },
    answer: {
      leaseMs: one(1, 'uint32'),
      renewMs: one(2, 'uint32'),
      observedHost: one(3, 'string'),
      unknownContentIds: many(4, 'bytes'),
      peerExchangeOff: one(5, 'bool'),
      reachability: one(6, 'enum'),
    },
  },
  renew: {
    method: 'Renew',
    request: { peerId: one(1, 'bytes'), changes: many(2, HOLDING_CHANGE), volunteer: one(3, VOLUNTEER_OFFER) },
    answer: {
      known: one(1, 'bool'),
      leaseMs: one(2, 'uint32'),
      swarms: many(3, SWARM_NEWS),
      unknownContentIds: many(4, 'bytes'),
      reachability: one(5, 'enum'),
      replicas: many(6, REPLICA_ORDER),
    },
  },
  leave: { method: 'Leave', request: { peerId: one(1, 'bytes') }, answer: {} },
  publish: {
    method: 'Publish',
    request: { peerId: one(1, 'bytes'), items: many(2, PUBLISH_ITEM), problemsOnly: one(3, 'bool') },
    answer: { results: many(1, PUBLISH_RESULT) },
  },
  uploadManifestPart: {
    method: 'UploadManifestPart',
    request: {
      peerId: one(1, 'bytes'),
      contentId: one(2, 'bytes'),
      totalBytes: one(3, 'uint32'),
      offset: one(4, 'uint32'),
      part: one(5, 'bytes'),
    },
    answer: { complete: one(1, 'bool') },
  },
  unpublish: {
    method: 'Unpublish',
    request: { peerId: one(1, 'bytes'), names: many(2, 'string') },
    answer: { removed: one(1, 'uint32') },
  },
  listFiles: {
    method: 'ListFiles',
    request: {
      query: one(1, 'string'),
      limit: one(2, 'uint32'),
      after: one(3, 'string'),
      includeOffline: one(4, 'bool'),
      includeFolders: one(5, 'bool'),
    },
    answer: { entries: many(1, ENTRY), nextAfter: one(2, 'string') },
  },
  locate: {
    method: 'Locate',
    request: {
      name: one(1, 'string'),
      contentId: one(2, 'bytes'),
      peerId: one(3, 'bytes'),
      limit: one(4, 'uint32'),
      wantManifest: one(5, 'bool'),
      since: one(6, 'bytes'),
      readsRuns: one(7, 'bool'),
    },
    answer: {
      entry: one(1, ENTRY),
      sources: many(2, SOURCE),
      manifest: one(3, 'bytes'),
      swarm: one(4, SWARM_NEWS),
      revision: one(5, 'bytes'),
      incremental: one(6, 'bool'),
    },
  },
  registerChunks: {
    method: 'RegisterChunks',
    request: { peerId: one(1, 'bytes'), holdings: many(2, HOLDING) },
    answer: { known: one(1, 'bool'), unknownContentIds: many(2, 'bytes') },
  },
  getManifest: {
    method: 'GetManifest',
    request: { contentId: one(1, 'bytes'), offset: one(2, 'uint32') },
    answer: { totalBytes: one(1, 'uint32'), part: one(2, 'bytes') },
  },
  listPeers: {
    method: 'ListPeers',
    request: {
      limit: one(1, 'uint32'),
      after: one(2, 'string'),
      query: one(3, 'string'),
      state: one(4, 'enum'),
      name: one(5, 'string'),
      contentId: one(6, 'bytes'),
      banned: one(7, 'bool'),
      volunteers: one(8, 'bool'),
    },
    answer: { peers: many(1, PEER_INFO), nextAfter: one(2, 'string') },
  },
  reportPeers: {
    method: 'ReportPeers',
    request: { peerId: one(1, 'bytes'), reports: many(2, PEER_REPORT) },
    answer: { known: one(1, 'bool'), counted: one(2, 'uint32') },
  },
  watch: {
    method: 'Watch',
    request: { afterId: one(1, 'uint64'), types: many(2, 'string') },
    answer: { id: one(1, 'uint64'), atMs: one(2, 'uint64'), type: one(3, 'string'), data: one(4, 'string') },
  },
} as const satisfies Record<string, CallShape>;

export type CallName = keyof typeof CALLS;
