/** Says what a file is, and where it differs from a manifest. Reads, reports, decides nothing. */
import { defaultChunkSize } from '../content/chunk-layout.ts';
import { bytesEqual, type ContentId, type Sha256Hex } from '../content/digest.ts';
import { chunkDigest, type Manifest } from '../content/manifest.ts';
import { hashFile, type HashFileOptions } from './hash-file.ts';

export interface VerifyFileOptions extends Pick<HashFileOptions, 'onBytes' | 'signal'> {
  /** What the file should be. */
  readonly manifest?: Manifest | undefined;
}

export interface VerifiedFile {
  readonly size: number;
  readonly sha256: Sha256Hex;
  /** With the default chunk size. */
  readonly contentId: ContentId;
  /** Undefined without a manifest to compare with. */
  readonly comparison: FileComparison | undefined;
}

export interface FileComparison {
  readonly matches: boolean;
  readonly expectedSize: number;
  /** Chunks of the manifest that the file lacks or has otherwise; bytes beyond them only change the size. */
  readonly differentChunks: readonly number[];
}

/** Throws `conflict` when the file changes meanwhile, `disk` when it cannot be read. A chunk size of its own costs a second reading. */
export async function verifyFile(path: string, options: VerifyFileOptions = {}): Promise<VerifiedFile> {
  const { manifest: expected, ...hashing } = options;
  const { manifest } = await hashFile(path, hashing);
  const { size, sha256, contentId } = manifest;
  if (expected === undefined) return { size, sha256, contentId, comparison: undefined };
  const sameChunks =
    expected.chunkSize === defaultChunkSize(size)
      ? manifest
      : (await hashFile(path, { ...hashing, chunkSize: expected.chunkSize })).manifest;
  return { size, sha256, contentId, comparison: compare(sameChunks, expected) };
}

function compare(actual: Manifest, expected: Manifest): FileComparison {
  const differentChunks: number[] = [];
  for (let chunkIndex = 0; chunkIndex < expected.chunkCount; chunkIndex++) {
    const isThere = chunkIndex < actual.chunkCount;
    if (!isThere || !bytesEqual(chunkDigest(actual, chunkIndex), chunkDigest(expected, chunkIndex)))
      differentChunks.push(chunkIndex);
  }
  return { matches: actual.contentId === expected.contentId, expectedSize: expected.size, differentChunks };
}
