/**
 * One call that makes everything written to a file system durable (`syncfs` of Linux). For thousands of new files it costs one commit
 * where `fsync` costs one each: 10,000 files of 10 KiB some milliseconds beyond the writing itself, against some ten seconds. Where
 * the call cannot be had, the caller syncs file by file.
 */
import { closeSync, openSync } from 'node:fs';
import { ShoalError } from '../errors.ts';
import { loadNative } from '../native.ts';

const native = loadNative({ syncfs: { return: 'i32', arguments: ['i32'] } });

/** False: the system has no such call. Throws `disk` when it has one and that fails. */
export function syncFileSystem(folder: string): boolean {
  if (native === undefined) return false;
  const descriptor = openSync(folder, 'r');
  try {
    if (native.functions.syncfs(descriptor) === 0) return true;
    throw new ShoalError('disk', `what was written to ${folder} could not be made durable (error ${native.errno()})`);
  } finally {
    closeSync(descriptor);
  }
}

export function canSyncFileSystem(): boolean {
  return native !== undefined;
}
