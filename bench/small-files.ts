/** Many small files, each of other bytes. */
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ShoalError } from '../src/errors.ts';

/** A folder has at most so many of them. */
const FILES_PER_FOLDER = 1_000;

export async function createSmallFiles(folder: string, fileCount: number, fileBytes: number): Promise<string> {
  for (let index = 0; index < fileCount; index++) {
    const sub = join(folder, `part-${Math.floor(index / FILES_PER_FOLDER)}`);
    if (index % FILES_PER_FOLDER === 0) await mkdir(sub, { recursive: true });
    const bytes = Buffer.alloc(fileBytes, createHash('sha512').update(`${index}`).digest());
    await writeFile(join(sub, `file-${index}.bin`), bytes);
  }
  return folder;
}

/** Throws `integrity` unless `copy` has exactly the files of `original`. */
export async function checkSameFiles(original: string, copy: string): Promise<void> {
  const names = async (folder: string): Promise<string[]> =>
    (await readdir(folder, { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(folder.length))
      .toSorted();
  const [expected, found] = await Promise.all([names(original), names(copy)]);
  if (expected.join('\n') !== found.join('\n'))
    throw new ShoalError('integrity', `${copy} has ${found.length} files, and not the same as ${original}`);
  for (const name of expected) {
    if (!(await readFile(join(original, name))).equals(await readFile(join(copy, name))))
      throw new ShoalError('integrity', `${name} differs from the file that was sent`);
  }
}
