/** A tracker that is asked to end: what it has begun it finishes, those who watch are told, nobody new comes in, and peers go on. */
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { TrackerService } from '../../src/contract/gen/shoal/v1/tracker_pb.ts';
import { eventually } from '../support/deadline.ts';
import { startRedis } from '../support/redis.ts';
import { restGet, restPost, type PeerRow } from '../support/rest.ts';
import { need, REDIS_SERVER } from '../support/system-packages.ts';
import { createWorld, doneOf, type StartedTracker } from '../support/world.ts';

async function dial({ url }: StartedTracker): Promise<Socket> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  await once(socket, 'connect');
  return socket;
}

const FILES = '{"ip":"192.0.2.7","port":7001,"files":[{"name":"half.bin","size":1,"sha256":"ab"}]}';

/** An announcement whose body has not come yet. */
const announceHead = (host: string): string =>
  `POST /announce HTTP/1.1\r\nhost: ${host}\r\ncontent-type: application/json\r\ncontent-length: ${FILES.length}\r\n\r\n`;

test('calls that have begun are answered, streams end with a last word, new calls are refused, and the process ends with 0', async (context) => {
  const world = await createWorld(context);
  const data = await world.dir('data');
  const tracker = await world.tracker(['--port', '0', '--data', data]);
  const host = new URL(tracker.url).host;

  const [begun, kept, slow] = await Promise.all([dial(tracker), dial(tracker), dial(tracker)]);
  begun.write(announceHead(host) + FILES.slice(0, 10));
  slow.write(announceHead(host)); // and never the rest
  const slowEnd = once(slow.resume(), 'close');
  kept.write(`GET /healthz HTTP/1.1\r\nhost: ${host}\r\n\r\n`);
  await once(kept, 'data');

  const sent = await fetch(`${tracker.url}/events`);
  const events = sent.text();
  const watching = createClient(TrackerService, createGrpcTransport({ baseUrl: tracker.url })).watch({});
  const watched: string[] = [];
  const watch = (async () => {
    for await (const { type } of watching) watched.push(type);
  })();
  await eventually(async () => watched.length > 0, 'it watches');
  await restPost(tracker.url, '/announce', { ip: '192.0.2.1', port: 1, files: [] });

  tracker.process.kill('SIGTERM');
  // both streams end by themselves and without an error, and the last they say is that the tracker ends
  const blocks = (await events).trim().split('\n\n');
  expect(blocks.at(-1)).toMatch(/^id: \d+\nevent: closing\ndata: \{"type":"closing","at":"[^"]+"\}$/u);
  expect(blocks.at(-2)).toContain('event: peer-joined');
  await watch;
  expect(watched).toEqual(['watching', 'peer-joined', 'closing']);

  await expect(restGet(tracker.url, '/healthz')).rejects.toThrow('fetch failed');
  begun.write(FILES.slice(10));
  const answer = await text(begun);
  expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n/u);
  expect(answer).toMatch(/\{"ok":true\}$/u);
  await slowEnd;
  expect(await tracker.process.ended(20_000)).toEqual({ code: 0, signal: null });
  expect(tracker.process.stderr).not.toContain('error');

  // what was answered is there
  const again = await world.tracker(['--port', '0', '--data', data]);
  expect((await restGet(again.url, '/files?all=true')).json).toMatchObject([{ name: 'half.bin' }]);
});

test('peers of a tracker that is asked to end go over to the other one in the middle of a transfer', async (context) => {
  need(context, REDIS_SERVER);
  const node = await startRedis(context);
  const world = await createWorld(context);
  const flags = ['--port', '0', '--store', node.url];
  const [a, b] = [await world.tracker(flags), await world.tracker(flags)];
  const both = { ...a, url: `${a.url},${b.url}` };
  const file = await world.file('drained.bin', 6_000_000, 7);
  const shared = await world.share(both, [file.paths[0] ?? ''], ['--limit-up', '3M']);
  const got = world.get(both, file.name, ['-o', `${await world.dir('got')}/`]);
  await got.eventWhere(({ event, bytes }) => event === 'progress' && Number(bytes) > 300_000, 'it is under way');
  expect(await a.process.end('SIGTERM')).toEqual({ code: 0, signal: null });

  expect(await doneOf(got)).toMatchObject({ sha256: file.sha256 });
  expect(await got.ended()).toEqual({ code: 0, signal: null });
  await eventually(async () => {
    const rows = (await restGet(b.url, '/peers?state=online')).json as PeerRow[];
    return rows.some(({ peer, complete }) => peer === shared.peer && complete === 1);
  }, 'the one that shares is at the other tracker');
  const late = world.get(both, file.name, ['-o', `${await world.dir('late')}/`]);
  expect(await doneOf(late)).toMatchObject({ sha256: file.sha256 });
  for (const { events, stderr } of [shared.process, got, late]) {
    expect(events.filter(({ event: { event } }) => event === 'error')).toEqual([]);
    expect(stderr).not.toMatch(/error/iu);
  }
});

test('peers of the only tracker wait for the next one without an error', async (context) => {
  const world = await createWorld(context);
  const data = await world.dir('data');
  const tracker = await world.tracker(['--port', '0', '--data', data]);
  const { port } = new URL(tracker.url);
  const file = await world.file('waits.bin', 300_000, 8);
  const shared = await world.share(tracker, [file.paths[0] ?? '']);
  expect(await tracker.process.end('SIGTERM')).toEqual({ code: 0, signal: null });
  const again = await world.tracker(['--port', port, '--data', data]);
  await eventually(async () => {
    const rows = (await restGet(again.url, '/peers?state=online')).json as PeerRow[];
    return rows.some(({ peer, complete }) => peer === shared.peer && complete === 1);
  }, 'it is there again');
  expect(shared.process.exit).toBeUndefined();
  expect(shared.process.events.filter(({ event: { event } }) => event === 'error')).toEqual([]);
  expect(await doneOf(world.get(again, file.name, ['-o', `${await world.dir('got')}/`]))).toMatchObject({
    sha256: file.sha256,
  });
});
