/**
 * The open descriptors of shared files: a bounded set, the one used longest ago closed first. Before a file is read it is compared,
 * cheaply and not each time, with what was indexed; a file that changed is refused. Knows no contents and no chunks.
 */
import { open, type FileHandle } from 'node:fs/promises';
import { ShoalError } from '../errors.ts';
import * as limits from '../limits.ts';
import { diskError } from './disk-error.ts';
import { fileStamp, sameStamp, type FileStamp } from './file-stamp.ts';

export interface OpenFiles {
  /** Runs `use` with the file open. Throws `conflict` when it is no longer the one with this stamp, `disk` when it cannot be opened. */
  with<T>(path: string, stamp: FileStamp, use: (handle: FileHandle) => Promise<T>): Promise<T>;
  /** The file, if it is open and was compared a moment ago: for what is done with it in this turn. */
  current(path: string, stamp: FileStamp): FileHandle | undefined;
  /** Closes the file once nobody uses it; the next use opens it anew. */
  drop(path: string): void;
  readonly openCount: number;
  close(): Promise<void>;
}

interface Slot {
  readonly path: string;
  readonly stamp: FileStamp;
  readonly opening: Promise<FileHandle>;
  /** Set when it is open and is the file that was indexed. */
  handle: FileHandle | undefined;
  users: number;
  checkedAtMs: number;
  /** Out of the set: closes when its last user is done. */
  isDropped: boolean;
}

export function createOpenFiles(
  options: { readonly openFilesMax?: number; readonly recheckMs?: number } = {},
): OpenFiles {
  const openFilesMax = options.openFilesMax ?? limits.OPEN_FILES_MAX;
  const recheckMs = options.recheckMs ?? limits.OPEN_FILE_RECHECK_MS;
  /** In the order of last use. */
  const slots = new Map<string, Slot>();
  const closing = new Set<Promise<void>>();
  const waiters: (() => void)[] = [];
  /** Descriptors in use, in the set or dropped. */
  let openCount = 0;
  let isClosed = false;

  const closeSlot = (slot: Slot): void => {
    const done = (async () => {
      try {
        const handle = await slot.opening;
        await handle.close();
      } catch {
        // It never opened: whoever asked for it was told.
      } finally {
        openCount--;
        waiters.shift()?.();
      }
    })().finally(() => closing.delete(done));
    closing.add(done);
  };

  const dropSlot = (slot: Slot): void => {
    if (slot.isDropped) return;
    slot.isDropped = true;
    if (slots.get(slot.path) === slot) slots.delete(slot.path);
    if (slot.users === 0) closeSlot(slot);
  };

  /** Closes the file used longest ago that nobody uses now, and waits until any descriptor is closed or idle. */
  const waitForRoom = async (): Promise<void> => {
    for (const slot of slots.values()) {
      if (slot.users > 0) continue;
      dropSlot(slot);
      break;
    }
    await new Promise<void>((resolve) => waiters.push(resolve));
  };

  const acquire = async (path: string, stamp: FileStamp): Promise<Slot> => {
    for (;;) {
      if (isClosed) throw new ShoalError('cancelled', `${path} is not shared any more`);
      const known = slots.get(path);
      if (known !== undefined && sameStamp(known.stamp, stamp)) {
        known.users++;
        slots.delete(path);
        slots.set(path, known);
        return known;
      }
      if (known !== undefined) dropSlot(known);
      if (openCount >= openFilesMax) {
        await waitForRoom();
        continue;
      }
      openCount++;
      const opening = open(path, 'r');
      const slot: Slot = {
        path,
        stamp,
        opening,
        handle: undefined,
        users: 1,
        checkedAtMs: -Infinity,
        isDropped: false,
      };
      slots.set(path, slot);
      return slot;
    }
  };

  const release = (slot: Slot): void => {
    slot.users--;
    if (slot.users > 0) return;
    if (slot.isDropped) closeSlot(slot);
    // Somebody may wait for a descriptor that is idle now.
    else waiters.shift()?.();
  };

  return {
    async with(path, stamp, use) {
      const slot = await acquire(path, stamp);
      try {
        const handle = await slot.opening;
        const nowMs = performance.now();
        if (nowMs - slot.checkedAtMs >= recheckMs) {
          slot.checkedAtMs = nowMs;
          if (!sameStamp(fileStamp(await handle.stat({ bigint: true })), stamp)) {
            throw new ShoalError('conflict', `${path} changed since it was shared`);
          }
        }
        slot.handle = handle;
        return await use(handle);
      } catch (error) {
        dropSlot(slot);
        throw diskError(error, `cannot read ${path}`);
      } finally {
        release(slot);
      }
    },
    current(path, stamp) {
      const slot = slots.get(path);
      if (slot?.handle === undefined || !sameStamp(slot.stamp, stamp)) return undefined;
      if (performance.now() - slot.checkedAtMs >= recheckMs) return undefined;
      slots.delete(path);
      slots.set(path, slot);
      return slot.handle;
    },
    drop(path) {
      const slot = slots.get(path);
      if (slot !== undefined) dropSlot(slot);
    },
    get openCount() {
      return openCount;
    },
    async close() {
      isClosed = true;
      for (const slot of slots.values()) dropSlot(slot);
      for (const wake of waiters.splice(0)) wake();
      while (closing.size > 0) await Promise.all(closing);
    },
  };
}
