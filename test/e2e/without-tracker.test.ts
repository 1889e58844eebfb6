/** Peers find each other through one address, with no tracker at all; and a tracker that forbids it is heard. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { sha256OfFile } from '../support/contents.ts';
import { createWorld, doneOf } from '../support/world.ts';

const NEWCOMERS = 12;
const NOBODY = 'http://127.0.0.1:9';

test('newcomers that know one address, and no tracker, find the whole swarm and finish', async (context) => {
  const world = await createWorld(context);
  const tracker = await world.tracker();
  const file = await world.file('class-room.bin', 16 * 1024 * 1024, 3);
  const share = await world.share(tracker, [file.paths[0] ?? ''], ['--limit-up', '6M']);
  const shared = await share.process.event('shared');
  const content = String(shared['content']);
  // from here on there is no tracker
  await tracker.process.end();

  const gets = [];
  for (let index = 0; index < NEWCOMERS; index++) {
    const folder = await world.dir(`newcomer-${index}`);
    const flags = ['-o', join(folder, 'class-room.bin'), '--from', share.address, '--limit-up', '6M', '--seed'];
    gets.push(world.get({ url: NOBODY, process: tracker.process }, content, flags));
  }
  const done = await Promise.all(gets.map((get) => doneOf(get, 80_000)));
  for (const [index, one] of done.entries()) {
    expect(one.sha256).toBe(file.sha256);
    expect(await sha256OfFile(join(world.folder, `newcomer-${index}`, 'class-room.bin'))).toBe(file.sha256);
    // the one address it knew is one of many that it was served by
    expect(one.peers.length).toBeGreaterThanOrEqual(4);
  }
  for (const get of gets) expect(get.events.filter(({ event }) => event.event === 'peer-banned')).toEqual([]);
});

test('a tracker started with --no-peer-exchange says so to every peer that registers', async (context) => {
  const world = await createWorld(context);
  const register = async (url: string): Promise<unknown> => {
    const answer = await fetch(`${url}/shoal.v1.TrackerService/Register`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ peerId: Buffer.alloc(16, 7).toString('base64'), addresses: [{ host: '', port: 1 }] }),
    });
    return ((await answer.json()) as { peerExchangeOff?: boolean }).peerExchangeOff ?? false;
  };
  const open = await world.tracker();
  const closed = await world.tracker(['--port', '0', '--store', 'memory', '--no-peer-exchange']);
  expect(await register(open.url)).toBe(false);
  expect(await register(closed.url)).toBe(true);
});
