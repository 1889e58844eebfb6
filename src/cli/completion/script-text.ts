/** What the scripts for the shells have in common. */
import type { CompletedCommand, CompletedOption } from './command-table.ts';

/** Commands and the parts of commands, in one list. */
export function allCommands(commands: readonly CompletedCommand[]): readonly CompletedCommand[] {
  return commands.flatMap((command) => [command, ...allCommands(command.subcommands)]);
}

/** As one word of a POSIX shell. */
export function quoteForShell(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** Options that every command has: they may stand before its name, too. */
export function sharedOptions(commands: readonly CompletedCommand[]): readonly CompletedOption[] {
  return (commands[0]?.options ?? []).filter(({ flags: [flag = ''] }) =>
    commands.every(({ options }) => options.some(({ flags }) => flags.includes(flag))),
  );
}
