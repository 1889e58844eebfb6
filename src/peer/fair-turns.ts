/**
 * Whose turn it is to send: contents share evenly by bytes, whatever the number of sends each has under way, and within a content
 * its sends take turns. A content that was idle gets its share from now on and no more for the time it was away.
 */

interface Group<T> {
  readonly items: T[];
  turn: number;
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
    this.#groups.set(content, { items: [item], turn: 0, sentBytes: Number.isFinite(least) ? least : 0 });
  }

  remove(content: unknown, item: T): void {
    const group = this.#groups.get(content);
    const at = group?.items.indexOf(item) ?? -1;
    if (group === undefined || at < 0) return;
    group.items.splice(at, 1);
    if (group.turn > at) group.turn--;
    if (group.items.length === 0) this.#groups.delete(content);
  }

  /** The next that `canGo`, of the content that has sent least; undefined when there is none. It keeps its turn until `sent`. */
  next(canGo: (item: T) => boolean): T | undefined {
    let best: T | undefined;
    let least = Number.POSITIVE_INFINITY;
    for (const group of this.#groups.values()) {
      if (group.sentBytes >= least) continue;
      const item = nextOf(group, canGo);
      if (item === undefined) continue;
      best = item;
      least = group.sentBytes;
    }
    return best;
  }

  /** Counts what was sent, and passes the turn on. */
  sent(content: unknown, byteCount: number): void {
    const group = this.#groups.get(content);
    if (group === undefined) return;
    group.sentBytes += byteCount;
    group.turn = (group.turn + 1) % group.items.length;
  }
}

function nextOf<T>(group: Group<T>, canGo: (item: T) => boolean): T | undefined {
  const { items } = group;
  for (let step = 0; step < items.length; step++) {
    const at = (group.turn + step) % items.length;
    const item = items[at] as T;
    if (!canGo(item)) continue;
    group.turn = at;
    return item;
  }
  return undefined;
}
