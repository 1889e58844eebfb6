/** The script that teaches fish the command line. */
import type { CompletedCommand, CompletedOption, WordKind } from './command-table.ts';
import { allCommands } from './script-text.ts';

export function fishScript(commands: readonly CompletedCommand[]): string {
  const flagsWithValue = valueFlags(commands).join(' ');
  const lines = [
    '# completion of shoal for fish: shoal completion fish > ~/.config/fish/completions/shoal.fish',
    'function __shoal_names',
    '    set -l typed (commandline -opc) (commandline -ct)',
    '    $typed[1] completion names -- $typed[2..] 2>/dev/null',
    'end',
    // the words so far that are no options, without those that are an option's value
    'function __shoal_words',
    '    set -l typed (commandline -opc)',
    '    set -l skip 0',
    '    for word in $typed[2..]',
    '        if test $skip = 1',
    '            set skip 0',
    `        else if contains -- $word ${flagsWithValue}`,
    '            set skip 1',
    "        else if not string match -q -- '-*' $word",
    '            echo $word',
    '        end',
    '    end',
    'end',
    '# an option waits for its value',
    'function __shoal_value',
    `    contains -- (commandline -opc)[-1] ${flagsWithValue}`,
    'end',
    'function __shoal_at',
    '    set -l words (__shoal_words)',
    '    set -l count $argv[1]',
    '    set -l path $argv[2..]',
    '    set -l length (count $path)',
    '    test (count $words) -ge $length; or return 1',
    '    test $length = 0; or test "$words[1..$length]" = "$path"; or return 1',
    '    test $count = any; or test (math (count $words) - $length) = $count',
    'end',
    'complete -c shoal -f',
    ...offered(commands, ''),
    ...allCommands(commands).flatMap(commandLines),
  ];
  return `${lines.join('\n')}\n`;
}

function offered(commands: readonly CompletedCommand[], path: string): string[] {
  return commands.map(
    ({ name, summary }) =>
      `complete -c shoal -n '__shoal_at 0 ${path}; and not __shoal_value' -a ${quote(name)} -d ${quote(summary)}`,
  );
}

function commandLines({ path, words, repeats, options, subcommands }: CompletedCommand): string[] {
  return [
    ...(subcommands.length > 0 ? offered(subcommands, path) : []),
    ...words.map((kind, index) => {
      const count = repeats && index === words.length - 1 ? 'any' : String(index);
      return `complete -c shoal -n '__shoal_at ${count} ${path}; and not __shoal_value' ${action(kind)}`;
    }),
    ...options.map((option) => `complete -c shoal -n '__shoal_at any ${path}' ${optionText(option)}`),
  ];
}

function optionText({ flags, summary, value }: CompletedOption): string {
  const names = flags.map((flag) => (flag.startsWith('--') ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`));
  return `${names.join(' ')}${value === undefined ? '' : ` -r ${action(value)}`} -d ${quote(summary)}`;
}

function action(kind: WordKind): string {
  if (typeof kind !== 'string') return `-f -a ${quote(kind.choices.join(' '))}`;
  return { path: '-F', folder: "-f -a '(__fish_complete_directories)'", name: "-f -a '(__shoal_names)'", other: '-f' }[
    kind
  ];
}

function valueFlags(commands: readonly CompletedCommand[]): string[] {
  const flags = allCommands(commands).flatMap(({ options }) =>
    options.flatMap((option) => (option.value === undefined ? [] : option.flags)),
  );
  return [...new Set(flags)];
}

/** Inside single quotes only these two mean something to fish. */
function quote(text: string): string {
  return `'${text.replaceAll(/['\\]/gu, String.raw`\$&`)}'`;
}
