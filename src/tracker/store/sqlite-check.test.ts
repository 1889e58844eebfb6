/** What a file has to be before a tracker writes to it, with files as older, newer and unlucky trackers leave them. */
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, describe, expect, test } from 'vitest';
import { ShoalError } from '../../errors.ts';
import { manifestOf } from '../test-fixtures.ts';
import { MIGRATIONS, SCHEMA_VERSION } from './sqlite-schema.ts';
import { backupSqliteStore } from './sqlite-backup.ts';
import { openSqliteStore, SQLITE_FILE_NAME } from './sqlite.ts';
import { load } from './store-contract-suite.ts';
import type { TrackerStore } from './store.ts';

const folders: string[] = [];
const open: TrackerStore[] = [];
afterEach(async () => {
  for (const store of open.splice(0)) await store.close();
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function freshFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'shoal-check-'));
  folders.push(folder);
  return folder;
}

function openIn(dataDir: string): TrackerStore {
  const store = openSqliteStore({ dataDir });
  open.push(store);
  return store;
}

/** Why it is not opened. */
function refusal(dataDir: string): ShoalError {
  try {
    openIn(dataDir);
  } catch (error) {
    expect(error).toBeInstanceOf(ShoalError);
    return error as ShoalError;
  }
  throw new Error('it was opened');
}

/** Everything of the store but the lock and what SQLite shares between processes, which holds no data. */
function bytesIn(dataDir: string): Record<string, string> {
  const files = readdirSync(dataDir).filter((name) => name.startsWith(SQLITE_FILE_NAME) && !name.endsWith('-shm'));
  return Object.fromEntries(files.map((name) => [name, readFileSync(join(dataDir, name)).toString('base64')]));
}

function databaseIn(dataDir: string): DatabaseSync {
  return new DatabaseSync(join(dataDir, SQLITE_FILE_NAME));
}

const MANY = 200;
const manifests = Array.from({ length: MANY }, (_, index) => manifestOf(`of schema 1: ${index}`));

/** As the first version wrote it, by its own SQL: three hundred peers and two names for every content. */
function writeSchema1(dataDir: string): void {
  const database = databaseIn(dataDir);
  database.exec('PRAGMA journal_mode = WAL');
  database.exec(MIGRATIONS[0] as string);
  database.exec('PRAGMA user_version = 1');
  database.exec('BEGIN');
  const contents = database.prepare('INSERT INTO contents VALUES (?, ?, ?, ?, ?, ?, ?)');
  const entries = database.prepare('INSERT INTO entries VALUES (?, ?, ?)');
  const bytes = database.prepare('INSERT INTO manifests VALUES (?, ?)');
  const peers = database.prepare('INSERT INTO peers VALUES (?, ?, ?, ?, ?, ?, ?)');
  manifests.forEach(({ contentId, size, sha256, chunkSize, chunkCount, bytes: text }, index) => {
    contents.run(contentId, contentId, size, sha256, chunkSize, chunkCount, index % 2 === 0 ? null : index);
    bytes.run(contentId, text);
    entries.run(`tệp ${index}`, contentId, 1_000 + index);
    entries.run(`again/${index}`, contentId, 5_000 + index);
  });
  for (let index = 0; index < 300; index++) {
    const id = index.toString(16).padStart(32, '0');
    peers.run(id, 'native', id, '[{"host":"::1","port":9001}]', '["native"]', 'shoal/0.1.0', index);
  }
  database.exec('COMMIT');
  database.close();
}

describe('a store of schema 1', () => {
  test('comes up to date with all it has', async () => {
    const dataDir = freshFolder();
    writeSchema1(dataDir);
    const store = openIn(dataDir);
    const { contents, entries, peers } = await load(store);
    expect(new Set(contents.map(({ key }) => key))).toEqual(new Set(manifests.map(({ contentId }) => contentId)));
    expect(contents.filter(({ idleSinceMs }) => idleSinceMs === null)).toHaveLength(MANY / 2);
    for (const { key, size, sha256, chunkSize, chunkCount } of contents)
      expect(manifests.find(({ contentId }) => contentId === key)).toMatchObject({
        size,
        sha256,
        chunkSize,
        chunkCount,
      });
    expect(entries).toHaveLength(2 * MANY);
    expect(entries[3]).toEqual({
      name: 'tệp 3',
      contentKey: manifests[3]?.contentId,
      publishedAtMs: 1_003,
      replicas: 0,
    });
    expect(peers).toHaveLength(300);
    expect(peers[7]?.addresses).toEqual([{ host: '::1', port: 9001 }]);
    for (const { contentId, bytes } of manifests) expect(await store.manifest(contentId)).toEqual(bytes);
    await store.close();
    const database = databaseIn(dataDir);
    expect(database.prepare('PRAGMA user_version').get()).toMatchObject({ user_version: SCHEMA_VERSION });
    database.close();
  });

  test('that cannot be brought up to date stays as it was', () => {
    const dataDir = freshFolder();
    writeSchema1(dataDir);
    // something of somebody else's is where the second step puts its table
    const database = databaseIn(dataDir);
    database.exec('CREATE TABLE contents2 (x)');
    database.close();
    expect(refusal(dataDir).message).toContain('contents2 already exists');
    const after = databaseIn(dataDir);
    expect(after.prepare('PRAGMA user_version').get()).toMatchObject({ user_version: 1 });
    expect(after.prepare('SELECT count(*) AS n FROM contents').get()).toMatchObject({ n: MANY });
    after.close();
  });
});

describe('a store that is refused stays as it is, byte for byte', () => {
  /** Killed: its log has what the file does not. */
  const killed = (dataDir: string, sql: string): void => {
    const elsewhere = freshFolder();
    const database = databaseIn(elsewhere);
    database.exec(`PRAGMA journal_mode = WAL; ${sql}`);
    for (const name of [SQLITE_FILE_NAME, `${SQLITE_FILE_NAME}-wal`])
      copyFileSync(join(elsewhere, name), join(dataDir, name));
    database.close();
  };

  test('when a newer Shoal has written it, whole or with a log of what came last', () => {
    const clean = freshFolder();
    writeSchema1(clean);
    const database = databaseIn(clean);
    database.exec(`PRAGMA journal_mode = DELETE; PRAGMA user_version = ${SCHEMA_VERSION + 1}`);
    database.close();
    const withLog = freshFolder();
    killed(
      withLog,
      `CREATE TABLE later (x); INSERT INTO later VALUES (1); PRAGMA user_version = ${SCHEMA_VERSION + 7}`,
    );
    for (const dataDir of [clean, withLog]) {
      const before = bytesIn(dataDir);
      const { code, message, hint } = refusal(dataDir);
      expect(code).toBe('usage');
      expect(message).toMatch(/was written by a newer Shoal \(schema \d+, this one knows \d+\)$/u);
      expect(hint).toContain('run the newer version');
      expect(() => backupSqliteStore(dataDir, join(freshFolder(), 'copy.sqlite'))).toThrow(/newer Shoal/u);
      expect(bytesIn(dataDir)).toEqual(before);
    }
  });

  test('when it is damaged, and says so on one line that names the way back', () => {
    const whole = freshFolder();
    writeSchema1(whole);
    const path = join(whole, SQLITE_FILE_NAME);
    const bytes = readFileSync(path);
    const pageBytes = bytes.readUInt16BE(16);
    let refused = 0;
    for (let page = 1; page * pageBytes < bytes.length; page++) {
      const dataDir = freshFolder();
      const wrong = Buffer.from(bytes);
      wrong.fill(0xff, page * pageBytes, (page + 1) * pageBytes);
      writeFileSync(join(dataDir, SQLITE_FILE_NAME), wrong);
      const before = bytesIn(dataDir);
      const { code, message, hint } = refusal(dataDir);
      refused++;
      expect(code).toBe('disk');
      expect(message).toMatch(/is damaged \([^()].+\)$/u);
      expect(message).not.toMatch(/\p{Cc}|\*\*\*/u);
      expect(hint).toContain('shoal tracker backup');
      expect(bytesIn(dataDir)).toEqual(before);
    }
    expect(refused).toBeGreaterThan(20);
  });

  test('when it ends too early', () => {
    const dataDir = freshFolder();
    writeSchema1(dataDir);
    const path = join(dataDir, SQLITE_FILE_NAME);
    const bytes = readFileSync(path);
    writeFileSync(path, bytes.subarray(0, bytes.length / 2));
    const before = bytesIn(dataDir);
    expect(refusal(dataDir).message).toContain('is damaged');
    expect(bytesIn(dataDir)).toEqual(before);
  });

  test('when it is another program’s database', () => {
    const dataDir = freshFolder();
    const database = databaseIn(dataDir);
    database.exec('CREATE TABLE songs (title)');
    database.close();
    const before = bytesIn(dataDir);
    expect(refusal(dataDir).message).toContain('is a database of another program');
    expect(bytesIn(dataDir)).toEqual(before);
  });
});

test('a row that cannot be read is damage, and said to be', async () => {
  const dataDir = freshFolder();
  writeSchema1(dataDir);
  const database = databaseIn(dataDir);
  database.exec(`UPDATE peers SET addresses = '[{"host":"::1"' WHERE last_seen_ms = 7`);
  database.close();
  await expect(load(openIn(dataDir))).rejects.toThrow(/tracker\.sqlite is damaged \(.+\)$/u);
});

test('what a killed tracker left in its log is there again', async () => {
  const dataDir = freshFolder();
  const elsewhere = freshFolder();
  const manifest = manifestOf('in the log');
  const first = openIn(elsewhere);
  await first.apply([{ type: 'put-manifest', contentId: manifest.contentId, bytes: manifest.bytes }]);
  for (const name of [SQLITE_FILE_NAME, `${SQLITE_FILE_NAME}-wal`])
    copyFileSync(join(elsewhere, name), join(dataDir, name));
  expect(await openIn(dataDir).manifest(manifest.contentId)).toEqual(manifest.bytes);
});

test('a transaction of the old kind that was cut off is taken back, and the store opens', async () => {
  const dataDir = freshFolder();
  writeSchema1(dataDir);
  const elsewhere = freshFolder();
  const path = join(elsewhere, SQLITE_FILE_NAME);
  copyFileSync(join(dataDir, SQLITE_FILE_NAME), path);
  const database = new DatabaseSync(path);
  // with room for few pages, so that changed ones reach the file before the transaction ends
  database.exec(
    'PRAGMA journal_mode = DELETE; PRAGMA cache_size = 5; BEGIN; DELETE FROM entries; DELETE FROM manifests',
  );
  copyFileSync(path, join(dataDir, SQLITE_FILE_NAME));
  copyFileSync(`${path}-journal`, join(dataDir, `${SQLITE_FILE_NAME}-journal`));
  database.exec('ROLLBACK');
  database.close();
  expect((await load(openIn(dataDir))).entries).toHaveLength(2 * MANY);
});

test('an empty file, as a start that was cut off leaves it, is a new store', async () => {
  const dataDir = freshFolder();
  writeFileSync(join(dataDir, SQLITE_FILE_NAME), '');
  expect((await load(openIn(dataDir))).contents).toEqual([]);
});
