/**
 * Sends chunks: hands their fragments to the links in the order of fair-turns.ts, each read just before it leaves into memory that the
 * one before has just left, so that it is still in the caches; a chunk that is not in the kernel's memory is read whole beforehand. Sends are
 * held back by the token bucket of the upload limit, by the paces that receivers ask for, and by links whose kernel is full. One
 * uploader serves all contents of a node, so that the limit holds for the node.
 */
import { FRAGMENT_BYTES_MAX, LARGE_FRAGMENT_BYTES_MAX, SOCKET_UNSENT_BYTES_MAX } from '../limits.ts';
import type { UploadFacts } from '../swarm/bottleneck.ts';
import { FRAGMENT_OVERHEAD_BYTES } from '../swarm/facts.ts';
import { TokenBucket } from '../swarm/token-bucket.ts';
import type { ChunkBuffers } from './chunk-buffers.ts';
import { FairTurns } from './fair-turns.ts';
import type { PeerLink } from './peer-link.ts';

export interface ChunkSend {
  readonly link: PeerLink;
  /** Stands for the content: contents share the uplink evenly. */
  readonly content: object;
  readonly requestId: number;
  readonly chunkIndex: number;
  readonly byteCount: number;
  /** Size of the buffer to take from the pool: the content's chunk size. */
  readonly bufferBytes: number;
  /** Fills a buffer with the chunk's bytes from `offset` on, if that takes no waiting. Absent, or false: `read` has to. */
  readAtOnce?(offset: number, into: Uint8Array): boolean;
  /** Fills the buffer with the chunk's bytes. */
  read(into: Uint8Array): Promise<void>;
  /** The kernel has taken these bytes. */
  sent(byteCount: number, last: boolean): void;
  /** The send ended early. */
  ended(why: 'stopped' | 'unreadable', cause: unknown): void;
}

interface Active {
  readonly send: ChunkSend;
  /** All of the chunk, where it has to be read beforehand. */
  buffer: Uint8Array<ArrayBuffer> | undefined;
  state: 'reading' | 'sending' | 'over';
  /** Next byte to hand to the link. */
  offset: number;
  /** Fragments the link still holds. */
  unflushed: number;
  stopping: boolean;
  /** Why it ended early. */
  ended: { readonly why: 'stopped' | 'unreadable'; readonly cause: unknown } | undefined;
  /** Its owner has heard the last of it. */
  settled: boolean;
}

interface Piece {
  readonly bytes: Uint8Array;
  /** The buffer to give back when the link has let go; undefined: it is the chunk's. */
  readonly own: Uint8Array<ArrayBuffer> | undefined;
}

export class Uploader {
  readonly #buffers: ChunkBuffers;
  readonly #clock: () => number;
  readonly #bucket: TokenBucket;
  readonly #active = new FairTurns<Active>();
  /** Over, but with fragments that their link still holds. */
  readonly #lingering = new Set<Active>();
  /** Of links whose receiver asked for one. */
  readonly #paces = new Map<PeerLink, TokenBucket>();
  #timer: NodeJS.Timeout | undefined;
  #timerAtMs = Number.POSITIVE_INFINITY;
  #pumping = false;
  #pumpScheduled = false;

  /** @param clock milliseconds that never go back. */
  constructor(buffers: ChunkBuffers, bytesPerSecond: number, clock: () => number) {
    this.#buffers = buffers;
    this.#clock = clock;
    this.#bucket = new TokenBucket(bytesPerSecond, clock());
  }

  /** Bytes a second; Infinity: none. */
  get limit(): number {
    return this.#bucket.bytesPerSecond;
  }

  /** What the sends of a content wait for at this moment. */
  facts(content: object): UploadFacts {
    let [readingCount, sendingCount, pacedCount] = [0, 0, 0];
    for (const { send, state } of this.#active) {
      if (send.content !== content) continue;
      if (state === 'reading') readingCount++;
      else sendingCount++;
      if (state === 'sending' && this.#paces.get(send.link)?.isWaitedFor === true) pacedCount++;
    }
    const isHeldByLimit = this.#bucket.isWaitedFor || (sendingCount > 0 && pacedCount === sendingCount);
    return { readingCount, sendingCount, isHeldByLimit };
  }

  /** What to `reserve` at a time at most, so that the limit is kept smoothly; Infinity without a limit. */
  get pieceBytes(): number {
    return this.#bucket.isLimited ? this.#bucket.pieceBytes : Number.POSITIVE_INFINITY;
  }

  setLimit(bytesPerSecond: number): void {
    this.#bucket.setRate(bytesPerSecond, this.#clock());
    this.pump();
  }

  /** From now on the fragments of a link leave at this rate at most, frames included; Infinity: at any. */
  pace(link: PeerLink, bytesPerSecond: number): void {
    const bucket = this.#paces.get(link);
    if (bytesPerSecond === Number.POSITIVE_INFINITY) this.#paces.delete(link);
    else if (bucket === undefined) this.#paces.set(link, new TokenBucket(bytesPerSecond, this.#clock()));
    else bucket.retune(bytesPerSecond, this.#clock());
    this.pump();
  }

  start(send: ChunkSend): void {
    const active: Active = {
      send,
      buffer: undefined,
      state: 'sending',
      offset: 0,
      unflushed: 0,
      stopping: false,
      ended: undefined,
      settled: false,
    };
    this.#active.add(send.content, active);
    if (send.readAtOnce === undefined) void this.#read(active);
    else this.#pumpSoon();
  }

  /** Once for all that begins in this turn. */
  #pumpSoon(): void {
    if (this.#pumpScheduled) return;
    this.#pumpScheduled = true;
    queueMicrotask(() => {
      this.#pumpScheduled = false;
      this.pump();
    });
  }

  /** Reads all of the chunk; what is sent already is read again, and costs little where it is in memory. */
  async #read(active: Active): Promise<void> {
    const { send } = active;
    const buffer = this.#buffers.take(send.bufferBytes);
    active.buffer = buffer;
    active.state = 'reading';
    try {
      await send.read(buffer.subarray(0, send.byteCount));
    } catch (error) {
      this.#end(active, 'unreadable', error);
      return;
    }
    if (active.stopping) this.#end(active, 'stopped', undefined);
    else active.state = 'sending';
    this.pump();
  }

  /** Stops a send at the next fragment boundary; `ended('stopped')` follows unless its last byte is out already. */
  stop(link: PeerLink, requestId: number): void {
    const active = [...this.#active].find((one) => one.send.link === link && one.send.requestId === requestId);
    if (active === undefined) return;
    active.stopping = true;
    if (active.state === 'sending') this.#end(active, 'stopped', undefined);
  }

  /** Forgets every send of a link that has ended; nothing is reported for them. */
  drop(link: PeerLink): void {
    this.#paces.delete(link);
    for (const one of this.#lingering) if (one.send.link === link) one.settled = true;
    for (const active of [...this.#active].filter((one) => one.send.link === link)) {
      active.settled = true;
      active.stopping = true;
      if (active.state === 'sending') this.#end(active, 'stopped', undefined);
    }
  }

  /** Hands out fragments while links have room and the limit allows. Call when a link becomes writable. */
  pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    try {
      const nowMs = this.#clock();
      let paceMs = Number.POSITIVE_INFINITY;
      const mayGo = (active: Active): boolean => {
        if (!canGo(active)) return false;
        const pace = this.#paces.get(active.send.link);
        if (pace === undefined || pace.ask(nowMs)) return true;
        paceMs = Math.min(paceMs, pace.waitMs(nowMs));
        return false;
      };
      for (let active = this.#active.next(mayGo); active !== undefined; active = this.#active.next(mayGo)) {
        const pace = this.#paces.get(active.send.link);
        const mostBytes = active.send.link.fragmentBytesMax ?? FRAGMENT_BYTES_MAX;
        const byteCount = Math.min(
          this.pieceBytes,
          pace?.pieceBytes ?? mostBytes,
          mostBytes,
          active.send.byteCount - active.offset,
        );
        const atMs = this.#clock();
        if (!this.#bucket.ask(atMs)) {
          this.#wakeAfter(this.#bucket.waitMs(atMs));
          break;
        }
        const piece = this.#nextPiece(active, byteCount);
        if (piece === undefined) {
          void this.#read(active);
          continue;
        }
        this.#bucket.take(byteCount + FRAGMENT_OVERHEAD_BYTES, atMs);
        pace?.take(byteCount + FRAGMENT_OVERHEAD_BYTES, nowMs);
        this.#active.sent(active.send.content, byteCount);
        this.#sendFragment(active, piece);
      }
      if (paceMs !== Number.POSITIVE_INFINITY) this.#wakeAfter(paceMs);
    } finally {
      this.#pumping = false;
    }
  }

  /** For senders that pace themselves (the range frontend): resolves when the limit lets these bytes go. */
  async reserve(byteCount: number): Promise<void> {
    while (!this.#bucket.take(byteCount, this.#clock())) {
      const waitMs = Math.max(1, this.#bucket.waitMs(this.#clock()));
      await new Promise((resolve) => setTimeout(resolve, waitMs));
    }
  }

  close(): void {
    clearTimeout(this.#timer);
    for (const link of new Set([...this.#active].map((active) => active.send.link))) this.drop(link);
  }

  /** The bytes that go next; undefined: they have to be waited for. */
  #nextPiece({ send, buffer, offset }: Active, byteCount: number): Piece | undefined {
    if (buffer !== undefined) return { bytes: buffer.subarray(offset, offset + byteCount), own: undefined };
    const own = this.#buffers.take(byteCount > FRAGMENT_BYTES_MAX ? LARGE_FRAGMENT_BYTES_MAX : FRAGMENT_BYTES_MAX);
    const bytes = own.subarray(0, byteCount);
    if (send.readAtOnce?.(offset, bytes) === true) return { bytes, own };
    this.#buffers.give(own);
    return undefined;
  }

  #sendFragment(active: Active, { bytes, own }: Piece): void {
    const { send, offset } = active;
    const byteCount = bytes.length;
    active.offset += byteCount;
    active.unflushed++;
    const last = active.offset === send.byteCount;
    if (last) this.#remove(active);
    const { requestId, chunkIndex } = send;
    send.link.sendFragment({ requestId, chunkIndex, offset, byteCount }, bytes, () => {
      if (own !== undefined) this.#buffers.give(own);
      active.unflushed--;
      if (!active.settled) send.sent(byteCount, last);
      this.#settle(active);
    });
  }

  #end(active: Active, why: 'stopped' | 'unreadable', cause: unknown): void {
    if (active.state === 'over') return;
    this.#remove(active);
    active.ended = { why, cause };
    this.#settle(active);
  }

  /** What waits in the link may still be overtaken by messages, so a send is over only when its last fragment has left. */
  #settle(active: Active): void {
    if (active.state !== 'over' || active.unflushed > 0) return;
    this.#lingering.delete(active);
    if (active.buffer !== undefined) this.#buffers.give(active.buffer);
    if (active.settled || active.ended === undefined) return;
    active.settled = true;
    active.send.ended(active.ended.why, active.ended.cause);
  }

  #remove(active: Active): void {
    active.state = 'over';
    this.#lingering.add(active);
    this.#active.remove(active.send.content, active);
  }

  #wakeAfter(waitMs: number): void {
    const atMs = this.#clock() + waitMs;
    if (this.#timer !== undefined && this.#timerAtMs <= atMs) return;
    clearTimeout(this.#timer);
    this.#timerAtMs = atMs;
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined;
        this.pump();
      },
      Math.max(1, waitMs),
    );
  }
}

/** It has bytes to send and its link has room for them. */
function canGo({ state, send }: Active): boolean {
  return state === 'sending' && send.link.unsentBytes < SOCKET_UNSENT_BYTES_MAX;
}
