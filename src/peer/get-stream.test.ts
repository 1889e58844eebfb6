import { Writable } from 'node:stream';
import { expect, test } from 'vitest';
import { Bitfield } from '../content/bitfield.ts';
import { createContent, KiB, until } from './fixtures.ts';
import { streamInOrder } from './get-stream.ts';

const content = createContent(5 * 16 * KiB + 7);
const { manifest } = content;

function createSink(options: { readonly take?: () => Promise<void> } = {}) {
  const parts: Buffer[] = [];
  const output = new Writable({
    highWaterMark: 1,
    write: (bytes: Buffer, _encoding, done) => {
      parts.push(Buffer.from(bytes));
      const taken = options.take?.() ?? Promise.resolve();
      taken.then(
        () => setImmediate(done),
        (error: Error) => setImmediate(done, error),
      );
    },
  });
  return { output, bytes: () => Buffer.concat(parts) };
}

function createChunks() {
  const have = new Bitfield(manifest.chunkCount);
  return {
    have,
    read: (chunkIndex: number, into: Uint8Array) => {
      into.set(content.chunk(chunkIndex));
      return Promise.resolve();
    },
  };
}

test('chunks that come in any order go out in theirs, each as soon as it can', async () => {
  const chunks = createChunks();
  const { output, bytes } = createSink();
  const stream = streamInOrder(chunks, manifest, output, new AbortController().signal);
  for (const chunkIndex of [3, 1, 0]) {
    chunks.have.add(chunkIndex);
    stream.advance();
  }
  await until(() => bytes().length === 2 * 16 * KiB, 'the contiguous beginning is out');
  for (const chunkIndex of [5, 2, 4]) {
    chunks.have.add(chunkIndex);
    stream.advance();
  }
  await stream.written;
  expect(bytes().equals(content.bytes)).toBe(true);
});

test('nothing waits for an empty content', async () => {
  const { manifest: empty } = createContent(0);
  await streamInOrder(createChunks(), empty, createSink().output, new AbortController().signal).written;
});

test('a reader that has gone is told as the end of it', async () => {
  const chunks = createChunks();
  chunks.have.addAll();
  const { output } = createSink({ take: () => Promise.reject(new Error('EPIPE')) });
  output.on('error', () => undefined);
  const { written } = streamInOrder(chunks, manifest, output, new AbortController().signal);
  await expect(written).rejects.toMatchObject({ code: 'cancelled' });
});

test('a reader that takes nothing does not hold up who was asked to end', async () => {
  const chunks = createChunks();
  chunks.have.addAll();
  const abort = new AbortController();
  const { output, bytes } = createSink({ take: () => new Promise(() => undefined) });
  const { written } = streamInOrder(chunks, manifest, output, abort.signal);
  await until(() => bytes().length > 0, 'it has begun');
  abort.abort();
  await expect(written).rejects.toMatchObject({ code: 'cancelled' });
});

test('what has come goes out before the failure of the rest ends it', async () => {
  const chunks = createChunks();
  const { output, bytes } = createSink();
  const stream = streamInOrder(chunks, manifest, output, new AbortController().signal);
  chunks.have.add(0);
  chunks.have.add(1);
  stream.advance();
  stream.fail(new Error('no source left'));
  await expect(stream.written).rejects.toThrow('no source left');
  expect(bytes().length).toBe(2 * 16 * KiB);
});

test('whoever asked to end does not wait for chunks that never come', async () => {
  const abort = new AbortController();
  const { written } = streamInOrder(createChunks(), manifest, createSink().output, abort.signal);
  abort.abort();
  await expect(written).rejects.toMatchObject({ code: 'cancelled' });
});
