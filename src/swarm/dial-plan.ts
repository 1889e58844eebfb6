/** Whom to dial next: candidates, their failures and back-off. Says nothing about connections that exist; the swarm counts those. */
import { CANDIDATES_MAX, DIAL_BACKOFF_MAX_MS, DIAL_BACKOFF_MIN_MS, DIAL_FAILURES_MAX } from '../limits.ts';
import type { Candidate } from './facts.ts';
import type { Random } from './random.ts';

interface Entry {
  candidate: Candidate;
  failures: number;
  readyAtMs: number;
  state: 'idle' | 'dialling' | 'linked';
}

export class DialPlan {
  readonly #entries = new Map<string, Entry>();
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  /** Adds or refreshes candidates. `listed` by the tracker or the user: earlier failures are forgiven. */
  learn(candidates: readonly Candidate[], listed: boolean, nowMs: number): void {
    for (const candidate of candidates) {
      const entry = this.#entries.get(candidate.key);
      if (entry !== undefined) {
        entry.candidate = candidate;
        if (listed && entry.failures >= DIAL_FAILURES_MAX) {
          entry.failures = 0;
          entry.readyAtMs = nowMs;
        }
      } else if (this.#entries.size < CANDIDATES_MAX && candidate.addresses.length > 0) {
        this.#entries.set(candidate.key, { candidate, failures: 0, readyAtMs: nowMs, state: 'idle' });
      }
    }
  }

  get diallingCount(): number {
    let count = 0;
    for (const entry of this.#entries.values()) if (entry.state === 'dialling') count++;
    return count;
  }

  /** Candidates not given up: linked, being dialled, or to be dialled again. */
  get hopefulCount(): number {
    let count = 0;
    for (const entry of this.#entries.values()) if (entry.failures < DIAL_FAILURES_MAX) count++;
    return count;
  }

  /** The next candidate whose time has come and that `allowed` lets pass, marked as being dialled; undefined when there is none. */
  next(nowMs: number, allowed: (candidate: Candidate) => boolean): Candidate | undefined {
    const ready: Entry[] = [];
    for (const entry of this.#entries.values()) {
      if (
        entry.state === 'idle' &&
        entry.failures < DIAL_FAILURES_MAX &&
        entry.readyAtMs <= nowMs &&
        allowed(entry.candidate)
      )
        ready.push(entry);
    }
    const chosen = ready[this.#random.below(ready.length)];
    if (chosen === undefined) return undefined;
    chosen.state = 'dialling';
    return chosen.candidate;
  }

  linked(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    entry.state = 'linked';
    entry.failures = 0;
  }

  failed(key: string, nowMs: number): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    entry.state = 'idle';
    const waitMs = Math.min(DIAL_BACKOFF_MAX_MS, DIAL_BACKOFF_MIN_MS * 2 ** entry.failures);
    entry.failures++;
    entry.readyAtMs = nowMs + waitMs * (0.5 + this.#random.next());
  }

  /** A connection has ended; it may be dialled again after `waitMs`. */
  ended(key: string, nowMs: number, waitMs: number): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    entry.state = 'idle';
    entry.readyAtMs = Math.max(entry.readyAtMs, nowMs + waitMs);
  }

  /** When the next candidate becomes ready; Infinity when none waits. */
  nextReadyAtMs(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const entry of this.#entries.values()) {
      if (entry.state === 'idle' && entry.failures < DIAL_FAILURES_MAX) next = Math.min(next, entry.readyAtMs);
    }
    return next;
  }
}
