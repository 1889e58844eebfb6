import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FOLDER_FILES_MAX, FOLDER_INLINE_FILE_BYTES_MAX, FOLDER_LISTING_BYTES_MAX } from '../limits.ts';
import { parseContentId, parseSha256Hex } from './digest.ts';
import { parseEntryName } from './entry-name.ts';
import {
  encodeFolder,
  encodeFolderListing,
  filesBelow,
  LISTING_HEADER_BYTES,
  listingBytesOf,
  parseFolderListing,
  type FolderFile,
} from './folder-listing.ts';

const digest = (text: string): string => createHash('sha256').update(text).digest('hex');

function file(name: string, size = 10, large = false): FolderFile {
  const contentId = large ? parseContentId(digest(`content of ${name}`)) : undefined;
  return { name: parseEntryName(name), size, sha256: parseSha256Hex(digest(name)), contentId };
}

/** A listing of these raw names, as an adversary may write it. */
function forge(names: readonly (string | Uint8Array)[], size = 10n, kind = 0): Uint8Array {
  const parts: Buffer[] = [];
  for (const name of names) {
    const bytes = Buffer.from(name as string);
    const fixed = Buffer.alloc(2 + bytes.length + 8 + 32 + 1);
    fixed.writeUInt16BE(bytes.length);
    bytes.copy(fixed, 2);
    fixed.writeBigUInt64BE(size, 2 + bytes.length);
    fixed.writeUInt8(kind, fixed.length - 1);
    parts.push(fixed);
  }
  const body = Buffer.concat(parts);
  const head = Buffer.alloc(LISTING_HEADER_BYTES);
  head.write('SHLF');
  head.writeUInt8(1, 4);
  head.writeUInt32BE(LISTING_HEADER_BYTES + body.length, 8);
  head.writeUInt32BE(names.length, 12);
  return new Uint8Array(Buffer.concat([head, body]));
}

describe('a folder listing', () => {
  test('has these bytes', () => {
    const bytes = encodeFolderListing([file('b/ü', 3), file('a', 5, true)]);
    expect(Buffer.from(bytes).toString('hex')).toBe(
      `53484c4601000000${(16 + 44 + 32 + 47).toString(16).padStart(8, '0')}00000002` +
        `0001610000000000000005${digest('a')}01${digest('content of a')}` +
        `0004622fc3bc0000000000000003${digest('b/ü')}00`,
    );
  });

  test('is read as it was written, in the order of the bytes of its names, with the places of its bytes', () => {
    const files = [
      file('z', 7),
      file('a-b', 3),
      file('a/b', 4),
      file('big', FOLDER_INLINE_FILE_BYTES_MAX + 1, true),
      file('empty', 0),
    ];
    const bytes = encodeFolderListing(files);
    const listing = parseFolderListing(bytes);
    expect(listing.files.map(({ name, offset }) => [name, offset - bytes.length])).toEqual([
      ['a-b', 0],
      ['a/b', 3],
      ['big', 7],
      ['empty', 7],
      ['z', 7],
    ]);
    expect(listing.contentBytes).toBe(bytes.length + 14);
    expect(listingBytesOf(bytes.subarray(0, 16), listing.contentBytes)).toBe(bytes.length);
    expect(filesBelow(listing, 'a/').map(({ name }) => name)).toEqual(['a/b']);
    expect(encodeFolderListing(files.toReversed())).toEqual(bytes);
  });

  test('of no files is a header', () => {
    expect(parseFolderListing(encodeFolderListing([])).files).toEqual([]);
  });

  test('of executable files and empty folders is of version 2, and of no other', () => {
    const files = [
      { ...file('bin/run', 3), executable: true },
      file('b', 5),
      { ...file('big', 9, true), executable: true },
    ];
    const emptyFolders = [parseEntryName('bin/plugins'), parseEntryName('a')];
    const bytes = encodeFolderListing(files, emptyFolders);
    expect(bytes[4]).toBe(2);
    const listing = parseFolderListing(bytes);
    expect(listing.emptyFolders).toEqual(['a', 'bin/plugins']);
    expect(listing.files.map(({ name, executable, offset }) => [name, executable, offset - bytes.length])).toEqual([
      ['b', false, 0],
      ['big', true, 5],
      ['bin/run', true, 5],
    ]);
    expect(listing.contentBytes).toBe(bytes.length + 8);
    expect(encodeFolder(listing.files, listing.emptyFolders)).toEqual({ ...listing, bytes });
    expect(encodeFolderListing([file('b')])[4]).toBe(1);
    const refusal = expect.objectContaining({ code: 'integrity' });
    expect(() => parseFolderListing(bytes.with(4, 1))).toThrow(refusal);
    expect(() => parseFolderListing(encodeFolderListing([file('b')]).with(4, 2))).toThrow(refusal);
    expect(() => parseFolderListing(bytes.with(4, 3))).toThrow(refusal);
    // "a", the empty folder, with a digest
    expect(() => parseFolderListing(bytes.with(LISTING_HEADER_BYTES + 3 + 8, 1))).toThrow(/a size or a digest/u);
    const parent = encodeFolderListing([file('a/b')], [parseEntryName('a')]);
    expect(() => parseFolderListing(parent)).toThrow(/not empty/u);
  });

  test('does not give one name to two files', () => {
    expect(() => encodeFolderListing([file('a'), file('a', 3)])).toThrow(/two files have the name/u);
  });

  test.each([
    ['a path that leads out', ['../evil']],
    ['an absolute path', ['/etc/passwd']],
    ['a backslash', ['a\\b']],
    ['a name that Windows reserves', ['con']],
    ['an empty name', ['']],
    ['a NUL', ['a\0b']],
    ['a name twice', ['a', 'a']],
    ['names out of order', ['b', 'a']],
    ['a file that is a folder of another', ['a', 'a/b']],
    ['the same with one in between', ['a', 'a-b', 'a/b']],
    ['a name that is not in its normal form', ['u\u0308']],
    ['a name that is not UTF-8', [new Uint8Array([0x61, 0xff])]],
  ])('with %s is refused', (_what, names) => {
    expect(() => parseFolderListing(forge(names))).toThrow(expect.objectContaining({ code: 'integrity' }));
  });

  test.each([
    ['too large a size', forge(['a'], 2n ** 60n)],
    ['a large file among its bytes', forge(['a'], BigInt(FOLDER_INLINE_FILE_BYTES_MAX + 1))],
    ['an unknown kind', forge(['a'], 1n, 2)],
    ['a content of its own whose id is missing', forge(['a'], 1n, 1)],
    ['another magic', forge(['a']).fill(0, 0, 1)],
    ['another version', forge(['a']).fill(9, 4, 5)],
    ['reserved bytes', forge(['a']).fill(1, 6, 7)],
    ['bytes behind its last file', new Uint8Array([...forge(['a']), 0])],
    ['too many files for its length', forge(['a']).fill(0xff, 15, 16)],
    ['nothing', new Uint8Array(0)],
  ])('with %s is refused', (_what, bytes) => {
    expect(() => parseFolderListing(bytes)).toThrow(expect.objectContaining({ code: 'integrity' }));
  });

  test('is not believed to be longer than a listing or its content may be', () => {
    const head = (bytes: number, files: number): Uint8Array => {
      const view = new DataView(forge([]).buffer.slice(0, 16));
      view.setUint32(8, bytes);
      view.setUint32(12, files);
      return new Uint8Array(view.buffer);
    };
    const refusal = expect.objectContaining({ code: 'integrity' });
    expect(listingBytesOf(head(FOLDER_LISTING_BYTES_MAX, 1), 2 ** 40)).toBe(FOLDER_LISTING_BYTES_MAX);
    expect(() => listingBytesOf(head(FOLDER_LISTING_BYTES_MAX + 1, 1), 2 ** 40)).toThrow(refusal);
    expect(() => listingBytesOf(head(FOLDER_LISTING_BYTES_MAX, FOLDER_FILES_MAX + 1), 2 ** 40)).toThrow(refusal);
    expect(() => listingBytesOf(head(1_000, 1), 999)).toThrow(refusal);
    expect(() => listingBytesOf(head(1_000, 1), 1_000)).not.toThrow();
  });

  test('cut or changed anywhere is refused or read, and nothing else happens', () => {
    const bytes = encodeFolderListing([file('a', 1), file('b/c', 2), file('d', 3_000_000, true)]);
    fc.assert(
      fc.property(
        fc.nat(bytes.length - 1),
        fc.integer({ min: 0, max: 255 }),
        fc.nat(bytes.length),
        (at, value, end) => {
          const changed = bytes.slice(0, end);
          if (at < end) changed[at] = value;
          try {
            parseFolderListing(changed);
          } catch (error) {
            expect(error).toMatchObject({ code: 'integrity' });
          }
        },
      ),
    );
  });
});
