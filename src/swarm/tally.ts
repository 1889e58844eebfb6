/** Counts by key that forget a key when its count is nought. */
export class Tally {
  readonly #counts = new Map<string, number>();

  of(key: string): number {
    return this.#counts.get(key) ?? 0;
  }

  add(key: string, step: 1 | -1): void {
    const count = this.of(key) + step;
    if (count === 0) this.#counts.delete(key);
    else this.#counts.set(key, count);
  }
}
