import { DatabaseSync } from 'node:sqlite';
import { appendFile, mkdir, open, readFile, rename, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseEntryName } from '../content/entry-name.ts';
import { manifestOf, seededBytes, until, withTempFolder } from './fixtures.ts';
import { openLibrary, type AddRootsOptions, type Library, type LibraryProgress } from './library.ts';

interface Watched {
  readonly library: Library;
  /** `added a`, `withdrawn a`, in order. */
  readonly log: string[];
  readonly problems: string[];
}

const OLD = new Date('2020-01-01T00:00:00Z');

/** A file that has been left alone for years, as shared files have. */
async function put(path: string, bytes: Uint8Array | string): Promise<void> {
  await mkdir(join(path, '..'), { recursive: true });
  await writeFile(path, bytes);
  await utimes(path, OLD, OLD);
}

/** Runs `use` with a library in `<folder>/data` that shares `<folder>/shared`. */
async function withLibrary(
  folder: string,
  options: AddRootsOptions & { readonly paths?: readonly string[] },
  use: (watched: Watched) => Promise<void>,
): Promise<void> {
  const library = await openLibrary({ dataDir: join(folder, 'data'), quietMs: 60 });
  const watched: Watched = { library, log: [], problems: [] };
  library.events.on('added', (file) => watched.log.push(`added ${file.name}`));
  library.events.on('withdrawn', (file) => watched.log.push(`withdrawn ${file.name}`));
  library.events.on('problem', (path, message) => watched.problems.push(`${path.replace(folder, '')}: ${message}`));
  try {
    await library.addRoots(options.paths ?? [join(folder, 'shared')], options);
    await use(watched);
  } finally {
    await library.close();
  }
}

const still = { watch: false };

describe('openLibrary()', { timeout: 30_000 }, () => {
  it('shares files and folders under their names, and says how far it is', () =>
    withTempFolder(async (folder) => {
      const shared = join(folder, 'shared');
      const bytes = seededBytes(200_000);
      await put(join(shared, 'sub', 'deep', 'a.bin'), bytes);
      await put(join(shared, 'empty'), '');
      await put(join(folder, 'single.txt'), 'hello');
      let last: LibraryProgress | undefined;
      const options = { ...still, onProgress: (progress: LibraryProgress) => (last = progress) };
      await withLibrary(folder, { ...options, paths: [shared, join(folder, 'single.txt')] }, async ({ library }) => {
        expect([...library.files()].map((file) => file.name).toSorted()).toEqual([
          'empty',
          'single.txt',
          'sub/deep/a.bin',
        ]);
        expect(library.byName('sub/deep/a.bin')?.manifest).toEqual(manifestOf(bytes));
        const { contentId } = manifestOf(bytes);
        expect(library.byContentId(contentId)?.path).toBe(join(shared, 'sub', 'deep', 'a.bin'));
        expect([library.fileCount, library.byteCount, library.hashedBytes]).toEqual([3, 200_005, 200_005]);
        expect(last).toEqual({ filesTotal: 3, filesDone: 3, bytesTotal: 200_005, bytesDone: 200_005 });
      });
      await expect(withLibrary(folder, { paths: [join(folder, 'none')] }, async () => {})).rejects.toMatchObject({
        code: 'usage',
      });
    }));

  it('hashes nothing again after a restart but what changed, also when it was renamed', () =>
    withTempFolder(async (folder) => {
      const at = (name: string): string => join(folder, 'shared', name);
      for (const [index, name] of ['a', 'b', 'c'].entries()) await put(at(name), seededBytes(100_000 + index, index));
      await withLibrary(folder, still, async ({ library }) => expect(library.hashedBytes).toBe(300_003));
      await withLibrary(folder, still, async ({ library, log }) => {
        expect(library.hashedBytes).toBe(0);
        expect(log).toHaveLength(3);
      });
      await rename(at('a'), at('a2'));
      await put(at('b'), seededBytes(70_000, 9));
      await rm(at('c'));
      await withLibrary(folder, still, async ({ library }) => {
        expect(library.hashedBytes).toBe(70_000);
        expect([...library.files()].map((file) => file.name).toSorted()).toEqual(['a2', 'b']);
        expect(library.byName('a2')?.manifest).toEqual(manifestOf(seededBytes(100_000, 0)));
      });
      // Another chunk size is another content.
      await withLibrary(folder, { ...still, chunkSize: 16_384 }, async ({ library }) =>
        expect(library.hashedBytes).toBe(170_000),
      );
      await until('rows of files that are gone are forgotten', () => {
        const database = new DatabaseSync(join(folder, 'data', 'library.sqlite'));
        const count = Number(database.prepare('SELECT count(*) AS n FROM file').get()?.['n']);
        database.close();
        return count === 2;
      });
    }));

  it('hashes a file again that was modified just before it was hashed', () =>
    withTempFolder(async (folder) => {
      const path = join(folder, 'shared', 'a');
      await put(path, 'fresh');
      const soon = new Date(Date.now() + 60_000);
      await utimes(path, soon, soon);
      for (let round = 0; round < 2; round++)
        await withLibrary(folder, still, async ({ library }) => expect(library.hashedBytes).toBe(5));
    }));

  it('refuses what cannot be shared, and says where and why', () =>
    withTempFolder(async (folder) => {
      const at = (name: string): string => join(folder, 'shared', name);
      await put(at('good'), 'x');
      await put(at('back\\slash'), 'x');
      await put(at('con.txt'), 'x');
      await put(join(folder, 'secret'), 'x');
      await put(join(folder, 'other', 'good'), 'second');
      await put(at('sub/inside'), 'x');
      await put(at('mine.part'), 'x');
      await put(at('theirs.part'), 'x');
      await put(at('theirs.journal'), 'SHLJRNL\0 and so on');
      await symlink(join(folder, 'secret'), at('leak'));
      await symlink(at('sub/inside'), at('link'));
      await symlink(at('sub'), at('linked-folder'));
      const paths = [join(folder, 'shared'), join(folder, 'other')];
      await withLibrary(folder, { ...still, paths }, async ({ library, problems }) => {
        expect([...library.files()].map((file) => file.name).toSorted()).toEqual([
          'good',
          'link',
          'mine.part',
          'sub/inside',
        ]);
        expect(problems.toSorted()).toEqual([
          `/other/good: it would have the name good, which ${at('good')} has already`,
          '/shared/back\\slash: its name cannot be shared: it contains a backslash, which divides folders on Windows',
          '/shared/con.txt: its name cannot be shared: "con.txt" is reserved on Windows',
          '/shared/leak: it is a symbolic link that leads out of the shared folder',
        ]);
      });
    }));

  it('does not share its own data directory', () =>
    withTempFolder(async (folder) => {
      await put(join(folder, 'a'), 'x');
      await withLibrary(folder, { paths: [folder] }, async ({ library }) => {
        await library.whenWatching();
        expect([...library.files()].map((file) => file.name)).toEqual(['a']);
      });
    }));

  it('withdraws a file that changes, and shares it again when it is quiet; follows new, renamed and deleted ones', () =>
    withTempFolder(async (folder) => {
      const at = (name: string): string => join(folder, 'shared', name);
      await put(at('a'), seededBytes(1_000));
      await withLibrary(folder, {}, async ({ library, log }) => {
        await library.whenWatching();
        await appendFile(at('a'), 'more');
        await until('a is withdrawn', () => log.includes('withdrawn a'));
        await until('a is shared again', () => log.length === 3);
        expect(log).toEqual(['added a', 'withdrawn a', 'added a']);
        expect(library.byName('a')?.manifest).toEqual(manifestOf(new Uint8Array(await readFile(at('a')))));
        log.length = 0;

        await mkdir(at('new'));
        await put(at('new/b'), seededBytes(2_000, 2));
        await until('b is shared', () => log.includes('added new/b'));
        const hashedBytes = library.hashedBytes;
        await rename(at('new/b'), at('c'));
        await until('b is c now', () => log.includes('added c') && log.includes('withdrawn new/b'));
        expect(library.hashedBytes).toBe(hashedBytes);
        log.length = 0;

        await rm(at('c'));
        await until('c is gone', () => log.includes('withdrawn c'));
        expect(library.byName('c')).toBeUndefined();
        expect(library.fileCount).toBe(1);
      });
    }));

  it('watches a single file too, also when it is replaced', () =>
    withTempFolder(async (folder) => {
      const path = join(folder, 'one');
      await put(path, 'first');
      await withLibrary(folder, { paths: [path] }, async ({ library, log }) => {
        await library.whenWatching();
        await put(`${path}.tmp`, 'second!');
        await rename(`${path}.tmp`, path);
        await until('the new one is shared', () => library.byName('one')?.manifest.size === 7);
        expect(log).toEqual(['added one', 'withdrawn one', 'added one']);
      });
    }));

  it('gives a name to the next file when the one that had it is gone', () =>
    withTempFolder(async (folder) => {
      await put(join(folder, 'shared', 'x'), 'first');
      await put(join(folder, 'other', 'x'), 'second');
      const paths = [join(folder, 'shared'), join(folder, 'other')];
      await withLibrary(folder, { paths }, async ({ library, log }) => {
        await library.whenWatching();
        await rm(join(folder, 'shared', 'x'));
        await until('the second is shared', () => log.length === 3);
        expect(library.byName('x')?.path).toBe(join(folder, 'other', 'x'));
      });
    }));

  it('withdraws a file whose bytes rotted, and does not share them as a new content after a restart', () =>
    withTempFolder(async (folder) => {
      const path = join(folder, 'shared', 'a');
      const bytes = seededBytes(100_000);
      const { contentId } = manifestOf(bytes);
      await put(path, bytes);
      await withLibrary(folder, still, async ({ library, log, problems }) => {
        expect(await library.reportMismatch(contentId, 1)).toBe('intact');
        expect(await library.reportMismatch(contentId, 99)).toBe('intact');
        const handle = await open(path, 'r+');
        await handle.write('!!', 70_000);
        await handle.utimes(OLD, OLD);
        await handle.close();
        expect(await library.reportMismatch(contentId, 0)).toBe('intact');
        expect(await library.reportMismatch(contentId, 1)).toBe('withdrawn');
        expect(await library.reportMismatch(contentId, 1)).toBe('unknown-content');
        expect(log).toEqual(['added a', 'withdrawn a']);
        expect(problems).toEqual([expect.stringContaining('the disk may be failing')]);
      });
      await withLibrary(folder, still, async ({ library, problems }) => {
        expect(library.fileCount).toBe(0);
        expect(problems).toEqual([expect.stringContaining('the disk may be failing')]);
      });
      await put(path, seededBytes(100_001));
      await withLibrary(folder, still, async ({ library }) => expect(library.fileCount).toBe(1));
    }));

  it('withdraws a file that a read finds changed', () =>
    withTempFolder(async (folder) => {
      const path = join(folder, 'shared', 'a');
      await put(path, seededBytes(100_000));
      await withLibrary(folder, still, async ({ library, log }) => {
        const file = library.byName('a');
        if (file === undefined) throw new Error('a is not shared');
        const reader = library.reader(file);
        await writeFile(path, 'other');
        await expect(reader.readChunk(0, new Uint8Array(65_536))).rejects.toMatchObject({ code: 'conflict' });
        expect(log).toEqual(['added a', 'withdrawn a']);
        expect(() => library.reader(file)).toThrow(/not shared any more/);
        await until('it is shared again', () => log.length === 3);
      });
    }));

  it('shares a verified download without hashing it', () =>
    withTempFolder(async (folder) => {
      const bytes = seededBytes(100_000);
      await put(join(folder, 'shared', 'a'), 'x');
      await put(join(folder, 'down'), bytes);
      await withLibrary(folder, still, async ({ library, log }) => {
        const file = await library.addVerified(join(folder, 'down'), parseEntryName('b/down'), manifestOf(bytes));
        expect(log).toEqual(['added a', 'added b/down']);
        expect(library.hashedBytes).toBe(1);
        expect(await library.reader(file).read(0, new Uint8Array(10))).toBe(10);
      });
      await withLibrary(folder, { ...still, paths: [join(folder, 'down')] }, async ({ library }) =>
        expect(library.hashedBytes).toBe(0),
      );
    }));

  it('starts anew when its index is damaged, and refuses one of a newer version', () =>
    withTempFolder(async (folder) => {
      await put(join(folder, 'shared', 'a'), 'x');
      const index = join(folder, 'data', 'library.sqlite');
      await mkdir(join(folder, 'data'));
      await writeFile(index, 'this is no database, and it is longer than a header of one would be'.repeat(20));
      await withLibrary(folder, still, async ({ library }) => expect(library.fileCount).toBe(1));
      expect((await stat(`${index}.damaged`)).isFile()).toBe(true);
      const database = new DatabaseSync(index);
      database.exec('PRAGMA user_version = 99');
      database.close();
      await expect(withLibrary(folder, still, async () => {})).rejects.toThrow(/was written by a newer shoal/);
    }));
});
