/** The script that teaches bash (3.2 and newer) the command line. */
import type { CompletedCommand, WordKind } from './command-table.ts';
import { allCommands, quoteForShell, sharedOptions } from './script-text.ts';

export function bashScript(commands: readonly CompletedCommand[]): string {
  const all = allCommands(commands);
  return `# completion of shoal for bash: source <(shoal completion bash)
_shoal() {
  local words cur word typed=\${COMP_LINE:0:COMP_POINT} command= kind= place=0 i
  # bash divides words at colons and equal signs as well; a backslash keeps a blank
  read -a words <<<"$typed"
  [[ $typed == *[[:space:]] && $typed != *\\\\[[:space:]] ]] && words[\${#words[@]}]=
  cur=\${words[\${#words[@]}-1]}
  COMPREPLY=()
  for ((i = 1; i < \${#words[@]} - 1; i++)); do
    word=\${words[i]}
    if [[ $kind ]]; then kind=; continue; fi
    case $command:$word in
${valueCases(all)}
      *:-*) ;;
      ${['', ...withParts(all)].map((path) => `${quoteForShell(path)}:*`).join('|')}) command="\${command:+$command }$word" place=0 ;;
      *) place=$((place + 1)) ;;
    esac
  done
  if [[ -z $kind && $cur == -* ]]; then
    case $command in
${flagCases(all)}
    esac
  elif [[ -z $kind ]]; then
    case $command:$place in
      :0) kind=${quoteForShell(`=${commands.map(({ name }) => name).join(' ')}`)} ;;
${placeCases(all)}
    esac
  fi
  case $kind in
    =*) _shoal_add "$cur" < <(compgen -W "\${kind#=}" -- "$cur") ;;
    path) compopt -o filenames 2>/dev/null; _shoal_add "$cur" < <(compgen -f -- "$cur") ;;
    folder) compopt -o filenames 2>/dev/null; _shoal_add "$cur" < <(compgen -d -- "$cur") ;;
    name)
      compopt -o filenames 2>/dev/null
      _shoal_add "$cur" < <("\${words[0]}" completion names -- "\${words[@]:1}" 2>/dev/null) ;;
  esac
}
# Takes lines as answers, without what stands before the last colon: bash has that already.
_shoal_add() {
  local line before=
  [[ $1 == *:* && $COMP_WORDBREAKS == *:* ]] && before=\${1%"\${1##*:}"}
  while IFS= read -r line; do COMPREPLY[\${#COMPREPLY[@]}]=\${line#"$before"}; done
}
complete -F _shoal shoal
`;
}

/** Where options stand: after a command, or before its name. */
function optionPlaces(all: readonly CompletedCommand[]): Pick<CompletedCommand, 'path' | 'options'>[] {
  return [{ path: '', options: sharedOptions(all) }, ...all];
}

/** Options that take a value, and of what kind it is. */
function valueCases(all: readonly CompletedCommand[]): string {
  return optionPlaces(all)
    .flatMap(({ path, options }) =>
      options.flatMap(({ flags, value }) =>
        value === undefined
          ? []
          : [`      ${flags.map((flag) => quoteForShell(`${path}:${flag}`)).join('|')}) kind=${kindText(value)} ;;`],
      ),
    )
    .join('\n');
}

function flagCases(all: readonly CompletedCommand[]): string {
  return optionPlaces(all)
    .map(({ path, options }) => {
      const flags = options.flatMap(({ flags }) => flags).join(' ');
      return `      ${quoteForShell(path)}) kind=${quoteForShell(`=${flags}`)} ;;`;
    })
    .join('\n');
}

function withParts(all: readonly CompletedCommand[]): string[] {
  return all.filter(({ subcommands }) => subcommands.length > 0).map(({ path }) => path);
}

function placeCases(all: readonly CompletedCommand[]): string {
  return all
    .flatMap(({ path, words, repeats, subcommands }) => {
      if (subcommands.length > 0)
        return [
          `      ${quoteForShell(path)}:0) kind=${quoteForShell(`=${subcommands.map(({ name }) => name).join(' ')}`)} ;;`,
        ];
      return words.map((kind, index) => {
        const place = repeats && index === words.length - 1 ? '*' : String(index);
        return `      ${quoteForShell(path)}:${place}) kind=${kindText(kind)} ;;`;
      });
    })
    .join('\n');
}

function kindText(kind: WordKind): string {
  return typeof kind === 'string' ? kind : quoteForShell(`=${kind.choices.join(' ')}`);
}
