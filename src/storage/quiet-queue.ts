/** Things that are touched again and again, each handed on when it has been quiet for a while. One timer, whatever their number. */

export interface QuietQueue {
  /** Starts, or starts again, the quiet time of `key`. */
  touch(key: string): void;
  delete(key: string): void;
  readonly size: number;
  close(): void;
}

export function createQuietQueue(options: {
  readonly quietMs: number;
  readonly onQuiet: (key: string) => void;
}): QuietQueue {
  // All wait equally long, so the order of insertion is the order in which they are due.
  const dueAtMs = new Map<string, number>();
  let timer: NodeJS.Timeout | undefined;

  const plan = (): void => {
    if (timer !== undefined) return;
    const [first] = dueAtMs.values();
    if (first !== undefined) timer = setTimeout(run, Math.max(0, first - performance.now())).unref();
  };

  const run = (): void => {
    timer = undefined;
    const nowMs = performance.now();
    for (const [key, due] of dueAtMs) {
      if (due > nowMs) break;
      dueAtMs.delete(key);
      options.onQuiet(key);
    }
    plan();
  };

  return {
    touch(key) {
      dueAtMs.delete(key);
      dueAtMs.set(key, performance.now() + options.quietMs);
      plan();
    },
    delete: (key) => void dueAtMs.delete(key),
    get size() {
      return dueAtMs.size;
    },
    close() {
      clearTimeout(timer);
      dueAtMs.clear();
    },
  };
}
