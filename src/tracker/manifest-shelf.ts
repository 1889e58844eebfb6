/**
 * Manifests on their way in and out: those uploaded in parts and not yet published, and those asked for again and again. The store
 * keeps them all; this keeps bounded memory between it and the calls. Bytes read from the store are checked before they are given out.
 */
import type { ContentId, Sha256Function } from '../content/digest.ts';
import { parseManifest, type Manifest } from '../content/manifest.ts';
import { ShoalError } from '../errors.ts';
import * as limits from '../limits.ts';
import { DueQueue, type DueNode } from './due-queue.ts';

export interface ManifestPart {
  /** Who uploads: two peers may upload the same manifest at a time. */
  readonly uploader: string;
  readonly contentId: ContentId;
  readonly totalBytes: number;
  readonly offset: number;
  readonly part: Uint8Array;
}

interface Upload {
  readonly key: string;
  readonly totalBytes: number;
  readonly parts: Uint8Array[];
  receivedBytes: number;
  whole: Manifest | undefined;
  due: DueNode<Upload> | undefined;
}

export class ManifestShelf {
  readonly #read: (contentId: ContentId) => Promise<Uint8Array<ArrayBuffer> | undefined>;
  readonly #sha256: Sha256Function;
  readonly #stagedMax: number;
  readonly #uploads = new Map<string, Upload>();
  readonly #uploadsDue = new DueQueue<Upload>();
  #stagedBytes = 0;
  /** Least recently used first. */
  readonly #cache = new Map<ContentId, Manifest>();
  #cacheBytes = 0;

  constructor(options: {
    readonly read: (contentId: ContentId) => Promise<Uint8Array<ArrayBuffer> | undefined>;
    readonly sha256: Sha256Function;
    readonly stagedBytesMax?: number | undefined;
  }) {
    this.#read = options.read;
    this.#sha256 = options.sha256;
    this.#stagedMax = options.stagedBytesMax ?? limits.MANIFEST_STAGED_BYTES_MAX;
  }

  /** Takes the next part of an upload; says whether the manifest is whole now. A part that came before is taken again. */
  addPart({ uploader, contentId, totalBytes, offset, part }: ManifestPart, nowMs: number): boolean {
    if (totalBytes > limits.MANIFEST_BYTES_MAX)
      throw new ShoalError(
        'too-large',
        `a manifest of ${totalBytes} bytes is beyond the limit of ${limits.MANIFEST_BYTES_MAX}`,
      );
    if (part.length === 0 || part.length > limits.MANIFEST_UPLOAD_PART_BYTES || offset + part.length > totalBytes)
      throw new ShoalError(
        'usage',
        `a part of ${part.length} bytes at ${offset} does not fit a manifest of ${totalBytes} bytes`,
      );
    const key = `${uploader}/${contentId}`;
    if (offset === 0) this.#drop(this.#uploads.get(key));
    const upload = this.#uploads.get(key) ?? this.#begin(key, totalBytes, offset, nowMs);
    if (upload.totalBytes !== totalBytes)
      throw new ShoalError('usage', 'the parts of one manifest name different totals');
    if (offset + part.length <= upload.receivedBytes) return upload.whole !== undefined;
    if (offset !== upload.receivedBytes)
      throw new ShoalError(
        'usage',
        `the next part of this manifest begins at ${upload.receivedBytes}, not at ${offset}`,
      );
    if (this.#stagedBytes + part.length > this.#stagedMax)
      throw new ShoalError('limit', 'too many manifests are being uploaded at the moment: try again later');
    upload.parts.push(part.slice());
    upload.receivedBytes += part.length;
    this.#stagedBytes += part.length;
    if (upload.due !== undefined) this.#uploadsDue.renew(upload.due, nowMs + limits.MANIFEST_STAGED_MS);
    if (upload.receivedBytes < totalBytes) return false;
    try {
      upload.whole = parseManifest(concatenate(upload.parts, totalBytes), this.#sha256, contentId);
      upload.parts.length = 0;
      return true;
    } catch (error) {
      this.#drop(upload);
      throw error;
    }
  }

  /** A manifest that this uploader has brought whole; it stays until its time is over, so that a retried publish finds it. */
  uploaded(uploader: string, contentId: ContentId): Manifest | undefined {
    return this.#uploads.get(`${uploader}/${contentId}`)?.whole;
  }

  /** Drops uploads nobody went on with. */
  expire(nowMs: number): void {
    for (let upload = this.#uploadsDue.takeDue(nowMs); upload !== undefined; upload = this.#uploadsDue.takeDue(nowMs))
      this.#drop(upload);
  }

  /** Keeps a manifest at hand. */
  keep(manifest: Manifest): void {
    this.forget(manifest.contentId);
    this.#cache.set(manifest.contentId, manifest);
    this.#cacheBytes += manifest.bytes.length;
    for (const oldest of this.#cache.keys()) {
      if (this.#cacheBytes <= limits.MANIFEST_CACHE_BYTES_MAX) break;
      this.forget(oldest);
    }
  }

  forget(contentId: ContentId): void {
    const known = this.#cache.get(contentId);
    if (known === undefined) return;
    this.#cache.delete(contentId);
    this.#cacheBytes -= known.bytes.length;
  }

  /** The manifest of a content in the catalogue. Throws `disk` when the store has lost it. */
  async get(contentId: ContentId): Promise<Manifest> {
    let manifest = this.#cache.get(contentId);
    if (manifest === undefined) {
      const bytes = await this.#read(contentId);
      if (bytes === undefined)
        throw new ShoalError('disk', `the tracker's store has lost the manifest of content ${contentId}`);
      manifest = parseManifest(bytes, this.#sha256, contentId);
    }
    this.keep(manifest);
    return manifest;
  }

  #begin(key: string, totalBytes: number, offset: number, nowMs: number): Upload {
    if (offset !== 0) throw new ShoalError('usage', 'this upload is not known here (any more): begin at offset 0');
    const upload: Upload = { key, totalBytes, parts: [], receivedBytes: 0, whole: undefined, due: undefined };
    upload.due = this.#uploadsDue.push(upload, nowMs + limits.MANIFEST_STAGED_MS);
    this.#uploads.set(key, upload);
    return upload;
  }

  #drop(upload: Upload | undefined): void {
    if (upload === undefined) return;
    this.#uploads.delete(upload.key);
    if (upload.due !== undefined) this.#uploadsDue.remove(upload.due);
    this.#stagedBytes -= upload.receivedBytes;
  }
}

function concatenate(parts: readonly Uint8Array[], totalBytes: number): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(totalBytes);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
