/**
 * A queue of things that fall due, all after the same span, so that the order of arrival is the order of falling due. Renewing
 * moves a node to the tail: every operation is O(1), and there is no timer for each thing. It does not look at the clock.
 */
export interface DueNode<T> {
  readonly item: T;
  readonly dueMs: number;
}

interface Link<T> extends DueNode<T> {
  dueMs: number;
  before: Link<T> | undefined;
  after: Link<T> | undefined;
  queued: boolean;
}

export class DueQueue<T> {
  #head: Link<T> | undefined;
  #tail: Link<T> | undefined;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Appends; a due time before that of the tail is raised to it, so that a clock set back cannot break the order. */
  push(item: T, dueMs: number): DueNode<T> {
    const link: Link<T> = { item, dueMs, before: undefined, after: undefined, queued: false };
    this.#append(link, dueMs);
    return link;
  }

  /** Moves a node of this queue to the tail. */
  renew(node: DueNode<T>, dueMs: number): void {
    const link = node as Link<T>;
    this.remove(link);
    this.#append(link, dueMs);
  }

  /** Takes a node out; a node that is out already stays out. */
  remove(node: DueNode<T>): void {
    const link = node as Link<T>;
    if (!link.queued) return;
    if (link.before === undefined) this.#head = link.after;
    else link.before.after = link.after;
    if (link.after === undefined) this.#tail = link.before;
    else link.after.before = link.before;
    link.before = link.after = undefined;
    link.queued = false;
    this.#size--;
  }

  /** The oldest node, still queued. */
  peek(): DueNode<T> | undefined {
    return this.#head;
  }

  /** Whether anything is due at `nowMs`. */
  isDue(nowMs: number): boolean {
    return this.#head !== undefined && this.#head.dueMs <= nowMs;
  }

  /** Takes out the oldest item that is due at `nowMs`; undefined when none is. */
  takeDue(nowMs: number): T | undefined {
    const head = this.#head;
    if (head === undefined || head.dueMs > nowMs) return undefined;
    this.remove(head);
    return head.item;
  }

  #append(link: Link<T>, dueMs: number): void {
    link.dueMs = this.#tail === undefined ? dueMs : Math.max(dueMs, this.#tail.dueMs);
    link.before = this.#tail;
    if (this.#tail === undefined) this.#head = link;
    else this.#tail.after = link;
    this.#tail = link;
    link.queued = true;
    this.#size++;
  }
}
