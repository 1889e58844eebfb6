/** The files that are shared at this moment, by path, name and content. Says nothing about why one is or is not. */
import type { ContentId } from '../content/digest.ts';
import type { EntryName } from '../content/entry-name.ts';
import type { Manifest } from '../content/manifest.ts';
import type { FileStamp } from './file-stamp.ts';
import type { Root } from './library-scan.ts';

export interface LibraryFile {
  readonly name: EntryName;
  readonly path: string;
  readonly manifest: Manifest;
}

export interface SharedFile extends LibraryFile {
  readonly stamp: FileStamp;
  readonly executable: boolean;
  /** Undefined for a verified download that lies under no root. */
  readonly root: Root | undefined;
  readonly linkTarget: string | undefined;
}

export class SharedFiles {
  readonly #byPath = new Map<string, SharedFile>();
  readonly #byName = new Map<string, SharedFile>();
  readonly #byContentId = new Map<ContentId, SharedFile | Set<SharedFile>>();
  /** Links by what they lead to. */
  readonly #links = new Map<string, Set<string>>();
  #byteCount = 0;

  get count(): number {
    return this.#byPath.size;
  }

  get byteCount(): number {
    return this.#byteCount;
  }

  all(): IterableIterator<SharedFile> {
    return this.#byPath.values();
  }

  *of(root: Root): IterableIterator<SharedFile> {
    for (const file of this.#byPath.values()) if (file.root === root) yield file;
  }

  at(path: string): SharedFile | undefined {
    return this.#byPath.get(path);
  }

  /** Whether this very file is still shared: one at its path that was hashed again is another. */
  has(file: LibraryFile): boolean {
    return this.#byPath.get(file.path) === file;
  }

  byName(name: string): SharedFile | undefined {
    return this.#byName.get(name);
  }

  /** All files with this content. */
  byContentId(contentId: ContentId): readonly SharedFile[] {
    const found = this.#byContentId.get(contentId);
    if (found === undefined) return [];
    return found instanceof Set ? [...found] : [found];
  }

  linksTo(path: string): Iterable<string> {
    return this.#links.get(path) ?? [];
  }

  add(file: SharedFile): void {
    this.#byPath.set(file.path, file);
    this.#byName.set(file.name, file);
    const { contentId, size } = file.manifest;
    // nearly every content is one file's: no set for that
    const others = this.#byContentId.get(contentId);
    if (others === undefined) this.#byContentId.set(contentId, file);
    else if (others instanceof Set) others.add(file);
    else this.#byContentId.set(contentId, new Set([others, file]));
    if (file.linkTarget !== undefined) addTo(this.#links, file.linkTarget, file.path);
    this.#byteCount += size;
  }

  remove(file: SharedFile): void {
    this.#byPath.delete(file.path);
    if (this.#byName.get(file.name) === file) this.#byName.delete(file.name);
    const { contentId, size } = file.manifest;
    const others = this.#byContentId.get(contentId);
    if (others instanceof Set) others.delete(file);
    if (others === file || (others instanceof Set && others.size === 0)) this.#byContentId.delete(contentId);
    if (file.linkTarget !== undefined) removeFrom(this.#links, file.linkTarget, file.path);
    this.#byteCount -= size;
  }
}

export function addTo<K, V>(map: Map<K, Set<V>>, key: K, value: V): void {
  const set = map.get(key);
  if (set === undefined) map.set(key, new Set([value]));
  else set.add(value);
}

function removeFrom<K, V>(map: Map<K, Set<V>>, key: K, value: V): void {
  const set = map.get(key);
  set?.delete(value);
  if (set?.size === 0) map.delete(key);
}
