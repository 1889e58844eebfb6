import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { open, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { DISK_RESERVE_BYTES } from '../../src/limits.ts';
import { sha256OfFile } from '../support/contents.ts';
import { createWorld, doneOf, type World } from '../support/world.ts';

const MiB = 1024 * 1024;
const SIZE = 48 * MiB;
/** Only root may mount a small file system, and only Linux has one that is made in a moment. */
const canMount = process.platform === 'linux' && process.getuid?.() === 0;

function smallDisk(world: World, onTestFinished: (undo: () => void) => void, sizeBytes: number): string {
  const path = join(world.folder, 'small-disk');
  mkdirSync(path);
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${sizeBytes}`, 'shoal-test', path]);
  onTestFinished(() => void execFileSync('umount', ['-l', path]));
  return path;
}

test.skipIf(!canMount)('too little space for it: exit 8 before the first byte', async (context) => {
  const world = await createWorld(context);
  const disk = smallDisk(world, context.onTestFinished, SIZE + DISK_RESERVE_BYTES / 2);
  const tracker = await world.tracker();
  const file = await world.file('large.bin', SIZE, 60);
  await world.share(tracker, file.paths);
  const get = world.get(tracker, 'large.bin', ['-o', `${disk}/`]);
  expect((await get.ended()).code).toBe(8);
  expect(await get.event('error')).toMatchObject({ code: 'no-space', exit: 8 });
  const { bavail, blocks } = await statfs(disk);
  expect(bavail).toBe(blocks);
});

test.skipIf(!canMount)(
  'a disk that fills up meanwhile: it waits, says why, and goes on when there is room',
  async (context) => {
    const world = await createWorld(context);
    const disk = smallDisk(world, context.onTestFinished, SIZE + DISK_RESERVE_BYTES + 8 * MiB);
    const tracker = await world.tracker();
    const file = await world.file('patient.bin', SIZE, 61);
    await world.share(tracker, file.paths);
    const get = world.get(tracker, 'patient.bin', ['-o', `${disk}/`, '--limit-down', '12M', '--stall-timeout', '60']);
    await get.eventWhere((event) => event.event === 'progress' && Number(event['bytes']) > SIZE / 4, 'a quarter of it');

    const filler = join(disk, 'filler');
    const { bavail, bsize } = await statfs(disk);
    const hog = await open(filler, 'w');
    const block = Buffer.alloc(MiB, 1);
    let left = bavail * bsize;
    // to the last byte: writes of ours and of the download meet the end of the disk
    while (left > 0) {
      const { bytesWritten } = await hog
        .write(block, 0, Math.min(block.length, left))
        .catch((error: NodeJS.ErrnoException) => {
          if (error.code !== 'ENOSPC') throw error;
          return { bytesWritten: left };
        });
      left -= bytesWritten;
    }
    await hog.close();
    await get.eventWhere(
      (event) => event.event === 'progress' && event['stalled'] === 'disk',
      'the word that the disk is full',
      30_000,
    );
    expect(get.exit).toBeUndefined();

    await rm(filler);
    const done = await doneOf(get);
    expect(await sha256OfFile(done.path)).toBe(file.sha256);
    expect((await get.ended()).code).toBe(0);
  },
);
