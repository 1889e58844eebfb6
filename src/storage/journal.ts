/**
 * The journal of one partial file on disk: cheap appends, barriers, compaction. It decides nothing about trust (journal-codec.ts
 * does) and knows the data only as a function that makes it durable.
 *
 * The order that is never broken: data durable before the barrier record, barrier before rename.
 */
import { rename, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Bitfield } from '../content/bitfield.ts';
import { ShoalError } from '../errors.ts';
import * as limits from '../limits.ts';
import { diskError } from './disk-error.ts';
import { syncFolder } from './durable.ts';
import {
  encodeJournalHeader,
  encodeJournalRecords,
  headerCrc,
  type JournalHeader,
  type JournalRecord,
} from './journal-codec.ts';

/** As `open` of node:fs/promises. */
export type OpenFile = (path: string, flags: string, mode?: number) => Promise<FileHandle>;

export interface JournalOptions {
  readonly path: string;
  /** Where it is rewritten; then renamed over `path`. */
  readonly newPath: string;
  readonly identity: Uint8Array;
  readonly layout: JournalHeader['layout'];
  /** Chunks whose data is durable. */
  readonly durable: Bitfield;
  /** Whether there may be an older journal, whose claims must not come back after a power loss. */
  readonly replaces: boolean;
  /** Of the boot that runs now. */
  readonly bootId: Uint8Array;
  readonly openFile: OpenFile;
}

export class Journal {
  readonly #options: JournalOptions;
  readonly #headerBytes: Uint8Array<ArrayBuffer>;
  readonly #headerCrc: number;
  readonly #durable: Bitfield;
  /** Chunks said to be done since the last barrier. */
  #recent = new Set<number>();
  /** Of those, the ones that the barrier under way will cover. */
  #covered = new Set<number>();
  #handle: FileHandle;
  #sequence = 0;
  #byteCount = 0;
  /** Records not written yet. */
  #waiting: JournalRecord[] = [];
  /** One file operation at a time, in order. */
  #tail: Promise<void> = Promise.resolve();
  #flushTimer: NodeJS.Timeout | undefined;
  #failure: ShoalError | undefined;

  private constructor(options: JournalOptions, headerBytes: Uint8Array<ArrayBuffer>, handle: FileHandle) {
    this.#options = options;
    this.#headerBytes = headerBytes;
    this.#headerCrc = headerCrc(headerBytes);
    this.#durable = options.durable.clone();
    this.#handle = handle;
  }

  /**
   * Begins a journal that says `durable` and nothing else. It takes the place of an older one atomically and durably; the first one
   * claims nothing yet, so it need not be durable itself.
   */
  static async begin(options: JournalOptions): Promise<Journal> {
    const { identity, layout, bootId } = options;
    const headerBytes = encodeJournalHeader({ identity, layout, bootId });
    const isFirst = !options.replaces && options.durable.count === 0;
    try {
      const handle = await options.openFile(isFirst ? options.path : options.newPath, 'w', 0o600);
      const journal = new Journal(options, headerBytes, handle);
      try {
        await journal.#writeStart();
        if (!isFirst) await journal.#replaceOld();
        return journal;
      } catch (error) {
        await handle.close();
        throw error;
      }
    } catch (error) {
      throw diskError(error, `cannot write ${options.path}`);
    }
  }

  /** Why the journal can no longer be written; undefined while it can. */
  get failure(): ShoalError | undefined {
    return this.#failure;
  }

  /**
   * Records that a verified chunk is written. Cheap: records of JOURNAL_COALESCE_MS go out in one write, not synced. A write for each
   * chunk cost a tenth of the CPU time of a leecher; a crash of the process loses what came in that time, as it loses what is in flight.
   */
  done(chunkIndex: number): void {
    this.#recent.add(chunkIndex);
    this.#waiting.push({ type: 'done', chunkIndex });
    if (this.#flushTimer !== undefined || this.#failure !== undefined) return;
    this.#flushTimer = setTimeout(() => {
      this.#flushTimer = undefined;
      // A failure is kept and thrown by the next call that can throw.
      this.#enqueue(() => this.#flush()).catch(() => undefined);
    }, limits.JOURNAL_COALESCE_MS);
  }

  /** Withdraws a chunk; resolves when that is durable. */
  async lost(chunkIndex: number): Promise<void> {
    this.#recent.delete(chunkIndex);
    this.#covered.delete(chunkIndex);
    this.#durable.delete(chunkIndex);
    this.#waiting.push({ type: 'lost', chunkIndex });
    await this.#enqueue(async () => {
      await this.#flush();
      await this.#handle.datasync();
    });
  }

  /**
   * Makes everything said so far durable: first the data by `syncData`, then the barrier. Appends go on meanwhile. One at a time.
   * When the data cannot be synced the journal takes back what it said since the last barrier and is finished: after a failed sync
   * the system may drop what it could not write, and a second sync would not tell.
   */
  async barrier(syncData: () => Promise<void>): Promise<void> {
    this.#covered = this.#recent;
    this.#recent = new Set();
    let upToSequence = 0;
    await this.#enqueue(async () => {
      await this.#flush();
      upToSequence = this.#sequence;
    });
    try {
      await syncData();
    } catch (error) {
      await this.#takeBack(error);
    }
    await this.#enqueue(async () => {
      this.#waiting.push({ type: 'sync', upToSequence });
      await this.#flush();
      await this.#handle.datasync();
      for (const chunkIndex of this.#covered) this.#durable.add(chunkIndex);
      this.#covered.clear();
      if (this.#sequence > 2 * this.#options.layout.chunkCount + limits.JOURNAL_SLACK_RECORDS) await this.#compact();
    });
  }

  /** Says that the stop is orderly, durably. After a barrier. */
  async clean(): Promise<void> {
    await this.#enqueue(async () => {
      this.#waiting.push({ type: 'clean' });
      await this.#flush();
      await this.#handle.datasync();
    });
  }

  /** Closes the file once what was asked for is written. */
  async close(): Promise<void> {
    clearTimeout(this.#flushTimer);
    await this.#tail;
    await this.#handle.close();
  }

  #enqueue(step: () => Promise<void>): Promise<void> {
    const run = this.#runAfter(this.#tail, step);
    this.#tail = run.catch(() => undefined);
    return run;
  }

  async #runAfter(previous: Promise<void>, step: () => Promise<void>): Promise<void> {
    await previous;
    if (this.#failure !== undefined) throw this.#failure;
    try {
      await step();
    } catch (error) {
      // Once a write failed the tail of the file is unknown: nothing may follow it.
      this.#failure = diskError(error, `cannot write ${this.#options.path}`);
      throw this.#failure;
    }
  }

  /** Never resolves: throws what made the data sync fail. */
  async #takeBack(thrown: unknown): Promise<never> {
    const unsynced = new Set([...this.#covered, ...this.#recent]);
    await this.#enqueue(async () => {
      for (const chunkIndex of unsynced) this.#waiting.push({ type: 'lost', chunkIndex });
      await this.#flush();
      throw thrown;
    });
    throw thrown;
  }

  async #flush(): Promise<void> {
    if (this.#waiting.length === 0) return;
    const records = this.#waiting;
    this.#waiting = [];
    await this.#append(records);
  }

  async #append(records: readonly JournalRecord[]): Promise<void> {
    const bytes = encodeJournalRecords(records, { firstSequence: this.#sequence + 1, headerCrc: this.#headerCrc });
    this.#sequence += records.length;
    await this.#writeAll(bytes);
  }

  /** The header and what is known to be durable. */
  async #writeStart(): Promise<void> {
    this.#sequence = 0;
    this.#byteCount = 0;
    await this.#writeAll(this.#headerBytes);
    const records: JournalRecord[] = [{ type: 'boot', pid: process.pid, bootId: this.#options.bootId }];
    if (this.#durable.count > 0) records.push({ type: 'snap', durable: this.#durable });
    await this.#append(records);
  }

  /** Rewrites the journal in its shortest form. Called between two writes; what is waiting then belongs to the new file. */
  async #compact(): Promise<void> {
    const old = this.#handle;
    // Chunks done since the barrier: some are in the old file, some still wait. All of them go into the new one.
    this.#waiting = [...this.#recent].map((chunkIndex) => ({ type: 'done', chunkIndex }));
    this.#handle = await this.#options.openFile(this.#options.newPath, 'w', 0o600);
    await old.close();
    await this.#writeStart();
    await this.#flush();
    await this.#replaceOld();
  }

  async #replaceOld(): Promise<void> {
    await this.#handle.sync();
    await rename(this.#options.newPath, this.#options.path);
    await syncFolder(dirname(this.#options.path));
  }

  async #writeAll(bytes: Uint8Array): Promise<void> {
    for (let written = 0; written < bytes.length;) {
      const { bytesWritten } = await this.#handle.write(
        bytes,
        written,
        bytes.length - written,
        this.#byteCount + written,
      );
      written += bytesWritten;
    }
    this.#byteCount += bytes.length;
  }
}
