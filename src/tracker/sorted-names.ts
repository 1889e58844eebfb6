/**
 * Names in order, for paging. New names wait in a set and are merged in when somebody next pages, so that publishing many costs
 * one sort and not one insertion each. Holds names only; what became of them, the catalogue knows.
 */
export class SortedNames {
  #sorted: string[] = [];
  readonly #added = new Set<string>();
  readonly #removed = new Set<string>();

  add(name: string): void {
    if (!this.#removed.delete(name)) this.#added.add(name);
  }

  remove(name: string): void {
    if (!this.#added.delete(name)) this.#removed.add(name);
  }

  /** Names after `after` in code-unit order; '' begins at the first. The list must not change while this is walked. */
  *after(after: string): IterableIterator<string> {
    this.#settle();
    for (let index = this.#firstAfter(after); index < this.#sorted.length; index++) yield this.#sorted[index] as string;
  }

  #settle(): void {
    if (this.#added.size === 0 && this.#removed.size === 0) return;
    const fresh = [...this.#added].toSorted(byCodeUnit);
    const merged: string[] = [];
    let at = 0;
    for (const name of this.#sorted) {
      if (this.#removed.has(name)) continue;
      while (at < fresh.length && (fresh[at] as string) < name) merged.push(fresh[at++] as string);
      merged.push(name);
    }
    while (at < fresh.length) merged.push(fresh[at++] as string);
    this.#sorted = merged;
    this.#added.clear();
    this.#removed.clear();
  }

  #firstAfter(after: string): number {
    if (after === '') return 0;
    let low = 0;
    let high = this.#sorted.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#sorted[middle] as string) <= after) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function byCodeUnit(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
