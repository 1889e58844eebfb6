/** How often something may be done for somebody: a burst, then a steady rate, for each key. Knows no clock; forgets who asks no more. */
export interface BudgetOptions {
  readonly burst: number;
  readonly perSecond: number;
  /** Keys remembered. More: the one that was used longest ago is forgotten, and with it what it owes. */
  readonly keysMax: number;
}

interface Account {
  left: number;
  atMs: number;
}

export class CallBudget {
  readonly #options: BudgetOptions;
  /** Used longest ago first. */
  readonly #accounts = new Map<string, Account>();

  constructor(options: BudgetOptions) {
    this.#options = options;
  }

  /** Whether it may be done now; then it counts. */
  take(key: string, nowMs: number): boolean {
    const { burst, perSecond, keysMax } = this.#options;
    const account = this.#accounts.get(key) ?? { left: burst, atMs: nowMs };
    account.left = Math.min(burst, account.left + ((nowMs - account.atMs) * perSecond) / 1_000);
    account.atMs = nowMs;
    this.#accounts.delete(key);
    this.#accounts.set(key, account);
    for (const oldest of this.#accounts.keys()) {
      if (this.#accounts.size <= keysMax) break;
      this.#accounts.delete(oldest);
    }
    if (account.left < 1) return false;
    account.left--;
    return true;
  }
}
