/** A command in a real terminal (tmux, with a server of its own): keys go in, and what a person would see comes out. */
import { execFile } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { eventually } from './deadline.ts';
import type { World, WorldTest } from './world.ts';

const run = promisify(execFile);
const LAUNCHER = fileURLToPath(new URL('../../bin/shoal', import.meta.url));

/** Longer than a shell of ours waits for names. */
const TAB_TIMEOUT_MS = 3_000;

export interface RealTerminal {
  /** Types text as it is; `keys` are names such as Enter, Tab, C-c. */
  type(text: string, ...keys: readonly string[]): Promise<void>;
  /**
   * Types text and Tab, and Tab again while nothing comes of it, as a person does: a tracker that is asked for names is not waited for
   * long, so on a busy machine one press may find nothing.
   */
  completes(text: string, pattern: RegExp): Promise<string>;
  /** The screen with what has scrolled off it, without blanks at the ends of lines. */
  screen(): Promise<string>;
  /** Resolves with the screen when it matches. */
  shows(pattern: RegExp, timeoutMs?: number): Promise<string>;
  /** Resolves when the command has ended, with its exit code. */
  ended(): Promise<number>;
}

/** Starts `shoal` with these arguments in a terminal of 160 columns. */
export function openTerminal(test: WorldTest, world: World, args: readonly string[]): Promise<RealTerminal> {
  return openTerminalWith(test, world, [LAUNCHER, ...args]);
}

/** Starts any command in a terminal of 160 columns, in the world's folder. */
export async function openTerminalWith(
  { onTestFinished }: WorldTest,
  world: World,
  command: readonly string[],
): Promise<RealTerminal> {
  const socket = join(world.folder, 'tmux');
  const env = {
    PATH: process.env['PATH'] ?? '',
    TMPDIR: world.tmp,
    TERM: 'xterm',
    LC_ALL: 'C.UTF-8',
    SHOAL_MDNS: 'off',
    NODE_COMPILE_CACHE: join(tmpdir(), 'node-compile-cache'),
  };
  const tmux = async (...words: readonly string[]): Promise<string> =>
    (await run('tmux', ['-S', socket, '-f', '/dev/null', ...words], { env, cwd: world.folder })).stdout;
  const home = `SHOAL_DATA_HOME=${join(world.folder, 'home-of-terminal')}`;
  const size = ['-x', '160', '-y', '50'];
  // something stays behind the command, so that its last words can be read: tmux may not read to its end a terminal that nobody has open
  const started = ['sh', '-c', '"$@"; echo "[ended $?]"; exec sleep 600', 'sh', 'env', home, 'NO_COLOR=1', ...command];
  await tmux('new-session', '-d', ...size, ...started);
  const pid = Number(await tmux('display', '-p', '#{pane_pid}'));
  onTestFinished(async () => {
    await tmux('kill-server');
    await eventually(() => !isAlive(pid), 'the command in the terminal has ended');
  });

  const screen = async (): Promise<string> =>
    (await tmux('capture-pane', '-p', '-J', '-S', '-500')).replace(/ +$/gmu, '').trimEnd();
  const self: RealTerminal = {
    screen,
    async type(text, ...keys) {
      if (text !== '') await tmux('send-keys', '-l', text);
      if (keys.length > 0) await tmux('send-keys', ...keys);
    },
    async shows(pattern, timeoutMs = 20_000) {
      let last = '';
      try {
        return await eventually(
          async () => {
            last = await screen();
            return pattern.test(last) ? last : undefined;
          },
          `a screen with ${String(pattern)}`,
          timeoutMs,
        );
      } catch (error) {
        throw new Error(`no ${String(pattern)} on this screen:\n${last}`, { cause: error });
      }
    },
    async completes(text, pattern) {
      await self.type(text);
      return eventually(
        async () => {
          await self.type('', 'Tab');
          return self.shows(pattern, TAB_TIMEOUT_MS).catch(() => undefined);
        },
        `${text} is completed to ${String(pattern)}`,
      );
    },
    async ended() {
      const [, code] = /^.*\[ended (\d+)\]/mu.exec(await self.shows(/\[ended \d+\]/u)) ?? [];
      return Number(code);
    },
  };
  return self;
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
