/**
 * The default store: one SQLite file in the tracker's data folder, WAL, one transaction a batch. It blocks the event loop while it
 * writes, so the write queue gathers changes into batches. One tracker at a time: a second one on the same folder is refused, by a lock
 * beside the file, so that a backup may read it meanwhile (sqlite-backup.ts).
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { ContentId } from '../../content/digest.ts';
import type { Address, Dialect } from '../records.ts';
import { checkStoreFile, storeProblem, unreadable } from './sqlite-check.ts';
import { migrate } from './sqlite-schema.ts';
import type { StoreChange, StoredContent, StoredEntry, StoredPeer, TrackerStore } from './store.ts';

export const SQLITE_FILE_NAME = 'tracker.sqlite';
/** Empty; held in an exclusive transaction by the tracker that uses the folder, and let go by the kernel however that one ends. */
const LOCK_FILE_NAME = 'tracker.lock';
/** Pages kept in memory, and the length of the log at which it is written back, which waits for the disk. */
const CACHE_KIB = 16 * 1024;
const CHECKPOINT_PAGES = 8_192;

export function openSqliteStore(options: { readonly dataDir: string }): TrackerStore {
  const path = join(options.dataDir, SQLITE_FILE_NAME);
  const { database, lock, statements } = openDatabase(options.dataDir, path);

  const applyOne = (change: StoreChange): void => {
    switch (change.type) {
      case 'put-content': {
        const { key, contentId, size, sha256, chunkSize, chunkCount, idleSinceMs } = change.content;
        statements.putContent.run(key, contentId, size, sha256, chunkSize, chunkCount, idleSinceMs);
        break;
      }
      case 'set-idle':
        statements.setIdle.run(change.idleSinceMs, change.key);
        break;
      case 'put-manifest':
        statements.putManifest.run(change.contentId, change.bytes);
        break;
      case 'remove-content':
        statements.removeManifest.run(change.key);
        statements.removeContent.run(change.key);
        break;
      case 'put-entry':
        statements.putEntry.run(
          change.entry.name,
          change.entry.contentKey,
          change.entry.publishedAtMs,
          change.entry.replicas,
        );
        break;
      case 'remove-entry':
        statements.removeEntry.run(change.name, change.contentKey);
        break;
      case 'put-peer': {
        const { key, kind, peerId, addresses, dialects, agent, lastSeenMs } = change.peer;
        const lists = [JSON.stringify(addresses), JSON.stringify(dialects)] as const;
        statements.putPeer.run(key, kind, peerId, ...lists, agent, lastSeenMs);
        break;
      }
      case 'remove-peer':
        statements.removePeer.run(change.key);
        break;
    }
  };

  return {
    async load(visitor) {
      for (const row of statements.contents.iterate()) visitor.content(contentIn(row));
      for (const row of statements.entries.iterate()) visitor.entry(entryIn(row));
      for (const row of statements.peers.iterate()) visitor.peer(peerIn(row, path));
    },
    async manifest(contentId) {
      const bytes = statements.manifest.get(contentId)?.['bytes'];
      return bytes instanceof Uint8Array ? bytes : undefined;
    },
    async apply(changes) {
      if (changes.length === 0) return;
      database.exec('BEGIN IMMEDIATE');
      try {
        for (const change of changes) applyOne(change);
        database.exec('COMMIT');
      } catch (error) {
        if (database.isTransaction) database.exec('ROLLBACK');
        throw error;
      }
    },
    async close() {
      if (database.isOpen) database.close();
      if (lock.isOpen) lock.close();
    },
  };
}

interface OpenDatabase {
  readonly database: DatabaseSync;
  readonly lock: DatabaseSync;
  readonly statements: ReturnType<typeof prepare>;
}

function openDatabase(dataDir: string, path: string): OpenDatabase {
  let lock: DatabaseSync | undefined;
  let database: DatabaseSync | undefined;
  try {
    mkdirSync(dataDir, { recursive: true });
    lock = new DatabaseSync(join(dataDir, LOCK_FILE_NAME), { timeout: 500 });
    lock.exec('BEGIN EXCLUSIVE');
    checkStoreFile(path);
    database = new DatabaseSync(path, { timeout: 500 });
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;');
    // keys are digests, so every insert touches another page: the default of 2 MiB would read and write the same ones again and again
    database.exec(`PRAGMA cache_size = -${CACHE_KIB}; PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES};`);
    migrate(database);
    return { database, lock, statements: prepare(database) };
  } catch (error) {
    database?.close();
    lock?.close();
    throw storeProblem(error, path);
  }
}

type Row = Readonly<Record<string, unknown>>;

function contentIn(row: Row): StoredContent {
  return {
    key: String(row['key']),
    contentId: String(row['content_id']) as ContentId | '',
    size: Number(row['size']),
    sha256: String(row['sha256']),
    chunkSize: Number(row['chunk_size']),
    chunkCount: Number(row['chunk_count']),
    idleSinceMs: row['idle_since_ms'] === null ? null : Number(row['idle_since_ms']),
  };
}

function entryIn(row: Row): StoredEntry {
  return {
    name: String(row['name']),
    contentKey: String(row['content_key']),
    publishedAtMs: Number(row['published_at_ms']),
    replicas: Number(row['replicas']),
  };
}

/** Throws `disk` where the lists in it are none. */
function peerIn(row: Row, path: string): StoredPeer {
  try {
    return {
      key: String(row['key']),
      kind: row['kind'] === 'plain' ? 'plain' : 'native',
      peerId: String(row['peer_id']),
      addresses: JSON.parse(String(row['addresses'])) as Address[],
      dialects: JSON.parse(String(row['dialects'])) as Dialect[],
      agent: String(row['agent']),
      lastSeenMs: Number(row['last_seen_ms']),
    };
  } catch (error) {
    throw unreadable(error, path);
  }
}

function prepare(database: DatabaseSync) {
  const sql = (text: string) => database.prepare(text);
  return {
    contents: sql('SELECT * FROM contents ORDER BY idle_since_ms IS NULL, idle_since_ms'),
    entries: sql('SELECT * FROM entries ORDER BY published_at_ms, rowid'),
    peers: sql('SELECT * FROM peers ORDER BY last_seen_ms'),
    manifest: sql('SELECT bytes FROM manifests WHERE content_id = ?'),
    putContent: sql('INSERT OR REPLACE INTO contents VALUES (?, ?, ?, ?, ?, ?, ?)'),
    setIdle: sql('UPDATE contents SET idle_since_ms = ? WHERE key = ?'),
    putManifest: sql('INSERT OR REPLACE INTO manifests VALUES (?, ?)'),
    removeManifest: sql('DELETE FROM manifests WHERE content_id = ?'),
    removeContent: sql('DELETE FROM contents WHERE key = ?'),
    putEntry: sql('INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?)'),
    removeEntry: sql('DELETE FROM entries WHERE name = ? AND content_key = ?'),
    putPeer: sql('INSERT OR REPLACE INTO peers VALUES (?, ?, ?, ?, ?, ?, ?)'),
    removePeer: sql('DELETE FROM peers WHERE key = ?'),
  };
}
