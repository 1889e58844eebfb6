/**
 * What happened, numbered, for those who watch. One ring for all: a subscriber is only a place in it, so a slow one costs nothing
 * and is told `missed` once the ring has gone past its place. Ids begin at the time of the start, so that they go on rising when the
 * tracker starts again and a subscriber that resumes learns that it missed something.
 */
import { ShoalError } from '../errors.ts';
import * as limits from '../limits.ts';

export const EVENT_TYPES = [
  'peer-joined',
  'peer-left',
  'entry-published',
  'entry-removed',
  'content-complete',
  'milestone',
  'peer-banned',
  'replicated',
  'under-replicated',
  'missed',
  'closing',
] as const;
export type EventType = (typeof EVENT_TYPES)[number];

/** The types that a reader names, and those that always come. Throws `usage` for a name that is none. */
export function eventTypesIn(names: readonly string[]): ReadonlySet<EventType> {
  const types = new Set<EventType>(['missed', 'closing']);
  for (const name of names) {
    const type = EVENT_TYPES.find((one) => one === name);
    if (type === undefined) throw new ShoalError('usage', `${JSON.stringify(name)} is not a type of event`);
    types.add(type);
  }
  return types;
}

export interface TrackerEvent {
  readonly id: number;
  readonly atMs: number;
  readonly type: EventType;
  readonly data: Readonly<Record<string, unknown>>;
}

export interface WatchOptions {
  /** Go on after this event; 0: from now on. */
  readonly afterId: number;
  /** The reader has gone. */
  readonly signal: AbortSignal;
  /** The tracker ends: what is there is told, then `closing` as the last. */
  readonly closing?: AbortSignal | undefined;
  /** Only these, `missed` and `closing`; undefined: all. */
  readonly types?: ReadonlySet<EventType> | undefined;
  /** Yields undefined after this much silence, so that the caller can send a sign of life. */
  readonly silenceMs?: number;
}

/** Ids for each millisecond of a start: enough that a restart begins above all ids given before. */
const IDS_PER_MS = 1_000;

export class EventLog {
  readonly #now: () => number;
  readonly #historyMax: number;
  readonly #ring: TrackerEvent[] = [];
  #firstId: number;
  #nextId: number;
  #subscriberCount = 0;
  readonly #counts = new Map<EventType, number>();
  #wakers: (() => void)[] = [];

  constructor(now: () => number, historyMax = limits.EVENT_HISTORY_MAX) {
    this.#now = now;
    this.#historyMax = historyMax;
    this.#firstId = this.#nextId = Math.floor(now()) * IDS_PER_MS + 1;
  }

  get subscriberCount(): number {
    return this.#subscriberCount;
  }

  /** How many of this type have happened since the start. */
  countOf(type: EventType): number {
    return this.#counts.get(type) ?? 0;
  }

  /** Id of the newest event; 0 before the first. */
  get lastId(): number {
    return this.#nextId - 1;
  }

  append(type: EventType, data: Readonly<Record<string, unknown>>): void {
    const id = this.#nextId++;
    this.#counts.set(type, this.countOf(type) + 1);
    this.#ring[id % this.#historyMax] = { id, atMs: this.#now(), type, data };
    if (id - this.#firstId >= this.#historyMax) this.#firstId = id - this.#historyMax + 1;
    const wakers = this.#wakers;
    this.#wakers = [];
    for (const wake of wakers) wake();
  }

  /** Events as they happen, until the signal. Throws `limit` at once when there are too many subscribers. */
  watch(options: WatchOptions): AsyncIterableIterator<TrackerEvent | undefined> {
    if (this.#subscriberCount >= limits.EVENT_SUBSCRIBERS_MAX)
      throw new ShoalError('limit', `${this.#subscriberCount} subscribers watch this tracker already: try again later`);
    return this.#follow(options);
  }

  async *#follow({
    afterId,
    signal,
    closing,
    types,
    silenceMs,
  }: WatchOptions): AsyncGenerator<TrackerEvent | undefined> {
    this.#subscriberCount++;
    let silentSinceMs = this.#now();
    const ended = closing === undefined ? signal : AbortSignal.any([signal, closing]);
    try {
      let nextId = afterId === 0 ? this.#nextId : afterId + 1;
      while (!signal.aborted) {
        if (nextId < this.#firstId || nextId > this.#nextId) {
          nextId = nextId > this.#nextId ? this.#nextId : this.#firstId;
          yield { id: nextId - 1, atMs: this.#now(), type: 'missed', data: { resumesAfter: nextId - 1 } };
          continue;
        }
        const event = nextId < this.#nextId ? this.#ring[nextId % this.#historyMax] : undefined;
        if (event !== undefined) {
          nextId++;
          const isWanted = types?.has(event.type) ?? true;
          if (!isWanted && !(event.atMs - silentSinceMs >= (silenceMs ?? Number.POSITIVE_INFINITY))) continue;
          silentSinceMs = event.atMs;
          yield isWanted ? event : undefined;
        } else if (ended.aborted) {
          yield { id: nextId - 1, atMs: this.#now(), type: 'closing', data: {} };
          return;
        } else if (!(await this.#more(ended, silenceMs))) {
          silentSinceMs = this.#now();
          yield undefined;
        }
      }
    } finally {
      this.#subscriberCount--;
    }
  }

  /** Waits for the next event; false when it was silent for `silenceMs` instead. */
  async #more(signal: AbortSignal, silenceMs: number | undefined): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const wake = (): void => resolve(true);
    this.#wakers.push(wake);
    signal.addEventListener('abort', wake, { once: true });
    const timer = silenceMs === undefined ? undefined : setTimeout(() => resolve(false), silenceMs);
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', wake);
      this.#wakers = this.#wakers.filter((waker) => waker !== wake);
    }
  }
}
