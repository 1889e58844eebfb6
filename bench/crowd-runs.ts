/** One flash crowd: every leecher starts at once, and the clock runs until the last of them has the file. */
import { rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { alternate } from './alternate.ts';
import { checkContent, type BenchFile } from './bench-file.ts';
import type { CappedNetwork } from './capped-network.ts';
import { makeLeecherFolders, type CrowdSystem } from './crowd-systems.ts';
import { timelineOf, type Timeline, type TrafficSample } from './crowd-timeline.ts';
import type { ProcessGroup } from './processes.ts';
import { machineCpuSeconds } from './process-usage.ts';
import { numberOf } from './system.ts';

export interface CrowdRun {
  readonly system: string;
  /** From the common start, the start of the processes included, to each leecher's file; in order of time. */
  readonly doneSeconds: readonly number[];
  /** The longest transfer by a leecher's own clock: without the start of its process. */
  readonly transferSecondsMax: number;
  /** Bytes the source's host sent in that time, headers and control included. */
  readonly sourceSentBytes: number;
  /** Of all processes of the crowd; undefined where the system does not tell. */
  readonly cpuSeconds: number | undefined;
  /** Part of the machine's cores that the crowd used: near 1, the machine was the limit and not the links. */
  readonly cpuShare: number | undefined;
  /** The part that anything used: what is more than `cpuShare` went to the kernel's network and to whatever else ran. */
  readonly machineShare: number | undefined;
  readonly timeline: Timeline;
}

export interface CrowdPlan {
  readonly file: BenchFile;
  readonly network: CappedNetwork;
  readonly bytesPerSecond: number;
  readonly processes: ProcessGroup;
  /** A folder for this run, which goes with it. */
  readonly path: string;
}

/**
 * The least time in which anything could bring the file to the last of N leechers when every link carries the same both ways: the source
 * must send it once (F/us), a leecher must receive it once (F/d), and all uplinks together must send N of it (N F / (us + N u)).
 */
export function fluidBoundSeconds(size: number, leecherCount: number, bytesPerSecond: number): number {
  const together = (leecherCount * size) / ((leecherCount + 1) * bytesPerSecond);
  return Math.max(size / bytesPerSecond, together);
}

/** How often the links are looked at. */
const LOOK_MS = 100;

export async function runCrowd(
  system: CrowdSystem,
  { file, network, bytesPerSecond, processes, path }: CrowdPlan,
): Promise<CrowdRun> {
  const { hosts } = network;
  await makeLeecherFolders(path, hosts.length);
  const crowd = await system.start({ path, hosts, processes });
  const leechers: ReturnType<typeof crowd.startLeecher>[] = [];
  try {
    const before = await network.traffic();
    const cpuBefore = sum(crowd.sources.map((source) => source.cpuSeconds()));
    const machineBefore = machineCpuSeconds();
    const startedAtMs = performance.now();
    const watch = watchLinks(network, startedAtMs);
    for (let hostIndex = 1; hostIndex < hosts.length; hostIndex++) leechers.push(crowd.startLeecher(hostIndex));
    const ends = await Promise.all(leechers.map(({ process }) => process.event('done')));
    const doneSeconds = ends.map(({ atMs }) => (atMs - startedAtMs) / 1000).toSorted((a, b) => a - b);
    const endSeconds = doneSeconds.at(-1) ?? Number.NaN;
    const transferSecondsMax = Math.max(...ends.map(({ event }) => numberOf(event, 'seconds')));
    const everyone = [...crowd.sources, ...leechers.map(({ process }) => process)];
    const cpuAfter = sum(everyone.map((process) => process.cpuSeconds()));
    const machineAfter = machineCpuSeconds();
    const samples = await watch.end();
    const sourceSentBytes = (samples.at(-1)?.sentBytes[0] ?? 0) - (before.sentBytes[0] ?? 0);
    const cpuSeconds = cpuBefore === undefined || cpuAfter === undefined ? undefined : cpuAfter - cpuBefore;
    const cpuShare = cpuSeconds && cpuSeconds / endSeconds / availableParallelism();
    const machineShare =
      machineBefore === undefined || machineAfter === undefined
        ? undefined
        : (machineAfter - machineBefore) / endSeconds / availableParallelism();
    const timeline = timelineOf([{ seconds: 0, ...before }, ...samples], {
      size: file.size,
      bytesPerSecond,
      endSeconds,
    });
    for (const { filePath } of leechers) await checkContent(file, filePath);
    return {
      system: system.name,
      doneSeconds,
      transferSecondsMax,
      sourceSentBytes,
      cpuSeconds,
      cpuShare,
      machineShare,
      timeline,
    };
  } finally {
    await Promise.all(leechers.map(({ process }) => process.stop()));
    await Promise.all(crowd.sources.map((source) => source.stop()));
    await rm(path, { recursive: true, force: true });
  }
}

/** Looks at the links until the end, and once more then. */
function watchLinks(network: CappedNetwork, startedAtMs: number): { end(): Promise<readonly TrafficSample[]> } {
  const samples: TrafficSample[] = [];
  const end = new AbortController();
  const look = async (): Promise<void> => {
    const traffic = await network.traffic();
    samples.push({ seconds: (performance.now() - startedAtMs) / 1000, ...traffic });
  };
  const watching = (async () => {
    while (!end.signal.aborted) {
      await look();
      await sleep(LOOK_MS);
    }
  })();
  watching.catch(() => undefined); // told at the end
  return {
    async end() {
      end.abort();
      await watching;
      await look();
      return samples;
    },
  };
}

/** `runCount` counted runs of each, in turns, after an uncounted one of each. */
export function runCrowds(
  systems: readonly CrowdSystem[],
  plan: CrowdPlan & { readonly runCount: number; readonly onRun: (run: CrowdRun, counted: boolean) => void },
): Promise<readonly CrowdRun[]> {
  return alternate(systems, plan.runCount, async ({ system, round, counted }) => {
    const run = await runCrowd(system, { ...plan, path: join(plan.path, `${system.name}-${round}`) });
    plan.onRun(run, counted);
    return run;
  });
}

function sum(values: readonly (number | undefined)[]): number | undefined {
  return values.reduce((total, value) => (total === undefined || value === undefined ? undefined : total + value), 0);
}
