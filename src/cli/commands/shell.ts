/**
 * `shoal shell`: a prompt, with history and completion, for those who want to look around and fetch a few things. Lines that come from
 * a pipe are taken as well: then nothing is prompted, and the first that fails ends it.
 */
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { callbackify } from 'node:util';
import { ShoalError } from '../../errors.ts';
import { SHELL_HISTORY_LINES_MAX } from '../../limits.ts';
import { dataHome } from '../../storage/data-directory.ts';
import { examples, globalOptions, type DefineCommand, type GlobalOptions, type Runtime } from '../runtime.ts';
import { shellCommand } from '../shell/shell-commands.ts';
import { completeLine } from '../shell/complete.ts';
import { readHistory, writeHistory } from '../shell/history.ts';
import { ShellSession } from '../shell/session.ts';
import { splitWords } from '../shell/words.ts';

const PROMPT = 'shoal> ';
const NO_TRACKER = 'connect HOST PORT names another; start 0.0.0.0 9000 runs one in this shell';

export const defineShell: DefineCommand = (command, runtime) => {
  command
    .addHelpText(
      'after',
      examples(
        ['shoal shell', 'then: connect 192.0.2.1 9000, list_file, download big.bin ./'],
        ['echo list_file | shoal shell', 'lines from a pipe; the first that fails ends it'],
      ),
    )
    .action(() => runShell(globalOptions(command), runtime));
};

async function runShell(shared: GlobalOptions, runtime: Runtime): Promise<void> {
  const { output, interrupt } = runtime;
  if (output.json) throw new ShoalError('usage', 'the shell is for people: it has no --json');
  const session = new ShellSession(runtime, shared);
  const atTerminal = process.stdin.isTTY && process.stdout.isTTY;
  try {
    if (atTerminal) await converse(session, runtime);
    else await readPipe(session, interrupt.signal);
  } finally {
    await session.close();
  }
}

async function readPipe(session: ShellSession, signal: AbortSignal): Promise<void> {
  const lines = createInterface({ input: process.stdin, terminal: false, signal });
  try {
    for await (const line of lines) if ((await runLine(session, line, signal)) === 'exit') return;
  } finally {
    lines.close();
  }
}

async function converse(session: ShellSession, { output, interrupt, env }: Runtime): Promise<void> {
  const historyPath = join(dataHome(env), 'shell-history');
  let history = await readHistory(historyPath);
  const sources = { client: () => session.client(), cwd: process.cwd() };
  const prompt = createInterface({
    input: process.stdin,
    output: process.stdout,
    terminal: true,
    prompt: PROMPT,
    history,
    historySize: SHELL_HISTORY_LINES_MAX,
    removeHistoryDuplicates: true,
    completer: callbackify((line: string) => completeLine(line, sources)),
  });
  let running: AbortController | undefined;
  const end = (): void => {
    running?.abort();
    prompt.close();
  };
  interrupt.signal.addEventListener('abort', end, { once: true });
  prompt.on('history', (lines) => {
    history = lines;
  });
  prompt.on('SIGINT', () => {
    if (running !== undefined) running.abort();
    else clearLine(prompt);
  });
  output.answer(`the tracker is ${session.trackerUrls.join(', ')}; help lists the commands, Tab completes`);
  prompt.prompt();
  try {
    for await (const line of prompt) {
      running = new AbortController();
      try {
        if ((await runLine(session, line, running.signal)) === 'exit') break;
      } catch (error) {
        const problem = ShoalError.from(error);
        if (problem.code === 'bug') throw error;
        output.failure(
          problem.code === 'tracker-unreachable'
            ? new ShoalError(problem.code, problem.message, { hint: NO_TRACKER })
            : problem,
        );
      }
      running = undefined;
      prompt.prompt();
    }
  } finally {
    interrupt.signal.removeEventListener('abort', end);
    prompt.close();
    await writeHistory(historyPath, history);
  }
}

/** Ctrl+C before anything runs: the line is dropped. */
function clearLine(prompt: Interface): void {
  const hint = prompt.line === '' ? '  (exit or Ctrl+D leaves)' : '';
  process.stdout.write(`^C${hint}\n`);
  prompt.write(null, { ctrl: true, name: 'e' });
  prompt.write(null, { ctrl: true, name: 'u' });
  prompt.prompt();
}

async function runLine(session: ShellSession, line: string, signal: AbortSignal): Promise<'exit' | 'more'> {
  const words = splitWords(line);
  if (words.length === 0) return 'more';
  const command = shellCommand(words);
  if (words[0] === 'exit') return 'exit';
  await command.run(session, words.slice(1), signal);
  return 'more';
}
