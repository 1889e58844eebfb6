/**
 * The command line as plain data, read out of the program's own definitions: what a shell has to know to complete a line. Nothing is
 * written down twice: what a word stands for is told by the name it has in the usage (`<path>`, `<dir>`, `<what>`).
 */
import type { Argument, Command, Option } from 'commander';

/** What can stand in a place: a file, a folder, a name at the tracker, one of some words, or what only the user knows. */
export type WordKind = 'path' | 'folder' | 'name' | 'other' | { readonly choices: readonly string[] };

export interface CompletedOption {
  /** `-o` and `--output`. */
  readonly flags: readonly string[];
  readonly summary: string;
  /** Undefined: it takes no value. */
  readonly value: WordKind | undefined;
}

export interface CompletedCommand {
  /** `get`, or `peer download`. */
  readonly path: string;
  readonly name: string;
  readonly summary: string;
  readonly options: readonly CompletedOption[];
  readonly words: readonly WordKind[];
  /** The last of `words` may be repeated. */
  readonly repeats: boolean;
  readonly subcommands: readonly CompletedCommand[];
}

const KIND_BY_NAME: Readonly<Record<string, WordKind>> = {
  path: 'path',
  file: 'path',
  dir: 'folder',
  folder: 'folder',
  what: 'name',
  name: 'name',
  filename: 'name',
};

/** Every definition has to be loaded; options of the program belong to each command. */
export function commandTable(program: Command): readonly CompletedCommand[] {
  const shared = program.options.filter(isShown).map(completedOption);
  return [...program.commands].map((command) => completedCommand(command, '', [...shared, HELP]));
}

const HELP: CompletedOption = { flags: ['-h', '--help'], summary: 'show help, with examples', value: undefined };

function completedCommand(command: Command, before: string, shared: readonly CompletedOption[]): CompletedCommand {
  const path = before + command.name();
  const options = [...command.options.filter(isShown).map(completedOption), ...shared];
  return {
    path,
    name: command.name(),
    summary: command.description(),
    options,
    words: command.registeredArguments.map(argumentKind),
    repeats: command.registeredArguments.at(-1)?.variadic === true,
    // an option of the command is good after the name of a part of it, too
    subcommands: command.commands.filter(isOffered).map((part) => completedCommand(part, `${path} `, options)),
  };
}

function isShown({ hidden }: Option): boolean {
  return !hidden;
}

/** commander keeps to itself which commands `--help` leaves out. */
function isOffered(command: Command): boolean {
  return (command as unknown as { readonly _hidden?: boolean })._hidden !== true;
}

function completedOption(option: Option): CompletedOption {
  const { short, long, description, argChoices } = option;
  const takesValue = option.required || option.optional;
  const [, name = ''] = /<([^>]+)>/u.exec(option.flags) ?? [];
  return {
    flags: [short, long].filter((flag) => flag !== undefined),
    summary: description,
    value: takesValue ? kindOf(name, argChoices) : undefined,
  };
}

function argumentKind(argument: Argument): WordKind {
  return kindOf(argument.name(), argument.argChoices);
}

function kindOf(name: string, choices: readonly string[] | undefined): WordKind {
  return choices === undefined ? (KIND_BY_NAME[name] ?? 'other') : { choices };
}
