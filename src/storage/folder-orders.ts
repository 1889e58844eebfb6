/** What the main thread and a folder worker say to each other. */
import { digestBytes, SHA256_BYTES, type Sha256Hex } from '../content/digest.ts';
import type { ErrorCode } from '../errors.ts';
import type { FileStamp } from './file-stamp.ts';
import type { PlacedTable } from './placed-files.ts';

/** A file below a folder, as it should be. */
export interface ExpectedFile {
  /** Below the folder, in the system's own way of writing. */
  readonly path: string;
  readonly size: number;
  readonly sha256: Sha256Hex;
}

/** A file whose bytes lie in another one, from `offset` on. */
export interface PackedFile extends ExpectedFile {
  readonly offset: number;
  readonly executable: boolean;
}

/** Packed files on their way to a thread: an object for each costs more than what is done with it there. */
export interface PackedList {
  readonly paths: readonly string[];
  readonly offsets: Float64Array<ArrayBuffer>;
  readonly sizes: Float64Array<ArrayBuffer>;
  /** 32 bytes for each. */
  readonly digests: Uint8Array<ArrayBuffer>;
  /** 1 for a file that may be executed. */
  readonly executables: Uint8Array<ArrayBuffer>;
}

export function packList(files: readonly PackedFile[]): PackedList {
  const digests = new Uint8Array(files.length * SHA256_BYTES);
  for (const [index, { sha256 }] of files.entries()) digests.set(digestBytes(sha256), index * SHA256_BYTES);
  return {
    paths: files.map(({ path }) => path),
    offsets: Float64Array.from(files, ({ offset }) => offset),
    sizes: Float64Array.from(files, ({ size }) => size),
    digests,
    executables: Uint8Array.from(files, ({ executable }) => (executable ? 1 : 0)),
  };
}

export type FolderTask =
  /** The bytes from `start` on of the content whose files were told under this number, as many as the buffer has, which comes back. */
  | {
      readonly type: 'read';
      readonly tableId: number;
      readonly start: number;
      readonly buffer: Uint8Array<ArrayBuffer>;
    }
  /** Which of the files are there and right. */
  | { readonly type: 'compare'; readonly folder: string; readonly files: readonly ExpectedFile[] }
  /** Makes files of the bytes at `source`; each has to have its digest. `sync`: and makes each of them durable. */
  | {
      readonly type: 'unpack';
      readonly source: string;
      readonly folder: string;
      readonly files: PackedList;
      readonly sync: boolean;
    }
  /** Moves files from below one folder to below another of the same file system, over those that are there. */
  | { readonly type: 'move'; readonly from: string; readonly folder: string; readonly paths: readonly string[] }
  /** The stamps of files below a folder. */
  | { readonly type: 'stamps'; readonly folder: string; readonly paths: readonly string[] }
  /** Makes all that was written to the file system of this folder durable, if the system can do that. */
  | { readonly type: 'sync'; readonly folder: string };

/** The files of a folder, for orders that follow. Of the lists it was told the thread keeps the last FOLDER_TABLES_MAX. */
export interface FolderTableNews {
  readonly tableId: number;
  readonly table: PlacedTable;
}

export interface FolderOrder {
  readonly id: number;
  readonly task: FolderTask;
}

export type FolderAnswer = { readonly id: number } & (
  | { readonly bytes: Uint8Array<ArrayBuffer> }
  /** `compare`: a place for each file. `sync`: one place, false where the system has no such call. Other tasks: none. */
  | { readonly flags: readonly boolean[] }
  | { readonly stamps: readonly FileStamp[] }
  | {
      readonly code: ErrorCode;
      readonly message: string;
      readonly hint: string;
      /** The file at fault. */
      readonly path: string;
    }
);
