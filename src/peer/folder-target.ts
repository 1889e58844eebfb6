/** Where a folder goes that is fetched: turns `-o` and its name into one path, and names the places used on the way there. */
import { stat } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, resolve, sep } from 'node:path';
import { localPathSegments, parseEntryName } from '../content/entry-name.ts';
import { ShoalError } from '../errors.ts';
import { diskError, isMissing } from '../storage/disk-error.ts';
import { stagingNames, type StagingNames } from '../storage/partial-names.ts';

export interface FolderTarget extends StagingNames {
  readonly path: string;
  /** A folder is there already: files are put into it, and those it has besides are left alone. */
  readonly isThere: boolean;
}

/**
 * @param output as for a file: undefined is the current folder; a folder that exists, or ends with a separator, gets the folder inside
 *   it; anything else is that very folder.
 * @param name of the folder, with its slash.
 */
export async function resolveFolderTarget(
  output: string | undefined,
  name: string,
  cwd: string,
  platform: string,
): Promise<FolderTarget> {
  if (output === '-')
    throw new ShoalError('usage', `${name} is a folder, which cannot be written to standard output`, {
      hint: 'name a folder with -o, or one of its files instead',
    });
  const base = localPathSegments(parseEntryName(name.replace(/\/$/u, '')), platform).at(-1) ?? name;
  const asked = output === undefined || output === '' ? cwd : isAbsolute(output) ? output : resolve(cwd, output);
  const endsAsFolder = output === undefined || output === '' || output.endsWith('/') || output.endsWith(sep);
  const isInside = endsAsFolder || (await isFolder(asked)) === true;
  const path = isInside ? join(asked, base) : asked;
  const isThere = await isFolder(path);
  if (isThere === false)
    throw new ShoalError('usage', `${path} is a file, so no folder can be written there`, {
      hint: 'choose another place with -o',
    });
  const names = stagingNames(join(dirname(path), basename(path)));
  if ((await isFolder(names.folder)) === false)
    throw new ShoalError('conflict', `${names.folder} is in the way: it is a file`, {
      hint: 'move it away, or choose another place with -o',
    });
  return { ...names, path, isThere: isThere === true };
}

/** True for a folder, false for anything else that exists, undefined for nothing. */
async function isFolder(path: string): Promise<boolean | undefined> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw diskError(error, `cannot look at ${path}`);
  }
}
