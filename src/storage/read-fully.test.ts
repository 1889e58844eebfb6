import { mkdtemp, open, rm, writeFile, type FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { ShoalError } from '../errors.ts';
import { CACHED_READ_BYTES_MAX } from '../limits.ts';
import { seededBytes } from './fixtures.ts';
import { readAtOnce, readFully } from './read-fully.ts';

const bytes = seededBytes(3 * CACHED_READ_BYTES_MAX, 3);
const shorter = (): ShoalError => new ShoalError('disk', 'it became shorter');

async function openedFile(): Promise<FileHandle> {
  const folder = await mkdtemp(join(tmpdir(), 'shoal-test-'));
  await writeFile(join(folder, 'f'), bytes);
  const handle = await open(join(folder, 'f'), 'r');
  onTestFinished(async () => {
    await handle.close();
    await rm(folder, { recursive: true });
  });
  return handle;
}

it.each([0, 1, 65_536, CACHED_READ_BYTES_MAX, CACHED_READ_BYTES_MAX + 1])(
  'readFully() fills %d bytes from where it is told',
  async (byteCount) => {
    const into = new Uint8Array(byteCount);
    await readFully(await openedFile(), into, 12_345, shorter);
    expect(Buffer.compare(into, bytes.subarray(12_345, 12_345 + byteCount))).toBe(0);
  },
);

it('readFully() changes nothing beside what it fills', async () => {
  const memory = new Uint8Array(1_000).fill(7);
  await readFully(await openedFile(), memory.subarray(100, 200), 0, shorter);
  expect(Buffer.compare(memory.subarray(100, 200), bytes.subarray(0, 100))).toBe(0);
  expect(memory.filter((value, at) => value === 7 && (at < 100 || at >= 200))).toHaveLength(900);
});

it('readFully() says when the file ends before, whether its bytes are in memory or not', async () => {
  const handle = await openedFile();
  await expect(readFully(handle, new Uint8Array(100), bytes.length - 99, shorter)).rejects.toThrow('shorter');
  await expect(readFully(handle, new Uint8Array(100), 2 * bytes.length, shorter)).rejects.toThrow('shorter');
});

it('readFully() of a closed file rejects with what the system says', async () => {
  const handle = await openedFile();
  await handle.close();
  await expect(readFully(handle, new Uint8Array(10), 0, shorter)).rejects.toMatchObject({ code: 'EBADF' });
});

it('readAtOnce() fills all or says that it did not', async () => {
  const handle = await openedFile();
  const into = new Uint8Array(1_000);
  // false where there are no native calls
  if (readAtOnce(handle, into, 12_345)) expect(Buffer.compare(into, bytes.subarray(12_345, 13_345))).toBe(0);
  expect(readAtOnce(handle, into, bytes.length - 999)).toBe(false);
  expect(readAtOnce(handle, new Uint8Array(CACHED_READ_BYTES_MAX + 1), 0)).toBe(false);
  await handle.close();
  expect(readAtOnce(handle, into, 0)).toBe(false);
});
