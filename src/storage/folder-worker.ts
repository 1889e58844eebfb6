/**
 * The thread that reads and writes the small files of folders (folder-workers.ts), with plain calls: thousands of files cost a few
 * system calls each and no turn of an event loop. Tasks are carried out one by one.
 */
import { hash } from 'node:crypto';
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { parentPort } from 'node:worker_threads';
import { SHA256_BYTES } from '../content/digest.ts';
import { ShoalError } from '../errors.ts';
import * as limits from '../limits.ts';
import { diskError } from './disk-error.ts';
import { fileStamp, sameStamp, type FileStamp } from './file-stamp.ts';
import type {
  ExpectedFile,
  FolderAnswer,
  FolderOrder,
  FolderTableNews,
  FolderTask,
  PackedList,
} from './folder-orders.ts';
import { piecesOf, placedFiles, type PlacedFile } from './placed-files.ts';
import { syncFileSystem } from './sync-file-system.ts';

const port = parentPort;
if (port === null) throw new ShoalError('bug', 'folder-worker runs as a worker thread only');

const READ = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0);
const WRITE = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | (constants.O_NOFOLLOW ?? 0);

let scratch = new Uint8Array(64 * 1024);
/** The files of folders that are read, by the numbers they were told under, oldest first. */
const tables = new Map<number, readonly PlacedFile[]>();

port.on('message', (message: FolderOrder | FolderTableNews) => {
  if ('table' in message) {
    learn(message);
    return;
  }
  const { id, task } = message;
  let path = '';
  try {
    const result = carryOut(task, (file) => (path = file));
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
    port.postMessage({ id, ...result } satisfies FolderAnswer, 'bytes' in result ? [result.bytes.buffer] : []);
  } catch (error) {
    const { code, message, hint } = diskError(error, path === '' ? 'a folder cannot be read' : path);
    port.postMessage({ id, code, message, hint, path } satisfies FolderAnswer);
  }
});

type Result =
  | { readonly bytes: Uint8Array<ArrayBuffer> }
  | { readonly flags: readonly boolean[] }
  | { readonly stamps: readonly FileStamp[] };

/** @param at told which file is at work, for when it fails. */
function carryOut(task: FolderTask, at: (path: string) => void): Result {
  switch (task.type) {
    case 'read':
      return { bytes: readRange(task, at) };
    case 'compare':
      return { flags: task.files.map((file) => isThere(join(task.folder, file.path), file)) };
    case 'unpack':
      unpack(task, at);
      return { flags: [] };
    case 'move':
      move(task, at);
      return { flags: [] };
    case 'stamps':
      return { stamps: task.paths.map((path) => stampOf(join(task.folder, path), at)) };
    case 'sync':
      at(task.folder);
      return { flags: [syncFileSystem(task.folder)] };
  }
}

function stampOf(path: string, at: (path: string) => void): FileStamp {
  at(path);
  return fileStamp(lstatSync(path, { bigint: true }));
}

function move({ from, folder, paths }: Extract<FolderTask, { type: 'move' }>, at: (path: string) => void): void {
  const made = new Set<string>();
  for (const path of paths) {
    const target = join(folder, path);
    at(target);
    makeFolder(dirname(target), made);
    renameSync(join(from, path), target);
  }
}

function makeFolder(folder: string, made: Set<string>): void {
  if (!made.has(folder)) mkdirSync(folder, { recursive: true });
  made.add(folder);
}

function learn({ tableId, table }: FolderTableNews): void {
  tables.set(tableId, placedFiles(table));
  const [oldest] = tables.keys();
  if (tables.size > limits.FOLDER_TABLES_MAX && oldest !== undefined) tables.delete(oldest);
}

function readRange(
  { tableId, start, buffer }: Extract<FolderTask, { type: 'read' }>,
  at: (path: string) => void,
): Uint8Array<ArrayBuffer> {
  const files = tables.get(tableId);
  if (files === undefined) throw new ShoalError('bug', 'a folder was asked for that this thread was not told of');
  let filled = 0;
  for (const { path, stamp, offset, byteCount } of piecesOf(files, start, start + buffer.length)) {
    at(path);
    // a link may stand for it: what counts is which file it leads to
    withFile(path, constants.O_RDONLY, (descriptor) => {
      if (!sameStamp(fileStamp(fstatSync(descriptor, { bigint: true })), stamp))
        throw new ShoalError('conflict', `${path} changed since it was shared`);
      readFully(path, descriptor, buffer.subarray(filled, filled + byteCount), offset);
    });
    filled += byteCount;
  }
  if (filled === buffer.length) return buffer;
  throw new ShoalError('bug', `a folder gave ${filled} bytes for a range of ${buffer.length}`);
}

/** Whether there is a plain file with these bytes. One that cannot be read is not. */
function isThere(path: string, { size, sha256 }: ExpectedFile): boolean {
  try {
    const stats = lstatSync(path);
    if (!stats.isFile() || stats.size !== size) return false;
    return withFile(path, READ, (descriptor) => {
      const bytes = scratchOf(size);
      readFully(path, descriptor, bytes, 0);
      return hash('sha256', bytes, 'hex') === sha256;
    });
  } catch {
    return false;
  }
}

function unpack(
  { source, folder, files, sync }: Extract<FolderTask, { type: 'unpack' }>,
  at: (path: string) => void,
): void {
  const { paths, offsets, sizes } = files;
  const made = new Set<string>();
  at(source);
  withFile(source, READ, (descriptor) => {
    for (let first = 0; first < paths.length;) {
      // files that lie one behind the other, as nearly all do, are read in one go
      let byteCount = sizes[first] as number;
      let next = first + 1;
      for (; next < paths.length && offsets[next] === (offsets[first] as number) + byteCount; next++)
        byteCount += sizes[next] as number;
      const bytes = scratchOf(byteCount);
      at(source);
      readFully(source, descriptor, bytes, offsets[first] as number);
      for (let index = first, from = 0; index < next; index++) {
        const path = join(folder, paths[index] as string);
        const own = bytes.subarray(from, (from += sizes[index] as number));
        at(path);
        checkDigest(files, index, own);
        makeFolder(dirname(path), made);
        writeOne(path, own, { sync, mode: files.executables[index] === 1 ? 0o777 : 0o666 });
      }
      first = next;
    }
  });
}

function checkDigest({ paths, digests }: PackedList, index: number, bytes: Uint8Array): void {
  const expected = digests.subarray(index * SHA256_BYTES, (index + 1) * SHA256_BYTES);
  if (Buffer.compare(hash('sha256', bytes, 'buffer'), expected) === 0) return;
  throw new ShoalError('integrity', `${paths[index]} does not have the SHA-256 that the listing of its folder gives`, {
    hint: 'whoever shared the folder made a listing that is not true',
  });
}

/** `mode`: less what the user takes from all new files. */
function writeOne(
  path: string,
  bytes: Uint8Array,
  { sync, mode }: { readonly sync: boolean; readonly mode: number },
): void {
  const write = (descriptor: number): void => {
    for (let written = 0; written < bytes.length;)
      written += writeSync(descriptor, bytes, written, bytes.length - written, written);
    if (sync) fsyncSync(descriptor);
  };
  withFile(path, WRITE, write, mode);
}

function withFile<T>(path: string, flags: number, use: (descriptor: number) => T, mode = 0o666): T {
  const descriptor = openSync(path, flags, mode);
  try {
    return use(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function readFully(path: string, descriptor: number, into: Uint8Array, offset: number): void {
  for (let filled = 0; filled < into.length;) {
    const byteCount = readSync(descriptor, into, filled, into.length - filled, offset + filled);
    if (byteCount === 0) throw new ShoalError('conflict', `${path} became shorter`);
    filled += byteCount;
  }
}

/** The next call takes the same memory. */
function scratchOf(byteCount: number): Uint8Array {
  if (scratch.length < byteCount) scratch = new Uint8Array(byteCount);
  return scratch.subarray(0, byteCount);
}
