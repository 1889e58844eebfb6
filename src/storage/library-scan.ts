/**
 * Which files of a root are to be shared, under what name, and which are not and why. Reads folders and stats; hashes nothing and
 * remembers nothing.
 */
import type { BigIntStats, Dirent } from 'node:fs';
import { lstat, readdir, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import { checkedEntryName, entryNameProblem, parseEntryName, type EntryName } from '../content/entry-name.ts';
import { ShoalError } from '../errors.ts';
import * as limits from '../limits.ts';
import { cancelledError, diskError, isMissing } from './disk-error.ts';
import { fileStamp, isExecutable, type FileStamp } from './file-stamp.ts';
import type { HashedFile } from './hash-file.ts';
import { isInStagingFolder, isPartialFileOfOurs, isStagingFolder, mayBeOurs } from './partial-names.ts';

/** A file or folder that was given to be shared. Its path has no symbolic link in it. */
export interface Root {
  readonly path: string;
  readonly kind: 'file' | 'folder';
  /** What a file root is called: the base name it was given by. */
  readonly name: string;
  readonly chunkSize: number | undefined;
  /** A folder of our own inside the root, which is not shared. */
  readonly excludedPath: string | undefined;
}

export type Found =
  | {
      readonly state: 'file';
      readonly path: string;
      readonly name: EntryName;
      readonly stamp: FileStamp;
      readonly executable: boolean;
      /** Where a symbolic link leads; else undefined. */
      readonly linkTarget: string | undefined;
      /** What its bytes are, where looking at it meant reading it. */
      readonly hashed?: Pick<HashedFile, 'manifest' | 'hashedAtMs'> | undefined;
    }
  | { readonly state: 'refused'; readonly path: string; readonly message: string }
  /** Nothing that could be shared: gone, a folder, a socket, a file of ours. */
  | { readonly state: 'nothing' };

export type FoundFile = Extract<Found, { state: 'file' }>;

/** Throws `usage` when the path does not exist or is neither file nor folder. */
export async function openRoot(
  path: string,
  options: { readonly chunkSize: number | undefined; readonly excludedPath: string | undefined },
): Promise<Root> {
  const given = resolve(path);
  let real: string;
  let stats: BigIntStats;
  try {
    real = await realpath(given);
    stats = await stat(real, { bigint: true });
  } catch (error) {
    if (isMissing(error)) throw new ShoalError('usage', `there is no file or folder ${given}`, { cause: error });
    throw diskError(error, `cannot share ${given}`);
  }
  if (!stats.isFile() && !stats.isDirectory())
    throw new ShoalError('usage', `${given} is neither a file nor a folder, so it cannot be shared`);
  return { path: real, kind: stats.isFile() ? 'file' : 'folder', name: basename(given), ...options };
}

/** Places in one folder where files may be. */
export interface ScannedGroup {
  readonly folder: string;
  /** Plain files in it. */
  readonly names: readonly string[];
  /** What has to be looked at with more care: links, and files that may be ours. Whole paths. */
  readonly paths: readonly string[];
}

/** The places where files of a root are, in groups, each folder in order of names. Goes on past what it cannot read. */
export async function* scanRoot(
  root: Root,
  options: {
    readonly onProblem: (path: string, message: string) => void;
    /** There is nothing in this folder below the root, and its name can be shared. */
    readonly onEmptyFolder?: (name: EntryName) => void;
    readonly signal: AbortSignal;
  },
): AsyncGenerator<ScannedGroup> {
  if (root.kind === 'file') {
    yield { folder: dirname(root.path), names: [], paths: [root.path] };
    return;
  }
  const folders = [{ path: root.path, depth: 1 }];
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    let entries: Dirent[];
    try {
      entries = await readdir(folder.path, { withFileTypes: true });
    } catch (error) {
      if (!isMissing(error)) options.onProblem(folder.path, diskError(error, 'this folder cannot be read').message);
      continue;
    }
    if (entries.length === 0) {
      const name = relative(root.path, folder.path).replaceAll(sep, '/');
      if (entryNameProblem(name) === undefined) options.onEmptyFolder?.(checkedEntryName(name));
      continue;
    }
    entries.sort((a, b) => (a.name < b.name ? -1 : 1));
    const names: string[] = [];
    const paths: string[] = [];
    const subfolders: string[] = [];
    for (const entry of entries) {
      if (entry.isFile() && !mayBeOurs(entry.name)) {
        names.push(entry.name);
        continue;
      }
      const path = join(folder.path, entry.name);
      if (path === root.excludedPath) continue;
      if (entry.isDirectory()) {
        if (!(await isStagingFolder(path))) subfolders.push(path);
      } else if (entry.isFile() || entry.isSymbolicLink()) paths.push(path);
    }
    if (folder.depth < limits.NAME_SEGMENTS_MAX) {
      for (const path of subfolders.toReversed()) folders.push({ path, depth: folder.depth + 1 });
    } else if (subfolders.length > 0) {
      options.onProblem(
        folder.path,
        `what is below this folder has more than ${limits.NAME_SEGMENTS_MAX} segments in its name`,
      );
    }
    for (let at = 0; at < Math.max(names.length, paths.length); at += limits.SCAN_GROUP_FILES) {
      if (options.signal.aborted) throw cancelledError(`scanning ${root.path}`, options.signal);
      const end = at + limits.SCAN_GROUP_FILES;
      yield { folder: folder.path, names: names.slice(at, end), paths: paths.slice(at, end) };
    }
  }
}

/**
 * The names of the folders of a root that have nothing in them. Those whose names cannot be shared, and those that cannot be read, are
 * left out: a folder without them is still worth having.
 */
export async function emptyFoldersOf(root: Root, signal: AbortSignal): Promise<EntryName[]> {
  const empty: EntryName[] = [];
  const folders = [{ path: root.path, name: '' }];
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    if (signal.aborted) throw cancelledError(`looking for empty folders in ${root.path}`, signal);
    const entries = await readdir(folder.path, { withFileTypes: true }).catch(() => undefined);
    if (entries?.length === 0 && folder.name !== '' && entryNameProblem(folder.name) === undefined)
      empty.push(checkedEntryName(folder.name));
    for (const entry of entries ?? []) {
      const path = join(folder.path, entry.name);
      if (!entry.isDirectory() || path === root.excludedPath || (await isStagingFolder(path))) continue;
      folders.push({ path, name: folder.name === '' ? entry.name : `${folder.name}/${entry.name}` });
    }
  }
  return empty;
}

/** What there is at the places of a group, one by one. */
export function lookAtGroup(root: Root, { folder, names, paths }: ScannedGroup): Promise<Found[]> {
  return Promise.all([...paths, ...names.map((name) => join(folder, name))].map((path) => lookAt(root, path)));
}

/** What files of a folder of a root are called, by their base names. */
export function createNaming(
  root: Root,
  folder: string,
): (base: string) => { name: EntryName } | { name: undefined; problem: string } {
  const prefix = folder === root.path ? '' : `${relative(root.path, folder).replaceAll(sep, '/')}/`;
  return (base) => {
    const problem = entryNameProblem(prefix + base);
    if (problem !== undefined) return { name: undefined, problem: `its name cannot be shared: ${problem}` };
    return { name: checkedEntryName(prefix + base) };
  };
}

/** What there is to share at one path of a root, now. */
export async function lookAt(root: Root, path: string): Promise<Found> {
  try {
    return await lookAtPath(root, path);
  } catch (error) {
    if (isMissing(error)) return { state: 'nothing' };
    return { state: 'refused', path, message: diskError(error, 'it cannot be read').message };
  }
}

async function lookAtPath(root: Root, path: string): Promise<Found> {
  let stats = await lstat(path, { bigint: true });
  let linkTarget: string | undefined;
  if (stats.isSymbolicLink()) {
    linkTarget = await realpath(path);
    if (!linkTarget.startsWith(root.path + sep))
      return { state: 'refused', path, message: 'it is a symbolic link that leads out of the shared folder' };
    stats = await stat(linkTarget, { bigint: true });
  }
  // A linked folder is inside the root, so its files are shared where they are.
  if (!stats.isFile() || (await isPartialFileOfOurs(path)) || (await isInStagingFolder(root.path, path)))
    return { state: 'nothing' };
  const text = root.kind === 'file' ? root.name : relative(root.path, path).replaceAll(sep, '/');
  const problem = entryNameProblem(text);
  if (problem !== undefined) return { state: 'refused', path, message: `its name cannot be shared: ${problem}` };
  const executable = isExecutable(stats);
  return { state: 'file', path, name: parseEntryName(text), stamp: fileStamp(stats), executable, linkTarget };
}
