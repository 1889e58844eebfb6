/** What a hashing thread is told and what it answers. */
import type { ErrorCode } from '../errors.ts';
import type { FolderHashOrder } from './hash-folder.ts';
import type { SurveyAnswer, SurveyOrder } from './survey-files.ts';

export interface HashOrder {
  readonly path: string;
  readonly chunkSize: number | undefined;
}

export type ToHashWorker =
  | { readonly type: 'hash'; readonly orders: readonly HashOrder[] }
  | { readonly type: 'survey'; readonly order: SurveyOrder }
  | { readonly type: 'folder'; readonly order: FolderHashOrder }
  /** Ends the order at `orderIndex` of the batch at hand, if it is still running. */
  | { readonly type: 'cancel'; readonly orderIndex: number };

export type HashOutcome =
  | {
      readonly state: 'hashed';
      readonly manifestBytes: Uint8Array<ArrayBuffer>;
      readonly size: number;
      readonly mtimeNs: bigint;
      readonly inode: bigint;
      readonly hashedAtMs: number;
    }
  | { readonly state: 'failed'; readonly code: ErrorCode; readonly message: string; readonly hint: string };

export type FromHashWorker =
  | { readonly type: 'bytes'; readonly orderIndex: number; readonly byteCount: number }
  /** One outcome for each order, in order; the worker is free again. */
  | { readonly type: 'done'; readonly outcomes: readonly HashOutcome[] }
  /** The answer to a survey; the worker is free again. */
  | { readonly type: 'surveyed'; readonly answer: SurveyAnswer }
  /** The answer to a folder: canonical bytes of its manifest. */
  | { readonly type: 'folder-hashed'; readonly manifestBytes: Uint8Array<ArrayBuffer> }
  | { readonly type: 'folder-failed'; readonly code: ErrorCode; readonly message: string; readonly hint: string };
