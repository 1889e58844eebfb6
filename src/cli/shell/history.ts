/** The lines typed before, kept from one shell to the next in a file that only its user can read. */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { SHELL_HISTORY_LINES_MAX } from '../../limits.ts';

/** Newest first, as Node's readline takes it; nothing where there is no such file. */
export async function readHistory(path: string): Promise<string[]> {
  const text = await readFile(path, 'utf8').catch(() => '');
  return text
    .split('\n')
    .filter((line) => line !== '')
    .toReversed()
    .slice(0, SHELL_HISTORY_LINES_MAX);
}

/** Readers see the old file or the new one. */
export async function writeHistory(path: string, newestFirst: readonly string[]): Promise<void> {
  const lines = newestFirst.slice(0, SHELL_HISTORY_LINES_MAX).toReversed();
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await writeFile(`${path}.${process.pid}`, `${lines.join('\n')}\n`, { mode: 0o600 });
  await rename(`${path}.${process.pid}`, path);
}
