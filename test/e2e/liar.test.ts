import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createChunkLayout } from '../../src/content/chunk-layout.ts';
import { parseContentId } from '../../src/content/digest.ts';
import { createTrackerClient } from '../../src/peer/tracker-client.ts';
import { sha256OfFile } from '../support/contents.ts';
import { startLiar } from '../support/liar.ts';
import { createWorld, doneOf } from '../support/world.ts';

test('a peer that sends wrong bytes is banned by name, and the file is right all the same', async (context) => {
  const world = await createWorld(context);
  const tracker = await world.tracker();
  const file = await world.file('wanted.bin', 24 * 1024 * 1024, 7);
  const share = await world.share(tracker, file.paths, ['--limit-up', '20M']);
  const shared = await share.process.event('shared');
  const contentId = parseContentId(String(shared['content']));

  const liar = await startLiar(contentId, createChunkLayout(file.size));
  context.onTestFinished(() => liar.close());
  const client = createTrackerClient({ urls: [tracker.url] });
  context.onTestFinished(() => client.close());
  await client.register({
    peerId: liar.peerId,
    addresses: [{ host: liar.host, port: liar.port }],
    dialects: ['native'],
    agent: 'liar/1',
    holdings: [{ contentId }],
  });

  const get = world.get(tracker, 'wanted.bin', ['-o', `${world.folder}/`]);
  const done = await doneOf(get);
  expect((await get.ended()).code).toBe(0);
  expect(liar.liesTold).toBeGreaterThan(0);
  const banned = get.events.filter(({ event }) => event.event === 'peer-banned');
  expect(banned.map(({ event }) => event)).toEqual([
    { event: 'peer-banned', address: liar.address, reason: expect.stringMatching(/\w+ \w+/u) },
  ]);
  expect(done.peers.map(({ peer }) => peer)).toEqual([share.peer]);
  expect(done.sha256).toBe(file.sha256);
  expect(await sha256OfFile(join(world.folder, 'wanted.bin'))).toBe(file.sha256);
});
