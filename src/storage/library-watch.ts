/** Tells when something at a path of a root may have changed. What it means is for the library to find out. */
import { watch } from 'chokidar';
import { systemErrorCode } from '../errors.ts';
import { diskError } from './disk-error.ts';
import type { Root } from './library-scan.ts';

export interface RootWatch {
  /** Resolves when changes are seen from now on, or when watching failed. */
  readonly ready: Promise<void>;
  close(): Promise<void>;
}

export interface RootWatchOptions {
  readonly onTouched: (path: string) => void;
  /** A folder has come or gone. */
  readonly onFolderTouched: () => void;
  readonly onProblem: (path: string, message: string) => void;
}

export function watchRoot(root: Root, options: RootWatchOptions): RootWatch {
  const { excludedPath } = root;
  const watcher = watch(root.path, {
    ignoreInitial: true,
    // Links are followed, and kept inside the root, by the scan.
    followSymlinks: false,
    // The library waits for quiet itself, and wants to know of a change at once.
    atomic: false,
    awaitWriteFinish: false,
    ...(excludedPath === undefined ? {} : { ignored: [{ path: excludedPath, recursive: true }] }),
  });
  const { promise: ready, resolve: isReady } = Promise.withResolvers<void>();
  let hasFailed = false;
  watcher.on('ready', isReady);
  watcher.on('error', (error) => {
    isReady();
    // One sentence is enough: a limit that is reached is reached by every folder that follows.
    if (hasFailed) return;
    hasFailed = true;
    options.onProblem(root.path, watchProblem(error));
  });
  watcher.on('add', options.onTouched);
  watcher.on('change', options.onTouched);
  watcher.on('unlink', options.onTouched);
  watcher.on('addDir', options.onFolderTouched);
  watcher.on('unlinkDir', options.onFolderTouched);
  return {
    ready,
    async close() {
      await watcher.close();
      isReady();
    },
  };
}

function watchProblem(error: unknown): string {
  const rest = 'some changes are noticed only when a file is read or at the next start';
  if (systemErrorCode(error) === 'ENOSPC')
    return `the system allows no more watches (raise fs.inotify.max_user_watches); ${rest}`;
  return `${diskError(error, 'it cannot be watched').message}; ${rest}`;
}
