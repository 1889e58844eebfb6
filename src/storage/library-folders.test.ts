import { appendFile, chmod, mkdir, open, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseFolderListing } from '../content/folder-listing.ts';
import { FOLDER_INLINE_FILE_BYTES_MAX } from '../limits.ts';
import { createFolderReader } from './folder-reader.ts';
import { createFolderWorkers } from './folder-workers.ts';
import { manifestOf, seededBytes, until, withTempFolder } from './fixtures.ts';
import type { LibraryFolder } from './library-folders.ts';
import { openLibrary, type Library } from './library.ts';

const OLD = new Date('2020-01-01T00:00:00Z');

async function put(path: string, bytes: Uint8Array): Promise<void> {
  await mkdir(join(path, '..'), { recursive: true });
  await writeFile(path, bytes);
  await utimes(path, OLD, OLD);
}

const FILES: Readonly<Record<string, Uint8Array>> = {
  empty: new Uint8Array(0),
  'sub/one': seededBytes(10_000, 1),
  'sub/two': seededBytes(200_000, 2),
  'sub/large': seededBytes(FOLDER_INLINE_FILE_BYTES_MAX + 1, 3),
  'ü/last': seededBytes(70_000, 4),
};

/** A library that shares `<folder>/course`, with the folders it has offered, and those it has taken back. */
async function withCourse(
  folder: string,
  use: (library: Library, offered: LibraryFolder[], withdrawn: LibraryFolder[]) => Promise<void>,
  watch = true,
): Promise<void> {
  const library = await openLibrary({ dataDir: join(folder, 'data'), quietMs: 60 });
  const offered: LibraryFolder[] = [];
  const withdrawn: LibraryFolder[] = [];
  library.events.on('folderAdded', (one) => offered.push(one));
  library.events.on('folderWithdrawn', (one) => withdrawn.push(one));
  try {
    await library.addRoots([join(folder, 'course')], { watch });
    await use(library, offered, withdrawn);
  } finally {
    await library.close();
  }
}

describe('a shared folder', { timeout: 30_000 }, () => {
  it('is a content: its listing, and the bytes of its small files where the listing says', () =>
    withTempFolder(async (folder) => {
      for (const [name, bytes] of Object.entries(FILES)) await put(join(folder, 'course', name), bytes);
      const workers = createFolderWorkers();
      await withCourse(folder, async (library, [offered]) => {
        expect(offered).toMatchObject({ name: 'course/', fileCount: 5 });
        if (offered === undefined) return;
        const { manifest, listing, placed } = offered;
        expect(library.folder(manifest.contentId)).toBe(offered);
        const failures: string[] = [];
        const onFailure = (path: string): void => void failures.push(path);
        const reader = createFolderReader({ layout: manifest, listing, files: placed, workers, onFailure });
        const content = new Uint8Array(manifest.size);
        expect(await reader.read(0, content)).toBe(manifest.size);
        expect(manifestOf(content)).toEqual(manifest);
        const { files, listingBytes } = parseFolderListing(content.slice(0, listing.length));
        expect(listingBytes).toBe(listing.length);
        for (const { name, size, sha256, contentId, offset } of files) {
          const expected = manifestOf(FILES[name] as Uint8Array);
          expect([size, sha256]).toEqual([expected.size, expected.sha256]);
          if (contentId === undefined) expect(content.slice(offset, offset + size)).toEqual(FILES[name]);
          else expect([name, contentId]).toEqual(['sub/large', expected.contentId]);
        }
        const chunk = new Uint8Array(manifest.chunkSize);
        for (let index = 0; index < manifest.chunkCount; index++) {
          const byteCount = await reader.readChunk(index, chunk);
          const start = index * manifest.chunkSize;
          expect(chunk.slice(0, byteCount)).toEqual(content.slice(start, start + manifest.chunkSize));
        }
        await appendFile(join(folder, 'course', 'sub', 'one'), 'x');
        await expect(reader.read(listing.length, new Uint8Array(10_000))).rejects.toMatchObject({ code: 'conflict' });
        expect(failures).toEqual([join(folder, 'course', 'sub', 'one')]);
      });
      await workers.close();
    }));

  it('is the same content whoever shares it, and is not read again after a restart', () =>
    withTempFolder(async (folder) => {
      for (const [name, bytes] of Object.entries(FILES)) await put(join(folder, 'course', name), bytes);
      const ids: string[] = [];
      for (let round = 0; round < 2; round++)
        await withCourse(folder, async (library, [offered]) => {
          expect(library.hashedBytes > 0).toBe(round === 0);
          ids.push(offered?.manifest.contentId ?? '');
        });
      expect(ids[0]).toMatch(/^[0-9a-f]{64}$/u);
      expect(ids[1]).toBe(ids[0]);
    }));

  it('is withdrawn when a file of it changes, and offered anew when that has been hashed', () =>
    withTempFolder(async (folder) => {
      for (const [name, bytes] of Object.entries(FILES)) await put(join(folder, 'course', name), bytes);
      await withCourse(folder, async (library, offered, withdrawn) => {
        await library.whenWatching();
        await put(join(folder, 'course', 'sub', 'new'), seededBytes(5_000, 9));
        await until('the folder with the new file', () => offered.length === 2);
        expect(withdrawn).toEqual([offered[0]]);
        expect(offered[1]?.fileCount).toBe(6);
        expect(
          library.folder(offered[0]?.manifest.contentId as LibraryFolder['manifest']['contentId']),
        ).toBeUndefined();
      });
    }));

  it('finds out which file is at fault when a chunk of it is reported', () =>
    withTempFolder(async (folder) => {
      for (const [name, bytes] of Object.entries(FILES)) await put(join(folder, 'course', name), bytes);
      const use = async (library: Library, [offered]: LibraryFolder[], withdrawn: LibraryFolder[]): Promise<void> => {
        const { contentId } = (offered as LibraryFolder).manifest;
        expect(await library.reportMismatch(contentId, 0)).toBe('intact');
        // the bytes change, the stamp does not
        const path = join(folder, 'course', 'sub', 'one');
        const handle = await open(path, 'r+');
        await handle.write('wrong', 0);
        await handle.close();
        await utimes(path, OLD, OLD);
        expect(await library.reportMismatch(contentId, 0)).toBe('withdrawn');
        expect(withdrawn).toHaveLength(1);
        expect(library.byName('sub/one')).toBeUndefined();
        expect(library.byName('sub/two')).toBeDefined();
      };
      // a watch would see the moment in which the stamp differs
      await withCourse(folder, use, false);
    }));

  it('that is empty is none', () =>
    withTempFolder(async (folder) => {
      await mkdir(join(folder, 'course', 'sub'), { recursive: true });
      await withCourse(folder, async (_library, offered) => expect(offered).toEqual([]));
    }));

  it.skipIf(process.platform === 'win32')('has what may be executed, and its empty folders, and follows them', () =>
    withTempFolder(async (folder) => {
      for (const [name, bytes] of Object.entries(FILES)) await put(join(folder, 'course', name), bytes);
      await mkdir(join(folder, 'course', 'later'));
      await chmod(join(folder, 'course', 'sub', 'one'), 0o755);
      await withCourse(folder, async (library, offered) => {
        await library.whenWatching();
        const listed = () => {
          const { files, emptyFolders } = parseFolderListing(offered.at(-1)?.listing ?? new Uint8Array());
          return [files.filter(({ executable }) => executable).map(({ name }) => name), emptyFolders];
        };
        expect(listed()).toEqual([['sub/one'], ['later']]);
        await mkdir(join(folder, 'course', 'a', 'b'), { recursive: true });
        await until('the new folder is in it', () => offered.length === 2);
        expect(listed()).toEqual([['sub/one'], ['a/b', 'later']]);
        await put(join(folder, 'course', 'later', 'file'), seededBytes(10, 9));
        await until('the folder that has a file now is not', () => offered.length === 3);
        expect(listed()).toEqual([['sub/one'], ['a/b']]);
      });
      await chmod(join(folder, 'course', 'sub', 'one'), 0o644);
      await withCourse(folder, async (library, offered) => {
        expect(library.hashedBytes).toBe(0);
        expect(
          parseFolderListing(offered.at(-1)?.listing ?? new Uint8Array()).files.some((one) => one.executable),
        ).toBe(false);
      });
    }),
  );
});
