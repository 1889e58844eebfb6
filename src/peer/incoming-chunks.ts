/**
 * The buffers of chunks that are on their way in, by request, and when each may be used for another chunk: not before its request is
 * over, no connection writes into it, its digest is known, and nobody else needs the bytes any more. A request may be given up at any of
 * these moments, because its chunk came from another source first: its buffer is then still written by a connection in the midst of a
 * fragment, or still read by the thread that hashes.
 */
import type { SharedBytes } from '../storage/chunk-workers.ts';
import type { LinkId } from '../swarm/facts.ts';
import type { ChunkBuffers } from './chunk-buffers.ts';

interface Incoming {
  readonly buffer: SharedBytes;
  /** When its first byte came. */
  readonly begunAtMs: number;
  /** A connection is in the midst of a fragment, or the digest is being computed. */
  inUse: boolean;
  /** Nobody waits for this request any more. */
  released: boolean;
  /** Settles when those who still need the verified bytes have read them. */
  kept: Promise<void> | undefined;
}

export class IncomingChunks {
  readonly #buffers: ChunkBuffers<SharedBytes>;
  readonly #byRequest = new Map<number, Incoming>();
  /** Where a connection is writing: it has one fragment at a time. */
  readonly #filling = new Map<LinkId, Incoming>();

  readonly #clock: () => number;

  constructor(buffers: ChunkBuffers<SharedBytes>, clock: () => number = () => 0) {
    this.#buffers = buffers;
    this.#clock = clock;
  }

  /** A fragment of this request is coming over this link: the buffer of the request, taken at its first fragment. */
  beginFragment(link: LinkId, key: number, byteCount: number): SharedBytes {
    let incoming = this.#byRequest.get(key);
    if (incoming === undefined) {
      incoming = {
        ...{ buffer: this.#buffers.take(byteCount), begunAtMs: this.#clock() },
        ...{ inUse: false, released: false, kept: undefined },
      };
      this.#byRequest.set(key, incoming);
    }
    incoming.inUse = true;
    this.#filling.set(link, incoming);
    return incoming.buffer;
  }

  /** The fragment is here, or nothing more comes over this link. */
  endFragment(link: LinkId): void {
    const incoming = this.#filling.get(link);
    if (incoming === undefined) return;
    this.#filling.delete(link);
    this.#endUse(incoming);
  }

  get(key: number): SharedBytes | undefined {
    return this.#byRequest.get(key)?.buffer;
  }

  /** When the first byte of a request came; `otherwise` for one that has none. */
  begunAtMs(key: number, otherwise: number): number {
    return this.#byRequest.get(key)?.begunAtMs ?? otherwise;
  }

  /** Runs `verify` over the buffer of a request; undefined when it has none. */
  async verify<T extends { readonly kept?: Promise<void> | undefined }>(
    key: number,
    verify: (buffer: SharedBytes) => Promise<T>,
  ): Promise<T | undefined> {
    const incoming = this.#byRequest.get(key);
    if (incoming === undefined) return undefined;
    incoming.inUse = true;
    try {
      const result = await verify(incoming.buffer);
      incoming.kept = result.kept;
      return result;
    } finally {
      this.#endUse(incoming);
    }
  }

  /** The request is over. */
  release(key: number): void {
    const incoming = this.#byRequest.get(key);
    if (incoming === undefined) return;
    this.#byRequest.delete(key);
    incoming.released = true;
    if (!incoming.inUse) this.#giveBack(incoming);
  }

  releaseAll(): void {
    for (const key of [...this.#byRequest.keys()]) this.release(key);
  }

  #endUse(incoming: Incoming): void {
    incoming.inUse = false;
    if (incoming.released) this.#giveBack(incoming);
  }

  #giveBack({ buffer, kept }: Incoming): void {
    if (kept === undefined) this.#buffers.give(buffer);
    else void kept.then(() => this.#buffers.give(buffer));
  }
}
