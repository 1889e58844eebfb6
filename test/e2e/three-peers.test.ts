import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { sha256OfFile } from '../support/contents.ts';
import { createWorld, doneOf } from '../support/world.ts';

const SIZE = 256 * 1024 * 1024;
const NAME = 'Große Datei – naïve 東京 🦈.bin';

test('a file that three peers share comes whole, a part from each', async (context) => {
  const world = await createWorld(context);
  const tracker = await world.tracker();
  const file = await world.file(NAME, SIZE, 1, ['peer-1', 'peer-2', 'peer-3']);
  const shares = await Promise.all(file.paths.map((path) => world.share(tracker, [path])));

  const get = world.get(tracker, NAME, ['-o', `${await world.dir('download')}/`]);
  const done = await doneOf(get);
  expect(await get.ended()).toEqual({ code: 0, signal: null });

  const path = join(world.folder, 'download', NAME);
  expect(done).toEqual({
    event: 'done',
    name: NAME,
    path,
    size: SIZE,
    sha256: file.sha256,
    content: expect.stringMatching(/^[0-9a-f]{64}$/u),
    seconds: expect.any(Number),
    bytesPerSecond: expect.any(Number),
    resumedBytes: 0,
    peers: expect.any(Array),
  });
  expect((await stat(path)).size).toBe(SIZE);
  expect(await sha256OfFile(path)).toBe(file.sha256);

  for (const { address, peer } of shares) {
    const given = done.peers.find((one) => one.address === address);
    expect(given).toEqual({
      address,
      peer,
      bytes: expect.any(Number),
      chunks: expect.any(Number),
      rttMs: expect.toSatisfy((rttMs) => rttMs === null || typeof rttMs === 'number'),
      seconds: expect.any(Number),
    });
    expect(given?.bytes).toBeGreaterThanOrEqual(SIZE / 10);
  }
  expect(done.peers.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(SIZE);
  expect(done.peers.reduce((sum, { chunks }) => sum + chunks, 0)).toBe(1024);
});

test('the events of share and get are those of the manual', async (context) => {
  const world = await createWorld(context);
  const tracker = await world.tracker();
  const file = await world.file('paced.bin', 12 * 1024 * 1024, 2);
  const share = await world.share(tracker, file.paths);
  expect(share.process.events.map(({ event }) => event)).toEqual([
    {
      event: 'listening',
      address: expect.stringMatching(/^127\.0\.0\.1:\d+$/u),
      peer: expect.stringMatching(/^[0-9a-f]{32}$/u),
    },
    { event: 'shared', name: 'paced.bin', size: file.size, sha256: file.sha256, content: expect.any(String) },
    { event: 'ready' },
  ]);

  const get = world.get(tracker, 'paced.bin', ['-o', `${world.folder}/`, '--limit-down', '4M']);
  await get.ended();
  const kinds = new Set(get.events.map(({ event }) => event.event));
  expect([...kinds]).toEqual(['progress', 'done']);

  const progress = get.events.filter(({ event }) => event.event === 'progress');
  for (const { event } of progress) {
    expect(Object.keys(event).filter((key) => key !== 'stalled')).toEqual([
      'event',
      'bytes',
      'total',
      'bytesPerSecond',
      'peers',
      'etaSeconds',
      'bottleneck',
      'reasons',
    ]);
    expect(event['total']).toBe(file.size);
  }
  const bytes = progress.map(({ event }) => Number(event['bytes']));
  expect(bytes).toEqual(bytes.toSorted((a, b) => a - b));
  expect(bytes.at(-1)).toBe(file.size);

  const firstMs = progress[0]?.atMs ?? 0;
  const lastMs = progress.at(-1)?.atMs ?? 0;
  expect(progress.length).toBeLessThanOrEqual(Math.ceil((lastMs - firstMs) / 100) + 1);
  // our own reading of the pipe may be late by a moment, the process is not
  const gapsMs = progress.slice(1).map(({ atMs }, index) => atMs - (progress[index]?.atMs ?? atMs));
  expect(Math.max(...gapsMs)).toBeLessThan(1_500);
});
