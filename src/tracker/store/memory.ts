/** A store that forgets: for tests, and for a tracker whose state need not survive it. */
import type { StoreChange, StoredContent, StoredEntry, StoredPeer, TrackerStore } from './store.ts';

export function createMemoryStore(): TrackerStore {
  const contents = new Map<string, StoredContent>();
  const manifests = new Map<string, Uint8Array<ArrayBuffer>>();
  const entries = new Map<string, StoredEntry>();
  const peers = new Map<string, StoredPeer>();

  const applyOne = (change: StoreChange): void => {
    switch (change.type) {
      case 'put-content':
        contents.set(change.content.key, change.content);
        break;
      case 'set-idle': {
        const content = contents.get(change.key);
        if (content !== undefined) contents.set(change.key, { ...content, idleSinceMs: change.idleSinceMs });
        break;
      }
      case 'put-manifest':
        manifests.set(change.contentId, change.bytes.slice());
        break;
      case 'remove-content':
        contents.delete(change.key);
        manifests.delete(change.key);
        break;
      case 'put-entry':
        entries.set(entryKey(change.entry.name, change.entry.contentKey), change.entry);
        break;
      case 'remove-entry':
        entries.delete(entryKey(change.name, change.contentKey));
        break;
      case 'put-peer':
        peers.set(change.peer.key, change.peer);
        break;
      case 'remove-peer':
        peers.delete(change.key);
        break;
    }
  };

  return {
    async load(visitor) {
      for (const content of [...contents.values()].toSorted((a, b) => oldestFirst(idleAt(a), idleAt(b))))
        visitor.content(content);
      for (const entry of [...entries.values()].toSorted((a, b) => oldestFirst(a.publishedAtMs, b.publishedAtMs)))
        visitor.entry(entry);
      for (const peer of [...peers.values()].toSorted((a, b) => oldestFirst(a.lastSeenMs, b.lastSeenMs)))
        visitor.peer(peer);
    },
    async manifest(contentId) {
      return manifests.get(contentId)?.slice();
    },
    async apply(changes) {
      for (const change of changes) applyOne(change);
    },
    async close() {},
  };
}

function entryKey(name: string, contentKey: string): string {
  return `${name}\0${contentKey}`;
}

function idleAt(content: StoredContent): number {
  return content.idleSinceMs ?? Number.POSITIVE_INFINITY;
}

function oldestFirst(a: number, b: number): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
