/** What the loopback benchmark asks of each system: sources that stay, and fresh receivers, both real processes. */
import type { LoopDelay } from '../src/cli/loop-delay.ts';
import type { BenchProcess, MeasuredRun } from './processes.ts';

export interface Reception {
  readonly run: MeasuredRun;
  /** By the system's own clock: from asking for the file to having it. */
  readonly transferSeconds: number;
  /** Where it left the file. */
  readonly path: string;
  /** How long its main thread kept others waiting; undefined where it does not tell. */
  readonly loopDelay?: LoopDelay;
}

export interface OtherOptions {
  /** The interpreter that runs the other systems. */
  readonly python: string;
  /** Their receivers sync the file to the disk before they count it as done, as Shoal always does. */
  readonly durable: boolean;
}

export interface SystemUnderTest {
  readonly name: string;
  /** From how many sources it can fetch. */
  readonly sourceCountMax: number;
  /** Starts sources until this many run; resolves when each can serve the file. */
  startSources(count: number): Promise<void>;
  /** Fetches the file with a new process from the sources that run, into a folder that exists and is empty. */
  receive(outputFolder: string): Promise<Reception>;
  /** Everything that serves a receiver, with what coordinates it. */
  senders(): readonly BenchProcess[];
}

/** A number of an event, or the reason why the program that sent it cannot be measured. */
export function numberOf(event: Readonly<Record<string, unknown>>, field: string): number {
  const value = event[field];
  if (typeof value !== 'number')
    throw new TypeError(`an event without its number "${field}": ${JSON.stringify(event)}`);
  return value;
}

export function textOf(event: Readonly<Record<string, unknown>>, field: string): string {
  const value = event[field];
  if (typeof value !== 'string') throw new TypeError(`an event without its text "${field}": ${JSON.stringify(event)}`);
  return value;
}
