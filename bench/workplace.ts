/**
 * The one folder and the processes of a benchmark run. Whatever ends the run (its end, a failure, Ctrl+C), the processes end first and
 * the folder goes after them.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { ShoalError } from '../src/errors.ts';
import { ProcessGroup } from './processes.ts';

export interface Workplace {
  readonly path: string;
  readonly processes: ProcessGroup;
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Runs `work` in a new folder below `parentPath`; rejects with `cancelled` when a signal asked it to end. */
export async function withWorkplace<T>(parentPath: string, work: (place: Workplace) => Promise<T>): Promise<T> {
  const path = await mkdtemp(join(parentPath, 'shoal-bench-'));
  const processes = new ProcessGroup();
  let signalled: string | undefined;
  // ending the processes is what ends the work: it waits for nothing else for long
  const onSignal = (signal: string): void => {
    signalled = signal;
    void processes.close();
  };
  for (const signal of SIGNALS) process.on(signal, onSignal);
  try {
    return await work({ path, processes });
  } catch (error) {
    if (signalled === undefined) throw error;
    throw new ShoalError('cancelled', `the benchmark was ended by ${signalled}`, { cause: error });
  } finally {
    await processes.close();
    for (const signal of SIGNALS) process.off(signal, onSignal);
    await rm(path, { recursive: true, force: true });
  }
}

/** What happens while figures are taken; standard output is for the figures. */
export function note(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** Runs a benchmark's main function as the process: its failure is one line, and its exit code says which kind. */
export async function runBenchmark(main: () => Promise<void>): Promise<void> {
  try {
    await main();
  } catch (thrown) {
    const error = ShoalError.from(thrown);
    process.stderr.write(`${error.message}${error.hint === '' ? '' : `\n${error.hint}`}\n`);
    if (error.code === 'bug' && error.cause !== undefined) process.stderr.write(`${inspect(error.cause)}\n`);
    process.exitCode = error.exitCode;
  }
}
