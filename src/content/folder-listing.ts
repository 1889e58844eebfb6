/**
 * What is in a folder, byte for byte: the beginning of a *folder content*, whose other bytes are those of its small files in the order
 * of the listing. Large files are contents of their own and only named here, so that one that changes does not change the rest.
 *
 * Listing, version 1, integers big-endian:
 *
 *     offset  bytes  field
 *          0      4  magic "SHLF"
 *          4      1  version, 1
 *          5      3  zero
 *          8      4  bytes of the listing, this header included
 *         12      4  number of files
 *         16         the files, in ascending order of the bytes of their names:
 *                      2  bytes of the name
 *                      n  name: UTF-8, NFC, relative to the folder, segments divided by "/"
 *                      8  size of the file
 *                     32  SHA-256 of the file
 *                      1  0: its bytes (at most 1 MiB) are in this content; 1: it is a content of its own, whose contentId (32 bytes) follows
 *
 * Version 2 differs in the last byte, whose bits may be joined: 1 as above; 2: the file may be executed. 4, alone: not a file but an empty
 * folder, whose size and SHA-256 are zero. It is used only for a folder that has either, so that all others stay what they were.
 *
 * The same files give the same bytes, so two peers that share the same folder share the same content.
 */
import { ShoalError } from '../errors.ts';
import * as limits from '../limits.ts';
import {
  contentIdFromBytes,
  digestBytes,
  sha256HexFromBytes,
  SHA256_BYTES,
  type ContentId,
  type Sha256Hex,
} from './digest.ts';
import { parseEntryName, type EntryName } from './entry-name.ts';

export const LISTING_HEADER_BYTES = 16;
const MAGIC = 0x53484c46; // "SHLF"
const VERSION = 1;
/** With files that may be executed, or empty folders. */
const VERSION_WITH_MODES = 2;
const OWN_CONTENT = 1;
const EXECUTABLE = 2;
const EMPTY_FOLDER = 4;
const FILE_FIXED_BYTES = 2 + 8 + SHA256_BYTES + 1;

/** A file as it is put into a listing. */
export interface FolderFile {
  /** Relative to the folder. */
  readonly name: EntryName;
  readonly size: number;
  readonly sha256: Sha256Hex;
  /** Of a file that is a content of its own; undefined: its bytes are in the folder content. */
  readonly contentId: ContentId | undefined;
  /** Default false. */
  readonly executable?: boolean | undefined;
}

/** A file as a listing gives it. */
export interface ListedFile extends FolderFile {
  readonly executable: boolean;
  /** Where its bytes begin in the folder content; meaningless for a content of its own. */
  readonly offset: number;
}

export interface FolderListing {
  /** Bytes of the listing, and of the whole folder content. */
  readonly listingBytes: number;
  readonly contentBytes: number;
  readonly files: readonly ListedFile[];
  /** Relative to the folder, in order. */
  readonly emptyFolders: readonly EntryName[];
}

/** A listing and its bytes. */
export interface EncodedFolder extends FolderListing {
  readonly bytes: Uint8Array<ArrayBuffer>;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The bytes of the listing of these files and empty folders; see `encodeFolder`. */
export function encodeFolderListing(
  files: readonly FolderFile[],
  emptyFolders: readonly EntryName[] = [],
): Uint8Array<ArrayBuffer> {
  return encodeFolder(files, emptyFolders).bytes;
}

/**
 * The listing of these files and empty folders, in any order. Throws `limit` when they are more than a listing may have, `conflict` when
 * two have one name. That nothing is a folder of another, the file system they come from sees to.
 */
export function encodeFolder(files: readonly FolderFile[], emptyFolders: readonly EntryName[] = []): EncodedFolder {
  const count = files.length + emptyFolders.length;
  if (count > limits.FOLDER_FILES_MAX)
    throw new ShoalError(
      'limit',
      `it has ${count} files and empty folders, and a listing names at most ${limits.FOLDER_FILES_MAX}`,
    );
  const named = [
    ...files.map((file) => ({ file, name: encoder.encode(file.name) })),
    ...emptyFolders.map((folder) => ({ file: undefined, folder, name: encoder.encode(folder) })),
  ].toSorted((a, b) => compareBytes(a.name, b.name));
  let byteCount = LISTING_HEADER_BYTES;
  for (const { file, name } of named)
    byteCount += FILE_FIXED_BYTES + name.length + (file?.contentId === undefined ? 0 : SHA256_BYTES);
  if (byteCount > limits.FOLDER_LISTING_BYTES_MAX)
    throw new ShoalError(
      'limit',
      `its listing would have ${byteCount} bytes, and ${limits.FOLDER_LISTING_BYTES_MAX} are allowed`,
    );
  const bytes = new Uint8Array(byteCount);
  const view = new DataView(bytes.buffer);
  const hasModes = emptyFolders.length > 0 || files.some(({ executable }) => executable === true);
  view.setUint32(0, MAGIC);
  view.setUint8(4, hasModes ? VERSION_WITH_MODES : VERSION);
  view.setUint32(8, byteCount);
  view.setUint32(12, count);
  const listed: ListedFile[] = [];
  const folders: EntryName[] = [];
  let contentBytes = byteCount;
  let at = LISTING_HEADER_BYTES;
  let before: Uint8Array | undefined;
  for (const item of named) {
    const { file, name } = item;
    if (before !== undefined && compareBytes(before, name) === 0)
      throw new ShoalError('conflict', `two files have the name ${JSON.stringify(decoder.decode(name))}`);
    before = name;
    view.setUint16(at, name.length);
    bytes.set(name, at + 2);
    at += 2 + name.length;
    if (file === undefined) {
      at += 8 + SHA256_BYTES;
      view.setUint8(at++, EMPTY_FOLDER);
      folders.push(item.folder);
      continue;
    }
    const { size, contentId, executable = false } = file;
    view.setBigUint64(at, BigInt(size));
    bytes.set(digestBytes(file.sha256), at + 8);
    at += 8 + SHA256_BYTES;
    view.setUint8(at++, (contentId === undefined ? 0 : OWN_CONTENT) + (executable ? EXECUTABLE : 0));
    listed.push({ name: file.name, size, sha256: file.sha256, contentId, executable, offset: contentBytes });
    if (contentId === undefined) {
      contentBytes += size;
      continue;
    }
    bytes.set(digestBytes(contentId), at);
    at += SHA256_BYTES;
  }
  return { bytes, listingBytes: byteCount, contentBytes, files: listed, emptyFolders: folders };
}

/**
 * How many bytes the listing has that begins with these (at least LISTING_HEADER_BYTES of them). Throws `integrity` when none does,
 * or one that does not fit a content of `contentBytes`.
 */
export function listingBytesOf(head: Uint8Array, contentBytes: number): number {
  if (head.length < LISTING_HEADER_BYTES) throw refusal(`it has ${head.length} bytes`);
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  if (view.getUint32(0) !== MAGIC) throw refusal('it does not begin with "SHLF"');
  const version = view.getUint8(4);
  if (version !== VERSION && version !== VERSION_WITH_MODES) throw refusal(`version ${version} is not known here`);
  if (view.getUint8(5) !== 0 || view.getUint16(6) !== 0) throw refusal('reserved bytes are not zero');
  const listingBytes = view.getUint32(8);
  const fileCount = view.getUint32(12);
  if (listingBytes > limits.FOLDER_LISTING_BYTES_MAX) throw refusal(`it says it has ${listingBytes} bytes`);
  if (fileCount > limits.FOLDER_FILES_MAX) throw refusal(`it says it names ${fileCount} files`);
  if (listingBytes < LISTING_HEADER_BYTES + fileCount * (FILE_FIXED_BYTES + 1) || listingBytes > contentBytes)
    throw refusal('its length fits neither its number of files nor its content');
  return listingBytes;
}

/** Reads a whole listing, as an adversary may have made it. Throws `integrity` for anything that `encodeFolderListing` would not make. */
export function parseFolderListing(bytes: Uint8Array): FolderListing {
  const listingBytes = listingBytesOf(bytes, bytes.length);
  if (listingBytes !== bytes.length) throw refusal('bytes follow its end');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const fileCount = view.getUint32(12);
  const hasModes = view.getUint8(4) === VERSION_WITH_MODES;
  let modes = 0;
  const files: ListedFile[] = [];
  const emptyFolders: EntryName[] = [];
  const folders = new Set<string>();
  let at = LISTING_HEADER_BYTES;
  let contentBytes = listingBytes;
  let before: Uint8Array = new Uint8Array(0);
  const need = (byteCount: number): void => {
    if (at + byteCount > bytes.length) throw refusal('it ends within a file');
  };
  for (let index = 0; index < fileCount; index++) {
    need(FILE_FIXED_BYTES);
    const nameBytes = bytes.subarray(at + 2, at + 2 + view.getUint16(at));
    need(FILE_FIXED_BYTES + nameBytes.length);
    const name = readName(nameBytes);
    if (compareBytes(before, nameBytes) >= 0) throw refusal(`the name ${JSON.stringify(name)} is out of order`);
    before = nameBytes;
    at += 2 + nameBytes.length;
    const size = view.getBigUint64(at);
    if (size > BigInt(Number.MAX_SAFE_INTEGER)) throw refusal(`the size of ${JSON.stringify(name)} is too large`);
    const digest = bytes.subarray(at + 8, at + 8 + SHA256_BYTES);
    at += 8 + SHA256_BYTES;
    const kind = view.getUint8(at++);
    if (kind > (hasModes ? EMPTY_FOLDER : OWN_CONTENT))
      throw refusal(`${JSON.stringify(name)} is of a kind that is not known here`);
    modes |= kind & (EXECUTABLE | EMPTY_FOLDER);
    for (let slash = name.indexOf('/'); slash >= 0; slash = name.indexOf('/', slash + 1))
      folders.add(name.slice(0, slash));
    if (kind === EMPTY_FOLDER) {
      if (size !== 0n || digest.some((byte) => byte !== 0))
        throw refusal(`the empty folder ${JSON.stringify(name)} has a size or a digest`);
      emptyFolders.push(name);
      continue;
    }
    let contentId: ContentId | undefined;
    if ((kind & OWN_CONTENT) !== 0) {
      need(SHA256_BYTES);
      contentId = contentIdFromBytes(bytes.subarray(at, at + SHA256_BYTES));
      at += SHA256_BYTES;
    }
    const executable = (kind & EXECUTABLE) !== 0;
    const sha256 = sha256HexFromBytes(digest);
    files.push({ name, size: Number(size), sha256, contentId, executable, offset: contentBytes });
    if (contentId === undefined && size > BigInt(limits.FOLDER_INLINE_FILE_BYTES_MAX))
      throw refusal(`${JSON.stringify(name)} is too large to be a part of it`);
    if (contentId === undefined) contentBytes += Number(size);
    if (contentBytes > Number.MAX_SAFE_INTEGER) throw refusal('its files are too large together');
  }
  if (at !== bytes.length) throw refusal('bytes follow its last file');
  if (hasModes && modes === 0) throw refusal('it is of version 2 and has nothing that takes it');
  for (const { name } of files) if (folders.has(name)) throw refusal(`${JSON.stringify(name)} is a file and a folder`);
  for (const name of emptyFolders) if (folders.has(name)) throw refusal(`${JSON.stringify(name)} is not empty`);
  return { listingBytes, contentBytes, files, emptyFolders };
}

/** The files below a folder of the listing (`week1/`), with names as they are; all of them for ''. */
export function filesBelow({ files }: FolderListing, prefix: string): readonly ListedFile[] {
  return prefix === '' ? files : files.filter(({ name }) => name.startsWith(prefix));
}

function readName(bytes: Uint8Array): EntryName {
  let text: string;
  try {
    text = decoder.decode(bytes);
  } catch {
    throw refusal('a name is not UTF-8');
  }
  try {
    const name = parseEntryName(text);
    if (name === text) return name;
  } catch (error) {
    throw refusal(ShoalError.from(error).message);
  }
  throw refusal(`the name ${JSON.stringify(text)} is not in its normal form`);
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at++) {
    const difference = (a[at] as number) - (b[at] as number);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

function refusal(what: string): ShoalError {
  return new ShoalError('integrity', `not a valid folder listing: ${what}`);
}
