import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { foundInputs } from './found.ts';
import { TARGETS } from './targets.ts';

describe.for(TARGETS.map((target) => [target.name, target] as const))('%s', ([name, target]) => {
  it('takes its own seeds, and what once made it fail', async () => {
    const inputs = [...target.seeds, ...(await foundInputs(name)).map(({ bytes }) => bytes)];
    expect(inputs.length).toBeGreaterThan(0);
    for (const bytes of inputs) await target.run(Uint8Array.from(bytes));
  });
});

describe('the fuzzer itself', () => {
  it('finds its way into code that only a rare input reaches', async () => {
    const check = fileURLToPath(new URL('./maze-check.ts', import.meta.url));
    const { stdout } = await promisify(execFile)(process.execPath, [check]);
    const report = JSON.parse(stdout) as { executions: number; failures: number };
    expect(report.failures).toBeGreaterThan(0);
    // by chance alone it would take some 2^32
    expect(report.executions).toBeLessThan(2_000_000);
  });
});
