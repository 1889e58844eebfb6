import { expect, test } from 'vitest';
import { createReceiveBuffers } from './chunk-buffers.ts';
import { IncomingChunks } from './incoming-chunks.ts';

const CHUNK_BYTES = 16_384;

/** A whole fragment over a link of its own for each request. */
function receive(incoming: IncomingChunks, key: number): unknown {
  const buffer = incoming.beginFragment(key, key, CHUNK_BYTES);
  incoming.endFragment(key);
  return buffer;
}

function create(): { incoming: IncomingChunks; taken: () => number } {
  const buffers = createReceiveBuffers(() => undefined);
  return { incoming: new IncomingChunks(buffers), taken: () => buffers.takenCount };
}

test('a request keeps its buffer until it is over', () => {
  const { incoming, taken } = create();
  const first = receive(incoming, 1);
  expect(receive(incoming, 1)).toBe(first);
  expect(receive(incoming, 2)).not.toBe(first);
  incoming.release(1);
  incoming.release(1);
  expect(incoming.get(1)).toBeUndefined();
  expect(taken()).toBe(1);
  incoming.releaseAll();
  expect(taken()).toBe(0);
});

test('a request given up while its digest is computed leaves its buffer to the one who computes', async () => {
  const { incoming, taken } = create();
  const buffer = receive(incoming, 1);
  const digest = Promise.withResolvers<{ kept?: Promise<void> }>();
  const kept = Promise.withResolvers<void>();
  const verified = incoming.verify(1, () => digest.promise);
  incoming.release(1);
  expect(receive(incoming, 2)).not.toBe(buffer);
  digest.resolve({ kept: kept.promise });
  await verified;
  // the digest of the whole reads it still
  expect(receive(incoming, 3)).not.toBe(buffer);
  expect(taken()).toBe(3);
  kept.resolve();
  await kept.promise;
  expect(taken()).toBe(2);
});

test('a request given up in the midst of a fragment leaves its buffer to the connection until that is through', () => {
  const { incoming, taken } = create();
  const buffer = incoming.beginFragment(1, 1, CHUNK_BYTES);
  incoming.release(1);
  expect(receive(incoming, 2)).not.toBe(buffer);
  incoming.endFragment(1);
  incoming.endFragment(1);
  expect(taken()).toBe(1);
  expect(receive(incoming, 3)).toBe(buffer);
});

test('a buffer whose verification failed to run is given back, and a request without one is not verified', async () => {
  const { incoming, taken } = create();
  receive(incoming, 1);
  const verified = incoming.verify(1, () => Promise.reject(new Error('no')));
  incoming.release(1);
  await expect(verified).rejects.toThrow('no');
  expect(taken()).toBe(0);
  expect(await incoming.verify(7, () => Promise.resolve({}))).toBeUndefined();
});
