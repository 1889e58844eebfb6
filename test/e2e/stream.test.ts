import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { eventually } from '../support/deadline.ts';
import { createWorld, type StartedTracker, type World } from '../support/world.ts';

const MiB = 1024 * 1024;
const LAUNCHER = fileURLToPath(new URL('../../bin/shoal', import.meta.url));

/** A shell line in this world; `$SHOAL` is a get of `name` to standard output. */
function shell(world: World, tracker: StartedTracker, name: string, line: string) {
  const { tmp, folder } = world;
  const env = { PATH: process.env['PATH'] ?? '', HOME: `${folder}/home-shell`, TMPDIR: tmp, NO_COLOR: '1' };
  const args = [LAUNCHER, 'get', name, '-o', '-', '--json', '--tracker', tracker.url, '--listen', '127.0.0.1:0'];
  return spawn('bash', ['-c', line.replaceAll('$SHOAL', '"$@"'), 'bash', ...args], { env, cwd: folder });
}

async function said(child: ReturnType<typeof shell>): Promise<{ out: string; err: string; code: number | null }> {
  let out = '';
  let err = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
  const [code] = (await once(child, 'close')) as [number | null];
  return { out, err, code };
}

async function namesOfOurs(world: World): Promise<string[]> {
  return (await readdir(world.tmp)).filter((name) => name.startsWith('shoal'));
}

test('a pipe gets the content, and nothing has a name on the disk meanwhile', async (context) => {
  const world = await createWorld(context);
  const tracker = await world.tracker();
  const file = await world.file('stream.bin', 24 * MiB + 77, 61, ['one', 'two']);
  for (const path of file.paths) await world.share(tracker, [path], ['--limit-up', '12M']);
  const running = shell(world, tracker, file.name, 'set -o pipefail; $SHOAL | sha256sum');
  const names: string[] = [];
  running.stderr.on('data', (text: Buffer) => {
    // chunks are coming: the file they lie in has no name any more
    if (/"bytes":[1-9]/u.test(text.toString())) void namesOfOurs(world).then((found) => names.push(...found));
  });
  const { out, err, code } = await said(running);
  expect(code).toBe(0);
  expect(out.split(' ')[0]).toBe(file.sha256);
  expect(err).toMatch(/"progress","bytes":[1-9]/u);
  expect(names).toEqual([]);
});

test('a reader that has read enough ends it, without a word and without a rest', async (context) => {
  const world = await createWorld(context);
  const tracker = await world.tracker();
  const file = await world.file('stream.bin', 64 * MiB, 62);
  await world.share(tracker, file.paths, ['--limit-up', '20M']);
  const line = '$SHOAL 2>err.txt | head -c 100000 | sha256sum; echo "${PIPESTATUS[0]}"';
  const { out } = await said(shell(world, tracker, file.name, line));
  const [digest = '', status] = out.trim().split('\n');
  const start = (await readFile(file.paths[0] ?? '')).subarray(0, 100_000);
  expect(digest.split(' ')[0]).toBe(createHash('sha256').update(start).digest('hex'));
  expect(status).toBe('141');
  const told = (await readFile(`${world.folder}/err.txt`, 'utf8')).trim().split('\n');
  expect(told.filter((one) => !one.includes('"progress"'))).toEqual([]);
  expect(await namesOfOurs(world)).toEqual([]);
});

test.skipIf(process.platform !== 'linux')(
  'a slow reader bounds what is fetched ahead, and the memory; what follows its pause is right',
  { timeout: 120_000 },
  async (context) => {
    const world = await createWorld(context);
    const tracker = await world.tracker();
    // a little more than what is kept on the disk
    const file = await world.file('stream.bin', 272 * MiB, 63);
    await world.share(tracker, file.paths);
    const child = shell(world, tracker, file.name, 'exec $SHOAL');
    context.onTestFinished(() => void child.kill('SIGKILL'));
    let err = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
    const fetched = (): number =>
      Math.max(0, ...[...err.matchAll(/"bytes":(\d+)/gu)].map(([, bytes]) => Number(bytes)));
    await eventually(() => Promise.resolve(fetched() === 256 * MiB), 'the window is full', 60_000);
    const status = await readFile(`/proc/${child.pid}/status`, 'utf8');
    expect(Number(/VmHWM:\s+(\d+)/u.exec(status)?.[1]) / 1024).toBeLessThan(300);
    expect(await namesOfOurs(world)).toEqual([]);
    expect(child.exitCode).toBeNull();
    const digest = createHash('sha256');
    let byteCount = 0;
    for await (const bytes of child.stdout as AsyncIterable<Buffer>) {
      // nothing beyond the window was fetched while nobody read
      if (byteCount === 0) expect(fetched()).toBe(256 * MiB);
      digest.update(bytes);
      byteCount += bytes.length;
    }
    expect(byteCount).toBe(file.size);
    expect(digest.digest('hex')).toBe(file.sha256);
  },
);
