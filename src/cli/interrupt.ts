/**
 * How a command is asked to end: Ctrl+C, a signal, or a reader that went away. The first asks politely, by an AbortSignal; a second
 * Ctrl+C ends the process at once. Owns the process's signal handlers while it exists.
 */
import { SECOND_INTERRUPT_MIN_MS, SHUTDOWN_TIMEOUT_MS } from '../limits.ts';

export type InterruptCause = 'SIGINT' | 'SIGTERM' | 'SIGHUP' | 'EPIPE';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** What of `process` it needs. */
export interface SignalSource {
  on(event: (typeof SIGNALS)[number], listener: () => void): unknown;
  off(event: (typeof SIGNALS)[number], listener: () => void): unknown;
}

export interface InterruptOptions {
  readonly source: SignalSource;
  readonly now: () => number;
  /** Ends the process at once. */
  readonly exit: (code: number, why: 'second interrupt' | 'shutdown timeout') => void;
}

export interface Interrupt {
  readonly signal: AbortSignal;
  /** Undefined while nobody has asked. */
  readonly cause: InterruptCause | undefined;
  raise(cause: InterruptCause): void;
  close(): void;
}

export function createInterrupt({ source, now, exit }: InterruptOptions): Interrupt {
  const controller = new AbortController();
  let cause: InterruptCause | undefined;
  let raisedAtMs = 0;
  let deadline: NodeJS.Timeout | undefined;

  const raise = (next: InterruptCause): void => {
    if (cause === undefined) {
      cause = next;
      raisedAtMs = now();
      deadline = setTimeout(() => exit(1, 'shutdown timeout'), SHUTDOWN_TIMEOUT_MS);
      deadline.unref();
      controller.abort();
    } else if (next !== 'EPIPE' && now() - raisedAtMs >= SECOND_INTERRUPT_MIN_MS) exit(130, 'second interrupt');
  };
  const listeners = SIGNALS.map((name) => ({ name, listener: () => raise(name) }));
  for (const { name, listener } of listeners) source.on(name, listener);

  return {
    signal: controller.signal,
    get cause() {
      return cause;
    },
    raise,
    close() {
      clearTimeout(deadline);
      for (const { name, listener } of listeners) source.off(name, listener);
    },
  };
}

/** Resolves when the command is asked to end. */
export function interrupted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
