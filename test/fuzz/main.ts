/**
 * `npm run fuzz -- [--seconds 60] [--target NAME] [--seed N]`: coverage-guided fuzzing of all that reads bytes of strangers. Each target
 * gets an equal share of the time. What it finds is written to test/fuzz/found/<target>/, where it stays and is run again with every
 * `npm test`; the exit code tells whether there was anything.
 */
import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { inspect, parseArgs } from 'node:util';
import { createRandom } from '../../src/swarm/random.ts';
import { startCoverage } from './coverage.ts';
import { foundFolder } from './found.ts';
import { fuzz, type FuzzReport } from './fuzz.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    target: { type: 'string' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  },
});

// only what is compiled from now on is counted block by block
const sourceUrl = new URL('../../src/', import.meta.url).href;
const coverage = startCoverage((url) => url.startsWith(sourceUrl));
const { TARGETS } = await import('./targets.ts');

const seconds = Number(values.seconds);
const seed = Number(values.seed);
const targets = TARGETS.filter(({ name }) => values.target === undefined || name === values.target);
if (targets.length === 0 || !(seconds > 0) || !Number.isInteger(seed)) {
  process.stderr.write(
    `usage: npm run fuzz -- [--seconds N] [--target ${TARGETS.map(({ name }) => name).join('|')}] [--seed N]\n`,
  );
  process.exit(2);
}

const reports: FuzzReport[] = [];
for (const target of targets) {
  const untilMs = performance.now() + (seconds * 1000) / targets.length;
  const report = await fuzz(target, {
    coverage,
    random: createRandom(seed),
    isOver: () => performance.now() >= untilMs,
  });
  reports.push(report);
  process.stdout.write(
    `${report.target}: ${report.executions} executions, ${report.placeCount} characters of code reached, ${report.corpusCount} inputs kept, ` +
      `${report.failures.length} failures\n`,
  );
  for (const { bytes, error } of report.failures) {
    const path = new URL(
      `${createHash('sha256').update(bytes).digest('hex').slice(0, 16)}.bin`,
      foundFolder(target.name),
    );
    await mkdir(foundFolder(target.name), { recursive: true });
    await writeFile(path, bytes);
    process.stdout.write(`  ${path.pathname}: ${inspect(error).slice(0, 1_000)}\n`);
  }
}
coverage.stop();
const executions = reports.reduce((sum, one) => sum + one.executions, 0);
const failures = reports.reduce((sum, one) => sum + one.failures.length, 0);
process.stdout.write(`seed ${seed}: ${executions} executions, ${failures} failures\n`);
process.exit(failures === 0 ? 0 : 1);
