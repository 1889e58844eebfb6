/**
 * What happens to files after they were found: watches the roots, withdraws what no longer is as it was, and has it looked at again when
 * it has been quiet for a while. What a file is when it is looked at, the indexing decides.
 */
import { stat } from 'node:fs/promises';
import { fileStamp, isExecutable, sameStamp } from './file-stamp.ts';
import type { SharedFile, SharedFiles } from './library-files.ts';
import type { LibraryIndexing } from './library-indexing.ts';
import type { NameClaims } from './library-names.ts';
import { lookAt, scanRoot, type Root } from './library-scan.ts';
import { watchRoot, type RootWatch } from './library-watch.ts';
import { createQuietQueue, type QuietQueue } from './quiet-queue.ts';

export interface LibraryChangesOptions {
  readonly files: SharedFiles;
  readonly names: NameClaims;
  readonly indexing: () => LibraryIndexing;
  readonly quietMs: number;
  readonly withdraw: (file: SharedFile) => void;
  /** A folder below this root has come or gone. */
  readonly onFolderTouched: (root: Root) => void;
  readonly onProblem: (path: string, message: string) => void;
  /** Work that nobody waits for. */
  readonly inBackground: (work: () => Promise<void>) => void;
  readonly signal: AbortSignal;
}

export class LibraryChanges {
  readonly #options: LibraryChangesOptions;
  readonly #watches = new Map<string, RootWatch>();
  readonly #quiet: QuietQueue;
  /** The root of every path that was touched and waits for quiet. */
  readonly #touched = new Map<string, Root>();

  constructor(options: LibraryChangesOptions) {
    this.#options = options;
    this.#quiet = createQuietQueue({ quietMs: options.quietMs, onQuiet: (path) => this.#onQuiet(path) });
  }

  /** Begins to watch a root that is not watched yet; what has changed since it was scanned is found. */
  watch(root: Root): void {
    if (this.#options.signal.aborted || this.#watches.has(root.path)) return;
    const watch = watchRoot(root, {
      onTouched: (path) => this.touched(root, path),
      onFolderTouched: () => this.#options.onFolderTouched(root),
      onProblem: this.#options.onProblem,
    });
    this.#watches.set(root.path, watch);
    this.#options.inBackground(() => this.#compare(root, watch));
  }

  /** Resolves when changes in all watched roots are being seen. */
  async ready(): Promise<void> {
    await Promise.all([...this.#watches.values()].map((watch) => watch.ready));
  }

  /** Something at this path may have changed. */
  touched(root: Root, path: string): void {
    if (this.#options.signal.aborted) return;
    const { files } = this.#options;
    for (const link of files.linksTo(path)) this.touched(root, link);
    const file = files.at(path);
    if (file === undefined) this.waitForQuiet(root, path);
    else this.#options.inBackground(() => this.#withdrawIfChanged(root, file));
  }

  /** Looks at a path when it has been left alone for a while. */
  waitForQuiet(root: Root, path: string): void {
    if (this.#options.signal.aborted) return;
    this.#touched.set(path, root);
    this.#quiet.touch(path);
  }

  claim(path: string, name: string): void {
    this.#lookAtAll(this.#options.names.claim(path, name));
  }

  /** The file is gone: another one may have its name now. */
  release(path: string): void {
    this.#lookAtAll(this.#options.names.release(path));
  }

  /** This file would have a name that another one has; it is looked at when that is gone. */
  shadow(root: Root, path: string, name: string): void {
    this.#options.names.shadow(name, path);
    this.#touched.set(path, root);
  }

  /** No more quiet is waited for. */
  stop(): void {
    this.#quiet.close();
  }

  async close(): Promise<void> {
    await Promise.all([...this.#watches.values()].map((watch) => watch.close()));
  }

  #lookAtAll(paths: Iterable<string>): void {
    for (const path of paths) this.#quiet.touch(path);
  }

  #onQuiet(path: string): void {
    const root = this.#touched.get(path);
    this.#touched.delete(path);
    if (root !== undefined) this.#options.inBackground(() => this.#lookAgain(root, path));
  }

  async #withdrawIfChanged(root: Root, file: SharedFile): Promise<void> {
    const isSame = await isAsItWas(file);
    if (isSame || !this.#options.files.has(file)) return;
    this.#options.withdraw(file);
    this.waitForQuiet(file.root ?? root, file.path);
  }

  async #lookAgain(root: Root, path: string): Promise<void> {
    const { files, signal, quietMs } = this.#options;
    const found = await lookAt(root, path);
    if (signal.aborted) return;
    if (found.state === 'file') {
      // Writers that pause: quiet is counted from the last change of the file itself.
      const ageMs = Date.now() - Number(found.stamp.mtimeNs / 1_000_000n);
      if (ageMs >= 0 && ageMs < quietMs) this.waitForQuiet(root, path);
      else await this.#options.indexing().consider(root, found, signal);
      return;
    }
    const file = files.at(path);
    if (file !== undefined) this.#options.withdraw(file);
    this.release(path);
    if (found.state === 'refused') this.#options.onProblem(path, found.message);
  }

  /** Once changes are noticed: looks for those that came after the scan and before that. */
  async #compare(root: Root, watch: RootWatch): Promise<void> {
    await watch.ready;
    const { files, names, signal } = this.#options;
    if (signal.aborted) return;
    const seen = new Set<string>();
    // Problems were told by the scan.
    for await (const group of scanRoot(root, { onProblem: () => undefined, signal })) {
      for (const found of await this.#options.indexing().lookAtGroup(root, group, { hash: false, signal })) {
        if (found.state !== 'file') continue;
        seen.add(found.path);
        const file = files.at(found.path);
        if (
          file === undefined
            ? !names.has(found.path) && !names.isShadowed(found.name, found.path)
            : !sameStamp(file.stamp, found.stamp) || file.executable !== found.executable
        )
          this.touched(root, found.path);
      }
    }
    for (const file of files.of(root)) if (!seen.has(file.path)) this.touched(root, file.path);
  }
}

/** Whether there is a file at its path that looks as it did when it was hashed. */
export async function isAsItWas({ path, stamp, executable }: SharedFile): Promise<boolean> {
  return await stat(path, { bigint: true }).then(
    (stats) => sameStamp(fileStamp(stats), stamp) && isExecutable(stats) === executable,
    () => false,
  );
}
