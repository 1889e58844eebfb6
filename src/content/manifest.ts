/**
 * The manifest: what a content is, byte for byte. Its canonical bytes are the only form that is ever hashed, stored or sent, so a
 * contentId means the same everywhere.
 *
 * Canonical bytes, version 1, integers big-endian:
 *
 *     offset  bytes  field
 *          0      4  magic "SHLM"
 *          4      1  version, 1
 *          5      3  zero
 *          8      8  size of the content in bytes, at most 2^53 - 1
 *         16      4  chunk size in bytes, a power of two
 *         20      4  number of chunks, ceil(size / chunk size)
 *         24     32  SHA-256 of the whole content
 *         56   32*n  SHA-256 of each chunk, in order
 */
import { ShoalError } from '../errors.ts';
import * as limits from '../limits.ts';
import { createChunkLayout, type ChunkLayout } from './chunk-layout.ts';
import {
  bytesEqual,
  contentIdFromBytes,
  digestBytes,
  sha256HexFromBytes,
  SHA256_BYTES,
  type ContentId,
  type Sha256Function,
  type Sha256Hex,
} from './digest.ts';

export const MANIFEST_HEADER_BYTES = 56;
const MAGIC = 0x53484c4d; // "SHLM"
const VERSION = 1;

/** A checked manifest. `bytes` are its canonical bytes; `chunkDigests` is the tail of them, 32 bytes a chunk. Immutable by convention. */
export interface Manifest extends ChunkLayout {
  readonly contentId: ContentId;
  /** SHA-256 of the whole content. */
  readonly sha256: Sha256Hex;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly chunkDigests: Uint8Array<ArrayBuffer>;
}

/** Makes the manifest of a content from its digests: 32 bytes a chunk in `chunkDigests`. Throws `usage` where they do not fit the layout. */
export function createManifest(
  layout: ChunkLayout,
  contentSha256: Uint8Array,
  chunkDigests: Uint8Array,
  sha256: Sha256Function,
): Manifest {
  return parseManifest(encodeManifest(layout, contentSha256, chunkDigests), sha256);
}

/** The canonical bytes of a manifest, for whoever needs no more than those. Throws `usage` as `createManifest` does. */
export function encodeManifest(
  layout: ChunkLayout,
  contentSha256: Uint8Array,
  chunkDigests: Uint8Array,
): Uint8Array<ArrayBuffer> {
  if (contentSha256.length !== SHA256_BYTES)
    throw new ShoalError('usage', 'the digest of the whole content must have 32 bytes');
  if (chunkDigests.length !== layout.chunkCount * SHA256_BYTES) {
    throw new ShoalError(
      'usage',
      `${layout.chunkCount} chunks need ${layout.chunkCount * SHA256_BYTES} bytes of digests, not ${chunkDigests.length}`,
    );
  }
  const bytes = new Uint8Array(MANIFEST_HEADER_BYTES + chunkDigests.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC);
  view.setUint8(4, VERSION);
  view.setBigUint64(8, BigInt(layout.size));
  view.setUint32(16, layout.chunkSize);
  view.setUint32(20, layout.chunkCount);
  bytes.set(contentSha256, 24);
  bytes.set(chunkDigests, MANIFEST_HEADER_BYTES);
  return bytes;
}

/**
 * Reads and checks canonical bytes; the result keeps `bytes`, which must not change afterwards. Throws `integrity` for anything
 * that is not a manifest, and, when `expected` is given, for a manifest of another content.
 */
export function parseManifest(bytes: Uint8Array<ArrayBuffer>, sha256: Sha256Function, expected?: ContentId): Manifest {
  const refuse = (what: string): ShoalError => new ShoalError('integrity', `not a valid manifest: ${what}`);
  if (bytes.length < MANIFEST_HEADER_BYTES) throw refuse(`${bytes.length} bytes, fewer than its header has`);
  if (bytes.length > limits.MANIFEST_BYTES_MAX)
    throw refuse(`${bytes.length} bytes, more than ${limits.MANIFEST_BYTES_MAX}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0) !== MAGIC) throw refuse('it does not begin with "SHLM"');
  if (view.getUint8(4) !== VERSION) throw refuse(`version ${view.getUint8(4)} is not known here`);
  if (view.getUint8(5) !== 0 || view.getUint16(6) !== 0) throw refuse('reserved bytes are not zero');
  const size = view.getBigUint64(8);
  if (size > BigInt(Number.MAX_SAFE_INTEGER)) throw refuse('the size is too large');
  let layout: ChunkLayout;
  try {
    layout = createChunkLayout(Number(size), view.getUint32(16));
  } catch (error) {
    throw refuse(ShoalError.from(error).message);
  }
  if (view.getUint32(20) !== layout.chunkCount)
    throw refuse(`${view.getUint32(20)} chunks where size and chunk size make ${layout.chunkCount}`);
  if (bytes.length !== MANIFEST_HEADER_BYTES + layout.chunkCount * SHA256_BYTES)
    throw refuse('its length does not fit its number of chunks');
  const contentId = contentIdFromBytes(sha256(bytes));
  if (expected !== undefined && contentId !== expected)
    throw new ShoalError('integrity', `the manifest is that of content ${contentId}, not of ${expected}`);
  return {
    ...layout,
    contentId,
    sha256: sha256HexFromBytes(bytes.subarray(24, MANIFEST_HEADER_BYTES)),
    bytes,
    chunkDigests: bytes.subarray(MANIFEST_HEADER_BYTES),
  };
}

/** The 32 bytes of a chunk's SHA-256; a view into the manifest, not a copy. */
export function chunkDigest(manifest: Manifest, chunkIndex: number): Uint8Array<ArrayBuffer> {
  return manifest.chunkDigests.subarray(chunkIndex * SHA256_BYTES, (chunkIndex + 1) * SHA256_BYTES);
}

/** Whether `digest` is the SHA-256 that the manifest gives for this chunk. */
export function chunkDigestMatches(manifest: Manifest, chunkIndex: number, digest: Uint8Array): boolean {
  return bytesEqual(chunkDigest(manifest, chunkIndex), digest);
}

/** The digest of the whole content as bytes. */
export function contentSha256Bytes(manifest: Manifest): Uint8Array<ArrayBuffer> {
  return digestBytes(manifest.sha256);
}
