import { describe, expect, it } from 'vitest';
import { describeFaultRun, runFaults } from './faults.ts';

/** Real seconds spent at most; how many seeds that are depends on the machine, what each does does not. */
const SECONDS = Number(process.env['SHOAL_FAULT_SECONDS'] ?? (process.env['CI'] === undefined ? '15' : '60'));
/** Always the same seeds, so that a failure is a change's fault; `npm run sim:faults -- --seed N` looks at others. */
const FIRST_SEED = 1;
const SEEDS_MIN = 40;
const SEEDS_MAX = 1_400;

describe('a crowd with a random subset of faults', () => {
  it('ends with every byte right at everybody who lives, and no chunk unverified', () => {
    const startedMs = performance.now();
    const failures: string[] = [];
    let seed = FIRST_SEED;
    for (; seed < FIRST_SEED + SEEDS_MIN || performance.now() - startedMs < SECONDS * 1000; seed++) {
      if (seed >= FIRST_SEED + SEEDS_MAX) break;
      const run = runFaults(seed);
      if (run.failure !== undefined) failures.push(describeFaultRun(run));
    }
    process.stdout.write(`fault subsets: seeds ${FIRST_SEED}..${seed - 1}\n`);
    expect(failures.join('\n')).toBe('');
  }, 600_000);

  it('is the same crowd with the same end for the same seed', () => {
    for (const seed of [3, 14, 15]) expect(runFaults(seed)).toEqual(runFaults(seed));
  }, 60_000);
});
