import { describe, expect, test } from 'vitest';
import { createChunkLayout } from '../content/chunk-layout.ts';
import { createManifest, type Manifest } from '../content/manifest.ts';
import { impliedManifest, isImplied } from './implied-manifest.ts';
import { createRegistry } from './registry.ts';
import { createMemoryStore } from './store/memory.ts';
import { caller, manifestOf, peerIdOf, sha256 } from './test-fixtures.ts';

function oneChunk(size: number, chunk: string, whole = chunk): Manifest {
  const digest = (text: string): Uint8Array => sha256(new TextEncoder().encode(text));
  const layout = createChunkLayout(size);
  return createManifest(layout, digest(whole), layout.chunkCount === 0 ? new Uint8Array(0) : digest(chunk), sha256);
}

describe('impliedManifest()', () => {
  test.each([
    ['an empty content', oneChunk(0, '')],
    ['a content of one chunk', oneChunk(10, 'a')],
  ])('gives back the manifest of %s', (_what, manifest) => {
    expect(isImplied(manifest)).toBe(true);
    expect(impliedManifest(manifest, sha256)).toEqual(manifest);
  });

  test.each([
    ['several chunks', manifestOf('a', 8)],
    ['one chunk that claims to differ from the whole', oneChunk(10, 'a', 'b')],
  ])('does not make up that of %s', (_what, manifest) => {
    expect(isImplied(manifest)).toBe(false);
    expect(impliedManifest(manifest, sha256)).toBeUndefined();
  });
});

test('a manifest that is implied is given out though the store was never told', async () => {
  const store = createMemoryStore();
  const registry = await createRegistry({ store, sha256, now: () => 1_000 });
  const peerId = peerIdOf(1);
  const addresses = [{ host: '10.0.0.1', port: 9001 }];
  registry.register({ peerId, addresses, dialects: ['native'], agent: '', holdings: [] }, caller);
  const manifest = oneChunk(10, 'a');
  const { contentId } = manifest;
  await registry.publish(peerId, [{ name: 'a', manifest: manifest.bytes, contentId, partial: false }]);
  expect(await store.manifest(contentId)).toBeUndefined();
  expect(await registry.manifest(contentId)).toEqual(manifest);
});
