/**
 * The manifest of a folder content: its listing and the bytes of its small files in one stream, each file read once, with plain calls
 * that keep the calling thread busy. Refuses a file that is not as it was when the listing was made.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { createChunkLayout } from '../content/chunk-layout.ts';
import { SHA256_BYTES } from '../content/digest.ts';
import { createManifest, type Manifest } from '../content/manifest.ts';
import { ShoalError } from '../errors.ts';
import { sha256 } from './digest-chunk.ts';
import { diskError } from './disk-error.ts';
import { fileStamp, sameStamp, type FileStamp } from './file-stamp.ts';
import { sha256Lanes, type Sha256Stream } from './sha256-lanes.ts';

export interface FolderHashOrder {
  readonly listing: Uint8Array<ArrayBuffer>;
  /** Files whose bytes follow the listing, in its order. */
  readonly files: PackedFiles;
  /** Default: the house's rule for the size. */
  readonly chunkSize: number | undefined;
}

/** Files and how they were, in arrays: an object for each costs more on its way to a thread than reading the file. */
export interface PackedFiles {
  readonly paths: readonly string[];
  readonly sizes: Float64Array<ArrayBuffer>;
  readonly mtimesNs: BigInt64Array<ArrayBuffer>;
  readonly inodes: BigInt64Array<ArrayBuffer>;
}

export function packFiles(files: readonly { readonly path: string; readonly stamp: FileStamp }[]): PackedFiles {
  const packed = {
    paths: files.map(({ path }) => path),
    sizes: new Float64Array(files.length),
    mtimesNs: new BigInt64Array(files.length),
    inodes: new BigInt64Array(files.length),
  };
  for (const [index, { stamp }] of files.entries()) {
    packed.sizes[index] = stamp.size;
    packed.mtimesNs[index] = stamp.mtimeNs;
    packed.inodes[index] = stamp.inode;
  }
  return packed;
}

/** Throws `conflict` when a file has changed, `disk` when one cannot be read. */
export function hashFolder({ listing, files, chunkSize }: FolderHashOrder): Manifest {
  const size = files.sizes.reduce((sum, fileBytes) => sum + fileBytes, listing.length);
  const layout = createChunkLayout(size, chunkSize);
  // shared, because that is what two lanes at a time can read
  const chunk = new Uint8Array(new SharedArrayBuffer(Math.min(layout.chunkSize, size)));
  const digests = new Uint8Array(layout.chunkCount * SHA256_BYTES);
  // a content of one chunk has the same digest twice
  const lanes = sha256Lanes();
  const whole: Sha256Stream | undefined = layout.chunkCount > 1 ? lanes.begin() : undefined;
  let filled = 0;
  let chunkIndex = 0;

  const close = (): void => {
    const bytes = chunk.subarray(0, filled);
    const own = lanes.begin();
    if (whole === undefined) lanes.update(own, bytes);
    else lanes.update(own, bytes, whole, bytes);
    digests.set(lanes.digest(own), chunkIndex++ * SHA256_BYTES);
    filled = 0;
  };

  for (let at = 0; at < listing.length;) {
    const part = listing.subarray(at, at + chunk.length - filled);
    chunk.set(part, filled);
    filled += part.length;
    at += part.length;
    if (filled === chunk.length) close();
  }
  for (const [index, path] of files.paths.entries()) {
    const stamp: FileStamp = {
      size: files.sizes[index] as number,
      mtimeNs: files.mtimesNs[index] as bigint,
      inode: files.inodes[index] as bigint,
    };
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
  return createManifest(layout, whole === undefined ? digests : lanes.digest(whole), digests, sha256);
}

function changedError(path: string): ShoalError {
  return new ShoalError('conflict', `${path} changed while its folder was hashed`);
}
