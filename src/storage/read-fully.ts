/**
 * Reads a range of a file. What the kernel has in memory is taken at once, without waiting for a disk (preadv2 with RWF_NOWAIT);
 * only what is not there goes through the thread pool, where a round trip costs more than copying some tens of KiB: an eighth of the
 * CPU time of a leecher that serves what it has just received, before this.
 */
import type { FileHandle } from 'node:fs/promises';
import { ShoalError } from '../errors.ts';
import { CACHED_READ_BYTES_MAX } from '../limits.ts';
import { loadNative, type NativeLibrary } from '../native.ts';

/** From linux/fs.h: read only what can be had without blocking. */
const RWF_NOWAIT = 8;
const VECTOR_BYTES = 16;

interface CachedReader {
  /** Bytes read at once; 0 when none can be, or at the end of the file, or on any error: a usual read will tell. */
  read(descriptor: number, into: Uint8Array, position: number): number;
}

class VectorReader implements CachedReader {
  readonly #native: NativeLibrary<'preadv2'>;
  readonly #vector = new DataView(new SharedArrayBuffer(VECTOR_BYTES));
  readonly #vectorAddress: bigint;

  constructor(native: NativeLibrary<'preadv2'>) {
    this.#native = native;
    this.#vectorAddress = native.address(new Uint8Array(this.#vector.buffer));
  }

  read(descriptor: number, into: Uint8Array, position: number): number {
    this.#vector.setBigUint64(0, this.#native.address(into), true);
    this.#vector.setBigUint64(8, BigInt(into.length), true);
    const result = this.#native.functions.preadv2(descriptor, this.#vectorAddress, 1, BigInt(position), RWF_NOWAIT);
    return Math.max(0, Number(result));
  }
}

let cached: CachedReader | undefined | 'untried' = 'untried';

function cachedReader(): CachedReader | undefined {
  if (cached === 'untried') {
    const native = loadNative({ preadv2: { return: 'i64', arguments: ['i32', 'u64', 'i32', 'i64', 'i32'] } });
    cached = native && new VectorReader(native);
  }
  return cached;
}

/** Fills `into` from `position` on. `shorter` makes the error for a file that ends before. */
export async function readFully(
  handle: FileHandle,
  into: Uint8Array,
  position: number,
  shorter: () => ShoalError,
): Promise<void> {
  let filled = into.length > CACHED_READ_BYTES_MAX ? 0 : readCached(handle, into, position);
  while (filled < into.length) {
    const { bytesRead } = await handle.read(into, filled, into.length - filled, position + filled);
    if (bytesRead === 0) throw shorter();
    filled += bytesRead;
  }
}

/**
 * Fills `into` from `position` on with what the kernel has in memory; false when it has not all of it, or none can be read at once here.
 * What `into` holds then is arbitrary.
 */
export function readAtOnce(handle: FileHandle, into: Uint8Array, position: number): boolean {
  return into.length <= CACHED_READ_BYTES_MAX && readCached(handle, into, position) === into.length;
}

/** Says how many bytes at the beginning of `into` are there. */
function readCached(handle: FileHandle, into: Uint8Array, position: number): number {
  const descriptor = handle.fd;
  // a closed handle has -1
  return into.length === 0 || descriptor < 0 ? 0 : (cachedReader()?.read(descriptor, into, position) ?? 0);
}
