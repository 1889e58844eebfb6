import { join } from 'node:path';
import { expect, test, type TestContext } from 'vitest';
import { createChunkLayout } from '../../src/content/chunk-layout.ts';
import { parseContentId } from '../../src/content/digest.ts';
import { REPORTERS_MIN } from '../../src/limits.ts';
import { createTrackerClient, type TrackerClient, type TrackerNews } from '../../src/peer/tracker-client.ts';
import { sha256OfFile } from '../support/contents.ts';
import { within } from '../support/deadline.ts';
import { startLiar, type Lie, type Liar, type LiarOptions } from '../support/liar.ts';
import { restGet } from '../support/rest.ts';
import type { ShoalProcess } from '../support/processes.ts';
import { createWorld, doneOf, type StartedShare, type StartedTracker, type World } from '../support/world.ts';

const MiB = 1024 * 1024;

interface Scene {
  readonly world: World;
  readonly tracker: StartedTracker;
  readonly share: StartedShare;
  readonly liar: Liar;
  readonly client: TrackerClient;
  readonly sha256: string;
}

interface SceneOptions extends LiarOptions {
  readonly size?: number;
  readonly shareFlags?: readonly string[];
  readonly chunkSize?: number;
}

/** An honest source of `wanted.bin` that is not fast, and a liar that the tracker takes for another. */
async function createScene(context: TestContext, options: SceneOptions = {}): Promise<Scene> {
  const { size = 24 * MiB, shareFlags = ['--limit-up', '20M'], chunkSize } = options;
  const world = await createWorld(context);
  const tracker = await world.tracker();
  const file = await world.file('wanted.bin', size, 7);
  const share = await world.share(tracker, file.paths, shareFlags);
  const contentId = parseContentId(String((await share.process.event('shared'))['content']));
  const liar = await startLiar(contentId, createChunkLayout(size, chunkSize), options);
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
  return { world, tracker, share, liar, client, sha256: file.sha256 };
}

// side by side: honest sources are limited so that the liar is asked, and that is waited for
function bansOf(get: ShoalProcess): readonly unknown[] {
  return get.events.filter(({ event }) => event.event === 'peer-banned').map(({ event }) => event);
}

test.concurrent('a peer that sends wrong bytes is banned by name, and the file is right all the same', async (context) => {
  const { world, tracker, share, liar, sha256 } = await createScene(context);
  const get = world.get(tracker, 'wanted.bin', ['-o', `${world.folder}/`]);
  const done = await doneOf(get);
  expect((await get.ended()).code).toBe(0);
  expect(liar.liesTold).toBeGreaterThan(0);
  expect(bansOf(get)).toEqual([
    { event: 'peer-banned', address: liar.address, reason: expect.stringMatching(/\w+ \w+/u) },
  ]);
  expect(done.peers.map(({ peer }) => peer)).toEqual([share.peer]);
  expect(done.sha256).toBe(sha256);
  expect(await sha256OfFile(join(world.folder, 'wanted.bin'))).toBe(sha256);
});

test.concurrent('a liar that several report is named to nobody any more, and the tracker tells those who watch', async (context) => {
  const { world, tracker, share, liar, client } = await createScene(context);
  const watched = new AbortController();
  context.onTestFinished(() => watched.abort());
  const banned = Promise.withResolvers<TrackerNews>();
  const watch = async (): Promise<void> => {
    for await (const news of client.watch({ signal: watched.signal }))
      if (news.type === 'peer-banned') banned.resolve(news);
  };
  watch().catch((error: unknown) => banned.reject(error));
  const events = await fetch(`${tracker.url}/events`, { signal: watched.signal });

  const sources = async (): Promise<readonly string[]> => {
    const { json: body } = await restGet(tracker.url, '/file/wanted.bin');
    return (body as { peers: { peer: string }[] }).peers.map(({ peer }) => peer);
  };
  expect((await sources()).toSorted()).toEqual([share.peer, liar.peerId].toSorted());
  for (let reporter = 0; reporter < REPORTERS_MIN; reporter++) {
    const get = world.get(tracker, 'wanted.bin', ['-o', `${world.folder}/got-${reporter}/`]);
    await doneOf(get);
    expect((await get.ended()).code).toBe(0);
    expect(bansOf(get)).toHaveLength(1);
  }
  const news = await within(banned.promise, 10_000, () => 'the event peer-banned');
  expect(news.data).toMatchObject({ peer: liar.peerId, address: liar.address, reason: 'wrong-bytes' });
  const reader = events.body?.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  while (!text.includes('event: peer-banned')) text += (await reader?.read())?.value ?? '';
  expect(await sources()).toEqual([share.peer]);
  const { json: body } = await restGet(tracker.url, '/peers');
  const row = (body as { peer: string; banned: boolean }[]).find(({ peer }) => peer === liar.peerId);
  expect(row).toMatchObject({ banned: true, state: 'online' });

  const told = liar.liesTold;
  const get = world.get(tracker, 'wanted.bin', ['-o', `${world.folder}/late/`]);
  await doneOf(get);
  expect(bansOf(get)).toEqual([]);
  expect(liar.liesTold).toBe(told);
});

const LIES: readonly (readonly [Lie, string])[] = [
  ['wrong-map', 'a map of chunks of another length'],
  ['refuses', 'chunks that it claims and then refuses'],
];
for (const [lie, what] of LIES)
  test.concurrent(`${what}: banned by name, and the file is right`, async (context) => {
    const { world, tracker, share, liar, sha256 } = await createScene(context, {
      lie,
      shareFlags: ['--limit-up', '6M'],
    });
    const get = world.get(tracker, 'wanted.bin', ['-o', `${world.folder}/`]);
    await get.event('peer-banned', 60_000);
    expect(bansOf(get)).toEqual([{ event: 'peer-banned', address: liar.address, reason: expect.any(String) }]);
    expect(liar.liesTold).toBeGreaterThan(0);
    await share.process.end();
    await world.share(tracker, [join(world.folder, 'shared')]);
    const done = await doneOf(get, 60_000);
    expect(done.sha256).toBe(sha256);
    expect(await sha256OfFile(done.path)).toBe(sha256);
  });

test.concurrent('a manifest that is not that of the content: banned by name, and the next peer is asked', async (context) => {
  const chunkSize = 16 * 1024;
  // too large for the tracker's own answer, so that peers are asked
  const manifestBytes = new Uint8Array(100_000).fill(7);
  const { world, tracker, share, liar, sha256 } = await createScene(context, {
    size: 48 * MiB,
    chunkSize,
    manifestBytes,
    shareFlags: ['--chunk-size', String(chunkSize), '--limit-up', '60M'],
  });
  const get = world.get(tracker, 'wanted.bin', ['-o', `${world.folder}/`, '--from', liar.address]);
  const done = await doneOf(get);
  expect(bansOf(get)).toEqual([
    { event: 'peer-banned', address: liar.address, reason: expect.stringContaining('manifest') },
  ]);
  expect(done.peers.map(({ peer }) => peer)).toEqual([share.peer]);
  expect(await sha256OfFile(done.path)).toBe(sha256);
});
