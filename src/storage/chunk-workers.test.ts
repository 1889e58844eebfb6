import { createHash } from 'node:crypto';
import { mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import {
  INLINE_BYTES_PER_SECOND_MAX,
  INLINE_CHUNK_BYTES_MAX,
  INLINE_WINDOW_MS,
  INLINE_WRITE_MS_MAX,
} from '../limits.ts';
import { seededBytes } from './fixtures.ts';
import { createChunkWorkers, type ChunkWorkers, type SharedBytes } from './chunk-workers.ts';

const MiB = 1024 * 1024;

/** A shared buffer of a size, filled with bytes that depend on `seed`. */
function sharedBytes(byteCount: number, seed: number): SharedBytes {
  const bytes = new Uint8Array(new SharedArrayBuffer(byteCount));
  for (let at = 0; at < byteCount; at++) bytes[at] = (at * 31 + seed * 17 + (at >> 8)) & 0xff;
  return bytes;
}

type Kind = 'threads' | 'threads and a writer' | 'this thread' | 'on the spot';

async function workers(kind: Kind): Promise<ChunkWorkers> {
  const made = createChunkWorkers({ threadCount: 2, hasWriter: kind === 'threads and a writer' });
  if (kind.startsWith('threads')) await made.start();
  if (kind === 'this thread') made.prepare(65_536);
  onTestFinished(() => made.close());
  return made;
}

const digestOf = (bytes: Uint8Array): Uint8Array => new Uint8Array(createHash('sha256').update(bytes).digest());

describe.each(['threads', 'threads and a writer', 'this thread', 'on the spot'] as const)(
  'chunk workers, %s',
  (kind) => {
    it('digest many chunks at once, each with its own bytes', async () => {
      const made = await workers(kind);
      const chunks = Array.from({ length: 20 }, (_, seed) => sharedBytes(100_000, seed));
      const digests = await Promise.all(chunks.map((chunk) => made.digest(chunk)));
      expect(digests.map(({ digest }) => digest)).toEqual(chunks.map(digestOf));
    });

    it('digest the part of a buffer that is a chunk', async () => {
      const buffer = sharedBytes(65_536, 1);
      expect((await (await workers(kind)).digest(buffer.subarray(0, 1_000))).digest).toEqual(
        digestOf(buffer.subarray(0, 1_000)),
      );
    });

    it('write every byte where it belongs', async () => {
      const folder = await mkdtemp(join(tmpdir(), 'shoal-test-'));
      onTestFinished(() => rm(folder, { recursive: true }));
      const file = await open(join(folder, 'f'), 'w+');
      const made = await workers(kind);
      const first = sharedBytes(100_001, 1);
      const second = sharedBytes(50_000, 2);
      await Promise.all([made.write(file.fd, second, first.length), made.write(file.fd, first, 0)]);
      await file.close();
      const written = await readFile(join(folder, 'f'));
      expect(digestOf(written)).toEqual(digestOf(Buffer.concat([first, second])));
    });

    it('say what the system said when a write fails', async () => {
      const file = await open('/dev/null', 'r');
      onTestFinished(() => file.close());
      await expect((await workers(kind)).write(file.fd, sharedBytes(10, 1), 0)).rejects.toMatchObject({
        code: 'EBADF',
      });
    });
  },
);

it('chunk workers that are closed while they work reject what was under way', async () => {
  const made = createChunkWorkers({ threadCount: 1, hasWriter: false });
  await made.start();
  const jobs = Promise.allSettled(Array.from({ length: 50 }, (_, seed) => made.digest(sharedBytes(1_000_000, seed))));
  await made.close();
  const settled = await jobs;
  expect(
    settled.every((one) => one.status === 'fulfilled' || (one.reason as { code: string }).code === 'cancelled'),
  ).toBe(true);
});

it('chunk workers begin on this thread and start others when chunks come fast', async () => {
  let nowMs = 0;
  const made = createChunkWorkers({ threadCount: 1, hasWriter: false, clock: () => nowMs });
  onTestFinished(() => made.close());
  made.prepare(65_536);
  const chunk = sharedBytes(MiB, 1);
  const windowBytes = (INLINE_BYTES_PER_SECOND_MAX * INLINE_WINDOW_MS) / 1000;
  for (let bytes = 0; bytes < 3 * windowBytes; bytes += MiB) {
    await made.digest(chunk);
    nowMs += (INLINE_WINDOW_MS * MiB * 1.1) / windowBytes; // a tenth slower than what it takes
  }
  expect(made.threadCount).toBe(0);
  for (let bytes = 0; bytes <= 2 * windowBytes; bytes += MiB) await made.digest(chunk);
  await made.start();
  expect(made.threadCount).toBe(1);
  expect((await made.digest(chunk)).digest).toEqual(digestOf(chunk));
});

it('chunk workers start threads for large chunks before the first comes', async () => {
  const made = createChunkWorkers({ threadCount: 1, hasWriter: false });
  onTestFinished(() => made.close());
  made.prepare(INLINE_CHUNK_BYTES_MAX);
  made.prepare(2 * INLINE_CHUNK_BYTES_MAX);
  await vi.waitFor(() => expect(made.threadCount).toBe(1), { timeout: 20_000 });
});

it('chunk workers start threads when a write took long', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'shoal-test-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const file = await open(join(folder, 'f'), 'w');
  onTestFinished(() => file.close());
  let nowMs = 0;
  const made = createChunkWorkers({
    threadCount: 1,
    hasWriter: false,
    clock: () => (nowMs += INLINE_WRITE_MS_MAX + 1),
  });
  onTestFinished(() => made.close());
  made.prepare(65_536);
  await made.write(file.fd, sharedBytes(10, 1), 0);
  await vi.waitFor(() => expect(made.threadCount).toBe(1), { timeout: 20_000 });
});

interface WholeCase {
  readonly threadCount: number;
  /** After so many chunks of 41 the threads start; 0: before the first. */
  readonly startAfter: number;
}

it.each<WholeCase>([
  { threadCount: 1, startAfter: 0 },
  { threadCount: 3, startAfter: 0 },
  { threadCount: 1, startAfter: 99 },
  { threadCount: 2, startAfter: 20 },
])(
  '$threadCount threads started after $startAfter chunks digest a whole along with its chunks, in whatever order they come',
  async ({ threadCount, startAfter }) => {
    const folder = await mkdtemp(join(tmpdir(), 'shoal-test-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    const made = createChunkWorkers({ threadCount, hasWriter: threadCount > 1 });
    if (startAfter === 0) await made.start();
    else made.prepare(65_536);
    onTestFinished(() => made.close());
    const chunkBytes = 65_536;
    const bytes = seededBytes(40 * chunkBytes + 1_000, 5);
    const path = join(folder, 'f');
    const file = await open(path, 'w+');
    onTestFinished(() => file.close());
    const whole = made.openWhole(path);
    if (whole === undefined) throw new Error('something was prepared for');
    const indexes = Array.from({ length: 41 }, (_, index) => (index * 17) % 41);
    let doneCount = 0;
    const chunks = await Promise.all(
      indexes.map(async (index) => {
        const position = index * chunkBytes;
        const chunk = new Uint8Array(new SharedArrayBuffer(chunkBytes)).subarray(0, bytes.length - position);
        chunk.set(bytes.subarray(position, position + chunkBytes));
        const expected = digestOf(chunk);
        const wrong = sharedBytes(chunk.length, index);
        expect((await made.digest(wrong, { whole, position, expected })).kept).toBeUndefined();
        const { digest, kept } = await made.digest(chunk, { whole, position, expected });
        expect(digest).toEqual(expected);
        await made.write(file.fd, chunk, position);
        if (++doneCount === startAfter) await made.start();
        return { kept };
      }),
    );
    whole.advance(bytes.length, true);
    expect(await whole.result).toEqual(digestOf(bytes));
    for (const { kept } of chunks) await kept;
  },
);
