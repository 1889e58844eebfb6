/** One contract for every store. A new one is added to the table below and has to pass all of it. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, describe, expect, test } from 'vitest';
import { manifestOf } from '../test-fixtures.ts';
import { createMemoryStore } from './memory.ts';
import { SCHEMA_VERSION } from './sqlite-schema.ts';
import { openSqliteStore, SQLITE_FILE_NAME } from './sqlite.ts';
import type { StoreChange, StoredContent, StoredEntry, StoredPeer, TrackerStore } from './store.ts';

const manifest = manifestOf('stored');
const content: StoredContent = {
  key: manifest.contentId,
  contentId: manifest.contentId,
  size: Number.MAX_SAFE_INTEGER,
  sha256: manifest.sha256,
  chunkSize: manifest.chunkSize,
  chunkCount: manifest.chunkCount,
  idleSinceMs: 1_800_000_000_000,
};
const entry: StoredEntry = { name: 'thư mục/tệp.bin', contentKey: content.key, publishedAtMs: 1_800_000_000_001 };
const peer: StoredPeer = {
  key: 'a'.repeat(32),
  kind: 'native',
  peerId: 'a'.repeat(32),
  addresses: [{ host: '::1', port: 9001 }],
  dialects: ['native', 'range'],
  agent: 'shoal/0.1.0',
  lastSeenMs: 1_800_000_000_002,
};

interface Stored {
  readonly contents: StoredContent[];
  readonly entries: StoredEntry[];
  readonly peers: StoredPeer[];
}

async function load(store: TrackerStore): Promise<Stored> {
  const stored: Stored = { contents: [], entries: [], peers: [] };
  await store.load({
    content: (one) => void stored.contents.push(one),
    entry: (one) => void stored.entries.push(one),
    peer: (one) => void stored.peers.push(one),
  });
  return stored;
}

function idle(key: string, idleSinceMs: number | null): StoreChange {
  return { type: 'put-content', content: { ...content, key, idleSinceMs } };
}

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

const implementations: readonly (readonly [string, () => TrackerStore])[] = [
  ['memory', () => track(createMemoryStore())],
  ['sqlite', () => track(openSqliteStore({ dataDir: freshFolder() }))],
];

describe.each(implementations)('the %s store', (_name, create) => {
  const puts: StoreChange[] = [
    { type: 'put-content', content },
    { type: 'put-manifest', contentId: manifest.contentId, bytes: manifest.bytes },
    { type: 'put-entry', entry },
    { type: 'put-peer', peer },
  ];

  test('gives back what was put', async () => {
    const store = create();
    await store.apply(puts);
    expect(await load(store)).toEqual({ contents: [content], entries: [entry], peers: [peer] });
    expect(await store.manifest(manifest.contentId)).toEqual(manifest.bytes);
    expect(await store.manifest(manifestOf('other').contentId)).toBeUndefined();
  });

  test('is empty at first and takes an empty batch', async () => {
    const store = create();
    await store.apply([]);
    expect(await load(store)).toEqual({ contents: [], entries: [], peers: [] });
  });

  test('does not mind the same change twice', async () => {
    const store = create();
    await store.apply([...puts, ...puts]);
    await store.apply(puts);
    const stored = await load(store);
    expect([stored.contents.length, stored.entries.length, stored.peers.length]).toEqual([1, 1, 1]);
  });

  test('replaces by key', async () => {
    const store = create();
    await store.apply(puts);
    await store.apply([
      { type: 'set-idle', key: content.key, idleSinceMs: null },
      { type: 'put-peer', peer: { ...peer, agent: 'newer' } },
      { type: 'set-idle', key: 'nothing', idleSinceMs: 7 },
    ]);
    const stored = await load(store);
    expect(stored.contents).toEqual([{ ...content, idleSinceMs: null }]);
    expect(stored.peers[0]?.agent).toBe('newer');
  });

  test('removes, a manifest with its content, and does not mind removing nothing', async () => {
    const store = create();
    await store.apply(puts);
    const removals: StoreChange[] = [
      { type: 'remove-entry', name: entry.name, contentKey: entry.contentKey },
      { type: 'remove-content', key: content.key },
      { type: 'remove-peer', key: peer.key },
    ];
    await store.apply(removals);
    await store.apply(removals);
    expect(await load(store)).toEqual({ contents: [], entries: [], peers: [] });
    expect(await store.manifest(manifest.contentId)).toBeUndefined();
  });

  test('shows contents longest idle first and served ones last, entries and peers oldest first', async () => {
    const store = create();
    await store.apply([idle('served', null), idle('new', 30), idle('old', 10)]);
    await store.apply([
      { type: 'put-entry', entry: { ...entry, contentKey: 'second', publishedAtMs: 2 } },
      { type: 'put-entry', entry: { ...entry, contentKey: 'first', publishedAtMs: 1 } },
      { type: 'put-peer', peer: { ...peer, key: 'late', lastSeenMs: 2 } },
      { type: 'put-peer', peer: { ...peer, key: 'early', lastSeenMs: 1 } },
    ]);
    const stored = await load(store);
    expect(stored.contents.map(({ key }) => key)).toEqual(['old', 'new', 'served']);
    expect(stored.entries.map(({ contentKey }) => contentKey)).toEqual(['first', 'second']);
    expect(stored.peers.map(({ key }) => key)).toEqual(['early', 'late']);
  });

  test('keeps its own copy of a manifest', async () => {
    const store = create();
    const bytes = manifest.bytes.slice();
    await store.apply([{ type: 'put-manifest', contentId: manifest.contentId, bytes }]);
    bytes.fill(0);
    expect(await store.manifest(manifest.contentId)).toEqual(manifest.bytes);
  });

  test('closes twice without complaint', async () => {
    const store = create();
    await store.close();
    await store.close();
  });
});

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
