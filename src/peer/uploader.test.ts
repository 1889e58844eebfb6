import { expect, test, vi } from 'vitest';
import { FRAGMENT_BYTES_MAX, LARGE_FRAGMENT_BYTES_MAX, SOCKET_UNSENT_BYTES_MAX } from '../limits.ts';
import type { IncomingFragment } from '../swarm/requests.ts';
import { createSendBuffers } from './chunk-buffers.ts';
import type { PeerLink } from './peer-link.ts';
import { Uploader, type ChunkSend } from './uploader.ts';

/** Fragments that fill a link. */
const FULL = SOCKET_UNSENT_BYTES_MAX / FRAGMENT_BYTES_MAX;
const CHUNK = 2 * SOCKET_UNSENT_BYTES_MAX;

/** A link that keeps what it is handed until it is told to let go. */
class HeldLink implements PeerLink {
  readonly key: string;
  readonly address = 'held.test:1';
  readonly held: (() => void)[] = [];
  /** Of the fragments that are held. */
  readonly bytes: Uint8Array[] = [];
  readonly fragments: IncomingFragment[] = [];
  readonly #order: string[];

  constructor(key: string, order: string[]) {
    this.key = key;
    this.#order = order;
  }

  get unsentBytes(): number {
    return this.held.length * FRAGMENT_BYTES_MAX;
  }

  send(): void {}

  sendFragment(fragment: IncomingFragment, bytes: Uint8Array, flushed: () => void): void {
    this.#order.push(this.key);
    this.fragments.push(fragment);
    this.bytes.push(bytes);
    this.held.push(flushed);
  }

  close(): void {}

  flush(count = this.held.length): void {
    this.bytes.splice(0, count);
    for (const flushed of this.held.splice(0, count)) flushed();
  }
}

function createBench(bytesPerSecond = Number.POSITIVE_INFINITY) {
  const clock = { nowMs: 0 };
  const buffers = createSendBuffers();
  const uploader = new Uploader(buffers, bytesPerSecond, () => clock.nowMs);
  const order: string[] = [];
  const told: string[] = [];
  const send = (link: PeerLink, requestId: number, more: Partial<ChunkSend> = {}): void =>
    uploader.start({
      link,
      content: buffers,
      requestId,
      chunkIndex: requestId,
      byteCount: CHUNK,
      bufferBytes: CHUNK,
      read: () => Promise.resolve(),
      sent: (byteCount, last) => told.push(`${link.key}${requestId} ${byteCount}${last ? ' last' : ''}`),
      ended: (why) => told.push(`${link.key}${requestId} ${why}`),
      ...more,
    });
  return { clock, buffers, uploader, order, told, send };
}

/** Lets reads resolve. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Lets everything out, as sockets do that take what they are given. */
function drain(uploader: Uploader, ...links: HeldLink[]): void {
  while (links.some(({ held }) => held.length > 0)) {
    for (const link of links) link.flush();
    uploader.pump();
  }
}

test('links take turns, a fragment each', async () => {
  const { uploader, order, told, send, buffers } = createBench();
  const [a, b] = [new HeldLink('a', order), new HeldLink('b', order)];
  send(a, 1);
  send(b, 1);
  await turn();
  while (a.held.length + b.held.length > 0) {
    a.flush(1);
    b.flush(1);
    uploader.pump();
  }
  let lead = 0;
  for (const key of order) {
    lead += key === 'a' ? 1 : -1;
    expect(Math.abs(lead)).toBeLessThanOrEqual(FULL);
  }
  expect(order).toHaveLength(4 * FULL);
  expect(told.filter((one) => one.endsWith('last'))).toHaveLength(2);
  expect(buffers.takenCount).toBe(0);
});

test('fragments of a chunk come in order, without gaps, and the last is shorter', async () => {
  const { uploader, order, send } = createBench();
  const link = new HeldLink('a', order);
  send(link, 7, { byteCount: 2 * FRAGMENT_BYTES_MAX + 5 });
  await turn();
  drain(uploader, link);
  expect(link.fragments.map(({ requestId, offset, byteCount }) => [requestId, offset, byteCount])).toEqual([
    [7, 0, FRAGMENT_BYTES_MAX],
    [7, FRAGMENT_BYTES_MAX, FRAGMENT_BYTES_MAX],
    [7, 2 * FRAGMENT_BYTES_MAX, 5],
  ]);
});

test('a link that takes nothing gets no more than a socket may hold, and does not hold up others', async () => {
  const { uploader, order, told, send } = createBench();
  const [stuck, free] = [new HeldLink('stuck', order), new HeldLink('free', order)];
  send(stuck, 1);
  send(free, 1);
  await turn();
  drain(uploader, free);
  expect(stuck.held.length).toBe(FULL);
  expect(told.at(-1)).toBe(`free1 ${FRAGMENT_BYTES_MAX} last`);
});

test('a stopped send is over when its last fragment has left, and not before', async () => {
  const { uploader, order, told, send, buffers } = createBench();
  const link = new HeldLink('a', order);
  send(link, 1);
  await turn();
  expect(link.held).toHaveLength(FULL);
  uploader.stop(link, 1);
  expect(told).toEqual([]);
  link.flush(1);
  expect(told).toEqual([`a1 ${FRAGMENT_BYTES_MAX}`]);
  expect(buffers.takenCount).toBe(1);
  link.flush();
  expect(told).toEqual([...Array<string>(FULL).fill(`a1 ${FRAGMENT_BYTES_MAX}`), 'a1 stopped']);
  expect(buffers.takenCount).toBe(0);
  uploader.pump();
  expect(link.fragments).toHaveLength(FULL);
});

test('a send stopped while it is being read ends without a byte', async () => {
  const { uploader, order, told, send, buffers } = createBench();
  const link = new HeldLink('a', order);
  send(link, 1);
  uploader.stop(link, 1);
  await turn();
  expect(told).toEqual(['a1 stopped']);
  expect(link.fragments).toEqual([]);
  expect(buffers.takenCount).toBe(0);
});

test('a send that is out already is not stopped any more', async () => {
  const { uploader, order, told, send, buffers } = createBench();
  const link = new HeldLink('a', order);
  send(link, 1, { byteCount: 10 });
  await turn();
  uploader.stop(link, 1);
  link.flush();
  expect(told).toEqual(['a1 10 last']);
  expect(buffers.takenCount).toBe(0);
});

/** Fills with what belongs to each place, as long as that is before `inMemoryBytes`. */
const atOnce =
  (inMemoryBytes: number) =>
  (offset: number, into: Uint8Array): boolean => {
    if (offset + into.length > inMemoryBytes) return false;
    fillFrom(offset, into);
    return true;
  };

function fillFrom(offset: number, into: Uint8Array): void {
  for (let at = 0; at < into.length; at++) into[at] = ((offset + at) * 31) >> 4;
}

test('what is in memory is read a fragment at a time, just before it leaves, into few buffers', async () => {
  const { uploader, order, told, send, buffers } = createBench();
  const link = new HeldLink('a', order);
  const read = vi.fn(() => Promise.resolve());
  send(link, 1, { readAtOnce: atOnce(CHUNK), read });
  expect(link.fragments).toEqual([]);
  await turn();
  expect(buffers.takenCount).toBe(FULL);
  while (link.held.length > 0) {
    const [bytes, wanted] = [link.bytes[0] as Uint8Array, new Uint8Array(FRAGMENT_BYTES_MAX)];
    fillFrom((link.fragments.length - link.held.length) * FRAGMENT_BYTES_MAX, wanted);
    expect(Buffer.compare(bytes, wanted)).toBe(0);
    link.flush(1);
    uploader.pump();
    expect(buffers.takenCount).toBe(link.held.length);
  }
  expect(read).not.toHaveBeenCalled();
  expect(told.at(-1)).toMatch(/last$/u);
  expect(buffers.takenCount).toBe(0);
});

test('what is not in memory is waited for from there on, and nothing of it is sent twice', async () => {
  const { uploader, order, told, send, buffers } = createBench();
  const [link, other] = [new HeldLink('a', order), new HeldLink('b', order)];
  const reading = Promise.withResolvers<void>();
  const read = async (into: Uint8Array): Promise<void> => {
    await reading.promise;
    fillFrom(0, into);
  };
  send(link, 1, { readAtOnce: atOnce(3 * FRAGMENT_BYTES_MAX), read });
  send(other, 1, { readAtOnce: atOnce(CHUNK) });
  await turn();
  expect(link.fragments).toHaveLength(3);
  expect(other.fragments).toHaveLength(FULL);
  expect(uploader.facts(buffers)).toMatchObject({ readingCount: 1, sendingCount: 1 });
  reading.resolve();
  await turn();
  const wanted = new Uint8Array(FRAGMENT_BYTES_MAX);
  fillFrom(3 * FRAGMENT_BYTES_MAX, wanted);
  expect(Buffer.compare(link.bytes[3] as Uint8Array, wanted)).toBe(0);
  drain(uploader, link, other);
  expect(link.fragments.map(({ offset }) => offset)).toEqual(
    Array.from({ length: CHUNK / FRAGMENT_BYTES_MAX }, (_, index) => index * FRAGMENT_BYTES_MAX),
  );
  expect(told.filter((one) => one.endsWith('last'))).toHaveLength(2);
  expect(buffers.takenCount).toBe(0);
});

test('a link that takes large fragments gets them, as long as no limit is in the way', async () => {
  const { clock, uploader, order, send, buffers } = createBench();
  const link: HeldLink & { fragmentBytesMax?: number } = new HeldLink('a', order);
  link.fragmentBytesMax = LARGE_FRAGMENT_BYTES_MAX;
  send(link, 1, { byteCount: 4 * CHUNK, readAtOnce: atOnce(4 * CHUNK) });
  await turn();
  expect(link.bytes[1]?.length).toBe(LARGE_FRAGMENT_BYTES_MAX);
  const wanted = new Uint8Array(LARGE_FRAGMENT_BYTES_MAX);
  fillFrom(LARGE_FRAGMENT_BYTES_MAX, wanted);
  expect(Buffer.compare(link.bytes[1] as Uint8Array, wanted)).toBe(0);
  uploader.setLimit(Number.MAX_SAFE_INTEGER);
  clock.nowMs += 1_000;
  link.flush(1);
  uploader.pump();
  expect(link.fragments.at(-1)?.byteCount).toBe(FRAGMENT_BYTES_MAX);
  drain(uploader, link);
  expect(link.fragments.reduce((sum, { byteCount }) => sum + byteCount, 0)).toBe(4 * CHUNK);
  expect(buffers.takenCount).toBe(0);
  uploader.close();
});

test('what cannot be read ends as unreadable', async () => {
  const { order, told, send, buffers } = createBench();
  send(new HeldLink('a', order), 1, { read: () => Promise.reject(new Error('bad sector')) });
  await turn();
  expect(told).toEqual(['a1 unreadable']);
  expect(buffers.takenCount).toBe(0);
});

test('of a link that is gone nothing more is said, and its buffers come back when its fragments are let go', async () => {
  const { uploader, order, told, send, buffers } = createBench();
  const link = new HeldLink('a', order);
  const reading = Promise.withResolvers<void>();
  send(link, 0, { byteCount: 10 });
  await turn();
  send(link, 1);
  send(link, 2, { read: () => reading.promise });
  await turn();
  uploader.drop(link);
  expect(buffers.takenCount).toBe(3);
  reading.resolve();
  link.flush();
  await turn();
  expect(told).toEqual([]);
  expect(buffers.takenCount).toBe(0);
  expect(link.fragments.some(({ requestId }) => requestId === 2)).toBe(false);
});

test('the limit holds for all links together', async () => {
  const { clock, uploader, order, send } = createBench(1_000_000);
  const [a, b] = [new HeldLink('a', order), new HeldLink('b', order)];
  for (let requestId = 0; requestId < 10; requestId++) {
    send(a, requestId);
    send(b, requestId);
  }
  await turn();
  for (clock.nowMs = 0; clock.nowMs < 4_000; clock.nowMs += 10) {
    a.flush();
    b.flush();
    uploader.pump();
  }
  const sentBytes = [...a.fragments, ...b.fragments].reduce((sum, { byteCount }) => sum + byteCount, 0);
  expect(sentBytes).toBeGreaterThan(3_800_000);
  expect(sentBytes).toBeLessThan(4_200_000);
  uploader.close();
});

test('a limit that is lifted lets go at once', async () => {
  const { uploader, order, told, send } = createBench(1);
  const link = new HeldLink('a', order);
  send(link, 1);
  await turn();
  expect(link.fragments).toHaveLength(1);
  uploader.setLimit(Number.POSITIVE_INFINITY);
  drain(uploader, link);
  expect(told.at(-1)).toMatch(/last$/u);
  uploader.close();
});

test('who paces itself waits for the same limit', async () => {
  const uploader = new Uploader(createSendBuffers(), 2_000_000, () => performance.now());
  const startedAtMs = performance.now();
  for (let at = 0; at < 5; at++) await uploader.reserve(100_000);
  // the first is free, and each of the others waits until the one before it is paid for
  expect(performance.now() - startedAtMs).toBeGreaterThan(140);
  uploader.close();
});

test('contents share the limit evenly, whatever the number of sends of each; a new limit holds at once', async () => {
  const rate = 1_000_000;
  const { uploader, clock, order, send } = createBench(rate);
  const [many, one] = [{}, {}];
  const links = ['a', 'b', 'c', 'd'].map((key) => new HeldLink(key, order));
  links.forEach((link, index) => {
    for (let requestId = 0; requestId < 8; requestId++) send(link, requestId, { content: index < 3 ? many : one });
  });
  await turn();
  const bytesOf = (link: HeldLink): number => link.fragments.reduce((sum, { byteCount }) => sum + byteCount, 0);
  const run = (untilMs: number): number => {
    const before = links.reduce((sum, link) => sum + bytesOf(link), 0);
    for (; clock.nowMs < untilMs; clock.nowMs++) {
      uploader.pump();
      for (const link of links) link.flush();
    }
    return links.reduce((sum, link) => sum + bytesOf(link), 0) - before;
  };
  run(500);
  const first = run(1_500);
  expect(first / rate).toBeGreaterThan(0.97);
  expect(first / rate).toBeLessThan(1.03);
  const [a = 0, b = 0, c = 0, d = 0] = links.map(bytesOf);
  expect(d / (a + b + c)).toBeGreaterThan(0.9);
  expect(d / (a + b + c)).toBeLessThan(1.1);
  uploader.setLimit(rate / 4);
  const second = run(2_500);
  expect(second / (rate / 4)).toBeGreaterThan(0.9);
  expect(second / (rate / 4)).toBeLessThan(1.25);
  uploader.close();
});

test('a link is sent no more than its receiver asks for, and the others all the more', async () => {
  const { uploader, clock, order, send } = createBench(1_000_000);
  const [slow, other] = [new HeldLink('slow', order), new HeldLink('other', order)];
  uploader.pace(slow, 100_000);
  for (let requestId = 0; requestId < 10; requestId++) {
    send(slow, requestId);
    send(other, requestId);
  }
  await turn();
  const bytesOf = (link: HeldLink): number => link.fragments.reduce((sum, { byteCount }) => sum + byteCount + 20, 0);
  const pass = (ms: number): number[] => {
    const before = [bytesOf(slow), bytesOf(other)];
    for (const untilMs = clock.nowMs + ms; clock.nowMs < untilMs; clock.nowMs++) {
      uploader.pump();
      for (const link of [slow, other]) link.flush();
    }
    return [bytesOf(slow) - (before[0] as number), bytesOf(other) - (before[1] as number)];
  };
  pass(500);
  const [paced = 0, free = 0] = pass(2_000);
  expect(paced / 200_000).toBeGreaterThan(0.97);
  expect(paced / 200_000).toBeLessThan(1.03);
  expect((paced + free) / 2_000_000).toBeGreaterThan(0.97);
  expect((paced + free) / 2_000_000).toBeLessThan(1.03);
  // in small pieces, so that nothing comes in bursts
  expect(Math.max(...slow.fragments.map(({ byteCount }) => byteCount))).toBe(2_048);

  uploader.pace(slow, Number.POSITIVE_INFINITY);
  const [unpaced = 0] = pass(2_000);
  expect(unpaced).toBeGreaterThan(300_000);
  uploader.close();
});

test('a send that only its receiver holds back waits for a limit, and ends with its link', async () => {
  const { uploader, order, send, buffers } = createBench();
  const link = new HeldLink('slow', order);
  uploader.pace(link, 1_000);
  send(link, 1);
  await turn();
  link.flush();
  uploader.pump();
  expect(uploader.facts(buffers)).toEqual({ readingCount: 0, sendingCount: 1, isHeldByLimit: true });
  uploader.drop(link);
  expect(buffers.takenCount).toBe(0);
  uploader.close();
});
