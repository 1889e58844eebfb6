/** The runs of the loopback benchmark, in their order: one uncounted run of each system, then A B C, A B C, ... */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { LoopDelay } from '../src/cli/loop-delay.ts';
import { alternate } from './alternate.ts';
import { checkContent, checkSize, type BenchFile } from './bench-file.ts';
import type { Memory } from './process-usage.ts';
import type { SystemUnderTest } from './system.ts';

/** One file moved once. CPU and memory are undefined where the system does not tell. */
export interface Run {
  readonly system: string;
  readonly sourceCount: number;
  readonly transferSeconds: number;
  readonly wallSeconds: number;
  readonly receiverCpuSeconds: number | undefined;
  readonly senderCpuSeconds: number | undefined;
  readonly receiverMemory: Memory | undefined;
  /** Of the largest one, over its life so far. */
  readonly senderMemory: Memory | undefined;
  /** Of the receiver's main thread. */
  readonly loopDelay: LoopDelay | undefined;
}

export interface RunPlan {
  readonly systems: readonly SystemUnderTest[];
  readonly file: BenchFile;
  readonly outputParent: string;
  readonly sourceCounts: readonly number[];
  readonly runCount: number;
  /** Called after each run; `counted` is false for the first of each system. */
  readonly onRun: (run: Run, counted: boolean) => void;
}

/** Source counts must grow: sources that run stay. Returns the counted runs. */
export async function runAll(plan: RunPlan): Promise<readonly Run[]> {
  const counted: Run[] = [];
  for (const sourceCount of plan.sourceCounts.toSorted((a, b) => a - b)) {
    const systems = plan.systems.filter(({ sourceCountMax }) => sourceCount <= sourceCountMax);
    for (const system of systems) await system.startSources(sourceCount);
    const runs = await alternate(systems, plan.runCount, async (turn) => {
      // the first round's output is read back and compared
      const run = await runOnce(plan, turn.system, sourceCount, turn.counted ? checkSize : checkContent);
      plan.onRun(run, turn.counted);
      return run;
    });
    counted.push(...runs);
  }
  return counted;
}

async function runOnce(
  { file, outputParent }: RunPlan,
  system: SystemUnderTest,
  sourceCount: number,
  check: typeof checkSize,
): Promise<Run> {
  const outputFolder = join(outputParent, 'output');
  await mkdir(outputFolder, { recursive: true });
  try {
    const before = senderCpu(system);
    const { run, transferSeconds, path, loopDelay } = await system.receive(outputFolder);
    const after = senderCpu(system);
    await check(file, path);
    return {
      system: system.name,
      sourceCount,
      transferSeconds,
      wallSeconds: run.wallSeconds,
      receiverCpuSeconds: run.cpuSeconds,
      senderCpuSeconds: before === undefined || after === undefined ? undefined : after - before,
      receiverMemory: run.peakMemory,
      senderMemory: largestMemory(system),
      loopDelay,
    };
  } finally {
    await rm(outputFolder, { recursive: true, force: true });
  }
}

function senderCpu(system: SystemUnderTest): number | undefined {
  let sum = 0;
  for (const sender of system.senders()) {
    const seconds = sender.cpuSeconds();
    if (seconds === undefined) return undefined;
    sum += seconds;
  }
  return sum;
}

function largestMemory(system: SystemUnderTest): Memory | undefined {
  let largest: Memory | undefined;
  for (const sender of system.senders()) {
    const memory = sender.peakMemory();
    if (memory !== undefined && memory.ownBytes > (largest?.ownBytes ?? 0)) largest = memory;
  }
  return largest;
}
