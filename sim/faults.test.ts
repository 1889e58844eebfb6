import { describe, expect, it } from 'vitest';
import { describeFaultRun, runFaults } from './faults.ts';

/** Real seconds spent at most; how many seeds that are depends on the machine, what each does does not. */
const SECONDS = Number(process.env['SHOAL_FAULT_SECONDS'] ?? (process.env['CI'] === undefined ? '15' : '60'));
/** Always the same seeds, so that a failure is a change's fault; `npm run sim:faults -- --seed N` looks at others. */
const FIRST_SEED = 1;
const SEEDS_MIN = 40;
const SEEDS_MAX = 1_300;
/**
 * Worlds in which some leechers are still at it after half an hour: sources of 25 to 50 KB/s, shared by many, whose requests time out
 * before they are whole. Not wrong, but not finished either; whoever mends that takes them out.
 */
const NOT_FINISHED: ReadonlySet<number> = new Set([267]);

describe('a crowd with a random subset of faults', () => {
  it('ends with every byte right at everybody who lives, and no chunk unverified', () => {
    const startedMs = performance.now();
    const failures: string[] = [];
    let seed = FIRST_SEED;
    for (; seed < FIRST_SEED + SEEDS_MIN || performance.now() - startedMs < SECONDS * 1000; seed++) {
      if (seed >= FIRST_SEED + SEEDS_MAX) break;
      const run = runFaults(seed);
      const isKnown = NOT_FINISHED.has(seed) && run.failure?.startsWith('not finished') === true;
      if (run.failure !== undefined && !isKnown) failures.push(describeFaultRun(run));
      if (run.failure === undefined && NOT_FINISHED.has(seed)) failures.push(`seed ${seed} finishes now: take it out`);
    }
    process.stdout.write(`fault subsets: seeds ${FIRST_SEED}..${seed - 1}\n`);
    expect(failures.join('\n')).toBe('');
  }, 600_000);

  it('is the same crowd with the same end for the same seed', () => {
    for (const seed of [3, 14, 15]) expect(runFaults(seed)).toEqual(runFaults(seed));
  }, 60_000);
});
