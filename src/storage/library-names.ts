/**
 * Which path has which name: a name belongs to one path from the moment that is looked at until it is known to be gone, whether its file
 * is shared, being hashed or withdrawn meanwhile. Others that would have the same name stand in its shadow until then.
 */
import { addTo } from './library-files.ts';

export class NameClaims {
  readonly #pathOf = new Map<string, string>();
  readonly #nameOf = new Map<string, string>();
  readonly #shadowed = new Map<string, Set<string>>();

  /** Paths that have a name. */
  get count(): number {
    return this.#nameOf.size;
  }

  has(path: string): boolean {
    return this.#nameOf.has(path);
  }

  /** The path that has this name. */
  owner(name: string): string | undefined {
    return this.#pathOf.get(name);
  }

  /** Gives a path a name that nobody has, in place of another it may have had. Gives back whom that leaves free to be looked at. */
  claim(path: string, name: string): Iterable<string> {
    const before = this.#nameOf.get(path);
    const freed = before !== undefined && before !== name ? this.release(path) : [];
    this.#pathOf.set(name, path);
    this.#nameOf.set(path, name);
    return freed;
  }

  /** The path is gone: gives back those that would have its name. */
  release(path: string): Iterable<string> {
    const name = this.#nameOf.get(path);
    if (name === undefined) return [];
    this.#nameOf.delete(path);
    this.#pathOf.delete(name);
    const shadowed = this.#shadowed.get(name) ?? [];
    this.#shadowed.delete(name);
    return shadowed;
  }

  /** This path would have the name if it were free. */
  shadow(name: string, path: string): void {
    addTo(this.#shadowed, name, path);
  }

  isShadowed(name: string, path: string): boolean {
    return this.#shadowed.get(name)?.has(path) === true;
  }
}
