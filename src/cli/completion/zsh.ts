/** The script that teaches zsh the command line, on its own `_arguments`. */
import type { CompletedCommand, CompletedOption, WordKind } from './command-table.ts';
import { allCommands, quoteForShell, sharedOptions } from './script-text.ts';

export function zshScript(commands: readonly CompletedCommand[]): string {
  const functions = allCommands(commands).map((command) => commandFunction(command));
  return `#compdef shoal
# completion of shoal for zsh: put it where $fpath looks, as _shoal, or: source <(shoal completion zsh)
_shoal_names() {
  local -a names
  names=("\${(@f)$("$_shoal_line[1]" completion names -- "\${(@)_shoal_line[2,-1]}" 2>/dev/null)}")
  [[ -n $names[1] ]] && compadd -a names
}
${functions.join('\n')}
_shoal() {
  local -a _shoal_line
  _shoal_line=("\${(@Q)words[1,CURRENT]}")
${branch('shoal', commands, sharedOptions(commands))}
}
if [[ $funcstack[1] == _shoal ]]; then _shoal "$@"; else compdef _shoal shoal; fi
`;
}

function commandFunction({ path, words, repeats, options, subcommands }: CompletedCommand): string {
  const body =
    subcommands.length > 0
      ? branch(path, subcommands, options)
      : `  _arguments -s ${[...options.map(optionSpec), ...words.map((kind, index) => `${repeats && index === words.length - 1 ? '*' : index + 1}:${action(kind)}`).map(quoteForShell)].join(' \\\n    ')}`;
  return `${functionName(path)}() {\n${body}\n}`;
}

/** One word chooses a command, and what follows is that command's. */
function branch(path: string, commands: readonly CompletedCommand[], options: readonly CompletedOption[]): string {
  const listed = commands.map(({ name, summary }) => quoteForShell(`${name}:${summary.replaceAll(':', ' -')}`));
  const cases = commands.map((command) => `        ${command.name}) ${functionName(command.path)} ;;`);
  return `  local state line curcontext="$curcontext"
  typeset -A opt_args
  _arguments -C -s ${[...options.map(optionSpec), "'1: :->command'", "'*:: :->rest'"].join(' \\\n    ')}
  case $state in
    command)
      local -a commands
      commands=(${listed.join('\n        ')})
      _describe -t commands ${quoteForShell(`${path} command`)} commands ;;
    rest)
      case $words[1] in
${cases.join('\n')}
      esac ;;
  esac`;
}

function optionSpec({ flags, summary, value }: CompletedOption): string {
  const text = summary.replaceAll(/[[\]:\\]/gu, String.raw`\$&`);
  const rest = quoteForShell(`[${text}]${value === undefined ? '' : `:${action(value)}`}`);
  const [only = ''] = flags;
  if (flags.length === 1) return only + rest;
  return `'(${flags.join(' ')})'{${flags.join(',')}}${rest}`;
}

function action(kind: WordKind): string {
  if (typeof kind !== 'string') return `one of:(${kind.choices.join(' ')})`;
  return { path: 'path:_files', folder: 'folder:_files -/', name: 'name:_shoal_names', other: 'value: ' }[kind];
}

function functionName(path: string): string {
  return `_shoal_${path.replaceAll(/[^a-z0-9]/gu, '_')}`;
}
