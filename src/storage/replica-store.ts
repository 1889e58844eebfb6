/**
 * Chunks that a volunteer keeps for others, in its data directory: a folder for each content with its manifest and a file for each
 * chunk, so that what is dropped frees its space at once, and nothing has to be recorded beside it.
 *
 *     replicas/<contentId>/manifest    canonical bytes
 *     replicas/<contentId>/<index>     a verified chunk, written under another name first and renamed when it is durable
 *
 * Takes only bytes that its caller has verified. After a start a chunk is believed if its file has the right size: no name appears
 * before its bytes are on the disk. Whoever is told that one is wrong has it checked (`isGood`).
 */
import { mkdir, open, readdir, readFile, rename, rm, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { Bitfield } from '../content/bitfield.ts';
import { chunkBytes } from '../content/chunk-layout.ts';
import { isSha256Hex, parseContentId, type ContentId } from '../content/digest.ts';
import { chunkDigestMatches, parseManifest, type Manifest } from '../content/manifest.ts';
import { ShoalError } from '../errors.ts';
import { digestChunk, sha256 } from './digest-chunk.ts';
import { diskError, isMissing } from './disk-error.ts';
import { readFully } from './read-fully.ts';

/** Writes all bytes at a position of a descriptor. */
export type DescriptorWriter = (descriptor: number, bytes: Uint8Array, position: number) => Promise<void>;

const MANIFEST = 'manifest';
const NEW = '.new';
const INDEX = /^(?:0|[1-9]\d{0,6})$/u;

export class ReplicaStore {
  readonly #folder: string;
  readonly #writer: DescriptorWriter;
  readonly #contents = new Map<ContentId, StoredReplica>();

  /** Reads what is there; throws `disk`. Leftovers of writes that a crash has ended are removed. */
  static async open(folder: string, writer: DescriptorWriter): Promise<ReplicaStore> {
    const store = new ReplicaStore(folder, writer);
    try {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      for (const name of await readdir(folder)) if (isSha256Hex(name)) await store.#load(parseContentId(name));
    } catch (error) {
      throw diskError(error, `cannot read the replicas in ${folder}`);
    }
    return store;
  }

  private constructor(folder: string, writer: DescriptorWriter) {
    this.#folder = folder;
    this.#writer = writer;
  }

  all(): IterableIterator<StoredReplica> {
    return this.#contents.values();
  }

  get(contentId: ContentId): StoredReplica | undefined {
    return this.#contents.get(contentId);
  }

  /** Makes a place for chunks of this content. */
  async begin(manifest: Manifest): Promise<StoredReplica> {
    const { contentId } = manifest;
    const known = this.#contents.get(contentId);
    if (known !== undefined) return known;
    const folder = join(this.#folder, contentId);
    try {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      await writeDurably(join(folder, MANIFEST), (descriptor) => this.#writer(descriptor, manifest.bytes, 0));
    } catch (error) {
      throw diskError(error, `cannot keep replicas in ${folder}`);
    }
    const replica = new StoredReplica(folder, manifest, new Bitfield(manifest.chunkCount), this.#writer);
    this.#contents.set(contentId, replica);
    return replica;
  }

  /** Forgets a content with all its chunks. */
  async remove(contentId: ContentId): Promise<void> {
    this.#contents.delete(contentId);
    await rm(join(this.#folder, contentId), { recursive: true, force: true });
  }

  /** Bytes that may still be written to this disk by this user. */
  async freeBytes(): Promise<number> {
    const { bavail, bsize } = await statfs(this.#folder);
    return bavail * bsize;
  }

  async #load(contentId: ContentId): Promise<void> {
    const folder = join(this.#folder, contentId);
    const manifest = await readManifest(join(folder, MANIFEST), contentId);
    // without its manifest nothing in it can be used
    if (manifest === undefined) return await this.remove(contentId);
    const have = new Bitfield(manifest.chunkCount);
    for (const name of await readdir(folder)) {
      if (name === MANIFEST) continue;
      const index = INDEX.test(name) ? Number(name) : manifest.chunkCount;
      const isWhole =
        index < manifest.chunkCount && (await stat(join(folder, name))).size === chunkBytes(manifest, index);
      if (isWhole) have.add(index);
      else await rm(join(folder, name), { recursive: true, force: true });
    }
    this.#contents.set(contentId, new StoredReplica(folder, manifest, have, this.#writer));
  }
}

export class StoredReplica {
  readonly manifest: Manifest;
  /** The chunks that are there; changed by `write` and `drop` only. */
  readonly have: Bitfield;
  readonly #folder: string;
  readonly #writer: DescriptorWriter;
  #bytes: number;

  constructor(folder: string, manifest: Manifest, have: Bitfield, writer: DescriptorWriter) {
    this.#folder = folder;
    this.manifest = manifest;
    this.have = have;
    this.#writer = writer;
    this.#bytes = 0;
    for (const chunk of have) this.#bytes += chunkBytes(manifest, chunk);
  }

  /** Of the chunks that are there. */
  get byteCount(): number {
    return this.#bytes;
  }

  /** Keeps a verified chunk; it is durable when this resolves. The bytes must not change until then. */
  async write(chunkIndex: number, bytes: Uint8Array): Promise<void> {
    const byteCount = chunkBytes(this.manifest, chunkIndex);
    if (bytes.length !== byteCount)
      throw new ShoalError('bug', `chunk ${chunkIndex} has ${byteCount} bytes, not ${bytes.length}`);
    try {
      await writeDurably(this.#path(chunkIndex), (descriptor) => this.#writer(descriptor, bytes, 0));
    } catch (error) {
      throw diskError(error, `cannot keep chunk ${chunkIndex} of ${this.manifest.contentId}`);
    }
    if (this.have.add(chunkIndex)) this.#bytes += byteCount;
  }

  /** Reads a chunk into the beginning of `into`. Throws `disk` when its file is gone or has another size. */
  async read(chunkIndex: number, into: Uint8Array): Promise<void> {
    const path = this.#path(chunkIndex);
    try {
      const handle = await open(path, 'r');
      try {
        const byteCount = chunkBytes(this.manifest, chunkIndex);
        const shorter = (): ShoalError => new ShoalError('disk', `${path} is shorter than its chunk`);
        await readFully(handle, into.subarray(0, byteCount), 0, shorter);
      } finally {
        await handle.close();
      }
    } catch (error) {
      throw diskError(error, `cannot read ${path}`);
    }
  }

  /** Whether the chunk still is what was written. */
  async isGood(chunkIndex: number): Promise<boolean> {
    const bytes = new Uint8Array(chunkBytes(this.manifest, chunkIndex));
    try {
      await this.read(chunkIndex, bytes);
    } catch {
      return false;
    }
    return chunkDigestMatches(this.manifest, chunkIndex, await digestChunk(bytes));
  }

  /** Lets go of a chunk; it is not there any more from now on. */
  async drop(chunkIndex: number): Promise<void> {
    if (!this.have.delete(chunkIndex)) return;
    this.#bytes -= chunkBytes(this.manifest, chunkIndex);
    await rm(this.#path(chunkIndex), { force: true });
  }

  #path(chunkIndex: number): string {
    return join(this.#folder, String(chunkIndex));
  }
}

/** A file appears under its name only when its bytes are on the disk. */
async function writeDurably(path: string, write: (descriptor: number) => Promise<void>): Promise<void> {
  const newPath = path + NEW;
  try {
    const handle = await open(newPath, 'w', 0o600);
    try {
      await write(handle.fd);
      await handle.datasync();
    } finally {
      await handle.close();
    }
    await rename(newPath, path);
  } catch (error) {
    await rm(newPath, { force: true });
    throw error;
  }
}

async function readManifest(path: string, contentId: ContentId): Promise<Manifest | undefined> {
  try {
    return parseManifest(new Uint8Array(await readFile(path)), sha256, contentId);
  } catch (error) {
    if (isMissing(error) || error instanceof ShoalError) return undefined;
    throw error;
  }
}
