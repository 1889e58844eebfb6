/**
 * Coverage-guided fuzzing of one target: inputs are damaged copies of the corpus, and one that reaches code no other has reached
 * joins it. Looking at the coverage costs more than running an input, so inputs go in batches; a batch that found something is
 * halved until the inputs that did are known.
 */
import type { Random } from '../../src/swarm/random.ts';
import type { Coverage } from './coverage.ts';
import { mutate } from './mutate.ts';

export interface FuzzTarget {
  readonly name: string;
  readonly bytesMax: number;
  readonly seeds: readonly Uint8Array[];
  /** Takes any bytes, always alike. Throws or rejects only where Shoal has done what it must not. */
  run(bytes: Uint8Array<ArrayBuffer>): void | Promise<void>;
}

export interface FuzzFailure {
  readonly bytes: Uint8Array;
  readonly error: unknown;
}

export interface FuzzReport {
  readonly target: string;
  readonly executions: number;
  readonly corpusCount: number;
  /** Characters of our code that some input has made run. */
  readonly placeCount: number;
  readonly failures: readonly FuzzFailure[];
}

export interface FuzzOptions {
  readonly coverage: Coverage;
  readonly random: Random;
  readonly isOver: () => boolean;
}

type Input = Uint8Array<ArrayBuffer>;

const BATCH = 256;
/** A target that fails over and over shows one bug, not thousands. */
const FAILURES_MAX = 5;

export async function fuzz(target: FuzzTarget, { coverage, random, isOver }: FuzzOptions): Promise<FuzzReport> {
  const corpus: Input[] = target.seeds.map((seed) => Uint8Array.from(seed));
  const seen = new Set<number>();
  const failures: FuzzFailure[] = [];
  let executions = 0;

  const run = async (inputs: readonly Input[]): Promise<void> => {
    for (const bytes of inputs) {
      executions++;
      try {
        // most targets are synchronous, and a turn of the event loop for each would cost more than they do
        const ending = target.run(bytes.slice());
        if (ending !== undefined) await ending;
      } catch (error) {
        if (failures.length < FAILURES_MAX) failures.push({ bytes, error });
      }
    }
  };
  /** Keeps those of the inputs that reach the places which they reach together. */
  const blame = async (inputs: readonly Input[], fresh: readonly number[]): Promise<void> => {
    const [only] = inputs;
    if (only === undefined || fresh.length === 0) return;
    if (inputs.length === 1) {
      corpus.push(only);
      return;
    }
    const middle = inputs.length >> 1;
    const first = inputs.slice(0, middle);
    await run(first);
    const byFirst = new Set(coverage.take(fresh));
    await blame(first, [...byFirst]);
    await blame(
      inputs.slice(middle),
      fresh.filter((place) => !byFirst.has(place)),
    );
  };

  coverage.take();
  await run(corpus);
  for (const place of coverage.take()) seen.add(place);
  while (failures.length < FAILURES_MAX && !isOver()) {
    const batch = Array.from({ length: BATCH }, () => mutate(corpus, target.bytesMax, random));
    await run(batch);
    const fresh = coverage.take().filter((place) => !seen.has(place));
    for (const place of fresh) seen.add(place);
    await blame(batch, fresh);
  }
  return { target: target.name, executions, corpusCount: corpus.length, placeCount: seen.size, failures };
}
