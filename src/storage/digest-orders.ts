/** What the thread that digests whole files behind their downloads is told, and what it answers. */
export type ToDigestWorker =
  | {
      readonly type: 'advance';
      readonly id: number;
      readonly path: string;
      readonly toByte: number;
      readonly isLast: boolean;
    }
  | { readonly type: 'abort'; readonly id: number };

export type FromDigestWorker =
  | { readonly type: 'digest'; readonly id: number; readonly digest: Uint8Array }
  | { readonly type: 'failed'; readonly id: number; readonly message: string };
