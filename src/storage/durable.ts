/** Steps that make a change of a folder survive a power loss. */
import { open } from 'node:fs/promises';
import { systemErrorCode } from '../errors.ts';

/** Syncs a folder, so that a file created, renamed or deleted in it stays so. Systems that cannot sync folders are left alone. */
export async function syncFolder(path: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } catch (error) {
    const code = systemErrorCode(error);
    // Some network file systems have no such call; there is nothing better to do on them.
    if (code !== 'EINVAL' && code !== 'ENOTSUP' && code !== 'ENOSYS') throw error;
  } finally {
    await handle.close();
  }
}
