/**
 * What is looked at before a tracker's file is used, and before anything is written to it: whether it is a database of a tracker, of a
 * schema this version knows, and whole. A file that is refused stays as it is, byte for byte, with its log.
 */
import { existsSync, statSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { pathToFileURL } from 'node:url';
import { ShoalError, systemErrorCode } from '../../errors.ts';
import { SQLITE_WHOLE_CHECK_BYTES_MAX } from '../../limits.ts';
import { SCHEMA_VERSION } from './sqlite-schema.ts';

const SQLITE_BUSY = 5;
const SQLITE_CORRUPT = 11;
const SQLITE_NOTADB = 26;
/** An unfinished transaction has to be taken back before the file can be read. */
const SQLITE_READONLY_ROLLBACK = 776;

const RESTORE_HINT =
  'put a copy made by shoal tracker backup in its place, or move it away: what peers still share they publish again';

/** Throws `usage` for a file that is not this version's to open, and `disk` for a damaged one. A file that is not there is right. */
export function checkStoreFile(path: string): void {
  const byteCount = sizeOf(path);
  if (byteCount === 0) return;
  const database = openUntouched(path);
  try {
    const version = checkStoreVersion(database, path);
    if (version === 0) return checkNobodyElses(database, path);
    checkWhole(database, path, byteCount + sizeOf(`${path}-wal`));
  } finally {
    database.close();
  }
}

/** Throws `usage` when a newer Shoal has written it. Answers its schema version; 0: nobody has said one. */
export function checkStoreVersion(database: DatabaseSync, path: string): number {
  const found = Number(database.prepare('PRAGMA user_version').get()?.['user_version'] ?? 0);
  if (found <= SCHEMA_VERSION) return found;
  throw new ShoalError(
    'usage',
    `${path} was written by a newer Shoal (schema ${found}, this one knows ${SCHEMA_VERSION})`,
    { hint: 'run the newer version, or give another folder with --data' },
  );
}

/** A row that this version cannot read. */
export function unreadable(error: unknown, path: string): ShoalError {
  return damaged(path, error instanceof Error ? error.message : String(error), error);
}

/** What went wrong with the file, as a sentence. */
export function storeProblem(error: unknown, path: string): ShoalError {
  if (error instanceof ShoalError) return error;
  if (primaryCode(error) === SQLITE_CORRUPT) return damaged(path, error instanceof Error ? error.message : '', error);
  return new ShoalError('disk', `cannot open the tracker's store ${path}: ${sqliteProblem(error)}`, {
    cause: error,
    ...(primaryCode(error) === SQLITE_NOTADB ? { hint: RESTORE_HINT } : {}),
  });
}

/** What SQLite's error means to a person. */
export function sqliteProblem(error: unknown): string {
  switch (primaryCode(error)) {
    case SQLITE_BUSY:
      return 'another tracker is using it; give this one another folder with --data';
    case SQLITE_NOTADB:
      return 'it is not a database';
  }
  if (systemErrorCode(error) === 'EACCES') return 'this user may not write there';
  return oneLine(error instanceof Error ? error.message : String(error));
}

function damaged(path: string, finding: string, cause?: unknown): ShoalError {
  return new ShoalError('disk', `${path} is damaged (${oneLine(finding)})`, {
    hint: RESTORE_HINT,
    cause,
  });
}

/** SQLite's first finding about the database, or some of its tables; undefined: it is whole. */
export function firstFinding(database: DatabaseSync, pragmas: readonly string[]): string | undefined {
  for (const pragma of pragmas) {
    const row = database.prepare(`PRAGMA ${pragma}`).get();
    const verdict = row === undefined ? 'it could not be checked' : String(Object.values(row)[0]);
    if (verdict !== 'ok') return oneLine(verdict);
  }
  return undefined;
}

/** For reading only, and so that not even SQLite's own files appear beside it where there are none. */
function openUntouched(path: string): DatabaseSync {
  // one without a log cannot change meanwhile: the caller has the tracker's lock
  const where = sizeOf(`${path}-wal`) > 0 ? path : new URL(`${pathToFileURL(path).href}?immutable=1`);
  if (sizeOf(`${path}-journal`) > 0) return openUnfinished(path);
  return new DatabaseSync(where, { readOnly: true });
}

/** One that was cut off in a transaction of the old kind: reading needs that transaction taken back, which loses nothing. */
function openUnfinished(path: string): DatabaseSync {
  const reading = new DatabaseSync(path, { readOnly: true });
  try {
    reading.prepare('PRAGMA user_version').get();
    return reading;
  } catch (error) {
    reading.close();
    if (!(error instanceof Error && 'errcode' in error && error.errcode === SQLITE_READONLY_ROLLBACK)) throw error;
    return new DatabaseSync(path);
  }
}

function checkNobodyElses(database: DatabaseSync, path: string): void {
  const tables = Number(database.prepare('SELECT count(*) AS n FROM sqlite_schema').get()?.['n']);
  if (tables === 0) return;
  throw new ShoalError('usage', `${path} is a database of another program`, {
    hint: 'move it away, or give another folder with --data',
  });
}

function checkWhole(database: DatabaseSync, path: string, byteCount: number): void {
  // of a large file manifests are left out: they may be gigabytes, and each is checked against its contentId when it is read
  const pragmas =
    byteCount <= SQLITE_WHOLE_CHECK_BYTES_MAX
      ? ['quick_check(1)']
      : ['contents', 'entries', 'peers'].map((table) => `quick_check('${table}')`);
  const finding = firstFinding(database, pragmas);
  if (finding !== undefined) throw damaged(path, finding);
}

function sizeOf(path: string): number {
  return existsSync(path) ? statSync(path).size : 0;
}

function primaryCode(error: unknown): number {
  return typeof error === 'object' && error !== null && 'errcode' in error ? Number(error.errcode) & 0xff : 0;
}

/** SQLite puts its findings on lines of their own, below one that says which database. */
function oneLine(text: string): string {
  return text
    .replace(/^\*\*\* in database \w+ \*\*\*\s*/u, '')
    .replace(/[\p{Cc}\s]+/gu, ' ')
    .trim();
}
