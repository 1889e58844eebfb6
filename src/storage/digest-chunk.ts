/**
 * SHA-256 of bytes in memory. Large inputs are hashed on the thread pool, small ones at once: a job on the pool costs more than it
 * saves below some tens of KiB. Nothing here reads a file.
 */
import { hash } from 'node:crypto';

/** From this many bytes up a digest is computed on the thread pool. */
const POOL_BYTES_MIN = 64 * 1024;

/** SHA-256 of `bytes` on this thread. */
export function sha256(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  // A copy: the buffer of a small digest is a slice of Node's shared pool.
  return new Uint8Array(hash('sha256', bytes, 'buffer'));
}

/** SHA-256 of `bytes`, which must not change until the promise settles. */
export async function digestChunk(bytes: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
  if (bytes.length < POOL_BYTES_MIN) return sha256(bytes);
  return new Uint8Array(await crypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>));
}
