/**
 * A download on disk: `<target>.part` beside the target, with a journal of what is good in it. Takes only bytes that its caller has
 * verified, and does not look at them again; knows nothing of sources or schedules.
 *
 * One holder at a time (a kernel lock). What was written survives a crash of the process; what a barrier covered survives a power
 * loss. The target appears under its name only whole and durable.
 */
import type { Stats } from 'node:fs';
import { mkdir, open, readFile, rename, rm, stat, statfs, type FileHandle } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { Bitfield } from '../content/bitfield.ts';
import { chunkBytes, chunkOffset, type ChunkLayout } from '../content/chunk-layout.ts';
import { ShoalError } from '../errors.ts';
import * as limits from '../limits.ts';
import { bootId } from './boot-id.ts';
import { diskError, isMissing } from './disk-error.ts';
import { syncFolder } from './durable.ts';
import { tryLockFile, type FileLock } from './file-lock.ts';
import { journalBytesMax, replayJournal } from './journal-codec.ts';
import { Journal, type OpenFile } from './journal.ts';
import { partialNames, type PartialNames } from './partial-names.ts';
import { readAtOnce, readFully } from './read-fully.ts';
import { resumePartial, type ChunkCheck, type Resumed } from './resume-partial.ts';

export interface PartialFileOptions {
  readonly targetPath: string;
  readonly layout: ChunkLayout;
  /** 32 bytes: the contentId, or the SHA-256 of the whole for an entry without a manifest. */
  readonly identity: Uint8Array;
  /** Checks chunks found on disk that cannot be trusted; without it they are fetched again. */
  readonly matches?: ChunkCheck | undefined;
  /**
   * Writes all bytes at a position of a descriptor, instead of this thread's pool; rejects with what the system said. Called for
   * several chunks at a time: it writes those of one descriptor one after the other.
   */
  readonly writer?: ((descriptor: number, bytes: Uint8Array, position: number) => Promise<void>) | undefined;
  /** Free space to leave on the disk; default DISK_RESERVE_BYTES. */
  readonly reserveBytes?: number | undefined;
  /** For the sample of trusted chunks; default Math.random. */
  readonly random?: (() => number) | undefined;
  /** Called with the bytes that were re-hashed since the last call. */
  readonly onChecked?: ((byteCount: number) => void) | undefined;
  /** Ends the check of what was found. */
  readonly signal?: AbortSignal | undefined;
  /** Data is synced after this much, or this long with unsynced data; defaults JOURNAL_SYNC_BYTES and JOURNAL_SYNC_MS. */
  readonly syncBytes?: number | undefined;
  readonly syncMs?: number | undefined;
  /** Which boot this is, where the system's own id is not to be used; see boot-id.ts. */
  readonly bootId?: Uint8Array | undefined;
  /** Opens files; default node:fs/promises. A disk that fails on purpose goes here. */
  readonly openFile?: OpenFile | undefined;
}

/** A set of chunks that only its owner changes. */
export type BitfieldView = Pick<
  Bitfield,
  'chunkCount' | 'count' | 'isFull' | 'has' | 'firstMissing' | 'firstMember' | 'firstCommon' | 'clone' | 'toBytes'
>;

export interface PartialFile {
  readonly targetPath: string;
  /** Where the bytes are until `finish`. */
  readonly partPath: string;
  readonly layout: ChunkLayout;
  /** The chunks that are there; grows with `write`. */
  readonly have: BitfieldView;
  /** Bytes that were there when it was opened, and how many of them had to be hashed again. */
  readonly resumedBytes: number;
  readonly checkedBytes: number;
  /** Writes a verified chunk; it can be read when this resolves. The bytes must not change until then. A chunk we have is left alone. */
  write(chunkIndex: number, bytes: Uint8Array): Promise<void>;
  /** Reads a chunk we have into the beginning of `into`; says how many bytes it has. */
  read(chunkIndex: number, into: Uint8Array): Promise<number>;
  /** Fills `into` with bytes of a chunk we have, from `offset` within it on, if that takes no waiting; false: `read` has to. */
  readAtOnce(chunkIndex: number, offset: number, into: Uint8Array): boolean;
  /** Takes a chunk back (found damaged); resolves when that is durable. */
  withdraw(chunkIndex: number): Promise<void>;
  /** Syncs, renames to the target and syncs the folder; says where the file is. Every chunk must be there. An old file of this name is replaced. */
  finish(): Promise<string>;
  /** Syncs and keeps everything for another day. Idempotent; after a failed disk too. */
  close(): Promise<void>;
  /** Deletes everything. */
  discard(): Promise<void>;
}

/**
 * Opens or begins the partial file of a target. Throws `conflict` when another holder has it, `no-space`, `disk`, and `usage` when
 * the target is a folder.
 */
export async function openPartialFile(options: PartialFileOptions): Promise<PartialFile> {
  const targetPath = resolve(options.targetPath);
  const names = partialNames(targetPath);
  await refuseFolder(targetPath);
  try {
    await mkdir(dirname(targetPath), { recursive: true });
  } catch (error) {
    throw diskError(error, `cannot create the folder ${dirname(targetPath)}`);
  }
  const lock = tryLockFile(names.lock);
  if (lock === undefined) throw await heldError(targetPath, names, options);
  const openFile = options.openFile ?? open;
  let part: FileHandle | undefined;
  try {
    const found = await statIfThere(names.part);
    if (found?.isFile() === false)
      throw new ShoalError('conflict', `${names.part} is in the way: it is not a regular file`);
    // Blocks, not size: the part is sparse.
    await checkSpace(targetPath, options, found === undefined ? 0 : found.blocks * 512);
    part = await openPart(names.part, openFile);
    const journalBytes = await readJournal(names.journal, options.layout);
    const resumed =
      found === undefined
        ? undefined
        : await resumePartial({
            layout: options.layout,
            identity: options.identity,
            matches: options.matches,
            part,
            partBytes: found.size,
            journalBytes,
            bootId: options.bootId ?? bootId(),
            random: options.random ?? Math.random,
            onChecked: options.onChecked,
            signal: options.signal,
          });
    if (found?.size !== options.layout.size) await part.truncate(options.layout.size);
    return await begin(
      { ...options, targetPath },
      names,
      lock,
      part,
      resumed,
      found !== undefined || journalBytes !== undefined,
    );
  } catch (error) {
    await part?.close();
    lock.release({ remove: true });
    throw diskError(error, `cannot open ${names.part}`);
  }
}

async function begin(
  options: PartialFileOptions,
  names: PartialNames,
  lock: FileLock,
  part: FileHandle,
  resumed: Resumed | undefined,
  replaces: boolean,
): Promise<PartialFile> {
  if (resumed?.needsSync === true) await part.datasync();
  const have = resumed?.have ?? new Bitfield(options.layout.chunkCount);
  const journal = await Journal.begin({
    path: names.journal,
    newPath: names.newJournal,
    identity: options.identity,
    layout: options.layout,
    durable: have,
    replaces,
    bootId: options.bootId ?? bootId(),
    openFile: options.openFile ?? open,
  });
  return new OpenPartialFile({ options, names, lock, part, journal, have, checkedBytes: resumed?.checkedBytes ?? 0 });
}

interface Parts {
  readonly options: PartialFileOptions;
  readonly names: PartialNames;
  readonly lock: FileLock;
  readonly part: FileHandle;
  readonly journal: Journal;
  readonly have: Bitfield;
  readonly checkedBytes: number;
}

class OpenPartialFile implements PartialFile {
  readonly targetPath: string;
  readonly partPath: string;
  readonly layout: ChunkLayout;
  readonly resumedBytes: number;
  readonly checkedBytes: number;
  readonly #names: PartialNames;
  readonly #lock: FileLock;
  readonly #part: FileHandle;
  readonly #journal: Journal;
  readonly #have: Bitfield;
  readonly #syncBytes: number;
  readonly #syncMs: number;
  #state: 'open' | 'ending' | 'ended' = 'open';
  /** What `close`, `finish` or `discard` does; a later call waits for it. */
  #ending: Promise<void> | undefined;
  /** Reads and writes under way, by a promise that settles with them. */
  readonly #active = new Set<Promise<unknown>>();
  /** Chunks being written, or being withdrawn: a second write of one waits for the first. */
  readonly #busy = new Map<number, Promise<void>>();
  readonly #writer: PartialFileOptions['writer'];
  /** Resolves when the last write that was asked for is through. */
  #lastWrite: Promise<void> = Promise.resolve();
  #unsyncedBytes = 0;
  #barrier: Promise<void> | undefined;
  #syncTimer: NodeJS.Timeout | undefined;
  /** The first failure to make data durable; everything that writes rethrows it. */
  #failure: ShoalError | undefined;

  constructor(parts: Parts) {
    this.targetPath = parts.options.targetPath;
    this.partPath = parts.names.part;
    this.layout = parts.options.layout;
    this.checkedBytes = parts.checkedBytes;
    this.#names = parts.names;
    this.#writer = parts.options.writer;
    this.#lock = parts.lock;
    this.#part = parts.part;
    this.#journal = parts.journal;
    this.#have = parts.have;
    this.#syncBytes = parts.options.syncBytes ?? limits.JOURNAL_SYNC_BYTES;
    this.#syncMs = parts.options.syncMs ?? limits.JOURNAL_SYNC_MS;
    this.resumedBytes = bytesOf(this.layout, parts.have);
  }

  get have(): BitfieldView {
    return this.#have;
  }

  async write(chunkIndex: number, bytes: Uint8Array): Promise<void> {
    this.#check(chunkIndex);
    const byteCount = chunkBytes(this.layout, chunkIndex);
    if (bytes.length !== byteCount)
      throw new ShoalError('bug', `chunk ${chunkIndex} has ${byteCount} bytes, not ${bytes.length}`);
    for (let busy = this.#busy.get(chunkIndex); busy !== undefined; busy = this.#busy.get(chunkIndex)) {
      await busy.catch(() => undefined);
      this.#check(chunkIndex);
    }
    if (this.#have.has(chunkIndex)) return;
    await this.#exclusive(chunkIndex, async () => {
      try {
        await this.#writeAll(bytes, chunkOffset(this.layout, chunkIndex));
      } catch (error) {
        throw diskError(error, `cannot write chunk ${chunkIndex} of ${this.partPath}`);
      }
      this.#have.add(chunkIndex);
      this.#journal.done(chunkIndex);
      this.#onDirty(byteCount);
    });
  }

  async read(chunkIndex: number, into: Uint8Array): Promise<number> {
    this.#check(chunkIndex);
    if (!this.#have.has(chunkIndex))
      throw new ShoalError('bug', `chunk ${chunkIndex} of ${this.partPath} is not there yet`);
    const byteCount = chunkBytes(this.layout, chunkIndex);
    if (into.length < byteCount) throw new ShoalError('bug', `chunk ${chunkIndex} does not fit ${into.length} bytes`);
    return this.#track(this.#readAll(chunkIndex, into, byteCount));
  }

  readAtOnce(chunkIndex: number, offset: number, into: Uint8Array): boolean {
    if (offset < 0 || offset + into.length > chunkBytes(this.layout, chunkIndex))
      throw new ShoalError('bug', `${into.length} bytes at ${offset} are not in chunk ${chunkIndex}`);
    if (this.#state !== 'open' || !this.#have.has(chunkIndex)) return false;
    return readAtOnce(this.#part, into, chunkOffset(this.layout, chunkIndex) + offset);
  }

  async withdraw(chunkIndex: number): Promise<void> {
    this.#check(chunkIndex);
    await this.#busy.get(chunkIndex);
    if (!this.#have.delete(chunkIndex)) return;
    // No new bytes reach the chunk before its withdrawal is durable.
    await this.#exclusive(chunkIndex, () => this.#journal.lost(chunkIndex));
  }

  async finish(): Promise<string> {
    this.#refuseAfterEnd();
    if (!this.#have.isFull)
      throw new ShoalError('bug', `${this.partPath} still lacks ${this.layout.chunkCount - this.#have.count} chunks`);
    await refuseFolder(this.targetPath);
    await this.#end(async () => {
      await this.#syncAndMarkClean();
      await this.#closeHandles();
      const folder = dirname(this.targetPath);
      await rename(this.partPath, this.targetPath);
      await syncFolder(folder);
      await rm(this.#names.journal, { force: true });
    }, `cannot finish ${this.targetPath}`);
    return this.targetPath;
  }

  async close(): Promise<void> {
    await this.#end(async () => {
      await this.#syncAndMarkClean();
      await this.#closeHandles();
    }, `cannot close ${this.partPath}`);
  }

  async discard(): Promise<void> {
    this.#refuseAfterEnd();
    await this.#end(async () => {
      await this.#closeHandles();
      // The journal first: a part without one is never trusted.
      await rm(this.#names.journal, { force: true });
      await rm(this.partPath, { force: true });
    }, `cannot delete ${this.partPath}`);
  }

  #refuseAfterEnd(): void {
    if (this.#state !== 'open') throw new ShoalError('cancelled', `${this.partPath} is closed`);
  }

  #check(chunkIndex: number): void {
    this.#refuseAfterEnd();
    if (!Number.isInteger(chunkIndex) || chunkIndex < 0 || chunkIndex >= this.layout.chunkCount)
      throw new ShoalError('bug', `chunk ${chunkIndex} is outside a content of ${this.layout.chunkCount} chunks`);
    const failure = this.#failure ?? this.#journal.failure;
    if (failure !== undefined) throw failure;
  }

  async #track<T>(work: Promise<T>): Promise<T> {
    this.#active.add(work);
    try {
      return await work;
    } finally {
      this.#active.delete(work);
    }
  }

  async #exclusive(chunkIndex: number, step: () => Promise<void>): Promise<void> {
    const work = step();
    this.#busy.set(chunkIndex, work);
    try {
      await this.#track(work);
    } finally {
      this.#busy.delete(chunkIndex);
    }
  }

  /**
   * One write at a time: the kernel takes a file's writes one by one anyway, and threads that wait for their turn inside it spin
   * (a tenth of all CPU time of a download, before this). A writer keeps to that itself.
   */
  async #writeAll(bytes: Uint8Array, position: number): Promise<void> {
    if (this.#writer !== undefined) {
      await this.#writer(this.#part.fd, bytes, position);
      return;
    }
    const before = this.#lastWrite;
    const turn = Promise.withResolvers<void>();
    this.#lastWrite = turn.promise;
    await before;
    try {
      for (let written = 0; written < bytes.length;) {
        const { bytesWritten } = await this.#part.write(bytes, written, bytes.length - written, position + written);
        written += bytesWritten;
      }
    } finally {
      turn.resolve();
    }
  }

  async #readAll(chunkIndex: number, into: Uint8Array, byteCount: number): Promise<number> {
    const position = chunkOffset(this.layout, chunkIndex);
    try {
      await readFully(
        this.#part,
        into.subarray(0, byteCount),
        position,
        () => new ShoalError('disk', `${this.partPath} became shorter: was it truncated?`),
      );
    } catch (error) {
      throw diskError(error, `cannot read chunk ${chunkIndex} of ${this.partPath}`);
    }
    return byteCount;
  }

  /** Starts a barrier when there is enough to sync, or sees to it that one comes in time. Nobody waits for it. */
  #onDirty(byteCount: number): void {
    this.#unsyncedBytes += byteCount;
    if (this.#state !== 'open' || this.#barrier !== undefined) return;
    if (this.#unsyncedBytes >= this.#syncBytes) this.#startBarrier();
    else this.#syncTimer ??= setTimeout(() => this.#startBarrier(), this.#syncMs).unref();
  }

  #startBarrier(): void {
    clearTimeout(this.#syncTimer);
    this.#syncTimer = undefined;
    if (this.#barrier !== undefined || this.#state !== 'open') return;
    const barrier = this.#runBarrier()
      // Kept in #failure, which the next call throws.
      .catch(() => undefined)
      .finally(() => {
        this.#barrier = undefined;
        if (this.#failure === undefined && this.#unsyncedBytes > 0) this.#onDirty(0);
      });
    this.#barrier = barrier;
  }

  async #runBarrier(): Promise<void> {
    this.#unsyncedBytes = 0;
    try {
      await this.#journal.barrier(() => this.#part.datasync());
    } catch (error) {
      this.#failure ??= diskError(error, `cannot make ${this.partPath} durable`);
      throw this.#failure;
    }
  }

  async #syncAndMarkClean(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    await this.#runBarrier();
    await this.#journal.clean();
  }

  async #closeHandles(): Promise<void> {
    await Promise.allSettled([this.#journal.close(), this.#part.close()]);
  }

  /** Runs the last step once; lets what is under way settle first, and gives the lock back whatever happens. */
  #end(step: () => Promise<void>, what: string): Promise<void> {
    this.#ending ??= (async () => {
      this.#state = 'ending';
      clearTimeout(this.#syncTimer);
      await Promise.allSettled([...this.#active, this.#barrier]);
      try {
        await step();
      } catch (error) {
        throw diskError(error, what);
      } finally {
        await this.#closeHandles();
        this.#lock.release({ remove: true });
        this.#state = 'ended';
      }
    })();
    return this.#ending;
  }
}

function bytesOf(layout: ChunkLayout, chunks: Bitfield): number {
  const { chunkCount, chunkSize } = layout;
  if (chunkCount === 0 || !chunks.has(chunkCount - 1)) return chunks.count * chunkSize;
  return (chunks.count - 1) * chunkSize + chunkBytes(layout, chunkCount - 1);
}

async function refuseFolder(targetPath: string): Promise<void> {
  if ((await statIfThere(targetPath))?.isDirectory() !== true) return;
  throw new ShoalError('usage', `${targetPath} is a folder, so no file can be written there`, {
    hint: 'Choose another name with -o.',
  });
}

async function heldError(targetPath: string, names: PartialNames, options: PartialFileOptions): Promise<ShoalError> {
  const bytes = await readJournal(names.journal, options.layout);
  const pid = bytes === undefined ? undefined : replayJournal(bytes, options)?.lastPid;
  const holder = pid === undefined ? 'another process' : pid === process.pid ? 'this process' : `process ${pid}`;
  return new ShoalError('conflict', `${targetPath} is being fetched by ${holder} already`, {
    hint: 'Wait for it, or choose another target with -o.',
  });
}

async function checkSpace(targetPath: string, options: PartialFileOptions, presentBytes: number): Promise<void> {
  const folder = dirname(targetPath);
  const neededBytes = Math.max(0, options.layout.size - presentBytes);
  const reserveBytes = options.reserveBytes ?? limits.DISK_RESERVE_BYTES;
  const { bavail, bsize } = await statfs(folder, { bigint: true });
  const freeBytes = bavail * bsize;
  if (neededBytes === 0 || freeBytes >= BigInt(neededBytes + reserveBytes)) return;
  throw new ShoalError(
    'no-space',
    `${neededBytes} bytes are needed in ${folder}, besides ${reserveBytes} that are to stay free, and ${freeBytes} are free`,
    { hint: 'Free some space, or choose another folder with -o.' },
  );
}

async function openPart(path: string, openFile: OpenFile): Promise<FileHandle> {
  try {
    return await openFile(path, 'r+');
  } catch (error) {
    if (!isMissing(error)) throw error;
    return openFile(path, 'wx+');
  }
}

/** Undefined when there is none, or it is too long to be one of this layout. */
async function readJournal(path: string, layout: ChunkLayout): Promise<Uint8Array | undefined> {
  const found = await statIfThere(path);
  if (found?.isFile() !== true) return undefined;
  // Nothing in a file this long would be believed; that it is there still matters to nobody.
  if (found.size > journalBytesMax(layout)) return new Uint8Array(0);
  return readFile(path);
}

async function statIfThere(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw diskError(error, `cannot look at ${path}`);
  }
}
