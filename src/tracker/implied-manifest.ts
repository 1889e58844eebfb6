/**
 * The manifest of a content of at most one chunk follows from what the catalogue says of it, because the chunk is the whole: it need
 * not be kept. Small files are most of what a folder has, and their manifests would be a third of what publishing them writes.
 */
import { createChunkLayout } from '../content/chunk-layout.ts';
import { digestBytes, isSha256Hex, type Sha256Function } from '../content/digest.ts';
import { createManifest, type Manifest } from '../content/manifest.ts';
import type { ContentRecord } from './records.ts';

const NO_DIGESTS = new Uint8Array(0);

/** Undefined when it does not follow: there are more chunks, or it is none of those that honest peers make. */
export function impliedManifest(
  content: Pick<ContentRecord, 'contentId' | 'size' | 'sha256' | 'chunkSize' | 'chunkCount'> | undefined,
  sha256: Sha256Function,
): Manifest | undefined {
  if (content === undefined || content.contentId === '' || content.chunkCount > 1) return undefined;
  if (!isSha256Hex(content.sha256)) return undefined;
  const whole = digestBytes(content.sha256);
  const layout = createChunkLayout(content.size, content.chunkSize);
  const manifest = createManifest(layout, whole, layout.chunkCount === 0 ? NO_DIGESTS : whole, sha256);
  return manifest.contentId === content.contentId ? manifest : undefined;
}

/** Whether the manifest is the one that follows from its first fields. */
export function isImplied({ chunkCount, sha256, chunkDigests }: Manifest): boolean {
  return chunkCount === 0 || (chunkCount === 1 && chunkDigests.toHex() === sha256);
}
