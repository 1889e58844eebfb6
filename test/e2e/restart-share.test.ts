import { readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { restGet } from '../support/rest.ts';
import { eventually } from '../support/deadline.ts';
import { createWorld } from '../support/world.ts';

const SIZE = 128 * 1024 * 1024;

/** Bytes that a process has read by system calls, from files and sockets; only Linux counts them. */
async function bytesRead(pid: number): Promise<number> {
  const io = await readFile(`/proc/${pid}/io`, 'utf8');
  return Number(/^rchar: (\d+)$/mu.exec(io)?.[1]);
}

test.skipIf(process.platform !== 'linux')(
  'an unchanged folder is not read again at the next start',
  async (context) => {
    const world = await createWorld(context);
    const tracker = await world.tracker();
    const file = await world.file('big.bin', SIZE, 20);
    // a file written just now may change within the resolution of its time stamp, and is read again for that
    const longAgo = new Date('2024-01-01');
    for (const path of file.paths) await utimes(path, longAgo, longAgo);
    const folder = await world.dir('shared');
    const home = await world.dir('home');

    const first = await world.share(tracker, [folder], [], { home });
    expect(await bytesRead(first.process.pid)).toBeGreaterThan(SIZE);
    expect((await first.process.end()).code).toBe(0);

    const second = await world.share(tracker, [folder], [], { home });
    expect(await bytesRead(second.process.pid)).toBeLessThan(SIZE / 4);
    expect(await second.process.event('shared')).toMatchObject({ name: 'big.bin', size: SIZE, sha256: file.sha256 });
  },
);

test('what changes while it is shared is withdrawn and shared anew', async (context) => {
  const world = await createWorld(context);
  const tracker = await world.tracker();
  const file = await world.file('changing.bin', 100_000, 21);
  const share = await world.share(tracker, [await world.dir('shared')]);
  const before = await share.process.event('shared');

  await writeFile(file.paths[0] ?? '', 'something else');
  await share.process.event('withdrawn');
  const after = await share.process.eventWhere(
    (event) => event.event === 'shared' && event['sha256'] !== before['sha256'],
    'the new version',
  );
  expect(after).toMatchObject({ name: 'changing.bin', size: 14 });
  await rm(file.paths[0] ?? '');
  await eventually(async () => {
    const { json } = await restGet(tracker.url, '/files');
    return Array.isArray(json) && json.length === 0;
  }, 'the deleted file leaves the catalogue');
});
