/** Fuzzes the maze, in a process of its own: under a test runner V8 sees other scripts. Prints what came of it. */
import { createRandom } from '../../src/swarm/random.ts';
import { startCoverage } from './coverage.ts';
import { fuzz } from './fuzz.ts';

const coverage = startCoverage((url) => url.endsWith('/maze.ts'));
const { opensAt } = await import('./maze.ts');
let rounds = 0;
const report = await fuzz(
  {
    name: 'maze',
    bytesMax: 16,
    seeds: [new TextEncoder().encode('....')],
    run(bytes) {
      if (opensAt(bytes) === 4) throw new Error('found the way');
    },
  },
  { coverage, random: createRandom(5), isOver: () => ++rounds > 4_000 },
);
process.stdout.write(JSON.stringify({ executions: report.executions, failures: report.failures.length }));
