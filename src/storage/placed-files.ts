/**
 * The small files of a folder where they are, by their places in its content. As one list for each folder: a thread is told it once, and
 * then only of ranges.
 */
import type { FileStamp } from './file-stamp.ts';

/** A file whose bytes are in the content, in their order. */
export interface PlacedFile {
  readonly path: string;
  readonly stamp: FileStamp;
  /** In the folder content. */
  readonly offset: number;
}

/** Bytes of one file, which has to be as it was when it was indexed. */
export interface FilePiece {
  readonly path: string;
  readonly stamp: FileStamp;
  readonly offset: number;
  readonly byteCount: number;
}

/** The list as it travels: arrays, because an object for each file costs more than reading it. */
export interface PlacedTable {
  readonly paths: readonly string[];
  readonly offsets: Float64Array<ArrayBuffer>;
  readonly sizes: Float64Array<ArrayBuffer>;
  readonly mtimesNs: BigInt64Array<ArrayBuffer>;
  readonly inodes: BigInt64Array<ArrayBuffer>;
}

export function placedTable(files: readonly PlacedFile[]): PlacedTable {
  return {
    paths: files.map(({ path }) => path),
    offsets: Float64Array.from(files, ({ offset }) => offset),
    sizes: Float64Array.from(files, ({ stamp }) => stamp.size),
    mtimesNs: BigInt64Array.from(files, ({ stamp }) => stamp.mtimeNs),
    inodes: BigInt64Array.from(files, ({ stamp }) => stamp.inode),
  };
}

export function placedFiles({ paths, offsets, sizes, mtimesNs, inodes }: PlacedTable): PlacedFile[] {
  return paths.map((path, index) => ({
    path,
    offset: offsets[index] as number,
    stamp: {
      size: sizes[index] as number,
      mtimeNs: mtimesNs[index] as bigint,
      inode: inodes[index] as bigint,
    },
  }));
}

/** The parts of files that make up the bytes from `start` to `end` of a folder content, behind its listing. */
export function piecesOf(files: readonly PlacedFile[], start: number, end: number): FilePiece[] {
  const pieces: FilePiece[] = [];
  for (let index = lastAtOrBefore(files, start); index < files.length; index++) {
    const { path, stamp, offset } = files[index] as PlacedFile;
    if (offset >= end) break;
    const from = Math.max(start, offset);
    const to = Math.min(end, offset + stamp.size);
    if (from < to) pieces.push({ path, stamp, offset: from - offset, byteCount: to - from });
  }
  return pieces;
}

function lastAtOrBefore(files: readonly PlacedFile[], position: number): number {
  let low = 0;
  let high = files.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((files[middle] as PlacedFile).offset <= position) low = middle + 1;
    else high = middle;
  }
  return Math.max(0, low - 1);
}
