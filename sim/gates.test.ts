import { describe, expect, it } from 'vitest';
import { GATES, shortfalls, smallOf } from './gates.ts';
import { runAndReport } from './report.ts';
import { worldOf } from './scenario.ts';

const noMachine = { seconds: () => 0, cpuSeconds: () => 0, memoryMiB: () => 0 };

describe('the policy in a crowd of thirty', () => {
  it.each(GATES.map((gate) => [gate.name, gate] as const))(
    'is near the bound: %s',
    (_name, gate) => {
      const report = runAndReport(worldOf(smallOf(gate.scenario)), noMachine);
      expect(shortfalls(gate, report, true)).toEqual([]);
    },
    120_000,
  );

  it('does the same in the same order for the same seed, and something else for another', () => {
    const hashOf = (seed: number): string => {
      const [warm] = GATES;
      if (warm === undefined) throw new Error('no gate');
      return runAndReport(worldOf({ ...warm.scenario, peers: 20, chunks: 64, seed }), noMachine).hash;
    };
    expect(hashOf(7)).toBe(hashOf(7));
    expect(hashOf(7)).not.toBe(hashOf(8));
  }, 60_000);
});
