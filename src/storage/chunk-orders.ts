/** What the main thread and a chunk worker say to each other. Buffers are shared memory, introduced once and then named by number. */

export type ChunkOrder =
  | { readonly type: 'buffer'; readonly bufferId: number; readonly memory: SharedArrayBuffer }
  | { readonly type: 'forget'; readonly bufferId: number }
  | { readonly type: 'digest'; readonly id: number; readonly bufferId: number; readonly byteCount: number }
  | {
      readonly type: 'write';
      readonly id: number;
      readonly bufferId: number;
      readonly byteCount: number;
      readonly descriptor: number;
      readonly position: number;
    };

export type ChunkAnswer =
  | { readonly id: number; readonly digest: Uint8Array<ArrayBuffer> }
  | { readonly id: number; readonly written: true }
  /** The system's error code, '' for anything else. */
  | { readonly id: number; readonly code: string; readonly message: string };
