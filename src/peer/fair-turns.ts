/**
 * Whose turn it is to send: contents share evenly by bytes, whatever the number of sends each has under way, and within a content
 * the oldest send goes first: a chunk can be passed on only when it is whole, so those side by side all come late. A younger one goes
 * while the link of an older one takes nothing. A content that was idle gets its share from now on and no more for the time it was away.
 */

interface Group<T> {
  readonly items: T[];
  /** Bytes this content has sent, moved up to the others' whenever it comes back. */
  sentBytes: number;
}

export class FairTurns<T> {
  readonly #groups = new Map<unknown, Group<T>>();

  get size(): number {
    let count = 0;
    for (const { items } of this.#groups.values()) count += items.length;
    return count;
  }

  *[Symbol.iterator](): Iterator<T> {
    for (const { items } of this.#groups.values()) yield* items;
  }

  /** @param content whatever stands for the content; compared by identity. */
  add(content: unknown, item: T): void {
    const group = this.#groups.get(content);
    if (group !== undefined) {
      group.items.push(item);
      return;
    }
    let least = Number.POSITIVE_INFINITY;
    for (const other of this.#groups.values()) least = Math.min(least, other.sentBytes);
    this.#groups.set(content, { items: [item], sentBytes: Number.isFinite(least) ? least : 0 });
  }

  remove(content: unknown, item: T): void {
    const group = this.#groups.get(content);
    const at = group?.items.indexOf(item) ?? -1;
    if (group === undefined || at < 0) return;
    group.items.splice(at, 1);
    if (group.items.length === 0) this.#groups.delete(content);
  }

  /** The next that `canGo`, the oldest of the content that has sent least; undefined when there is none. */
  next(canGo: (item: T) => boolean): T | undefined {
    let best: T | undefined;
    let least = Number.POSITIVE_INFINITY;
    for (const group of this.#groups.values()) {
      if (group.sentBytes >= least) continue;
      const item = group.items.find(canGo);
      if (item === undefined) continue;
      best = item;
      least = group.sentBytes;
    }
    return best;
  }

  /** Counts what was sent. */
  sent(content: unknown, byteCount: number): void {
    const group = this.#groups.get(content);
    if (group !== undefined) group.sentBytes += byteCount;
  }
}
