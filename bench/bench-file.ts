/** The file that is moved: random bytes, so that nothing on the way can compress or deduplicate them, and copies of it in folders. */
import { createHash, randomFillSync } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { link, mkdir, open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ShoalError } from '../src/errors.ts';

export interface BenchFile {
  readonly name: string;
  readonly path: string;
  readonly size: number;
  readonly sha256: string;
}

const BLOCK_BYTES = 8 * 1024 * 1024;

export async function createBenchFile(folder: string, name: string, size: number): Promise<BenchFile> {
  await mkdir(folder, { recursive: true });
  const path = join(folder, name);
  const hash = createHash('sha256');
  const block = Buffer.allocUnsafe(BLOCK_BYTES);
  await using file = await open(path, 'wx');
  for (let offset = 0; offset < size; offset += BLOCK_BYTES) {
    const bytes = block.subarray(0, Math.min(BLOCK_BYTES, size - offset));
    randomFillSync(bytes);
    hash.update(bytes);
    await file.write(bytes, 0, bytes.length, offset);
  }
  // on the disk before anything is timed: its write-back would otherwise run into the first measurements
  await file.sync();
  return { name, path, size, sha256: hash.digest('hex') };
}

/**
 * A folder with the file in it, for one source. It is a hard link: every system's sources read the same cached pages, as sources on
 * machines of their own would each read their own, and the benchmark needs the memory of one copy.
 */
export async function sourceFolder(file: BenchFile, folder: string): Promise<string> {
  await mkdir(folder, { recursive: true });
  await link(file.path, join(folder, file.name));
  return folder;
}

/** Throws `integrity` when a system left something else than the file. */
export async function checkSize(file: BenchFile, path: string): Promise<void> {
  const { size } = await stat(path);
  if (size !== file.size) throw new ShoalError('integrity', `${path} has ${size} bytes instead of ${file.size}`);
}

export async function checkContent(file: BenchFile, path: string): Promise<void> {
  await checkSize(file, path);
  const hash = createHash('sha256');
  for await (const bytes of createReadStream(path, { highWaterMark: 1024 * 1024 })) hash.update(bytes as Buffer);
  if (hash.digest('hex') !== file.sha256)
    throw new ShoalError('integrity', `${path} differs from the file that was sent`);
}
