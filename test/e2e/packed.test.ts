/** What `npm pack` makes, installed as a user installs it: globally, under whatever Node the system has. */
import { execFile } from 'node:child_process';
import { cp, mkdir, symlink } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { VERSION } from '../../src/version.ts';
import { createWorld, doneOf } from '../support/world.ts';

const run = promisify(execFile);
const PROJECT = fileURLToPath(new URL('../../', import.meta.url));
/** All that the package is made from. */
const SOURCES =
  'bin src package.json package-lock.json tsconfig.json rolldown.config.js scripts LICENSE README.md CHANGELOG.md';
/** The system's own programs: not the Node that stands in this tree's node_modules. */
const SYSTEM_PATH = (process.env['PATH'] ?? '')
  .split(delimiter)
  .filter((folder) => !folder.includes('node_modules'))
  .join(delimiter);

test(
  'the packed command installs globally, runs under the system Node and moves a file',
  { timeout: 240_000 },
  async (context) => {
    const place = await createWorld(context);
    const tree = await place.dir('tree');
    for (const name of SOURCES.split(' ')) await cp(join(PROJECT, name), join(tree, name), { recursive: true });
    await symlink(join(PROJECT, 'node_modules'), join(tree, 'node_modules'));
    const npm = async (cwd: string, ...args: readonly string[]): Promise<string> => {
      const env = { ...process.env, PATH: SYSTEM_PATH };
      return (await run('npm', [...args, '--no-audit', '--no-fund'], { cwd, env, timeout: 180_000 })).stdout;
    };
    await npm(tree, 'pack', '--silent', '--pack-destination', place.folder);
    const prefix = await place.dir('prefix');
    // what `npm ci` brought is in npm's cache already; only what has to be asked about versions may go out
    await npm(
      place.folder,
      'install',
      '-g',
      '--prefix',
      prefix,
      '--prefer-offline',
      join(place.folder, `shoal-${VERSION}.tgz`),
    );

    const launcher = join(prefix, 'bin', 'shoal');
    const world = await createWorld(context, { launcher, path: SYSTEM_PATH });
    const version = world.run(['--version']);
    expect(await version.ended()).toEqual({ code: 0, signal: null });
    expect(version.stdout.toString()).toBe(`${VERSION}\n`);
    const tracker = await world.tracker();
    const file = await world.file('packed.bin', 3_000_000, 51, ['one', 'two']);
    for (const path of file.paths) await world.share(tracker, [path]);
    await mkdir(join(world.folder, 'got'));
    const got = world.get(tracker, file.name, ['-o', `${join(world.folder, 'got')}/`]);
    expect(await doneOf(got)).toMatchObject({ sha256: file.sha256, peers: [{}, {}] });
  },
);
