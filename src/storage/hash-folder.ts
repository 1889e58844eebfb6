/**
 * The manifest of a folder content: its listing and the bytes of its small files in one stream, each file read once, with plain calls
 * that keep the calling thread busy. Refuses a file that is not as it was when the listing was made.
 */
import { createHash } from 'node:crypto';
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { createChunkLayout } from '../content/chunk-layout.ts';
import { SHA256_BYTES } from '../content/digest.ts';
import { createManifest, type Manifest } from '../content/manifest.ts';
import { ShoalError } from '../errors.ts';
import { sha256 } from './digest-chunk.ts';
import { diskError } from './disk-error.ts';
import { fileStamp, sameStamp, type FileStamp } from './file-stamp.ts';

export interface FolderHashOrder {
  readonly listing: Uint8Array<ArrayBuffer>;
  /** Files whose bytes follow the listing, in its order. */
  readonly files: readonly { readonly path: string; readonly stamp: FileStamp }[];
  /** Default: the house's rule for the size. */
  readonly chunkSize: number | undefined;
}

/** Throws `conflict` when a file has changed, `disk` when one cannot be read. */
export function hashFolder({ listing, files, chunkSize }: FolderHashOrder): Manifest {
  const size = files.reduce((sum, { stamp }) => sum + stamp.size, listing.length);
  const layout = createChunkLayout(size, chunkSize);
  const chunk = new Uint8Array(Math.min(layout.chunkSize, size));
  const digests = new Uint8Array(layout.chunkCount * SHA256_BYTES);
  // a content of one chunk has the same digest twice
  const whole = layout.chunkCount > 1 ? createHash('sha256') : undefined;
  let filled = 0;
  let chunkIndex = 0;

  const close = (): void => {
    const bytes = chunk.subarray(0, filled);
    whole?.update(bytes);
    digests.set(sha256(bytes), chunkIndex++ * SHA256_BYTES);
    filled = 0;
  };

  for (let at = 0; at < listing.length;) {
    const part = listing.subarray(at, at + chunk.length - filled);
    chunk.set(part, filled);
    filled += part.length;
    at += part.length;
    if (filled === chunk.length) close();
  }
  for (const { path, stamp } of files) {
    if (stamp.size === 0) continue;
    try {
      const descriptor = openSync(path, 'r');
      try {
        if (!sameStamp(fileStamp(fstatSync(descriptor, { bigint: true })), stamp)) throw changedError(path);
        for (let at = 0; at < stamp.size;) {
          const room = Math.min(chunk.length - filled, stamp.size - at);
          const byteCount = readSync(descriptor, chunk, filled, room, at);
          if (byteCount === 0) throw changedError(path);
          filled += byteCount;
          at += byteCount;
          if (filled === chunk.length) close();
        }
      } finally {
        closeSync(descriptor);
      }
    } catch (error) {
      throw diskError(error, `cannot read ${path}`);
    }
  }
  if (filled > 0) close();
  return createManifest(layout, whole?.digest() ?? digests, digests, sha256);
}

function changedError(path: string): ShoalError {
  return new ShoalError('conflict', `${path} changed while its folder was hashed`);
}
