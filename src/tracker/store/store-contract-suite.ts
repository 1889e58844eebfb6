/** One contract for every store: store-contract.test.ts and test/e2e/valkey.test.ts run it for each. `create` makes an empty store. */
import { describe, expect, test } from 'vitest';
import { caller, createBench, manifestOf } from '../test-fixtures.ts';
import type { StoreChange, StoredContent, StoredEntry, StoredPeer, TrackerStore } from './store.ts';

const manifest = manifestOf('stored');
export const content: StoredContent = {
  key: manifest.contentId,
  contentId: manifest.contentId,
  size: Number.MAX_SAFE_INTEGER,
  sha256: manifest.sha256,
  chunkSize: manifest.chunkSize,
  chunkCount: manifest.chunkCount,
  idleSinceMs: 1_800_000_000_000,
};
export const entry: StoredEntry = {
  name: 'thư mục/tệp.bin',
  contentKey: content.key,
  publishedAtMs: 1_800_000_000_001,
  replicas: 3,
};
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

export async function load(store: TrackerStore): Promise<Stored> {
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

export function storeContract(name: string, create: () => TrackerStore | Promise<TrackerStore>): void {
  describe(`the ${name} store`, () => {
    const puts: StoreChange[] = [
      { type: 'put-content', content },
      { type: 'put-manifest', contentId: manifest.contentId, bytes: manifest.bytes },
      { type: 'put-entry', entry },
      { type: 'put-peer', peer },
    ];

    test('gives back what was put', async () => {
      const store = await create();
      await store.apply(puts);
      expect(await load(store)).toEqual({ contents: [content], entries: [entry], peers: [peer] });
      expect(await store.manifest(manifest.contentId)).toEqual(manifest.bytes);
      expect(await store.manifest(manifestOf('other').contentId)).toBeUndefined();
    });

    test('is empty at first and takes an empty batch', async () => {
      const store = await create();
      await store.apply([]);
      expect(await load(store)).toEqual({ contents: [], entries: [], peers: [] });
    });

    test('does not mind the same change twice', async () => {
      const store = await create();
      await store.apply([...puts, ...puts]);
      await store.apply(puts);
      const stored = await load(store);
      expect([stored.contents.length, stored.entries.length, stored.peers.length]).toEqual([1, 1, 1]);
    });

    test('replaces by key', async () => {
      const store = await create();
      await store.apply(puts);
      await store.apply([
        { type: 'set-idle', key: content.key, idleSinceMs: null },
        { type: 'put-peer', peer: { ...peer, agent: 'newer' } },
        { type: 'put-entry', entry: { ...entry, replicas: 0 } },
        { type: 'set-idle', key: 'nothing', idleSinceMs: 7 },
      ]);
      const stored = await load(store);
      expect(stored.contents).toEqual([{ ...content, idleSinceMs: null }]);
      expect(stored.entries).toEqual([{ ...entry, replicas: 0 }]);
      expect(stored.peers[0]?.agent).toBe('newer');
    });

    test('removes, a manifest with its content, and does not mind removing nothing', async () => {
      const store = await create();
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
      // nothing of what it asked for is left for the next of this name
      await store.apply([
        { type: 'put-content', content },
        { type: 'put-entry', entry: { ...entry, replicas: 0 } },
      ]);
      expect((await load(store)).entries).toEqual([{ ...entry, replicas: 0 }]);
    });

    test('shows contents longest idle first and served ones last, entries and peers oldest first', async () => {
      const store = await create();
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
      const store = await create();
      const bytes = manifest.bytes.slice();
      await store.apply([{ type: 'put-manifest', contentId: manifest.contentId, bytes }]);
      bytes.fill(0);
      expect(await store.manifest(manifest.contentId)).toEqual(manifest.bytes);
    });

    test('closes twice without complaint', async () => {
      const store = await create();
      await store.close();
      await store.close();
    });

    test('the same file in other chunks: of its entries one that somebody has is listed and found by name', async () => {
      const bench = await createBench({ store: await create() });
      const { registry } = bench;
      const [older, newer, another] = [manifestOf('same'), manifestOf('same', 4, 32 * 1024), manifestOf('another')];
      const query = { query: '', limit: 0, after: '', includeOffline: false, includeFolders: false };
      const listed = (): string[] => registry.list(query).entries.map(({ contentId }) => contentId);
      const found = async (): Promise<string> =>
        (await registry.locate({ what: 'x', peerId: '', limit: 0, wantManifest: false }, caller)).entry.contentId;
      const [stays, goes] = [bench.join(1), bench.join(2)];
      await bench.publish(stays, 'x', older);
      await bench.publish(goes, 'x', newer);
      expect([await found(), ...listed()]).toEqual([newer.contentId, newer.contentId]);
      registry.leave(goes);
      expect([await found(), ...listed()]).toEqual([older.contentId, older.contentId]);
      expect(registry.versions('x').map(({ contentId }) => contentId)).toEqual([newer.contentId, older.contentId]);
      // whoever announces the bytes alone joins those that have them
      const plain = { name: 'x', size: older.size, sha256: older.sha256 };
      await registry.announcePlain({ host: '10.0.0.7', port: 7001 }, [plain], caller);
      expect(registry.fileSources('x', caller).sources).toHaveLength(2);
      await bench.publish(bench.join(2), 'x', newer);
      expect([await found(), ...listed()]).toEqual([newer.contentId, newer.contentId]);
      // other bytes are another file: an older one does not pass for it
      await bench.publish(bench.join(3), 'x', another);
      registry.leave(bench.join(3));
      expect([await found(), ...listed()]).toEqual([another.contentId]);
    });
  });
}
