/** Inputs that once made something fail: a folder a target, a file an input. */
import { readdir, readFile } from 'node:fs/promises';

export function foundFolder(target: string): URL {
  return new URL(`./found/${target}/`, import.meta.url);
}

export async function foundInputs(
  target: string,
): Promise<readonly { name: string; bytes: Uint8Array<ArrayBuffer> }[]> {
  const names = await readdir(foundFolder(target)).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  return Promise.all(
    names.map(async (name) => ({ name, bytes: new Uint8Array(await readFile(new URL(name, foundFolder(target)))) })),
  );
}
