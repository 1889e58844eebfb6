/** What every command is given, and the options that every command takes. */
import type { Command } from 'commander';
import type { NodeOptions, TlsFiles } from '../peer/api.ts';
import { readTls, type TlsFlags } from './tls-option.ts';
import { readToken } from './token-option.ts';
import { parseTrackerUrls } from './rates.ts';
import { ShoalError } from '../errors.ts';
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
  /** For nodes, when nobody named a tracker: one that announces itself later, or elsewhere. */
  readonly findTracker: NodeOptions['findTracker'];
  readonly token: string | undefined;
  readonly tls: TlsFiles | undefined;
}

export const TRACKER_URL_DEFAULT = 'http://127.0.0.1:9000';
const SECURE_TRACKER_URL_DEFAULT = 'https://127.0.0.1:9000';

/** The options that stand on the program itself, read from any of its commands. */
export function globalOptions(command: Command): GlobalOptions {
  const flags = command.optsWithGlobals<
    TlsFlags & { tracker?: string; token?: string; tokenFile?: string } & Pick<GlobalOptions, 'findTracker'>
  >();
  const tls = readTls(flags);
  const given = isDefault(command, 'tracker') ? undefined : flags.tracker;
  const trackerUrls = parseTrackerUrls(given ?? (tls === undefined ? TRACKER_URL_DEFAULT : SECURE_TRACKER_URL_DEFAULT));
  return { trackerUrls, findTracker: flags.findTracker, token: readToken(flags.token, flags.tokenFile), tls };
}

/** What runs a node takes certificates whole: half of an encrypted swarm would be none. Throws `usage`. */
export function nodeTls({ tls }: GlobalOptions): TlsFiles | undefined {
  if (tls?.cert !== undefined && tls.ca === undefined)
    throw new ShoalError('usage', 'TLS between peers takes the authority by which they know each other', {
      hint: 'give --tls-ca, or --tls with a folder that shoal cert made',
    });
  return tls;
}

function isDefault(command: Command, option: string): boolean {
  let root = command;
  while (root.parent !== null) root = root.parent;
  return (root.getOptionValueSource(option) ?? 'default') === 'default';
}

/** Defines arguments, options, examples and action of one command. */
export type DefineCommand = (command: Command, runtime: Runtime) => void;

/** Examples below a command's options, as `--help` shows them. */
export function examples(...lines: readonly (readonly [commandLine: string, meaning: string])[]): string {
  const width = Math.max(...lines.map(([commandLine]) => commandLine.length));
  const body = lines.map(([commandLine, meaning]) => `  ${commandLine.padEnd(width)}   ${meaning}`);
  return `\nExamples:\n${body.join('\n')}`;
}
