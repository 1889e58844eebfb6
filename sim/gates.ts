/** What the policy has to reach in the virtual world, and the same in small for every test run. */
import type { RunReport } from './report.ts';
import { SCENARIO_DEFAULTS, type Scenario } from './scenario.ts';

export interface Gate {
  readonly name: string;
  /** As `npm run sim` takes them. */
  readonly options: string;
  readonly scenario: Scenario;
  /** Last finish over the fluid bound, at most. */
  readonly lastMax: number;
  /** The same with few peers and few chunks, where the start weighs more. */
  readonly smallLastMax: number;
}

const gate = (
  name: string,
  options: string,
  change: Partial<Scenario>,
  lastMax: number,
  smallLastMax: number,
): Gate => ({ name, options, scenario: { ...SCENARIO_DEFAULTS, ...change }, lastMax, smallLastMax });

export const GATES: readonly Gate[] = [
  gate('warm', '', {}, 1.06, 1.2),
  gate('slow start', '--slow-start', { slowStart: true }, 1.1, 1.25),
  gate('a fifth at a tenth of the speed', '--slow 0.2', { slowShare: 0.2 }, 1.12, 1.32),
  gate('5 % stalled', '--stalled 0.05', { stalledShare: 0.05 }, 1.12, 1.3),
  gate('a fifth dying', '--dying 0.2', { dyingShare: 0.2 }, 1.12, 1.3),
  gate('2 % corrupting', '--liars 0.02', { liarShare: 0.02 }, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY),
];

const WASTED_MAX = 0.01;
const SMALL: Partial<Scenario> = { peers: 30, chunks: 128 };

export function smallOf(scenario: Scenario): Scenario {
  return { ...scenario, ...SMALL };
}

/** What the report falls short of; empty: nothing. */
export function shortfalls(gate: Gate, report: RunReport, isSmall: boolean): string[] {
  const lastMax = isSmall ? gate.smallLastMax : gate.lastMax;
  const found: string[] = [];
  if (!report.finished) found.push('not everybody finished');
  if (report.last > lastMax) found.push(`last ${report.last.toFixed(3)} of the bound, over ${lastMax}`);
  // wrong bytes are the liars' doing, and few chunks make a few late bytes a large share
  if (!isSmall && gate.scenario.liarShare === 0 && report.wasted.all > WASTED_MAX)
    found.push(`${(100 * report.wasted.all).toFixed(2)} % of the bytes wasted`);
  if (report.acceptedWrong > 0) found.push(`${report.acceptedWrong} wrong chunks accepted`);
  if (report.liarsBanned < report.liars) found.push(`${report.liarsBanned} of ${report.liars} liars banned`);
  return found;
}
