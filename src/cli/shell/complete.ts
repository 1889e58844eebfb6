/** What a line could go on with: words of the shell, names at the tracker, paths of this machine. Never fails: no answer is none. */
import { readdir } from 'node:fs/promises';
import { resolve } from 'node:path';
import { SHELL_COMPLETIONS_MAX } from '../../limits.ts';
import type { TrackerClient } from '../../peer/tracker-client.ts';
import { namesAtTracker } from '../completion/names-at-tracker.ts';
import { SHELL_COMMANDS } from './shell-commands.ts';
import { lastWord, quoteWord } from './words.ts';

export interface CompletionSources {
  client(): Promise<TrackerClient>;
  readonly cwd: string;
}

/** The candidates, and what of the line they replace; as Node's readline takes it. */
export async function completeLine(line: string, sources: CompletionSources): Promise<[string[], string]> {
  const { before, value, raw } = lastWord(line);
  const [name, ...args] = before;
  if (name === undefined) return [matching(Object.keys(SHELL_COMMANDS), value), raw];
  const kind = (Object.hasOwn(SHELL_COMMANDS, name) ? SHELL_COMMANDS[name]?.completes : undefined)?.[args.length];
  if (kind === 'file') return [matching(await namesAt(sources, value), value), raw];
  if (kind === 'path') return [await pathsFor(value, sources.cwd), raw];
  return [[], raw];
}

/** With a blank behind it where it is the only one: the word is finished. */
function matching(all: readonly string[], beginning: string): string[] {
  const found = all.filter((one) => one.startsWith(beginning)).map(quoteWord);
  return found.length === 1 ? found.map((one) => `${one} `) : found;
}

async function namesAt(sources: CompletionSources, beginning: string): Promise<readonly string[]> {
  try {
    return await namesAtTracker(await sources.client(), beginning);
  } catch {
    return []; // the command itself will say what is wrong with the tracker
  }
}

async function pathsFor(beginning: string, cwd: string): Promise<string[]> {
  const folder = beginning.slice(0, beginning.lastIndexOf('/') + 1);
  const start = beginning.slice(folder.length);
  const entries = await readdir(resolve(cwd, folder), { withFileTypes: true }).catch(() => []);
  const found = entries
    .filter(({ name }) => name.startsWith(start) && (start !== '' || !name.startsWith('.')))
    .slice(0, SHELL_COMPLETIONS_MAX)
    .map((entry) => ({ text: quoteWord(folder + entry.name), isFolder: entry.isDirectory() }));
  const only = found.length === 1;
  return found.map(({ text, isFolder }) => (isFolder ? `${text}/` : only ? `${text} ` : text));
}
