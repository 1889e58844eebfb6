import { spawn } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { defaultDataDirectory, openDataDirectory } from './data-directory.ts';
import { tryLockFile } from './file-lock.ts';
import { withTempFolder } from './fixtures.ts';
import { acquireNodeLock, tryNodeLock } from './node-lock.ts';

function directoryOf(sharedPaths: readonly string[], env: Record<string, string>): string {
  return defaultDataDirectory({ sharedPaths, env });
}

describe('tryLockFile()', () => {
  it('gives a lock to one holder, again after release, and leaves no file when asked', () =>
    withTempFolder(async (folder) => {
      const path = join(folder, 'l');
      const lock = tryLockFile(path);
      expect(tryLockFile(path)).toBeUndefined();
      expect(tryLockFile(path)).toBeUndefined();
      lock?.release();
      const again = tryLockFile(path);
      expect(again).toBeDefined();
      again?.release({ remove: true });
      again?.release({ remove: true });
      expect(await readdir(folder)).toEqual([]);
    }));
});

describe('acquireNodeLock()', { timeout: 30_000 }, () => {
  it('names the live process that holds a directory, and is free the moment that one is killed', () =>
    withTempFolder(async (folder) => {
      const module = new URL('./node-lock.ts', import.meta.url).href;
      const script = `import { acquireNodeLock } from ${JSON.stringify(module)};
        await acquireNodeLock(${JSON.stringify(folder)}); console.log('held'); setInterval(() => {}, 1_000);`;
      const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const exited = new Promise((resolve) => child.once('exit', resolve));
      try {
        await new Promise((resolve) => child.stdout.once('data', resolve));
        await expect(acquireNodeLock(folder)).rejects.toMatchObject({
          code: 'conflict',
          message: `the data directory ${folder} is in use by the live process ${child.pid}`,
        });
      } finally {
        child.kill('SIGKILL');
        await exited;
      }
      const lock = await acquireNodeLock(folder);
      expect(await tryNodeLock(folder)).toEqual({ state: 'held', pid: process.pid });
      lock.release();
      lock.release();
      (await acquireNodeLock(folder)).release();
    }));
});

describe('openDataDirectory()', () => {
  it('is the same for the same paths in any order, below the folder the environment names', () => {
    const first = directoryOf(['/a', '/b/../c'], { XDG_DATA_HOME: '/x' });
    expect(first).toMatch(/^\/x\/shoal\/nodes\/[0-9a-f]{12}$/);
    expect(directoryOf(['/c', '/a'], { XDG_DATA_HOME: '/x' })).toBe(first);
    expect(directoryOf(['/c', '/a'], { XDG_DATA_HOME: '/x', SHOAL_DATA_HOME: '/y' })).toBe(
      first.replace('/x/shoal', '/y'),
    );
    expect(directoryOf(['/c'], { XDG_DATA_HOME: '/x' })).not.toBe(first);
    expect(directoryOf(['/c'], { SHOAL_DATA_HOME: '' })).toMatch(/\/\.local\/share\/shoal\/nodes\//);
  });

  it('goes on to the next default directory while one is in use, but not from an explicit one', () =>
    withTempFolder(async (folder) => {
      const options = { sharedPaths: ['/a'], env: { SHOAL_DATA_HOME: folder } };
      const first = await openDataDirectory(options);
      const second = await openDataDirectory(options);
      expect(second.dataDir).toBe(`${first.dataDir}-2`);
      await expect(openDataDirectory({ ...options, explicit: first.dataDir })).rejects.toMatchObject({
        code: 'conflict',
      });
      first.release();
      const third = await openDataDirectory(options);
      expect(third.dataDir).toBe(first.dataDir);
      second.release();
      third.release();
    }));
});
