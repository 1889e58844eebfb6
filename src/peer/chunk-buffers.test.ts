import { expect, test } from 'vitest';
import { ShoalError } from '../errors.ts';
import { ChunkBuffers, createReceiveBuffers, createSendBuffers } from './chunk-buffers.ts';

test('a buffer that was given back is taken again, one of another size is not', () => {
  const buffers = createSendBuffers();
  const first = buffers.take(100);
  buffers.give(first);
  expect(buffers.take(50)).not.toBe(first);
  expect(buffers.take(100)).toBe(first);
  expect(buffers.takenCount).toBe(2);
});

test('two owners never have the same buffer', () => {
  const buffers = createSendBuffers();
  const first = buffers.take(64);
  expect(buffers.take(64)).not.toBe(first);
});

test('to give back twice, or what was never taken, is a bug that says so', () => {
  const buffers = createSendBuffers();
  const buffer = buffers.take(10);
  buffers.give(buffer);
  expect(() => buffers.give(buffer)).toThrow(ShoalError);
  expect(() => buffers.give(new Uint8Array(10))).toThrow('given back twice');
});

test('no more bytes than the limit are kept, and who knows of the memory hears of what is dropped', () => {
  const dropped: Uint8Array[] = [];
  const buffers = new ChunkBuffers((byteCount) => new Uint8Array(byteCount), {
    keepBytesMax: 100,
    dropped: (buffer) => dropped.push(buffer),
  });
  const [kept, excess] = [buffers.take(60), buffers.take(60)];
  buffers.give(kept);
  buffers.give(excess);
  expect(buffers.takenCount).toBe(0);
  expect(dropped).toEqual([excess]);
  expect(buffers.take(60)).toBe(kept);
  expect(buffers.take(60)).not.toBe(excess);
});

test('what is received lies in memory that threads share', () => {
  expect(createReceiveBuffers(() => undefined).take(10).buffer).toBeInstanceOf(SharedArrayBuffer);
  expect(createSendBuffers().take(10).buffer).toBeInstanceOf(ArrayBuffer);
});
