/** Files for scenarios: pseudo-random bytes that a seed decides, written as fast as the disk takes them, with their SHA-256. */
import { createCipheriv, createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';

const BLOCK_BYTES = 1024 * 1024;

/** The first `size` bytes that belong to a seed. */
export function seededBytes(size: number, seed: number): Buffer {
  return seededStream(seed).update(Buffer.alloc(size));
}

/** Writes the bytes of a seed; answers with their SHA-256. */
export async function writeSeededFile(path: string, size: number, seed: number): Promise<string> {
  const stream = seededStream(seed);
  const hash = createHash('sha256');
  const zeros = Buffer.alloc(Math.min(BLOCK_BYTES, size));
  const file = await open(path, 'w');
  try {
    for (let offset = 0; offset < size; offset += BLOCK_BYTES) {
      const block = stream.update(zeros.subarray(0, Math.min(BLOCK_BYTES, size - offset)));
      hash.update(block);
      await file.writeFile(block);
    }
  } finally {
    await file.close();
  }
  return hash.digest('hex');
}

export async function sha256OfFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const block of createReadStream(path, { highWaterMark: BLOCK_BYTES })) hash.update(block as Buffer);
  return hash.digest('hex');
}

/** A key stream: nothing can compress it, and it comes faster than any file is hashed. */
function seededStream(seed: number) {
  const iv = Buffer.alloc(16);
  iv.writeUInt32BE(seed >>> 0);
  return createCipheriv('aes-128-ctr', Buffer.alloc(16, 0x5a), iv);
}
