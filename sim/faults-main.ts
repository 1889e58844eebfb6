/** `npm run sim:faults`: many seeds of random fault subsets; prints those that fail, and how to see each again. */
import { parseArgs } from 'node:util';
import { describeFaultRun, runFaults } from './faults.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    runs: { type: 'string', default: '1000' },
    seconds: { type: 'string', default: 'Infinity' },
  },
});
const first = Number(values.seed);
const startedMs = performance.now();
let runs = 0;
let failed = 0;
let events = 0;
let faults = 0;
for (; runs < Number(values.runs) && performance.now() - startedMs < 1000 * Number(values.seconds); runs++) {
  const run = runFaults(first + runs);
  events += run.events;
  faults += run.faults.length;
  if (run.failure === undefined && Number(values.runs) > 1) continue;
  if (run.failure !== undefined) failed++;
  process.stdout.write(`${describeFaultRun(run)}\n`);
}
process.stdout.write(
  `seeds ${first}..${first + runs - 1}: ${runs} runs of ${(faults / runs).toFixed(1)} kinds of faults on average, ${failed} failed, ${events} events, ${((performance.now() - startedMs) / 1000).toFixed(0)} s\n`,
);
if (failed > 0) process.exitCode = 1;
