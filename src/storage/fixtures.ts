/** What the tests of this folder share: temporary folders, reproducible bytes, waiting for a condition. Tests only. */
import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createChunkLayout } from '../content/chunk-layout.ts';
import { SHA256_BYTES } from '../content/digest.ts';
import { createManifest, type Manifest } from '../content/manifest.ts';
import { ShoalError } from '../errors.ts';
import { sha256 } from './digest-chunk.ts';

/** Runs `use` with an empty folder and deletes it afterwards. */
export async function withTempFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'shoal-storage-')));
  try {
    await use(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** A small generator of numbers from 0 up to 1 (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

export function seededBytes(byteCount: number, seed = 1): Uint8Array<ArrayBuffer> {
  const random = seededRandom(seed);
  return Uint8Array.from({ length: byteCount }, () => Math.floor(random() * 256));
}

/** The manifest of bytes, made the obvious way. */
export function manifestOf(bytes: Uint8Array, chunkSize?: number): Manifest {
  const layout = createChunkLayout(bytes.length, chunkSize);
  const digests = new Uint8Array(layout.chunkCount * SHA256_BYTES);
  for (let index = 0; index < layout.chunkCount; index++) {
    const start = index * layout.chunkSize;
    digests.set(sha256(bytes.subarray(start, start + layout.chunkSize)), index * SHA256_BYTES);
  }
  return createManifest(layout, sha256(bytes), digests, sha256);
}

/** Waits until `isMet` says true; throws when it does not within `deadlineMs`. */
export async function until(what: string, isMet: () => boolean, deadlineMs = 10_000): Promise<void> {
  const endMs = performance.now() + deadlineMs;
  while (!isMet()) {
    if (performance.now() > endMs) throw new ShoalError('bug', `this did not happen within ${deadlineMs} ms: ${what}`);
    await new Promise<void>((resolve) => setTimeout(resolve, 5));
  }
}
