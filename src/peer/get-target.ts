/** Where a download goes: turns `-o` and the entry's name into one path, and says early when that cannot work. */
import { stat } from 'node:fs/promises';
import { isAbsolute, join, resolve, sep } from 'node:path';
import { baseName, localPathSegments, type EntryName } from '../content/entry-name.ts';
import { ShoalError, systemErrorCode } from '../errors.ts';
import { diskError } from '../storage/disk-error.ts';

export type GetTarget = { readonly kind: 'file'; readonly path: string } | { readonly kind: 'stdout' };

/**
 * Undefined: the entry's base name in `cwd`. `-`: standard output. A folder (it exists, or the text ends with a separator): the
 * base name inside it. Anything else: that very file.
 */
export async function resolveTarget(
  output: string | undefined,
  name: EntryName,
  cwd: string,
  platform: string,
): Promise<GetTarget> {
  if (output === '-') return { kind: 'stdout' };
  const segments = localPathSegments(name, platform);
  const fileName = segments[segments.length - 1] ?? baseName(name);
  const wanted = output === undefined || output === '' ? cwd : isAbsolute(output) ? output : resolve(cwd, output);
  const endsAsFolder = output === undefined || output === '' || output.endsWith('/') || output.endsWith(sep);
  const isFolder = await isExistingFolder(wanted);
  if (isFolder === false && endsAsFolder) {
    throw new ShoalError('usage', `${wanted} is a file, not a folder`, {
      hint: 'leave the separator at its end away to replace the file',
    });
  }
  const path = isFolder === true || endsAsFolder ? join(wanted, fileName) : wanted;
  if (path !== wanted && (await isExistingFolder(path)) === true) {
    throw new ShoalError('usage', `${path} is a folder: nothing can be downloaded over it`, {
      hint: 'choose a file name with -o',
    });
  }
  return { kind: 'file', path };
}

/** True for a folder, false for anything else that exists, undefined for nothing. */
async function isExistingFolder(path: string): Promise<boolean | undefined> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    if (systemErrorCode(error) === 'ENOTDIR')
      throw new ShoalError('usage', `${path} cannot be: a part of it is a file`, { cause: error });
    throw diskError(error, `cannot download to ${path}`);
  }
}
