import { expect, test } from 'vitest';
import type { ContentId } from '../../content/digest.ts';
import type { StoreChange, TrackerStore } from './store.ts';
import { wholeBatchLength, WriteQueue } from './write-queue.ts';

function published(key: string, withManifest: boolean): StoreChange[] {
  const content = { key, contentId: '', size: 1, sha256: key, chunkSize: 0, chunkCount: 0, idleSinceMs: 1 } as const;
  return [
    { type: 'put-content', content },
    ...(withManifest ? [{ type: 'put-manifest', contentId: key as ContentId, bytes: new Uint8Array(1) } as const] : []),
    { type: 'put-entry', entry: { name: key, contentKey: key, publishedAtMs: 1, replicas: 0 } },
    { type: 'set-idle', key, idleSinceMs: null },
  ];
}

function removed(key: string): StoreChange[] {
  return [
    { type: 'remove-entry', name: key, contentKey: key },
    { type: 'remove-content', key },
  ];
}

test('a batch that would end between a content and its entry ends before that content', () => {
  const changes = [...published('a', true), ...published('b', true)];
  expect([1, 2, 3, 4, 5, 6, 7, 8].map((max) => wholeBatchLength(changes, max))).toEqual([1, 2, 3, 4, 4, 4, 7, 8]);
});

test('a batch that would end between the last entry of a content and the content ends before both', () => {
  const changes = [...published('a', false), ...removed('a'), ...published('b', false)];
  expect([3, 4, 5].map((max) => wholeBatchLength(changes, max))).toEqual([3, 3, 5]);
});

test('whatever is written in many batches is whole after each of them, and all of it is written', async () => {
  const contents = new Set<string>();
  const entries = new Set<string>();
  let batches = 0;
  const store: TrackerStore = {
    async load() {},
    manifest: () => Promise.resolve(undefined),
    async apply(changes) {
      batches++;
      for (const change of changes) {
        if (change.type === 'put-content') contents.add(change.content.key);
        else if (change.type === 'remove-content') contents.delete(change.key);
        else if (change.type === 'put-entry') entries.add(change.entry.contentKey);
        else if (change.type === 'remove-entry') entries.delete(change.contentKey);
      }
      expect([...contents]).toEqual([...entries]);
    },
    async close() {},
  };
  const queue = new WriteQueue(store);
  for (let number = 0; number < 5_000; number++) {
    for (const change of published(`c${number}`, number % 2 === 0)) queue.push(change);
    if (number % 3 === 2) for (const change of removed(`c${number - 1}`)) queue.push(change);
  }
  await queue.flush();
  expect(batches).toBeGreaterThan(5);
  expect(entries.size).toBe(5_000 - Math.floor(5_000 / 3));
});
