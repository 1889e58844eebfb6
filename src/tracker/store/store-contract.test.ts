/** The stores of this machine under their contract, and what only SQLite has to do. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, describe, expect, test } from 'vitest';
import { createMemoryStore } from './memory.ts';
import { SCHEMA_VERSION } from './sqlite-schema.ts';
import { openSqliteStore, SQLITE_FILE_NAME } from './sqlite.ts';
import { content, entry, load, storeContract } from './store-contract-suite.ts';
import type { StoredEntry, TrackerStore } from './store.ts';

const folders: string[] = [];
const open: TrackerStore[] = [];
afterEach(async () => {
  for (const store of open.splice(0)) await store.close();
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function freshFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'shoal-store-'));
  folders.push(folder);
  return folder;
}

function track(store: TrackerStore): TrackerStore {
  open.push(store);
  return store;
}

storeContract('memory', () => track(createMemoryStore()));
storeContract('sqlite', () => track(openSqliteStore({ dataDir: freshFolder() })));

describe('the sqlite store', () => {
  test('has everything again when it is opened again', async () => {
    const dataDir = freshFolder();
    const store = track(openSqliteStore({ dataDir }));
    await store.apply([
      { type: 'put-content', content },
      { type: 'put-entry', entry },
    ]);
    await store.close();
    const again = track(openSqliteStore({ dataDir }));
    expect(await load(again)).toMatchObject({ contents: [content], entries: [entry] });
  });

  test('applies all of a batch or nothing', async () => {
    const store = track(openSqliteStore({ dataDir: freshFolder() }));
    const impossible = { ...entry, publishedAtMs: 0.5 } as StoredEntry;
    await expect(
      store.apply([
        { type: 'put-content', content },
        { type: 'put-entry', entry: impossible },
      ]),
    ).rejects.toThrow();
    expect(await load(store)).toEqual({ contents: [], entries: [], peers: [] });
    await store.apply([{ type: 'put-content', content }]);
    expect((await load(store)).contents).toHaveLength(1);
  });

  test('refuses a file that a newer version has written', async () => {
    const dataDir = freshFolder();
    await openSqliteStore({ dataDir }).close();
    const database = new DatabaseSync(join(dataDir, SQLITE_FILE_NAME));
    database.exec(`PRAGMA user_version = ${SCHEMA_VERSION + 1}`);
    database.close();
    expect(() => openSqliteStore({ dataDir })).toThrow(/newer Shoal/u);
  });

  test('refuses a file that is no database, and a folder another tracker uses, with a sentence', async () => {
    const dataDir = freshFolder();
    writeFileSync(
      join(dataDir, SQLITE_FILE_NAME),
      'this is not a database, and long enough to be looked at'.repeat(20),
    );
    expect(() => openSqliteStore({ dataDir })).toThrow(/not a database/u);
    const used = freshFolder();
    track(openSqliteStore({ dataDir: used }));
    expect(() => openSqliteStore({ dataDir: used })).toThrow(/another tracker/u);
  });
});
