/**
 * Between the registry, which decides at once in memory, and a store, which writes in batches. Changes keep their order; those of a
 * batch that failed stay and are written again with the next one, so a full disk delays writes but loses none while the process lives.
 */
import { ShoalError } from '../../errors.ts';
import * as limits from '../../limits.ts';
import type { StoreChange, TrackerStore } from './store.ts';

/** Changes in one transaction at most, so that no single one blocks the event loop for long. */
const BATCH_CHANGES_MAX = 2_000;

const DISPENSABLE: ReadonlySet<StoreChange['type']> = new Set(['set-idle', 'put-peer', 'remove-peer']);

export class WriteQueue {
  readonly #store: TrackerStore;
  readonly #pendingMax: number;
  #pending: StoreChange[] = [];
  #pushedCount = 0;
  /** Of the last change that an answer has to wait for. */
  #neededCount = 0;
  #writtenCount = 0;
  #writing: Promise<void> | undefined;
  #problem: unknown;

  /** How long a flush goes on trying: a shared store that loses a node is back within seconds. */
  readonly #patienceMs: number;

  constructor(store: TrackerStore, pendingMax = limits.WRITE_QUEUE_CHANGES_MAX) {
    this.#store = store;
    this.#patienceMs = store.shared === undefined ? 0 : limits.STORE_PATIENCE_MS;
    this.#pendingMax = pendingMax;
  }

  /** Why the last batch was not written; undefined while all is well. */
  get problem(): unknown {
    return this.#problem;
  }

  get pendingCount(): number {
    return this.#pending.length;
  }

  /** What only helps people or saves time (idle times, last-seen peers) is let go when too much waits already. */
  push(change: StoreChange): void {
    if (this.#pending.length >= this.#pendingMax && DISPENSABLE.has(change.type)) return;
    this.#pending.push(change);
    this.#pushedCount++;
    if (!DISPENSABLE.has(change.type)) this.#neededCount = this.#pushedCount;
  }

  /** As flush, but does not wait for what is dispensable when nothing else waits. */
  async flushNeeded(): Promise<void> {
    if (this.#writtenCount < this.#neededCount) await this.flush();
  }

  /** Throws `disk` when so much waits for the store already that nothing may be added. Ask before deciding anything. */
  checkRoom(): void {
    if (this.#pending.length < this.#pendingMax) return;
    throw new ShoalError('disk', 'the tracker cannot write its catalogue at the moment: try again later');
  }

  /** Resolves when everything pushed so far is written; rejects with `disk` when the store refuses, and keeps the changes. */
  async flush(): Promise<void> {
    const target = this.#pushedCount;
    const givesUpAtMs = performance.now() + this.#patienceMs;
    while (this.#writtenCount < target) {
      // a turn of the loop gathers what other calls of this moment push, into the same batch
      this.#writing ??= new Promise<void>((resolve) => setImmediate(resolve)).then(() => this.#writeBatch());
      try {
        await this.#writing;
      } catch (error) {
        if (performance.now() >= givesUpAtMs) throw error;
        await new Promise((resolve) => setTimeout(resolve, limits.TRACKER_EXCHANGE_MS));
      }
    }
  }

  async #writeBatch(): Promise<void> {
    const batch = this.#pending.slice(0, wholeBatchLength(this.#pending, BATCH_CHANGES_MAX));
    try {
      await this.#store.apply(batch);
      this.#pending = this.#pending.slice(batch.length);
      this.#writtenCount += batch.length;
      this.#problem = undefined;
    } catch (error) {
      this.#problem = error;
      const why = error instanceof ShoalError && error.code === 'disk' ? `: ${error.message}` : '';
      throw new ShoalError('disk', `the tracker could not write its catalogue${why}; try again later`, {
        cause: error,
      });
    } finally {
      this.#writing = undefined;
    }
  }
}

/**
 * How many of the first changes one transaction takes: at most `max`, and of what belongs together all or nothing. A content comes with
 * its first entry and goes with its last, so a process that dies between two transactions leaves neither without the other.
 */
export function wholeBatchLength(changes: readonly StoreChange[], max: number): number {
  if (changes.length <= max) return changes.length;
  const unnamed = new Set<string>();
  let whole = 0;
  for (let index = 0; index < max; index++) {
    const change = changes[index] as StoreChange;
    if (change.type === 'put-content') unnamed.add(change.content.key);
    else if (change.type === 'put-entry') unnamed.delete(change.entry.contentKey);
    if (unnamed.size === 0 && changes[index + 1]?.type !== 'remove-content') whole = index + 1;
  }
  return whole === 0 ? max : whole;
}
