/**
 * A store on any Redis-protocol server, single or cluster, that several trackers share. Contents, their entries and manifests live in
 * the shard of their content, peers in the shard of their key; a shard is one hash tag, so all of it is in one slot and every write to it,
 * with its entry in the shard's log, is one transaction. Between shards there is none: changes are absolute, and a batch that failed in
 * part is written again. What replicas have to confirm, valkey-writes.ts says.
 *
 *     {shoal:NN}:contents   hash    content key -> content
 *     {shoal:NN}:idle       hash    content key -> since when nobody serves it
 *     {shoal:NN}:manifest:K string  canonical bytes
 *     {shoal:NN}:entries    hash    content key NUL name -> when it was published
 *     {shoal:NN}:replicas   hash    content key NUL name -> copies that volunteers are to keep; absent: none
 *     {shoal:NN}:peers      hash    peer key -> last seen
 *     {shoal:NN}:log        stream  o: which tracker, c: its changes
 *
 * Leases are not stored: each tracker keeps those of all peers in memory, as the others tell it (store.ts, LiveChange). A write for each
 * of twenty thousand renewals a second would buy nothing that a peer's next renewal does not.
 */
import type { ChainableCommander } from 'iovalkey';
import { randomUUID } from 'node:crypto';
import type { ContentId } from '../../content/digest.ts';
import { ShoalError } from '../../errors.ts';
import * as limits from '../../limits.ts';
import type {
  LiveChange,
  RemoteChange,
  StoreChange,
  StoredContent,
  StoredEntry,
  StoredPeer,
  TrackerStore,
} from './store.ts';
import { connectTo, storeProblem, type Server } from './valkey-server.ts';
import { ConfirmedWrites, type ReplicasWanted } from './valkey-writes.ts';

/** Bumped when the layout above changes in a way that older versions would misread. */
const LAYOUT_VERSION = 1;
const SHARDS = Array.from({ length: limits.STORE_SHARDS }, (_, shard) => shard);

export interface ValkeyStoreOptions {
  /** `redis://host:port` or `valkey://...`: any nodes of one cluster, or a server with its replicas. */
  readonly urls: readonly string[];
  /** Default: auto. */
  readonly replicas?: ReplicasWanted | undefined;
}

export async function openValkeyStore({ urls, replicas = 'auto' }: ValkeyStoreOptions): Promise<TrackerStore> {
  const server = await connectTo(urls);
  const writes = new ConfirmedWrites(server, replicas);
  const origin = randomUUID();
  const readUpTo = new Map<number, string>();
  try {
    await checkLayout(server);
    // what is logged from here on comes after what load() will read
    await Promise.all(
      SHARDS.map(async (shard) => {
        const last = await server.xrevrange(keyOf(shard, 'log'), '+', '-', 'COUNT', 1);
        readUpTo.set(shard, last[0]?.[0] ?? '0-0');
      }),
    );
  } catch (error) {
    server.disconnect();
    writes.close();
    throw storeProblem(error, urls);
  }

  const transactionOf = (shard: number, changes: readonly StoreChange[]) => ({
    key: keyOf(shard, 'log'),
    fill(all: ChainableCommander): void {
      for (const change of changes) put(all, shard, change);
      log(
        all,
        shard,
        origin,
        changes.filter(({ type }) => SHARED_TYPES.has(type)),
      );
    },
  });

  const tell = async (shard: number, changes: readonly LiveChange[]): Promise<void> => {
    const all = server.multi();
    log(all, shard, origin, changes);
    await execute(all);
  };

  /** After a call that failed another server may have taken over, with a log that ends before what was read, or a clock that is behind. */
  let mayHaveLostTails = false;
  const findTail = async (shard: number): Promise<void> => {
    const [last] = await server.xrevrange(keyOf(shard, 'log'), '+', '-', 'COUNT', 1);
    const end = last?.[0] ?? '0-0';
    if (isBefore(end, readUpTo.get(shard) ?? '0-0')) readUpTo.set(shard, end);
  };

  /** Read and not yet given out: of an exchange that failed at another shard nothing is lost. */
  let heard: RemoteChange[] = [];
  const read = async (shard: number): Promise<void> => {
    for (;;) {
      const after = readUpTo.get(shard) ?? '0-0';
      const streams = await server.xread('COUNT', limits.STORE_LOG_READ_ENTRIES, 'STREAMS', keyOf(shard, 'log'), after);
      const entries = streams?.[0]?.[1] ?? [];
      for (const [id, [, from, , text]] of entries) {
        if (from !== origin) heard.push(...(JSON.parse(text ?? '[]') as RemoteChange[]));
        readUpTo.set(shard, id);
      }
      if (entries.length < limits.STORE_LOG_READ_ENTRIES) return;
    }
  };

  return {
    async load(visitor) {
      const shards = await Promise.all(SHARDS.map((shard) => readShard(server, shard)));
      const contents = shards.flatMap((shard) => shard.contents);
      const entries = shards.flatMap((shard) => shard.entries);
      const peers = shards.flatMap((shard) => shard.peers);
      for (const content of contents.toSorted(by(idleAt))) visitor.content(content);
      for (const entry of entries.toSorted(by((one) => one.publishedAtMs))) visitor.entry(entry);
      for (const peer of peers.toSorted(by((one) => one.lastSeenMs))) visitor.peer(peer);
    },
    async manifest(contentId) {
      const bytes = await server.getBuffer(manifestKey(contentId));
      return bytes === null ? undefined : new Uint8Array(bytes);
    },
    async apply(changes) {
      await writes.write([...inShards(changes, shardOfStored)].map(([shard, part]) => transactionOf(shard, part)));
    },
    shared: {
      async exchange(told) {
        try {
          if (mayHaveLostTails) await Promise.all(SHARDS.map(findTail));
          mayHaveLostTails = false;
          await Promise.all([...inShards(told, shardOfLive)].map(([shard, part]) => tell(shard, part)));
          await Promise.all(SHARDS.map(read));
        } catch (error) {
          mayHaveLostTails = true;
          throw error;
        }
        const given = heard;
        heard = [];
        return given;
      },
      figures: () => writes.figures(),
    },
    async close() {
      server.disconnect();
      writes.close();
    },
  };
}

/** Changes that other trackers have to hear of. Idle times each finds out itself, and peers are told as they live. */
const SHARED_TYPES: ReadonlySet<StoreChange['type']> = new Set([
  'put-content',
  'remove-content',
  'put-entry',
  'remove-entry',
]);

function put(all: ChainableCommander, shard: number, change: StoreChange): void {
  switch (change.type) {
    case 'put-content': {
      const { idleSinceMs, ...content } = change.content;
      all.hset(keyOf(shard, 'contents'), content.key, JSON.stringify(content));
      putIdle(all, shard, content.key, idleSinceMs);
      break;
    }
    case 'set-idle':
      putIdle(all, shard, change.key, change.idleSinceMs);
      break;
    case 'put-manifest':
      all.set(manifestKey(change.contentId), Buffer.from(change.bytes));
      break;
    case 'remove-content':
      all.hdel(keyOf(shard, 'contents'), change.key).hdel(keyOf(shard, 'idle'), change.key);
      all.del(manifestKey(change.key));
      break;
    case 'put-entry': {
      const { name, contentKey, publishedAtMs, replicas } = change.entry;
      const field = `${contentKey}\0${name}`;
      all.hset(keyOf(shard, 'entries'), field, publishedAtMs);
      if (replicas > 0) all.hset(keyOf(shard, 'replicas'), field, replicas);
      else all.hdel(keyOf(shard, 'replicas'), field);
      break;
    }
    case 'remove-entry': {
      const field = `${change.contentKey}\0${change.name}`;
      all.hdel(keyOf(shard, 'entries'), field).hdel(keyOf(shard, 'replicas'), field);
      break;
    }
    case 'put-peer':
      all.hset(keyOf(shard, 'peers'), change.peer.key, JSON.stringify(change.peer));
      break;
    case 'remove-peer':
      all.hdel(keyOf(shard, 'peers'), change.key);
      break;
  }
}

function putIdle(all: ChainableCommander, shard: number, key: string, idleSinceMs: number | null): void {
  if (idleSinceMs === null) all.hdel(keyOf(shard, 'idle'), key);
  else all.hset(keyOf(shard, 'idle'), key, idleSinceMs);
}

function log(all: ChainableCommander, shard: number, origin: string, changes: readonly RemoteChange[]): void {
  for (let at = 0; at < changes.length; at += limits.STORE_LOG_CHANGES_MAX) {
    const text = JSON.stringify(changes.slice(at, at + limits.STORE_LOG_CHANGES_MAX));
    all.xadd(keyOf(shard, 'log'), 'MAXLEN', '~', limits.STORE_LOG_ENTRIES_MAX, '*', 'o', origin, 'c', text);
  }
}

async function execute(all: ChainableCommander): Promise<void> {
  const results = await all.exec();
  if (results === null) throw new Error('the transaction was given up');
  for (const [error] of results) if (error !== null) throw error;
}

async function readShard(server: Server, shard: number) {
  const [contents, idle, entries, replicas, peers] = await Promise.all([
    server.hgetall(keyOf(shard, 'contents')),
    server.hgetall(keyOf(shard, 'idle')),
    server.hgetall(keyOf(shard, 'entries')),
    server.hgetall(keyOf(shard, 'replicas')),
    server.hgetall(keyOf(shard, 'peers')),
  ]);
  return {
    contents: Object.values(contents).map((text): StoredContent => {
      const content = JSON.parse(text) as Omit<StoredContent, 'idleSinceMs'>;
      const since = idle[content.key];
      return { ...content, idleSinceMs: since === undefined ? null : Number(since) };
    }),
    entries: Object.entries(entries).map(([field, at]): StoredEntry => {
      const cut = field.indexOf('\0');
      const goal = Number(replicas[field] ?? 0);
      return {
        name: field.slice(cut + 1),
        contentKey: field.slice(0, cut),
        publishedAtMs: Number(at),
        replicas: goal,
      };
    }),
    peers: Object.values(peers).map((text) => JSON.parse(text) as StoredPeer),
  };
}

function inShards<T>(changes: readonly T[], keyOfChange: (change: T) => string): Map<number, T[]> {
  return Map.groupBy(changes, (change) => shardOf(keyOfChange(change)));
}

function shardOfStored(change: StoreChange): string {
  switch (change.type) {
    case 'put-content':
      return change.content.key;
    case 'put-manifest':
      return change.contentId;
    case 'put-entry':
      return change.entry.contentKey;
    case 'remove-entry':
      return change.contentKey;
    case 'put-peer':
      return change.peer.key;
    case 'set-idle':
    case 'remove-content':
    case 'remove-peer':
      return change.key;
  }
}

/** All that is said of one peer goes through one log, so that it stays in order. */
function shardOfLive(change: LiveChange): string {
  if (change.type === 'peer-here') return change.peer.key;
  return 'keys' in change ? (change.keys[0] ?? '') : change.key;
}

/** FNV-1a over the code units: the same for every tracker. */
export function shardOf(key: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < key.length; at++) hash = Math.imul(hash ^ key.charCodeAt(at), 0x01000193);
  return (hash >>> 0) % limits.STORE_SHARDS;
}

function keyOf(shard: number, what: string): string {
  return `{shoal:${String(shard).padStart(2, '0')}}:${what}`;
}

function manifestKey(contentKey: ContentId | string): string {
  return keyOf(shardOf(contentKey), `manifest:${contentKey}`);
}

/** Ids of a stream: milliseconds and a number. */
function isBefore(a: string, b: string): boolean {
  const [aMs = '0', aNumber = '0'] = a.split('-');
  const [bMs = '0', bNumber = '0'] = b.split('-');
  return BigInt(aMs) < BigInt(bMs) || (BigInt(aMs) === BigInt(bMs) && BigInt(aNumber) < BigInt(bNumber));
}

function idleAt({ idleSinceMs }: StoredContent): number {
  return idleSinceMs ?? Number.POSITIVE_INFINITY;
}

function by<T>(of: (one: T) => number): (a: T, b: T) => number {
  return (a, b) => (of(a) < of(b) ? -1 : of(a) > of(b) ? 1 : 0);
}

async function checkLayout(server: Server): Promise<void> {
  const key = '{shoal}:layout';
  await server.setnx(key, LAYOUT_VERSION);
  const found = Number(await server.get(key));
  if (found > LAYOUT_VERSION)
    throw new ShoalError(
      'usage',
      `the store was written by a newer Shoal (layout ${found}, this one knows ${LAYOUT_VERSION})`,
    );
}
