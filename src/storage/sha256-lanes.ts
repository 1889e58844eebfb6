/**
 * SHA-256 of two streams at a time. One core with SHA instructions computes two digests in the time of one, if the two are
 * interleaved: each alone waits for its own results. OpenSSL inside Node has that loop (it was made for TLS), but Node offers no way
 * to it, so it is called directly where that can be done, and where a test at start says that it is right and faster.
 */
import { createHash, hash, type Hash } from 'node:crypto';
import { SHA256_BYTES } from '../content/digest.ts';
import { ShoalError } from '../errors.ts';
import { loadNative, type NativeLibrary } from '../native.ts';

/** One digest in the making. Every piece but the last has a length that BLOCK_BYTES divides. */
export interface Sha256Stream {
  /** Bytes taken so far. */
  readonly byteCount: number;
}

export interface Sha256Lanes {
  /** Whether two streams cost about as much as one. */
  readonly isPaired: boolean;
  begin(): Sha256Stream;
  /** Another stream that has taken the same bytes. */
  fork(stream: Sha256Stream): Sha256Stream;
  /** Each stream takes its bytes. Two different streams; the bytes may be the same. */
  update(stream: Sha256Stream, bytes: Uint8Array, other?: Sha256Stream, otherBytes?: Uint8Array): void;
  /** Ends the stream. */
  digest(stream: Sha256Stream): Uint8Array<ArrayBuffer>;
}

export const BLOCK_BYTES = 64;
const WORDS = 8;
/** The function works on four lanes at least, and lays the words of eight side by side. */
const LANES = 4;
const LANE_STRIDE = 8;
const DESCRIPTOR_BYTES = 16;
const INITIAL = [
  0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
] as const;
/** Keeps byte counts well inside the function's 32 bits. */
const PIECE_BYTES_MAX = 0x4000_0000;
/** The pair must cost less than this part of two digests by Node, or it is not worth it. */
const WORTH_IT = 0.8;

let chosen: Sha256Lanes | undefined;

/** The fastest there is on this machine, tested once a thread (about a millisecond). */
export function sha256Lanes(): Sha256Lanes {
  chosen ??= chooseLanes();
  return chosen;
}

function chooseLanes(): Sha256Lanes {
  const plain = nodeLanes();
  const native = nativeLanes();
  return native !== undefined && isRight(native) && isFaster(native, plain) ? native : plain;
}

// ---- Node's own --------------------------------------------------------------------------------------------------------------

class NodeStream implements Sha256Stream {
  byteCount = 0;
  readonly hash: Hash;
  constructor(of: Hash) {
    this.hash = of;
  }
}

/** Two digests cost twice as much as one. */
export function nodeLanes(): Sha256Lanes {
  const take = (stream: Sha256Stream, bytes: Uint8Array): void => {
    const own = stream as NodeStream;
    own.hash.update(bytes);
    own.byteCount += bytes.length;
  };
  return {
    isPaired: false,
    begin: () => new NodeStream(createHash('sha256')),
    fork(stream) {
      const copy = new NodeStream((stream as NodeStream).hash.copy());
      copy.byteCount = stream.byteCount;
      return copy;
    },
    update(stream, bytes, other, otherBytes) {
      take(stream, bytes);
      if (other !== undefined && otherBytes !== undefined) take(other, otherBytes);
    },
    digest: (stream) => new Uint8Array((stream as NodeStream).hash.digest()),
  };
}

// ---- OpenSSL's -----------------------------------------------------------------------------------------------------------------

class NativeStream implements Sha256Stream {
  byteCount = 0;
  readonly words: Uint32Array<ArrayBuffer>;
  /** What the last piece had beyond whole blocks. After that nothing may come. */
  rest: Uint8Array = NO_BYTES;
  constructor(words: Uint32Array<ArrayBuffer>) {
    this.words = words;
  }
}

const NO_BYTES = new Uint8Array(0);

/** Undefined where the function cannot be had. What it computes is not tested yet. */
export function nativeLanes(): Sha256Lanes | undefined {
  // The function is internal to OpenSSL: unchanged since 1.0.2, and looked at in version 3 only.
  if (!process.versions.openssl.startsWith('3.')) return undefined;
  const native = loadNative({
    sha256_multi_block: { return: 'void', arguments: ['u64', 'u64', 'i32'] },
  });
  return native === undefined ? undefined : new MultiBlock(native);
}

/**
 *     context      A of 8 lanes, B of 8 lanes, ... H of 8 lanes, 32 bits each
 *     descriptors  for each lane: address of its bytes (64 bits), number of blocks (32 bits), 32 bits unused
 *     function     (context, descriptors, n): 4 n lanes
 */
class MultiBlock implements Sha256Lanes {
  readonly isPaired = true;
  readonly #native: NativeLibrary<'sha256_multi_block'>;
  readonly #context = new Uint32Array(new SharedArrayBuffer(WORDS * LANE_STRIDE * 4));
  readonly #descriptors = new DataView(new SharedArrayBuffer(LANES * DESCRIPTOR_BYTES));
  readonly #contextAddress: bigint;
  readonly #descriptorsAddress: bigint;
  readonly #padding = new Uint8Array(new SharedArrayBuffer(2 * BLOCK_BYTES));

  constructor(native: NativeLibrary<'sha256_multi_block'>) {
    this.#native = native;
    this.#contextAddress = native.address(new Uint8Array(this.#context.buffer));
    this.#descriptorsAddress = native.address(new Uint8Array(this.#descriptors.buffer));
  }

  begin(): NativeStream {
    return new NativeStream(Uint32Array.from(INITIAL));
  }

  fork(stream: Sha256Stream): NativeStream {
    const { words, byteCount, rest } = own(stream);
    const copy = new NativeStream(words.slice());
    copy.byteCount = byteCount;
    copy.rest = rest;
    return copy;
  }

  update(stream: Sha256Stream, bytes: Uint8Array, other?: Sha256Stream, otherBytes?: Uint8Array): void {
    const first = own(stream);
    if (other === undefined || otherBytes === undefined) {
      this.#take(first, bytes, undefined, NO_BYTES);
      return;
    }
    if (other === stream) throw new ShoalError('bug', 'one stream cannot run in two lanes');
    this.#take(first, bytes, own(other), otherBytes);
  }

  digest(stream: Sha256Stream): Uint8Array<ArrayBuffer> {
    const { words, byteCount, rest } = own(stream);
    const padding = this.#padding;
    padding.fill(0);
    padding.set(rest);
    padding[rest.length] = 0x80;
    const blockCount = rest.length + 9 > BLOCK_BYTES ? 2 : 1;
    new DataView(padding.buffer).setBigUint64(blockCount * BLOCK_BYTES - 8, BigInt(byteCount) * 8n);
    this.#load(0, words, padding, blockCount);
    for (let lane = 1; lane < LANES; lane++) this.#load(lane, undefined, padding, 0);
    this.#run();
    const digest = new Uint8Array(SHA256_BYTES);
    const view = new DataView(digest.buffer);
    for (let word = 0; word < WORDS; word++) view.setUint32(word * 4, this.#context[word * LANE_STRIDE] as number);
    return digest;
  }

  #take(first: NativeStream, bytes: Uint8Array, second: NativeStream | undefined, secondBytes: Uint8Array): void {
    for (const [stream, piece] of [
      [first, bytes],
      [second, secondBytes],
    ] as const) {
      if (stream !== undefined && stream.rest.length > 0)
        throw new ShoalError('bug', 'a stream goes on behind a piece that is not whole blocks');
      if (piece.length > PIECE_BYTES_MAX)
        throw new ShoalError('bug', `${piece.length} bytes are too many for one piece`);
    }
    const blockCount = Math.floor(bytes.length / BLOCK_BYTES);
    const secondBlockCount = Math.floor(secondBytes.length / BLOCK_BYTES);
    this.#load(0, first.words, bytes, blockCount);
    this.#load(1, second?.words, secondBytes, secondBlockCount);
    for (let lane = 2; lane < LANES; lane++) this.#load(lane, undefined, NO_BYTES, 0);
    this.#run();
    this.#store(0, first, bytes, blockCount);
    if (second !== undefined) this.#store(1, second, secondBytes, secondBlockCount);
  }

  #load(lane: number, words: Uint32Array | undefined, bytes: Uint8Array, blockCount: number): void {
    if (blockCount * BLOCK_BYTES > bytes.length) throw new ShoalError('bug', 'a lane was given too few bytes');
    if (words !== undefined)
      for (let word = 0; word < WORDS; word++) this.#context[word * LANE_STRIDE + lane] = words[word] as number;
    // A lane without blocks reads nothing, but its address must still be one.
    const address = blockCount === 0 ? this.#contextAddress : this.#native.address(bytes);
    this.#descriptors.setBigUint64(lane * DESCRIPTOR_BYTES, address, true);
    this.#descriptors.setInt32(lane * DESCRIPTOR_BYTES + 8, blockCount, true);
  }

  #run(): void {
    this.#native.functions.sha256_multi_block(this.#contextAddress, this.#descriptorsAddress, 1);
  }

  #store(lane: number, stream: NativeStream, bytes: Uint8Array, blockCount: number): void {
    for (let word = 0; word < WORDS; word++) stream.words[word] = this.#context[word * LANE_STRIDE + lane] as number;
    stream.byteCount += bytes.length;
    stream.rest = bytes.slice(blockCount * BLOCK_BYTES);
  }
}

function own(stream: Sha256Stream): NativeStream {
  if (!(stream instanceof NativeStream)) throw new ShoalError('bug', 'a stream of other lanes');
  return stream;
}

// ---- the test at start -----------------------------------------------------------------------------------------------------------

/** Lengths around every edge of the padding, and some blocks. */
const TEST_BYTES = [0, 1, 55, 56, 63, 64, 65, 119, 120, 128, 4_096, 8_191];
const SPEED_BYTES = 128 * 1024;
const SPEED_ROUNDS = 3;

/** Every pair of lengths, against Node's digest. */
function isRight(lanes: Sha256Lanes): boolean {
  const memory = new Uint8Array(new SharedArrayBuffer(16_384));
  for (let at = 0; at < memory.length; at++) memory[at] = (at * 167 + (at >> 7)) & 0xff;
  for (const [index, byteCount] of TEST_BYTES.entries()) {
    const otherCount = TEST_BYTES[(index * 5 + 3) % TEST_BYTES.length] as number;
    const pieces = [memory.subarray(0, byteCount), memory.subarray(8_192, 8_192 + otherCount)] as const;
    const streams = [lanes.begin(), lanes.begin()] as const;
    lanes.update(streams[0], pieces[0], streams[1], pieces[1]);
    const forked = lanes.fork(streams[1]);
    for (const [stream, piece] of [
      [streams[0], pieces[0]],
      [streams[1], pieces[1]],
      [forked, pieces[1]],
    ] as const) {
      if (Buffer.compare(lanes.digest(stream), hash('sha256', piece, 'buffer')) !== 0) return false;
    }
  }
  return true;
}

function isFaster(lanes: Sha256Lanes, than: Sha256Lanes): boolean {
  const bytes = new Uint8Array(new SharedArrayBuffer(SPEED_BYTES));
  const best = (of: Sha256Lanes): number => {
    let bestMs = Number.POSITIVE_INFINITY;
    for (let round = 0; round < SPEED_ROUNDS; round++) {
      const startedAtMs = performance.now();
      of.update(of.begin(), bytes, of.begin(), bytes);
      bestMs = Math.min(bestMs, performance.now() - startedAtMs);
    }
    return bestMs;
  };
  return best(lanes) < WORTH_IT * best(than);
}
