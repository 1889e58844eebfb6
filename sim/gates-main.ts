/** `npm run sim:gates`: every gate with 1,000 peers and 512 chunks (`--small`: 30 and 128), as a table. Exit code 1: one is missed. */
import { parseArgs } from 'node:util';
import { GATES, shortfalls, smallOf } from './gates.ts';
import { MACHINE } from './machine.ts';
import { runAndReport } from './report.ts';
import { worldOf } from './scenario.ts';

const { values } = parseArgs({
  options: {
    small: { type: 'boolean', default: false },
    only: { type: 'string' },
    seed: { type: 'string', default: '7' },
  },
});
process.stdout.write(
  '| gate | last over the bound | at most | wasted | events | CPU seconds | missed |\n|---|--:|--:|--:|--:|--:|---|\n',
);
for (const gate of GATES) {
  if (values.only !== undefined && !gate.name.includes(values.only)) continue;
  const scenario = { ...(values.small ? smallOf(gate.scenario) : gate.scenario), seed: Number(values.seed) };
  const report = runAndReport(worldOf(scenario), MACHINE);
  const missed = shortfalls(gate, report, values.small);
  const most = values.small ? gate.smallLastMax : gate.lastMax;
  process.stdout.write(
    `| ${gate.name} | ${report.last.toFixed(3)} | ${Number.isFinite(most) ? most : '-'} | ${(100 * report.wasted.all).toFixed(2)} % | ${report.events} | ${report.cpuSeconds.toFixed(0)} | ${missed.join('; ')} |\n`,
  );
  if (missed.length === 0) continue;
  process.exitCode = 1;
  process.stderr.write(
    `again with: npm run sim:gates -- --seed ${values.seed} --only '${gate.name}'${values.small ? ' --small' : ''}\n`,
  );
}
