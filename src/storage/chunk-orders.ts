/** What the main thread and a chunk worker say to each other. Buffers are shared memory, introduced once and then named by number. */

export type ChunkOrder =
  | { readonly type: 'buffer'; readonly bufferId: number; readonly memory: SharedArrayBuffer }
  | { readonly type: 'forget'; readonly bufferId: number }
  | {
      readonly type: 'digest';
      readonly id: number;
      readonly bufferId: number;
      readonly byteCount: number;
      readonly expected: Uint8Array | undefined;
      readonly part: { readonly wholeId: number; readonly position: number } | undefined;
    }
  | {
      readonly type: 'write';
      readonly id: number;
      readonly bufferId: number;
      readonly byteCount: number;
      readonly descriptor: number;
      readonly position: number;
    }
  /** The digest of a whole file, fed by the chunks that name it and, where those come too early, from the file. */
  | { readonly type: 'whole-open'; readonly wholeId: number; readonly path: string }
  | { readonly type: 'whole-advance'; readonly wholeId: number; readonly toByte: number; readonly isLast: boolean }
  /** A chunk that another thread has verified. */
  | {
      readonly type: 'whole-feed';
      readonly wholeId: number;
      readonly position: number;
      readonly id: number;
      readonly bufferId: number;
      readonly byteCount: number;
    }
  | { readonly type: 'whole-close'; readonly wholeId: number };

export type ChunkAnswer =
  /** First of all: the thread listens. */
  | { readonly ready: true }
  /** `isKept`: the whole still needs the bytes; `released` follows. */
  | { readonly id: number; readonly digest: Uint8Array<ArrayBuffer>; readonly isKept: boolean }
  | { readonly id: number; readonly released: true }
  | { readonly id: number; readonly written: true }
  /** The system's error code, '' for anything else. */
  | { readonly id: number; readonly code: string; readonly message: string }
  | { readonly wholeId: number; readonly wholeDigest: Uint8Array<ArrayBuffer> }
  | { readonly wholeId: number; readonly message: string };
