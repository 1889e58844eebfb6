/** What the files beside an unfinished download are called, and how to tell them from files of the user. */
import { open, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { toHex } from '../content/digest.ts';
import * as limits from '../limits.ts';
import { sha256 } from './digest-chunk.ts';
import { isMissing } from './disk-error.ts';
import { isJournalBytes } from './journal-codec.ts';

const PART = '.part';
const JOURNAL = '.journal';
const LOCK = '.part.lock';
const NEW_JOURNAL = '.journal.new';

export interface PartialNames {
  readonly part: string;
  readonly journal: string;
  /** Where a journal is rewritten before it takes the place of the old one. */
  readonly newJournal: string;
  readonly lock: string;
}

/** `<target>.part`, `<target>.journal`, ...; below a short stand-in for a base name too long to take a suffix. */
export function partialNames(targetPath: string): PartialNames {
  const base = basename(targetPath);
  const baseBytes = new TextEncoder().encode(base);
  const fits = baseBytes.length + NEW_JOURNAL.length <= limits.NAME_SEGMENT_BYTES_MAX;
  const stem = join(dirname(targetPath), fits ? base : `.shoal-${toHex(sha256(baseBytes)).slice(0, 32)}`);
  return { part: stem + PART, journal: stem + JOURNAL, newJournal: stem + NEW_JOURNAL, lock: stem + LOCK };
}

/** Where a folder is until it is whole: `<target>.part`, a folder with the files that are there and what is fetched of the others. */
export interface StagingNames {
  readonly folder: string;
  /** Files in their places, as they will be. */
  readonly files: string;
  /** The target path of the partial file of the folder's content. */
  readonly bundle: string;
}

const STAGED_BUNDLE = 'bundle';

export function stagingNames(targetPath: string): StagingNames {
  const folder = targetPath + PART;
  return { folder, files: join(folder, 'files'), bundle: join(folder, STAGED_BUNDLE) };
}

/** Whether a folder is one of ours beside an unfinished download. A `.part` without a journal in it is the user's. */
export async function isStagingFolder(path: string): Promise<boolean> {
  return path.endsWith(PART) && (await beginsLikeJournal(join(path, STAGED_BUNDLE + JOURNAL)));
}

/** Whether a file lies in such a folder, below `rootPath`. */
export async function isInStagingFolder(rootPath: string, path: string): Promise<boolean> {
  for (let folder = dirname(path); folder.length > rootPath.length; folder = dirname(folder))
    if (await isStagingFolder(folder)) return true;
  return false;
}

/** Whether a file of this name might be one of ours: then `isPartialFileOfOurs` has to look. */
export function mayBeOurs(name: string): boolean {
  return [LOCK, PART, JOURNAL, NEW_JOURNAL].some((ending) => name.endsWith(ending));
}

/** Whether the file at `path` is one of ours beside an unfinished download. A `.part` without a journal is the user's. */
export async function isPartialFileOfOurs(path: string): Promise<boolean> {
  if (path.endsWith(LOCK)) return (await stat(path).catch(nothingIfMissing))?.size === 0;
  if (path.endsWith(PART)) return beginsLikeJournal(path.slice(0, -PART.length) + JOURNAL);
  if (path.endsWith(JOURNAL) || path.endsWith(NEW_JOURNAL)) return beginsLikeJournal(path);
  return false;
}

async function beginsLikeJournal(path: string): Promise<boolean> {
  const handle = await open(path, 'r').catch(nothingIfMissing);
  if (handle === undefined) return false;
  try {
    const { buffer, bytesRead } = await handle.read(new Uint8Array(8), 0, 8, 0);
    return isJournalBytes(buffer.subarray(0, bytesRead));
  } finally {
    await handle.close();
  }
}

function nothingIfMissing(thrown: unknown): undefined {
  if (isMissing(thrown)) return undefined;
  throw thrown;
}
