/**
 * A copy of the SQLite store as it is at one moment, made beside a tracker that goes on writing, or of one that has ended. `VACUUM INTO`
 * reads in one transaction and writes a file without a log, so the copy is whole by itself.
 */
import { randomUUID } from 'node:crypto';
import { closeSync, existsSync, fsyncSync, linkSync, openSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { ShoalError, systemErrorCode } from '../../errors.ts';
import { SQLITE_BACKUP_WAIT_MS } from '../../limits.ts';
import { checkStoreVersion, firstFinding, sqliteProblem } from './sqlite-check.ts';
import { SQLITE_FILE_NAME } from './sqlite.ts';

export interface StoreBackup {
  readonly path: string;
  readonly byteCount: number;
  readonly entryCount: number;
}

/**
 * Copies the store in `dataDir` to `target`, which must not exist: it appears there whole and synced, or not at all.
 * Throws `usage` (no store there, one of a newer Shoal, `target` exists) and `disk`.
 */
export function backupSqliteStore(dataDir: string, target: string): StoreBackup {
  const source = join(dataDir, SQLITE_FILE_NAME);
  if (!existsSync(source)) {
    throw new ShoalError('usage', `there is no tracker's store at ${source}`, {
      hint: 'give the folder that the tracker was started with, by --data',
    });
  }
  if (existsSync(target)) throw targetExists(target);
  // in the same folder, because what is linked into place has to be on the same disk
  const partial = join(dirname(target), `.${randomUUID()}.shoal-backup`);
  try {
    copyTo(source, partial);
    const entryCount = checkedEntryCount(partial);
    syncPath(partial);
    linkSync(partial, target);
    syncPath(dirname(target));
    return { path: target, byteCount: statSync(target).size, entryCount };
  } catch (error) {
    if (error instanceof ShoalError) throw error;
    if (systemErrorCode(error) === 'EEXIST') throw targetExists(target);
    throw new ShoalError('disk', `cannot copy ${source} to ${target}: ${sqliteProblem(error)}`, { cause: error });
  } finally {
    rmSync(partial, { force: true });
  }
}

function copyTo(source: string, partial: string): void {
  refuseNewer(source);
  // not opened for reading only: the log of a tracker that was killed is taken in on the way
  const database = new DatabaseSync(source, { timeout: SQLITE_BACKUP_WAIT_MS });
  try {
    database.prepare('VACUUM INTO ?').run(partial);
  } finally {
    database.close();
  }
}

/** Looked at without writing, because a store that is opened to be written to takes its log in when it is closed. */
function refuseNewer(source: string): void {
  const database = new DatabaseSync(source, { readOnly: true, timeout: SQLITE_BACKUP_WAIT_MS });
  try {
    checkStoreVersion(database, source);
  } finally {
    database.close();
  }
}

/** A copy that cannot be read is no backup: looked at before it gets its name. */
function checkedEntryCount(path: string): number {
  const database = new DatabaseSync(path, { readOnly: true });
  try {
    const finding = firstFinding(database, ['integrity_check(1)']);
    if (finding !== undefined)
      throw new ShoalError('disk', `the copy is damaged (${finding})`, { hint: 'check the disk, then try again' });
    return Number(database.prepare('SELECT count(*) AS n FROM entries').get()?.['n']);
  } finally {
    database.close();
  }
}

function syncPath(path: string): void {
  const descriptor = openSync(path, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function targetExists(target: string): ShoalError {
  return new ShoalError('usage', `${target} exists`, { hint: 'a backup replaces nothing: give another name' });
}
