/** Machines on a network of their own: network namespaces of Linux, joined by a cable, gone when the test ends. */
import { execFile } from 'node:child_process';
import { chmod, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { eventually } from './deadline.ts';
import type { SystemNeed } from './system-packages.ts';
import type { WorldTest } from './world.ts';

const run = promisify(execFile);
const LAUNCHER = fileURLToPath(new URL('../../bin/shoal', import.meta.url));

export const NAMESPACES: SystemNeed = {
  debian: 'iproute2 (and the right to make network namespaces)',
  probe: ['unshare', '--net', 'ip', 'link'],
};

export interface OwnMachine {
  readonly address: string;
  /** Writes a command that is `shoal` (or this program) on this machine; answers with its path. */
  launcher(path: string, program?: string): Promise<string>;
}

/** Two machines that reach each other and nobody else. */
export async function twoMachines({ onTestFinished }: WorldTest): Promise<readonly [OwnMachine, OwnMachine]> {
  const names = ['a', 'b'].map((letter) => `shoal-${process.pid}-${letter}`) as [string, string];
  const ip = (...args: readonly string[]): Promise<unknown> => run('ip', args);
  onTestFinished(async () => {
    for (const name of names) await ip('netns', 'del', name);
  });
  for (const name of names) await ip('netns', 'add', name);
  await ip('link', 'add', 'cable', 'netns', names[0], 'type', 'veth', 'peer', 'name', 'cable', 'netns', names[1]);
  const machines = names.map(async (name, index) => {
    const address = `10.231.0.${index + 1}`;
    await ip('-n', name, 'address', 'add', `${address}/24`, 'dev', 'cable');
    for (const device of ['lo', 'cable']) await ip('-n', name, 'link', 'set', device, 'up');
    return { name, address };
  });
  const cabled = await Promise.all(machines);
  // Linux tells up to a second after both ends are up that a cable carries, and until then no program sees a network there
  for (const { name } of cabled) {
    const carries = async (): Promise<boolean> =>
      (await run('ip', ['-n', name, 'link', 'show', 'cable'])).stdout.includes('state UP');
    await eventually(carries, `the cable of ${name} carries`);
  }
  return cabled.map(({ name, address }) => ({
    address,
    async launcher(path: string, program = LAUNCHER) {
      await writeFile(path, `#!/bin/sh\nexec ip netns exec ${name} ${program} "$@"\n`);
      await chmod(path, 0o755);
      return path;
    },
  })) as [OwnMachine, OwnMachine];
}
