/** What those who watch see over real connections: every kind of event, and that a reader which is too slow hears that it missed some. */
import { createClient } from '@connectrpc/connect';
import { createGrpcWebTransport } from '@connectrpc/connect-node';
import type { FastifyInstance } from 'fastify';
import type { Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { TrackerService } from '../../contract/gen/shoal/v1/tracker_pb.ts';
import * as limits from '../../limits.ts';
import { createLog } from '../../log.ts';
import { createTrackerApp } from '../server.ts';
import { changeOf, claimOf, createBench, manifestOf, peerIdOf, type Bench } from '../test-fixtures.ts';

interface Seen {
  readonly id: number;
  readonly type: string;
  readonly data: Readonly<Record<string, unknown>>;
}

const big = manifestOf('big', 8);

let bench: Bench;
let app: FastifyInstance;
let url: string;
const sockets: Socket[] = [];

beforeEach(async () => {
  bench = await createBench();
  const log = createLog({ name: 'test', level: 'silent' });
  const closing = new AbortController().signal;
  app = await createTrackerApp({ registry: bench.registry, now: () => bench.clock.nowMs, log, closing });
  app.server.on('connection', (socket) => sockets.push(socket));
  url = await app.listen({ host: '127.0.0.1', port: 0 });
});
afterEach(async () => {
  app.server.closeAllConnections();
  sockets.length = 0;
  await app.close();
});

/** Server-sent events as they come; the reader takes from the connection only what it is asked for. */
async function* serverSent(signal: AbortSignal, query = ''): AsyncGenerator<Seen> {
  const response = await fetch(`${url}/events${query}`, { signal });
  if (!response.ok) throw new Error(((await response.json()) as { error: { message: string } }).error.message);
  let text = '';
  for await (const part of response.body ?? []) {
    text += Buffer.from(part).toString();
    const blocks = text.split('\n\n');
    text = blocks.pop() ?? '';
    for (const block of blocks) {
      if (block.startsWith(':')) {
        yield { id: 0, type: 'opened', data: {} };
        continue;
      }
      const field = (name: string): string => new RegExp(`^${name}: (.*)$`, 'mu').exec(block)?.[1] ?? '';
      yield { id: Number(field('id')), type: field('event'), data: JSON.parse(field('data')) as Seen['data'] };
    }
  }
}

/** What is said instead of events. */
async function refusal(events: AsyncGenerator<Seen>): Promise<string> {
  try {
    return JSON.stringify((await events.next()).value);
  } catch (error) {
    return String(error);
  }
}

/** What the query asks for, as a message. */
function watchRequest(query: string) {
  const asked = new URLSearchParams(query);
  return { types: asked.get('type')?.split(',') ?? [], afterId: BigInt(asked.get('after') ?? 0) };
}

async function* watched(signal: AbortSignal, query = ''): AsyncGenerator<Seen> {
  // padding that is packed would fill no connection
  const transport = createGrpcWebTransport({ baseUrl: url, httpVersion: '1.1', acceptCompression: [] });
  const client = createClient(TrackerService, transport);
  for await (const { id, type, data } of client.watch(watchRequest(query), { signal })) {
    const isOpening = type === 'watching';
    yield { id: Number(id), type: isOpening ? 'opened' : type, data: JSON.parse(data) as Seen['data'] };
  }
}

describe.each([
  ['GET /events', serverSent],
  ['Watch', watched],
])('%s', (_name, open) => {
  test('tells who joins and leaves, what is published, got, half got and who is banned', async () => {
    const stop = new AbortController();
    const events = open(stop.signal);
    expect((await events.next()).value).toMatchObject({ type: 'opened' });
    await bench.publish(bench.join(1), 'big.bin', big);
    bench.join(2, claimOf(big, []));
    bench.registry.renew(peerIdOf(2), [changeOf(big, { gained: [0, 1, 2, 3] })]);
    bench.registry.renew(peerIdOf(2), [changeOf(big, { complete: true })]);
    for (let number = 10; number < 10 + limits.REPORTERS_MIN; number++) {
      const accusation = { contentId: big.contentId, peerId: peerIdOf(2), offence: 'wrong-bytes' } as const;
      const address = { host: '10.0.0.1', port: 9002 };
      bench.join(number, claimOf(big, [0]));
      bench.registry.reportPeers(peerIdOf(number), [{ ...accusation, address }], { observedHost: `10.0.1.${number}` });
    }
    bench.registry.leave(peerIdOf(1));

    const seen: Seen[] = [];
    for (let type = ''; type !== 'peer-left';) {
      const event = (await events.next()).value as Seen;
      seen.push(event);
      ({ type } = event);
    }
    expect(seen.filter(({ data }) => [peerIdOf(1), peerIdOf(2), undefined].includes(data['peer'] as string))).toEqual([
      expect.objectContaining({ type: 'peer-joined', data: expect.objectContaining({ peer: peerIdOf(1) }) }),
      expect.objectContaining({ type: 'entry-published', data: expect.objectContaining({ name: 'big.bin' }) }),
      expect.objectContaining({ type: 'peer-joined', data: expect.objectContaining({ peer: peerIdOf(2) }) }),
      expect.objectContaining({ type: 'milestone', data: expect.objectContaining({ percent: 50 }) }),
      expect.objectContaining({ type: 'content-complete', data: expect.objectContaining({ peer: peerIdOf(2) }) }),
      expect.objectContaining({ type: 'peer-banned', data: expect.objectContaining({ peer: peerIdOf(2) }) }),
      expect.objectContaining({ type: 'peer-left', data: expect.objectContaining({ reason: 'left' }) }),
    ]);
    stop.abort();
  });

  test('a reader that takes nothing has little kept for it, and hears later that it missed some', async () => {
    const stop = new AbortController();
    const events = open(stop.signal);
    expect((await events.next()).value).toMatchObject({ type: 'opened' });
    const { events: log } = bench.registry;
    const firstId = log.lastId + 1;
    const padding = 'x'.repeat(64 * 1024);
    const [socket] = sockets;
    // until the connection takes no more
    let appended = 0;
    for (let still = 0; still < 50 && appended < limits.EVENT_HISTORY_MAX; appended++) {
      log.append('milestone', { padding });
      await turn();
      still = socket?.writableNeedDrain === true ? still + 1 : 0;
    }
    expect(socket?.writableNeedDrain).toBe(true);
    for (let count = 0; count <= limits.EVENT_HISTORY_MAX; count++) log.append('milestone', {});
    await turn();
    expect(socket?.writableLength).toBeLessThan(4 * padding.length);

    const ids: number[] = [];
    let missed: Seen | undefined;
    for (let id = 0; id < log.lastId;) {
      const event = (await events.next()).value as Seen;
      ({ id } = event);
      if (event.type === 'missed') missed = event;
      else ids.push(id);
    }
    stop.abort();
    // it has all until a gap, then word of the gap, then all that is still kept
    const resumesAfter = Number(missed?.data['resumesAfter']);
    const before = ids.filter((id) => id <= resumesAfter);
    expect(before).toEqual(before.map((_, at) => firstId + at));
    expect(before.length).toBeLessThan(appended);
    expect(ids.slice(before.length)).toEqual(
      Array.from({ length: limits.EVENT_HISTORY_MAX }, (_, at) => resumesAfter + 1 + at),
    );
  });

  test('whoever asks for some types of event gets those, and word of what it missed', async () => {
    const stop = new AbortController();
    const events = open(stop.signal, '?type=peer-left,entry-published&after=1');
    const types: string[] = [];
    for (const act of [
      async () => undefined,
      async () => undefined,
      async () => bench.publish(bench.join(1), 'big.bin', big),
      async () => bench.registry.leave(peerIdOf(1)),
    ]) {
      await act();
      types.push(((await events.next()).value as Seen).type);
    }
    expect(types).toEqual(['opened', 'missed', 'entry-published', 'peer-left']);
    stop.abort();
  });

  test('a type that is none is refused by name', async () => {
    const events = open(new AbortController().signal, '?type=peer-left,peer-vanished');
    await expect(refusal(events)).resolves.toContain('"peer-vanished" is not a type of event');
  });
});

test('whoever watches for what does not happen gets signs of life while other things do', async () => {
  const stop = new AbortController();
  const { events: log } = bench.registry;
  const types = new Set(['peer-banned'] as const);
  const events = log.watch({ afterId: 0, signal: stop.signal, types, silenceMs: 1_000 });
  const next = events.next();
  for (let second = 0; second < 3; second++) {
    bench.clock.nowMs += 600;
    log.append('milestone', {});
  }
  expect(await next).toEqual({ done: false, value: undefined });
  stop.abort();
});
