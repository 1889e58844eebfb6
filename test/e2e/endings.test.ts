import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { STALL_TIMEOUT_DEFAULT_MS } from '../../src/limits.ts';
import { sha256OfFile } from '../support/contents.ts';
import { restPost } from '../support/rest.ts';
import type { ShoalProcess } from '../support/processes.ts';
import { createWorld, doneOf } from '../support/world.ts';

const MiB = 1024 * 1024;
const SIZE = 24 * MiB;

// side by side: sources and downloads are limited so that there is a middle, and that is waited for

/** The download has got so much, and is still under way. */
async function half(get: ShoalProcess, bytes = SIZE / 3): Promise<void> {
  await get.eventWhere((event) => event.event === 'progress' && Number(event['bytes']) >= bytes, 'half of the file');
}

test.concurrent('a get that was killed goes on where it stopped', async (context) => {
  const world = await createWorld(context);
  const tracker = await world.tracker();
  const file = await world.file('resumed.bin', SIZE, 40);
  await world.share(tracker, file.paths);
  const flags = ['-o', `${world.folder}/`];

  const killed = world.get(tracker, 'resumed.bin', [...flags, '--limit-down', '8M']);
  await half(killed);
  expect(await killed.end('SIGKILL')).toEqual({ code: null, signal: 'SIGKILL' });
  const path = join(world.folder, 'resumed.bin');
  expect(existsSync(path)).toBe(false);

  const done = await doneOf(world.get(tracker, 'resumed.bin', flags));
  expect(done.resumedBytes).toBeGreaterThan(0);
  expect(done.resumedBytes).toBeLessThan(SIZE);
  expect(done.resumedBytes + done.peers.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(SIZE);
  expect(await sha256OfFile(path)).toBe(file.sha256);
  expect(existsSync(`${path}.part`)).toBe(false);
});

test.concurrent('Ctrl+C ends a get with 130 and keeps what it has', async (context) => {
  const world = await createWorld(context);
  const tracker = await world.tracker();
  const file = await world.file('interrupted.bin', SIZE, 41);
  await world.share(tracker, file.paths);
  const flags = ['-o', `${world.folder}/`];
  const get = world.get(tracker, 'interrupted.bin', [...flags, '--limit-down', '8M']);
  await half(get);
  expect(await get.end('SIGINT')).toEqual({ code: 130, signal: null });
  expect(await get.event('error')).toMatchObject({ code: 'cancelled', exit: 130 });
  expect(existsSync(join(world.folder, 'interrupted.bin.part'))).toBe(true);

  const done = await doneOf(world.get(tracker, 'interrupted.bin', flags));
  expect(done.resumedBytes).toBeGreaterThanOrEqual(SIZE / 3);
  expect(done.sha256).toBe(file.sha256);
});

test.concurrent('sources may leave and die in the middle: the rest finishes it', async (context) => {
  const world = await createWorld(context);
  const tracker = await world.tracker();
  const file = await world.file('deserted.bin', SIZE, 42, ['leaves', 'dies', 'stays']);
  const [leaves, dies, stays] = await Promise.all(
    file.paths.map((path) => world.share(tracker, [path], ['--limit-up', '3M'])),
  );
  const get = world.get(tracker, 'deserted.bin', ['-o', `${world.folder}/`]);
  await half(get, SIZE / 4);
  expect((await leaves?.process.end('SIGTERM'))?.code).toBe(0);
  await dies?.process.end('SIGKILL');
  const done = await doneOf(get);
  expect((await get.ended()).code).toBe(0);
  expect(await sha256OfFile(join(world.folder, 'deserted.bin'))).toBe(file.sha256);
  const given = (address: string | undefined) => done.peers.find((one) => one.address === address)?.bytes ?? 0;
  expect(given(stays?.address)).toBeGreaterThan(given(dies?.address));
  expect(given(leaves?.address)).toBeGreaterThan(0);
});

test.concurrent('without any source left it ends with 4 after the stall timeout, and keeps what it has', async (context) => {
  const world = await createWorld(context);
  const tracker = await world.tracker();
  const file = await world.file('orphan.bin', SIZE, 43);
  const share = await world.share(tracker, file.paths, ['--limit-up', '8M']);
  const get = world.get(tracker, 'orphan.bin', ['-o', `${world.folder}/`, '--stall-timeout', '2']);
  await half(get);
  await share.process.end('SIGKILL');
  const goneAtMs = performance.now();
  // without the flag it would wait longer than this
  expect((await get.ended(STALL_TIMEOUT_DEFAULT_MS)).code).toBe(4);
  expect(performance.now() - goneAtMs).toBeGreaterThan(1_500);
  expect(await get.event('error')).toMatchObject({ exit: 4, message: expect.stringContaining('orphan.bin') });
  expect(existsSync(join(world.folder, 'orphan.bin.part'))).toBe(true);

  await world.share(tracker, file.paths);
  const done = await doneOf(world.get(tracker, 'orphan.bin', ['-o', `${world.folder}/`]));
  expect(done.resumedBytes).toBeGreaterThanOrEqual(SIZE / 3);
  expect(done.sha256).toBe(file.sha256);
});

test.concurrent('every other end has its exit code and one sentence', async (context) => {
  const world = await createWorld(context);
  const tracker = await world.tracker();
  const file = await world.file('there.bin', 100_000, 44);
  const share = await world.share(tracker, file.paths);
  await restPost(tracker.url, '/announce', { ip: '127.0.0.1', port: 1, files: [] });
  const away = { ...tracker, url: 'http://127.0.0.1:1' };
  const out = ['-o', `${world.folder}/out/`];
  const cases: readonly (readonly [ShoalProcess, number, string])[] = [
    [world.get(tracker, 'nobody has this.bin', out), 3, 'no-such-name'],
    [world.get(tracker, `there.bin@${'0'.repeat(8)}`, out), 3, 'no-such-name'],
    [world.get(away, 'there.bin', out), 6, 'tracker-unreachable'],
    [world.get(tracker, 'there.bin', [...out, '--sha256', '0'.repeat(64)]), 5, 'integrity'],
    [world.get(tracker, 'there.bin', [...out, '--no-such-flag']), 2, 'usage'],
    [world.get(tracker, 'there.bin', [...out, '--sha256', 'xyz']), 2, 'usage'],
    [world.get(tracker, '../there.bin', out), 2, 'usage'],
    [world.get(tracker, 'there.bin', [...out, '--limit-down', 'fast']), 2, 'usage'],
    [world.run(['share', join(world.folder, 'not there'), '--json']), 2, 'usage'],
    [world.run(['share', ...file.paths, '--json', '--tracker', tracker.url, '--listen', share.address]), 2, 'usage'],
  ];
  for (const [run, code, kind] of cases) {
    expect(await run.ended(), run.args.join(' ')).toEqual({ code, signal: null });
    const errors = run.events.filter(({ event }) => event.event === 'error');
    expect(
      errors.map(({ event }) => event),
      run.args.join(' '),
    ).toEqual([{ event: 'error', code: kind, message: expect.stringMatching(/\w+ \w+/u), exit: code }]);
    expect(run.stderr).not.toMatch(/\n\s+at |\.ts:\d/u);
  }
  expect(existsSync(join(world.folder, 'out', 'there.bin'))).toBe(false);
});
