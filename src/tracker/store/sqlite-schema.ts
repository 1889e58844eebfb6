/** The tables of the SQLite store and how older files are brought up to date. `user_version` counts the steps a file has taken. */
import type { DatabaseSync } from 'node:sqlite';

/** One step each; never edited after a release, only appended to. */
export const MIGRATIONS: readonly string[] = [
  `CREATE TABLE contents (
     key TEXT PRIMARY KEY, content_id TEXT NOT NULL, size INTEGER NOT NULL, sha256 TEXT NOT NULL,
     chunk_size INTEGER NOT NULL, chunk_count INTEGER NOT NULL, idle_since_ms INTEGER
   ) STRICT;
   CREATE TABLE manifests (content_id TEXT PRIMARY KEY, bytes BLOB NOT NULL) STRICT;
   CREATE TABLE entries (
     name TEXT NOT NULL, content_key TEXT NOT NULL, published_at_ms INTEGER NOT NULL, PRIMARY KEY (name, content_key)
   ) STRICT;
   CREATE TABLE peers (
     key TEXT PRIMARY KEY, kind TEXT NOT NULL, peer_id TEXT NOT NULL, addresses TEXT NOT NULL, dialects TEXT NOT NULL,
     agent TEXT NOT NULL, last_seen_ms INTEGER NOT NULL
   ) STRICT;`,
  // by its key alone: without a second tree for row numbers nobody asks for, publishing writes half as much
  `CREATE TABLE contents2 (
     key TEXT PRIMARY KEY, content_id TEXT NOT NULL, size INTEGER NOT NULL, sha256 TEXT NOT NULL,
     chunk_size INTEGER NOT NULL, chunk_count INTEGER NOT NULL, idle_since_ms INTEGER
   ) STRICT, WITHOUT ROWID;
   INSERT INTO contents2 SELECT * FROM contents;
   DROP TABLE contents;
   ALTER TABLE contents2 RENAME TO contents;`,
  'ALTER TABLE entries ADD COLUMN replicas INTEGER NOT NULL DEFAULT 0;',
];

export const SCHEMA_VERSION = MIGRATIONS.length;

/** Brings a file up to date that has been looked at before (sqlite-check.ts): each step wholly or not at all. */
export function migrate(database: DatabaseSync): void {
  const found = Number(database.prepare('PRAGMA user_version').get()?.['user_version'] ?? 0);
  for (let version = found; version < SCHEMA_VERSION; version++) {
    database.exec('BEGIN IMMEDIATE');
    try {
      database.exec(MIGRATIONS[version] as string);
      database.exec(`PRAGMA user_version = ${version + 1}`);
      database.exec('COMMIT');
    } catch (error) {
      if (database.isTransaction) database.exec('ROLLBACK');
      throw error;
    }
  }
}
