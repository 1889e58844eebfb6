/** One line that says what a figure was measured on: without it no figure can be compared with another day's. */
import { availableParallelism, cpus, loadavg, platform, release, totalmem } from 'node:os';
import { humanBytes } from '../src/cli/human.ts';

export interface Machine {
  readonly cpuModel: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly kernel: string;
  readonly architecture: string;
  readonly node: string;
  /** Of the last minute, before the benchmark starts: above some 0.3 somebody else is at work, and figures are noise. */
  readonly loadAverage: number;
}

export function describeMachine(): Machine {
  return {
    cpuModel: cpus()[0]?.model.trim() ?? 'unknown processor',
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    kernel: `${platform()} ${release()}`,
    architecture: process.arch,
    node: process.version,
    loadAverage: loadavg()[0] ?? 0,
  };
}

export function machineLine(machine: Machine): string {
  const { cpuModel, cores, memoryBytes, kernel, architecture, node, loadAverage } = machine;
  const parts = [
    `${cpuModel}, ${cores} cores (${architecture})`,
    `${humanBytes(memoryBytes)} memory`,
    kernel,
    `Node ${node}`,
    `load ${loadAverage.toFixed(2)} before the start`,
  ];
  return parts.join('; ');
}
