/**
 * A lock that the kernel holds for this process and drops when the process ends, however it ends: an exclusive SQLite transaction
 * on an empty file, kept open. There is no stale lock to recognise and no process id to guess from. Who holds it is not recorded
 * here: the owners keep that beside the lock.
 *
 * Nothing else may open a lock file: closing any descriptor of it in this process would drop the lock (POSIX record locks).
 */
import { closeSync, openSync, rmSync, statSync, type BigIntStats } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { systemErrorCode } from '../errors.ts';
import { diskError, isMissing } from './disk-error.ts';

const SQLITE_BUSY = 5;

export interface FileLock {
  readonly path: string;
  /** Gives the lock back; `remove` deletes the file as well. Idempotent. */
  release(options?: { readonly remove?: boolean }): void;
}

/** Takes the lock at `path` (the folder must exist); undefined when it is held, by this process or another. Throws `disk`. */
export function tryLockFile(path: string): FileLock | undefined {
  // A holder may delete the file between our open and our lock; then we hold a lock on nothing, and try again.
  for (;;) {
    createIfMissing(path);
    const before = statOf(path);
    if (before === undefined) continue;
    const database = lockDatabase(path);
    if (database === undefined) return undefined;
    const after = statOf(path);
    if (after !== undefined && after.ino === before.ino && after.dev === before.dev) return heldLock(path, database);
    database.close();
  }
}

function heldLock(path: string, database: DatabaseSync): FileLock {
  let held = true;
  return {
    path,
    release(options = {}) {
      if (!held) return;
      held = false;
      // Deleted while still held, so that nobody can take the lock of a file that is about to go. Windows refuses that.
      const early = options.remove === true && process.platform !== 'win32';
      if (early) rmSync(path, { force: true });
      database.close();
      if (options.remove === true && !early) removeUnlessInUse(path);
    },
  };
}

function removeUnlessInUse(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch (error) {
    const code = systemErrorCode(error);
    if (code !== 'EBUSY' && code !== 'EPERM' && code !== 'EACCES') throw error;
  }
}

function createIfMissing(path: string): void {
  try {
    closeSync(openSync(path, 'wx', 0o600));
  } catch (error) {
    if (systemErrorCode(error) !== 'EEXIST') throw diskError(error, `cannot create the lock ${path}`);
  }
}

function statOf(path: string): BigIntStats | undefined {
  try {
    return statSync(path, { bigint: true });
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw diskError(error, `cannot look at the lock ${path}`);
  }
}

function lockDatabase(path: string): DatabaseSync | undefined {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path);
    // In memory, or the exclusive transaction would leave a second file beside the lock.
    database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
    return database;
  } catch (error) {
    database?.close();
    if (error instanceof Error && 'errcode' in error && error.errcode === SQLITE_BUSY) return undefined;
    throw diskError(error, `cannot lock ${path}`);
  }
}
