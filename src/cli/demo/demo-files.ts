/** The files of the demonstration: one that nothing can compress, and a folder for each peer with a link to it. */
import { createCipheriv, randomBytes } from 'node:crypto';
import { copyFile, link, mkdir, mkdtemp, open, rm, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ShoalError } from '../../errors.ts';
import { DISK_RESERVE_BYTES } from '../../limits.ts';
import { humanBytes } from '../human.ts';

export interface DemoFolders {
  /** All the others are below it. */
  readonly root: string;
  readonly peers: readonly string[];
  readonly target: string;
}

export interface DemoFilesOptions {
  readonly name: string;
  readonly size: number;
  readonly peerCount: number;
  readonly signal: AbortSignal;
}

const BLOCK_BYTES = 4 * 1024 * 1024;

/** Makes everything below a new temporary folder; leaves nothing behind when it fails. */
export async function makeDemoFolders({ name, size, peerCount, signal }: DemoFilesOptions): Promise<DemoFolders> {
  const root = await mkdtemp(join(tmpdir(), 'shoal-demo-'));
  try {
    // the file itself, the download, and what the file system wants for copies where it cannot link
    await requireSpace(root, 2 * size + DISK_RESERVE_BYTES);
    const peers = Array.from({ length: peerCount }, (_, index) => join(root, `peer-${index + 1}`));
    const target = join(root, 'download');
    for (const folder of [...peers, target]) await mkdir(folder);
    const [first = root, ...others] = peers.map((folder) => join(folder, name));
    await writeRandomFile(first, size, signal);
    for (const path of others) await link(first, path).catch(() => copyFile(first, path));
    return { root, peers, target };
  } catch (error) {
    await rm(root, { recursive: true, force: true });
    throw error;
  }
}

async function requireSpace(folder: string, byteCount: number): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  if (bavail * bsize >= byteCount) return;
  throw new ShoalError(
    'no-space',
    `${tmpdir()} has ${humanBytes(bavail * bsize)} free, the demonstration takes ${humanBytes(byteCount)}`,
    {
      hint: 'make it smaller with --size 64MiB, or set TMPDIR to another folder',
    },
  );
}

/** A key stream: as good as random, and as fast as the disk. */
async function writeRandomFile(path: string, size: number, signal: AbortSignal): Promise<void> {
  const cipher = createCipheriv('aes-128-ctr', randomBytes(16), randomBytes(16));
  const zeros = Buffer.alloc(BLOCK_BYTES);
  const file = await open(path, 'w');
  try {
    for (let offset = 0; offset < size; offset += BLOCK_BYTES) {
      if (signal.aborted) throw new ShoalError('cancelled', 'the demonstration was interrupted');
      await file.writeFile(cipher.update(zeros.subarray(0, Math.min(BLOCK_BYTES, size - offset))));
    }
  } finally {
    await file.close();
  }
}
