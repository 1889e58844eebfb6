/** The runs of the loopback benchmark as two tables: how fast, and at what cost. Pure: runs in, text out. */
import type { Run } from './loopback-runs.ts';
import { median, summarize, summaryText, type Summary } from './statistics.ts';
import { renderMarkdown } from './table.ts';

const MB = 1e6;
const GB = 1e9;
const MiB = 1024 * 1024;
export const OUR_NAME = 'Shoal';

export interface Result {
  readonly system: string;
  readonly sourceCount: number;
  readonly transferSeconds: Summary;
  readonly wallSeconds: Summary;
  readonly megabytesPerSecond: number;
  /** Other's median seconds over ours with as many sources: above 1 Shoal is faster. Undefined for Shoal itself. */
  readonly transferRatio: number | undefined;
  readonly wallRatio: number | undefined;
  readonly receiverCpuSecondsPerGB: number | undefined;
  readonly senderCpuSecondsPerGB: number | undefined;
  readonly receiverPeakBytes: number | undefined;
  readonly receiverOwnPeakBytes: number | undefined;
  readonly senderPeakBytes: number | undefined;
  readonly senderOwnPeakBytes: number | undefined;
  /** How long the receiver's main thread kept others waiting: the middle of the runs' p99, and the most in any run. */
  readonly loopP99Ms: number | undefined;
  readonly loopMaxMs: number | undefined;
}

export function summarizeRuns(runs: readonly Run[], size: number): readonly Result[] {
  const groups = Map.groupBy(runs, ({ system, sourceCount }) => `${sourceCount} ${system}`);
  const results: Result[] = [];
  for (const group of groups.values()) {
    const [{ system, sourceCount } = { system: '', sourceCount: 0 }] = group;
    const ours = system === OUR_NAME ? undefined : groups.get(`${sourceCount} ${OUR_NAME}`);
    const transferSeconds = summarize(group.map((run) => run.transferSeconds));
    const wallSeconds = summarize(group.map((run) => run.wallSeconds));
    results.push({
      system,
      sourceCount,
      transferSeconds,
      wallSeconds,
      megabytesPerSecond: size / transferSeconds.median / MB,
      transferRatio: ours && transferSeconds.median / median(ours.map((run) => run.transferSeconds)),
      wallRatio: ours && wallSeconds.median / median(ours.map((run) => run.wallSeconds)),
      receiverCpuSecondsPerGB: perGB(group, size, (run) => run.receiverCpuSeconds),
      senderCpuSecondsPerGB: perGB(group, size, (run) => run.senderCpuSeconds),
      receiverPeakBytes: highest(group, (run) => run.receiverMemory?.residentBytes),
      receiverOwnPeakBytes: highest(group, (run) => run.receiverMemory?.ownBytes),
      senderPeakBytes: highest(group, (run) => run.senderMemory?.residentBytes),
      senderOwnPeakBytes: highest(group, (run) => run.senderMemory?.ownBytes),
      loopP99Ms: middle(group, (run) => run.loopDelay?.p99Ms),
      loopMaxMs: highest(group, (run) => run.loopDelay?.maxMs),
    });
  }
  return results;
}

export function speedTable(results: readonly Result[]): string {
  return renderMarkdown(results, [
    { title: 'system', value: ({ system }) => system },
    { title: 'sources', align: 'right', value: ({ sourceCount }) => String(sourceCount) },
    { title: 'transfer s', align: 'right', value: ({ transferSeconds }) => summaryText(transferSeconds, 2) },
    { title: 'MB/s', align: 'right', value: ({ megabytesPerSecond }) => megabytesPerSecond.toFixed(0) },
    { title: 'Shoal/other', align: 'right', value: ({ transferRatio }) => orDash(transferRatio, 2) },
    { title: 'process s', align: 'right', value: ({ wallSeconds }) => summaryText(wallSeconds, 2) },
    { title: 'Shoal/other', align: 'right', value: ({ wallRatio }) => orDash(wallRatio, 2) },
  ]);
}

export function costTable(results: readonly Result[]): string {
  return renderMarkdown(results, [
    { title: 'system', value: ({ system }) => system },
    { title: 'sources', align: 'right', value: ({ sourceCount }) => String(sourceCount) },
    { title: 'receiver CPU s/GB', align: 'right', value: (result) => orDash(result.receiverCpuSecondsPerGB, 2) },
    { title: 'senders CPU s/GB', align: 'right', value: (result) => orDash(result.senderCpuSecondsPerGB, 2) },
    {
      title: 'receiver peak MiB own/RSS',
      align: 'right',
      value: ({ receiverPeakBytes, receiverOwnPeakBytes }) => mebibytes(receiverPeakBytes, receiverOwnPeakBytes),
    },
    {
      title: 'largest sender MiB own/RSS',
      align: 'right',
      value: ({ senderPeakBytes, senderOwnPeakBytes }) => mebibytes(senderPeakBytes, senderOwnPeakBytes),
    },
    {
      title: 'main thread held up ms p99 / max',
      align: 'right',
      value: ({ loopP99Ms, loopMaxMs }) =>
        loopP99Ms === undefined ? '-' : `${orDash(loopP99Ms, 1)} / ${orDash(loopMaxMs, 1)}`,
    },
  ]);
}

function perGB(runs: readonly Run[], size: number, seconds: (run: Run) => number | undefined): number | undefined {
  const value = middle(runs, seconds);
  return value === undefined ? undefined : value / (size / GB);
}

function middle(runs: readonly Run[], valueOf: (run: Run) => number | undefined): number | undefined {
  const values = runs.map(valueOf).filter((value) => value !== undefined);
  return values.length < runs.length ? undefined : median(values);
}

function highest(runs: readonly Run[], bytes: (run: Run) => number | undefined): number | undefined {
  const values = runs.map(bytes).filter((value) => value !== undefined);
  return values.length === 0 ? undefined : Math.max(...values);
}

/** Its own / with file pages. */
function mebibytes(resident: number | undefined, own: number | undefined): string {
  if (resident === undefined || own === undefined) return '-';
  return `${(own / MiB).toFixed(0)} / ${(resident / MiB).toFixed(0)}`;
}

function orDash(value: number | undefined, digits: number): string {
  return value === undefined ? '-' : value.toFixed(digits);
}
