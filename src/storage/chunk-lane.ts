/** What digests chunks, and the wholes that they are parts of: a thread (chunk-thread.ts), or this one (chunk-inline.ts). */

/** Bytes of a chunk at the beginning of a shared buffer. */
export type SharedBytes = Uint8Array<SharedArrayBuffer>;

export interface ChunkDigest {
  readonly digest: Uint8Array<ArrayBuffer>;
  /** Resolves when the whole needs the bytes no longer; undefined: it does not need them. They must not change until then. */
  readonly kept: Promise<void> | undefined;
}

/** Bytes that are part of a whole which is digested here too. */
export interface PartInLane {
  readonly wholeId: number;
  /** Where they begin in it. */
  readonly position: number;
  /** The digest they should have: only bytes that have it become part of the whole. */
  readonly expected: Uint8Array;
}

export interface ChunkLane {
  /** Jobs that were not answered yet. */
  readonly pendingCount: number;
  digest(bytes: SharedBytes, part?: PartInLane): Promise<ChunkDigest>;
  /** A chunk that another lane has verified. Resolves when its bytes are not needed any more. */
  feedWhole(bytes: SharedBytes, part: PartInLane): Promise<void>;
  /** The digest of the file at `path`, out of chunks that name it and, where these come before their turn, out of the file. */
  openWhole(wholeId: number, path: string): Promise<Uint8Array>;
  /** The file has good bytes up to `toByte`; with `isLast`, that is all of it. */
  advanceWhole(wholeId: number, toByte: number, isLast: boolean): void;
  /** Ends it: without a result so far, it rejects. What was kept for it is released. */
  closeWhole(wholeId: number): void;
}
