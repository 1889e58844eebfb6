import { join } from 'node:path';
import { writeFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { sha256OfFile } from '../support/contents.ts';
import { askRaw } from '../support/raw-range.ts';
import { createWorld, doneOf } from '../support/world.ts';

const READ = 'the-part-that-reads';
const PUBLISH = `${READ}.the-part-that-publishes`;
const SIZE = 3 * 1024 * 1024;

const withToken = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });

test('a private swarm serves those who have its token, and nobody else', async (context) => {
  const world = await createWorld(context);
  const tracker = await world.tracker(['--port', '0', '--store', 'memory', '--token', PUBLISH]);
  const file = await world.file('secret.bin', SIZE, 90);
  const share = await world.share(tracker, file.paths, ['--token', PUBLISH]);

  const tokenFile = join(world.folder, 'token');
  await writeFile(tokenFile, `${READ}\n`);
  const done = await doneOf(
    world.get(tracker, 'secret.bin', ['-o', `${world.folder}/got/`, '--token-file', tokenFile]),
  );
  expect(await sha256OfFile(done.path)).toBe(file.sha256);

  for (const flags of [[], ['--token', 'another-secret'], ['--token', 'the-part-that-publishes']]) {
    const refused = world.get(tracker, 'secret.bin', ['-o', `${world.folder}/no/`, ...flags]);
    expect((await refused.ended()).code).toBe(7);
    expect(await refused.event('error')).toMatchObject({ code: 'unauthenticated', exit: 7 });
    expect(refused.stderr).not.toContain('another-secret');
  }

  const status = async (path: string, init?: RequestInit): Promise<number> =>
    (await fetch(`${tracker.url}${path}`, init)).status;
  expect(await status('/files')).toBe(401);
  expect(await status('/files', withToken('another-secret'))).toBe(401);
  expect(await status('/files', withToken(READ))).toBe(200);
  const announce = { method: 'POST', body: JSON.stringify({ ip: '127.0.0.1', port: 7001, files: [] }) };
  expect(await status('/announce', { ...announce, ...withToken(READ) })).toBe(403);
  expect(await status('/announce', { ...announce, ...withToken(PUBLISH) })).toBe(200);
  expect(await status('/healthz')).toBe(200);

  // who knows the address of a peer is not let in by the peer either
  const open = await world.tracker();
  const decoy = await world.file('secret.bin', SIZE, 90, ['decoy']);
  const here = await world.share(open, decoy.paths);
  await here.process.end();
  const outsider = world.get(open, done.content, [
    '-o',
    `${world.folder}/out/`,
    '--from',
    share.address,
    '--stall-timeout',
    '2',
  ]);
  expect((await outsider.ended()).code).toBe(4);
  expect(await askRaw(share.address, 'secret.bin:0:16\n')).toHaveLength(0);
});

test('whoever may only read cannot publish', async (context) => {
  const world = await createWorld(context);
  const tracker = await world.tracker(['--port', '0', '--store', 'memory', '--token', PUBLISH]);
  const file = await world.file('mine.bin', SIZE, 91);
  const share = world.run([
    'share',
    '--json',
    '--tracker',
    tracker.url,
    '--listen',
    '127.0.0.1:0',
    '--token',
    READ,
    ...file.paths,
  ]);
  expect((await share.ended()).code).toBe(7);
  expect(await share.event('error')).toMatchObject({ code: 'not-allowed' });
  const listed = world.run(['ls', '--json', '--tracker', tracker.url, '--token', READ]);
  expect((await listed.ended()).code).toBe(0);
  expect(JSON.parse(listed.stdout.toString())).toEqual([]);
});
