/**
 * The contract with whoever watches: figures in the text format of Prometheus, the same for tracker and peers. Names and labels come
 * from the program, never from outside: nothing is escaped here.
 */

/** Each with its labels as they stand in the text (`state="online"`; '': none). */
export type Samples = readonly (readonly [labels: string, value: number])[];

/** Counts in buckets. */
export class Histogram {
  readonly #bounds: readonly number[];
  readonly #counts: Float64Array;
  #sum = 0;

  /** @param bounds upper ones, rising; what is above the last is counted too. */
  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = new Float64Array(bounds.length + 1);
  }

  observe(value: number): void {
    const bounds = this.#bounds;
    let index = 0;
    while (index < bounds.length && value > (bounds[index] as number)) index++;
    this.#counts[index] = (this.#counts[index] as number) + 1;
    this.#sum += value;
  }

  lines(name: string, labels: string): string[] {
    const among = labels === '' ? '' : `${labels},`;
    const alone = labels === '' ? '' : `{${labels}}`;
    let total = 0;
    const lines = [...this.#bounds, '+Inf'].map((bound, index) => {
      total += this.#counts[index] as number;
      return `${name}_bucket{${among}le="${bound}"} ${total}`;
    });
    return [...lines, `${name}_sum${alone} ${this.#sum}`, `${name}_count${alone} ${total}`];
  }
}

function numberText(value: number): string {
  return Number.isFinite(value) || Number.isNaN(value) ? String(value) : value > 0 ? '+Inf' : '-Inf';
}

/** Families of figures, one after the other. */
export class PrometheusText {
  readonly #prefix: string;
  readonly #lines: string[] = [];

  /** @param prefix of every name. */
  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  gauge(name: string, help: string, samples: Samples | number): void {
    this.#family(name, 'gauge', help, samples);
  }

  /** Its name ends with `_total`. */
  counter(name: string, help: string, samples: Samples | number): void {
    this.#family(name, 'counter', help, samples);
  }

  histogram(name: string, help: string, series: Iterable<readonly [labels: string, histogram: Histogram]>): void {
    this.#head(name, 'histogram', help);
    for (const [labels, histogram] of series) this.#lines.push(...histogram.lines(this.#prefix + name, labels));
  }

  toString(): string {
    return `${this.#lines.join('\n')}\n`;
  }

  #family(name: string, type: 'gauge' | 'counter', help: string, samples: Samples | number): void {
    this.#head(name, type, help);
    for (const [labels, value] of typeof samples === 'number' ? [['', samples] as const] : samples)
      this.#lines.push(`${this.#prefix}${name}${labels === '' ? '' : `{${labels}}`} ${numberText(value)}`);
  }

  #head(name: string, type: string, help: string): void {
    this.#lines.push(`# HELP ${this.#prefix}${name} ${help}`, `# TYPE ${this.#prefix}${name} ${type}`);
  }
}
