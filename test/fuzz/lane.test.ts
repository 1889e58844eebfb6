import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

/** The same everywhere, so that a failure is a change's fault; SHOAL_SEED asks for another walk. */
const SEED = process.env['SHOAL_SEED'] ?? '2026';
/** A minute where nobody waits for it, a moment at a desk. */
const SECONDS = process.env['CI'] === 'true' ? 60 : 10;

test(
  `${SECONDS} s of fuzzing find nothing new`,
  async ({ onTestFinished }) => {
    const main = fileURLToPath(new URL('./main.ts', import.meta.url));
    const child = spawn(process.execPath, [main, '--seconds', String(SECONDS), '--seed', SEED], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    onTestFinished(() => void child.kill('SIGKILL'));
    const [output, [code]] = await Promise.all([text(child.stdout), once(child, 'exit') as Promise<[number | null]>]);
    expect(code, output).toBe(0);
    expect(output).toMatch(/^seed \d+: [1-9]\d{3,} executions, 0 failures$/mu);
  },
  (SECONDS + 60) * 1_000,
);
