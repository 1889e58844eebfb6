/**
 * `npm run sim:tables`: the tables of dataplane.md, sections 1 and 2, once more with the shipped policy. Each row is a run of `npm run sim` in a process
 * of its own, because its limits may be other. `--large` adds the rows that take minutes, `--only` picks tables by name, `--peers` makes the others smaller.
 */
import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';
import { ShoalError } from '../src/errors.ts';
import type { RunReport } from './report.ts';
import { TABLES, type TableRow } from './tables.ts';

const { values } = parseArgs({
  options: {
    large: { type: 'boolean', default: false },
    only: { type: 'string' },
    peers: { type: 'string' },
    seed: { type: 'string', default: '7' },
  },
});

function reportOf(options: string, { limits = {} }: TableRow): RunReport {
  const given = options.split(' ').filter((word) => word !== '');
  const args = ['--import', './sim/varied-limits.ts', 'sim/main.ts', ...given, '--seed', values.seed, '--json'];
  const { stdout, stderr } = spawnSync(process.execPath, args, {
    encoding: 'utf8',
    env: { ...process.env, SHOAL_SIM_LIMITS: JSON.stringify(limits) },
  });
  if (stdout === '') throw new ShoalError('bug', `no report from ${args.join(' ')}: ${stderr}`);
  return JSON.parse(stdout) as RunReport;
}

for (const { name, options, rows } of TABLES) {
  if (values.only !== undefined && !values.only.split(',').includes(name)) continue;
  const shown = rows.filter(({ isLarge }) => values.large || isLarge !== true);
  if (shown.length === 0) continue;
  const base = values.peers === undefined ? options : options.replace(/--peers \d+/u, `--peers ${values.peers}`);
  process.stdout.write(`\n${name}${base === '' ? '' : ` (${base})`}\n\n`);
  process.stdout.write(
    '| what | last over the bound | prototype | mean | first copy | wasted |\n|---|--:|--:|--:|--:|--:|\n',
  );
  for (const row of shown) {
    const report = reportOf(`${base} ${row.options}`, row);
    const last = report.finished ? report.last.toFixed(3) : 'not finished';
    process.stdout.write(
      `| ${row.what} | ${last} | ${row.prototype?.toFixed(3) ?? '-'} | ${report.mean.toFixed(3)} | ${report.firstCopy.toFixed(3)} | ${(100 * report.wasted.all).toFixed(2)} % |\n`,
    );
  }
}
