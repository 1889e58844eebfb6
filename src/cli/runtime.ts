/** What every command is given, and the options that every command takes. */
import type { Command } from 'commander';
import { readToken } from './token-option.ts';
import { parseTrackerUrls } from './rates.ts';
import type { Interrupt } from './interrupt.ts';
import type { Output } from './output.ts';
import type { Services } from './services.ts';

export interface Runtime {
  readonly output: Output;
  readonly interrupt: Interrupt;
  readonly services: Services;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly now: () => number;
  /** Wall clock, for times of day that a tracker gives. */
  readonly wallClock: () => number;
}

export interface GlobalOptions {
  readonly trackerUrls: readonly string[];
  readonly token: string | undefined;
}

export const TRACKER_URL_DEFAULT = 'http://127.0.0.1:9000';

/** The options that stand on the program itself, read from any of its commands. */
export function globalOptions(command: Command): GlobalOptions {
  const { tracker, token, tokenFile } = command.optsWithGlobals<{
    tracker?: string;
    token?: string;
    tokenFile?: string;
  }>();
  return { trackerUrls: parseTrackerUrls(tracker ?? TRACKER_URL_DEFAULT), token: readToken(token, tokenFile) };
}

/** Defines arguments, options, examples and action of one command. */
export type DefineCommand = (command: Command, runtime: Runtime) => void;

/** Examples below a command's options, as `--help` shows them. */
export function examples(...lines: readonly (readonly [commandLine: string, meaning: string])[]): string {
  const width = Math.max(...lines.map(([commandLine]) => commandLine.length));
  const body = lines.map(([commandLine, meaning]) => `  ${commandLine.padEnd(width)}   ${meaning}`);
  return `\nExamples:\n${body.join('\n')}`;
}
