/**
 * What the library remembers between runs: for each path its stamp and its manifest, in one SQLite file. A memory, not a truth:
 * every row counts only while the file's stamp says so, and a lost row costs a re-hash. Changes are written in batches, when none have come for a moment.
 */
import { renameSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { ShoalError } from '../errors.ts';
import * as limits from '../limits.ts';
import { diskError } from './disk-error.ts';
import { sameStamp, type FileStamp } from './file-stamp.ts';

const SCHEMA_VERSION = 2;
const SQLITE_CORRUPT = 11;
const SQLITE_NOTADB = 26;

/** One step each; never edited after a release, only appended to. */
const MIGRATIONS: readonly string[] = [
  `CREATE TABLE file (
    path TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    inode INTEGER NOT NULL,
    hashed_at_ms INTEGER NOT NULL,
    damaged INTEGER NOT NULL,
    manifest BLOB NOT NULL
  ) STRICT;
  CREATE INDEX file_by_inode ON file (inode);`,
  `CREATE TABLE folder (path TEXT PRIMARY KEY, listing_sha256 TEXT NOT NULL, manifest BLOB NOT NULL) STRICT;`,
];

export interface IndexRow {
  readonly path: string;
  /** Under which it was shared last. */
  readonly name: string;
  readonly stamp: FileStamp;
  readonly hashedAtMs: number;
  /** Its bytes were found to differ from the manifest though its stamp is the same. */
  readonly isDamaged: boolean;
  readonly manifestBytes: Uint8Array<ArrayBuffer>;
}

export interface LibraryIndex {
  /** Nothing has ever been put into it, as far as this process knows. */
  readonly isEmpty: boolean;
  get(path: string): IndexRow | undefined;
  /** The rows of those of the paths that have one. */
  getMany(paths: readonly string[]): ReadonlyMap<string, IndexRow>;
  /** Rows of a file with this stamp, under whatever path: it may have been renamed. */
  findByStamp(stamp: FileStamp): IndexRow | undefined;
  put(row: IndexRow): void;
  delete(path: string): void;
  /** The manifest of the content of a folder, if it was made of this listing. */
  folderManifest(path: string, listingSha256: string): Uint8Array<ArrayBuffer> | undefined;
  putFolder(path: string, listingSha256: string, manifestBytes: Uint8Array): void;
  /** Up to `limit` paths above `after`, in order, of rows that have been written. */
  paths(after: string, limit: number): readonly string[];
  /** Writes what is waiting. */
  close(): void;
}

export interface LibraryIndexOptions {
  readonly path: string;
  /** Told when a damaged index was put aside (its new path), or when waiting rows cannot be written. */
  readonly onProblem: (path: string, message: string) => void;
}

type Change = { readonly type: 'put'; readonly row: IndexRow } | { readonly type: 'delete' };

/** Opens or begins an index. Throws `conflict` for one that a newer version wrote, `disk` when it cannot be opened. */
export function openLibraryIndex(options: LibraryIndexOptions): LibraryIndex {
  const database = openDatabase(options);
  const select = 'SELECT path, name, size, mtime_ns, inode, hashed_at_ms, damaged, manifest FROM file';
  const getStatement = database.prepare(`${select} WHERE path = ?`);
  const findStatement = database.prepare(`${select} WHERE inode = ? AND size = ? AND mtime_ns = ?`);
  const pathsStatement = database.prepare('SELECT path FROM file WHERE path > ? ORDER BY path LIMIT ?');
  const putStatement = database.prepare('INSERT OR REPLACE INTO file VALUES (?, ?, ?, ?, ?, ?, ?, ?)');
  const folderStatement = database.prepare('SELECT manifest FROM folder WHERE path = ? AND listing_sha256 = ?');
  const putFolderStatement = database.prepare('INSERT OR REPLACE INTO folder VALUES (?, ?, ?)');
  const deleteStatement = database.prepare('DELETE FROM file WHERE path = ?');
  const getManyStatement = database.prepare(`${select} WHERE path IN (SELECT value FROM json_each(?))`);
  for (const statement of [getStatement, getManyStatement, findStatement]) statement.setReadBigInts(true);
  /** By path; reads look here first. */
  const waiting = new Map<string, Change>();
  /** The paths of rows that are waiting to be put, by inode. */
  const waitingInodes = new Map<bigint, string>();
  let isEmpty = database.prepare('SELECT 1 FROM file LIMIT 1').get() === undefined;
  let timer: NodeJS.Timeout | undefined;
  /** When the oldest change that waits was made. */
  let waitingSinceMs = 0;

  /** Writes up to `countMax` of the changes that wait, oldest first. */
  const write = (countMax: number): void => {
    clearTimeout(timer);
    timer = undefined;
    if (waiting.size === 0) return;
    const batch = waiting.size <= countMax ? [...waiting] : [...waiting.entries().take(countMax)];
    try {
      database.exec('BEGIN IMMEDIATE');
      try {
        for (const [path, change] of batch) {
          if (change.type === 'delete') deleteStatement.run(path);
          else putRow(change.row);
        }
        database.exec('COMMIT');
      } catch (error) {
        database.exec('ROLLBACK');
        throw error;
      }
    } catch (error) {
      // Not fatal: the files are hashed again at the next start.
      options.onProblem(options.path, diskError(error, 'cannot write the index of shared files').message);
    }
    for (const [path] of batch) waiting.delete(path);
    if (waiting.size === 0) waitingInodes.clear();
    // in turns, so that this thread is not kept busy for long
    else timer = setTimeout(writeSome, 0).unref();
  };
  const writeSome = (): void => write(limits.INDEX_BATCH_ROWS);

  const putRow = (row: IndexRow): void => {
    const { path, name, stamp, hashedAtMs, isDamaged, manifestBytes } = row;
    putStatement.run(path, name, stamp.size, stamp.mtimeNs, stamp.inode, hashedAtMs, isDamaged ? 1 : 0, manifestBytes);
  };

  const plan = (path: string, change: Change): void => {
    waiting.set(path, change);
    if (change.type === 'put') {
      isEmpty = false;
      waitingInodes.set(change.row.stamp.inode, path);
    }
    const nowMs = performance.now();
    if (timer === undefined) {
      waitingSinceMs = nowMs;
      timer = setTimeout(writeSome, limits.INDEX_QUIET_MS).unref();
      // not in the midst of a scan, whose files somebody waits for
    } else if (nowMs - waitingSinceMs < limits.INDEX_WAIT_MS_MAX) timer.refresh();
  };

  return {
    get isEmpty() {
      return isEmpty;
    },
    getMany(paths) {
      const rows = new Map<string, IndexRow>();
      for (const row of getManyStatement.all(JSON.stringify(paths)).map(readRow)) rows.set(row.path, row);
      if (waiting.size === 0) return rows;
      for (const path of paths) {
        const change = waiting.get(path);
        if (change?.type === 'put') rows.set(path, change.row);
        else if (change !== undefined) rows.delete(path);
      }
      return rows;
    },
    get(path) {
      const change = waiting.get(path);
      if (change !== undefined) return change.type === 'put' ? change.row : undefined;
      const row = getStatement.get(path);
      return row === undefined ? undefined : readRow(row);
    },
    findByStamp(stamp) {
      const row = findStatement.get(stamp.inode, stamp.size, stamp.mtimeNs);
      if (row !== undefined) return readRow(row);
      const change = waiting.get(waitingInodes.get(stamp.inode) ?? '');
      if (change?.type === 'put' && sameStamp(change.row.stamp, stamp)) return change.row;
      return undefined;
    },
    folderManifest(path, listingSha256) {
      const manifest = folderStatement.get(path, listingSha256)?.['manifest'];
      return manifest instanceof Uint8Array ? new Uint8Array(manifest) : undefined;
    },
    putFolder(path, listingSha256, manifestBytes) {
      try {
        putFolderStatement.run(path, listingSha256, manifestBytes);
      } catch (error) {
        options.onProblem(options.path, diskError(error, 'cannot write the index of shared files').message);
      }
    },
    put: (row) => plan(row.path, { type: 'put', row }),
    delete: (path) => plan(path, { type: 'delete' }),
    paths(after, limit) {
      return pathsStatement.all(after, limit).map((row) => String(row['path']));
    },
    close() {
      write(Number.POSITIVE_INFINITY);
      database.close();
    },
  };
}

function readRow(row: Record<string, unknown>): IndexRow {
  const integer = (column: string): bigint => {
    const value = row[column];
    if (typeof value !== 'bigint') throw new ShoalError('bug', `the column ${column} of the index is not an integer`);
    return value;
  };
  const manifest = row['manifest'];
  if (!(manifest instanceof Uint8Array)) throw new ShoalError('bug', 'the column manifest of the index is not bytes');
  return {
    path: String(row['path']),
    name: String(row['name']),
    stamp: { size: Number(integer('size')), mtimeNs: integer('mtime_ns'), inode: integer('inode') },
    hashedAtMs: Number(integer('hashed_at_ms')),
    isDamaged: integer('damaged') !== 0n,
    manifestBytes: manifest as Uint8Array<ArrayBuffer>,
  };
}

function openDatabase(options: LibraryIndexOptions): DatabaseSync {
  try {
    return openSchema(options.path);
  } catch (error) {
    if (!isDamage(error)) throw diskError(error, `cannot open the index of shared files ${options.path}`);
    const aside = `${options.path}.damaged`;
    renameSync(options.path, aside);
    options.onProblem(aside, 'the index of shared files was damaged and put aside; every file is hashed again');
    return openSchema(options.path);
  }
}

function openSchema(path: string): DatabaseSync {
  const database = new DatabaseSync(path);
  try {
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -16384;');
    const version = Number(database.prepare('PRAGMA user_version').get()?.['user_version']);
    if (version > SCHEMA_VERSION) {
      throw new ShoalError(
        'conflict',
        `the index of shared files ${path} was written by a newer shoal (schema ${version}, this one knows ${SCHEMA_VERSION})`,
        { hint: 'Update shoal, or choose another directory with --data.' },
      );
    }
    for (const [step, sql] of MIGRATIONS.entries())
      if (step >= version) database.exec(`BEGIN; ${sql} PRAGMA user_version = ${step + 1}; COMMIT`);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

function isDamage(thrown: unknown): boolean {
  if (!(thrown instanceof Error) || !('errcode' in thrown)) return false;
  return thrown.errcode === SQLITE_NOTADB || thrown.errcode === SQLITE_CORRUPT;
}
