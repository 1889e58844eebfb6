/** The scripts of `shoal completion`, in the shells they are for. */
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test, type TestContext } from 'vitest';
import { FISH, need, TMUX, ZSH, type SystemNeed } from '../support/system-packages.ts';
import { openTerminalWith } from '../support/terminal.ts';
import { createWorld, type World } from '../support/world.ts';

const run = promisify(execFile);
const BIN = fileURLToPath(new URL('../../bin', import.meta.url));

interface Completing {
  readonly world: World;
  /** Where the shell's script is. */
  readonly script: string;
  readonly env: Readonly<Record<string, string>>;
}

/** A swarm with names to complete, beside paths that begin alike. */
async function completing(context: TestContext, shell: string, ...needs: readonly SystemNeed[]): Promise<Completing> {
  need(context, ...needs);
  const world = await createWorld(context);
  const printed = world.run(['completion', shell]);
  expect(await printed.ended()).toEqual({ code: 0, signal: null });
  const script = join(world.folder, `script.${shell}`);
  await writeFile(script, printed.stdout);
  const tracker = await world.tracker();
  const files = [await world.file('big file.bin', 10_000, 1), await world.file('other.bin', 10_000, 2)];
  await world.share(
    tracker,
    files.flatMap(({ paths }) => paths),
  );
  await world.dir('into');
  await writeFile(join(world.folder, 'inventory'), '');
  const env = {
    PATH: [BIN, process.env['PATH'] ?? ''].join(delimiter),
    HOME: world.folder,
    TMPDIR: world.tmp,
    SHOAL_TRACKER: tracker.url,
  };
  return { world, script, env };
}

/** What each line can go on with, whichever shell is asked. */
const LINES: readonly (readonly [line: string, expected: readonly string[]])[] = [
  ['shoal des', ['descriptor']],
  ['shoal get --seq', ['--sequential']],
  ['shoal get bi', ['big file.bin']],
  ['shoal get --single o', ['other.bin']],
  ['shoal status --chunks oth', ['other.bin']],
  ['shoal get big.bin -o inv', ['inventory']],
  ['shoal share --data in', ['into/']],
  ['shoal peer do', ['download']],
  ['shoal peer download 127.0.0.1 0 ./into ot', ['other.bin']],
  ['shoal completion z', ['zsh']],
  ['shoal tracker --host in', []],
  ['shoal get nothing-like-it', []],
];

test('bash completes commands, options, paths, and names at the tracker', async (context) => {
  const { world, script, env } = await completing(context, 'bash');
  const driver = `
    source "$1"
    shift
    for COMP_LINE; do
      COMP_POINT=\${#COMP_LINE}
      _shoal
      for one in "\${COMPREPLY[@]}"; do [ -d "$one" ] && one=$one/; printf '%s\\n' "$one"; done
      echo =
    done`;
  const lines = LINES.map(([line]) => line);
  const { stdout } = await run('bash', ['-c', driver, 'bash', script, ...lines], { env, cwd: world.folder });
  const answers = stdout.split('=\n').map((answer) => answer.split('\n').slice(0, -1));
  expect(answers.slice(0, -1)).toEqual(LINES.map(([, expected]) => expected));
});

test('fish completes the same', async (context) => {
  const { world, script, env } = await completing(context, 'fish', FISH);
  const driver = 'source $argv[1]; for line in $argv[2..]; complete -C $line; echo =; end';
  const lines = LINES.map(([line]) => line);
  const { stdout } = await run('fish', ['--no-config', '-c', driver, script, ...lines], { env, cwd: world.folder });
  const answers = stdout.split('=\n').map((answer) =>
    answer
      .split('\n')
      .slice(0, -1)
      .map((line) => line.replace(/\t.*$/u, '')),
  );
  expect(answers.slice(0, -1)).toEqual(LINES.map(([, expected]) => expected));
});

test.for([
  ['bash', [], ['--norc', '--noprofile', '-i'], ''],
  ['zsh', [ZSH], ['-f', '-i'], 'autoload -U compinit; compinit -u -D; '],
] as const)('Tab finishes words at a prompt of %s', async ([shell, needs, flags, before], context) => {
  const { world, script, env } = await completing(context, shell, TMUX, ...needs);
  const given = Object.entries({ ...env, PS1: '> ' }).map(([name, value]) => `${name}=${value}`);
  const terminal = await openTerminalWith(context, world, ['env', ...given, shell, ...flags]);
  await terminal.shows(/> ?$/u);
  await terminal.type(`${before}source ${script}; echo re''ady`, 'Enter');
  await terminal.shows(/^ready\n> ?$/mu);
  await terminal.completes('shoal descr', /> shoal descriptor$/u);
  await terminal.completes('inv', /> shoal descriptor inventory$/u);
  await terminal.type('', 'C-u');
  await terminal.completes('shoal get --sing', /> shoal get --single$/u);
  await terminal.completes('bi', /> shoal get --single big\\ file\.bin$/u);
  await terminal.type('', 'C-u');
  await terminal.completes('shoal peer down', /> shoal peer download$/u);
  await terminal.type('', 'C-u');
  await terminal.type('exit', 'Enter');
  await terminal.ended();
});
