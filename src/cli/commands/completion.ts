/** `shoal completion`: prints the script that teaches a shell this command line; the scripts ask it for names at the tracker. */
import { Argument } from 'commander';
import { bashScript } from '../completion/bash.ts';
import { commandTable, type CompletedCommand } from '../completion/command-table.ts';
import { fishScript } from '../completion/fish.ts';
import { namesAtTracker } from '../completion/names-at-tracker.ts';
import { zshScript } from '../completion/zsh.ts';
import { parseTrackerUrls } from '../rates.ts';
import { examples, globalOptions, type DefineCommand, type Runtime } from '../runtime.ts';
import { readToken } from '../token-option.ts';
import { withTracker } from '../tracker-queries.ts';

const SCRIPTS: Readonly<Record<string, (commands: readonly CompletedCommand[]) => string>> = {
  bash: bashScript,
  zsh: zshScript,
  fish: fishScript,
};

export const defineCompletion: DefineCommand = (command, runtime) => {
  command
    .addArgument(new Argument('<shell>', 'whose script it is').choices(Object.keys(SCRIPTS)))
    .addHelpText(
      'after',
      examples(
        ['shoal completion bash', 'in ~/.bashrc: source <(shoal completion bash)'],
        ['shoal completion zsh', 'in ~/.zshrc, after compinit: source <(shoal completion zsh)'],
        ['shoal completion fish > ~/.config/fish/completions/shoal.fish', 'fish reads it by itself'],
      ),
    )
    .action((shell: string) => {
      if (command.parent !== null)
        runtime.output.answer((SCRIPTS[shell]?.(commandTable(command.parent)) ?? '').trimEnd());
    });
  command
    .command('names', { hidden: true })
    .description('names at the tracker that go on as the last of these words does; the scripts ask for them')
    .argument('[words...]')
    .action((words: string[]) => printNames(words, command, runtime));
};

/** Says nothing when the tracker does not answer soon: a shell waits for this, and the command itself will say what is wrong. */
async function printNames(
  words: readonly string[],
  command: Parameters<DefineCommand>[0],
  runtime: Runtime,
): Promise<void> {
  const { output } = runtime;
  const beginning = words.at(-1) ?? '';
  try {
    const given = valueOf(words, '--tracker');
    const shared = {
      ...globalOptions(command),
      ...(given === undefined ? {} : { trackerUrls: parseTrackerUrls(given) }),
      ...tokenIn(words),
    };
    const names = await withTracker(shared, runtime, (client) => namesAtTracker(client, beginning));
    for (const name of names) output.answer(name);
  } catch {
    // nor does a line that cannot be understood yet
  }
}

function tokenIn(words: readonly string[]): { token?: string | undefined } {
  const [token, file] = [valueOf(words, '--token'), valueOf(words, '--token-file')];
  return token === undefined && file === undefined ? {} : { token: readToken(token, file) };
}

/** An option's value on a line that is still being typed. */
function valueOf(words: readonly string[], flag: string): string | undefined {
  const at = words.lastIndexOf(flag, -2);
  if (at >= 0) return words[at + 1];
  return words.find((word) => word.startsWith(`${flag}=`))?.slice(flag.length + 1);
}
