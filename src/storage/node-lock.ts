/** One node per data directory. The lock is the kernel's (file-lock.ts), so it ends with the process, kill -9 included. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { ShoalError } from '../errors.ts';
import { diskError } from './disk-error.ts';
import { tryLockFile } from './file-lock.ts';

const LOCK_NAME = 'node.lock';
const PID_NAME = 'node.pid';

export interface NodeLock {
  readonly dataDir: string;
  /** Idempotent. */
  release(): void;
}

export type NodeLockAttempt =
  | { readonly state: 'acquired'; readonly lock: NodeLock }
  /** `pid`: of the live node, when it has written it already. */
  | { readonly state: 'held'; readonly pid: number | undefined };

/** Tries to make this process the node of `dataDir`, which is created if need be. Throws `disk`. */
export async function tryNodeLock(dataDir: string): Promise<NodeLockAttempt> {
  try {
    await mkdir(dataDir, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw diskError(error, `cannot create the data directory ${dataDir}`);
  }
  const pidPath = join(dataDir, PID_NAME);
  const held = tryLockFile(join(dataDir, LOCK_NAME));
  if (held === undefined) return { state: 'held', pid: readPid(pidPath) };
  try {
    writeFileSync(pidPath, `${process.pid}\n`);
  } catch (error) {
    held.release();
    throw diskError(error, `cannot write ${pidPath}`);
  }
  let released = false;
  const release = (): void => {
    if (released) return;
    released = true;
    rmSync(pidPath, { force: true });
    held.release();
  };
  return { state: 'acquired', lock: { dataDir, release } };
}

/** Makes this process the node of `dataDir`. Throws `conflict` when a live process is that already. */
export async function acquireNodeLock(dataDir: string): Promise<NodeLock> {
  const attempt = await tryNodeLock(dataDir);
  if (attempt.state === 'acquired') return attempt.lock;
  const holder = attempt.pid === undefined ? 'another live process' : `the live process ${attempt.pid}`;
  throw new ShoalError('conflict', `the data directory ${dataDir} is in use by ${holder}`, {
    hint: 'Stop that node, or give this one another directory with --data.',
  });
}

function readPid(path: string): number | undefined {
  try {
    const pid = Number.parseInt(readFileSync(path, 'utf8'), 10);
    return Number.isSafeInteger(pid) && pid > 0 ? pid : undefined;
  } catch {
    // Not written yet: the lock itself is what counts.
    return undefined;
  }
}
