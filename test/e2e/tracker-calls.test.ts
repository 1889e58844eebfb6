/** The tracker hears of chunks with renewals, never chunk by chunk: calls grow with time, not with chunks. */
import { once } from 'node:events';
import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { createWorld, doneOf } from '../support/world.ts';

const MiB = 1024 * 1024;

/** Passes calls on to a tracker and notes what was called. */
async function openCountingProxy(trackerUrl: string): Promise<{ url: string; calls: string[]; server: Server }> {
  const calls: string[] = [];
  const server = createServer((incoming, outgoing) => {
    calls.push(incoming.url?.split('/').at(-1) ?? '');
    const { method, headers } = incoming;
    const passed = request(new URL(incoming.url ?? '/', trackerUrl), { method, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    });
    passed.on('error', () => outgoing.destroy());
    incoming.pipe(passed);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, calls, server };
}

test('a download calls the tracker as often for 4,096 chunks as for 256', async (context) => {
  const world = await createWorld(context);
  const tracker = await world.tracker();
  const counts: Record<string, number>[] = [];
  for (const [index, chunkSize] of ['256KiB', '16KiB'].entries()) {
    const file = await world.file('same.bin', 64 * MiB, 71, [`by-${chunkSize}`]);
    const source = await world.share(tracker, file.paths, ['--chunk-size', chunkSize]);
    const proxy = await openCountingProxy(tracker.url);
    context.onTestFinished(() => {
      proxy.server.closeAllConnections();
      proxy.server.close();
    });
    const get = world.get({ ...tracker, url: proxy.url }, file.name, ['-o', `${world.folder}/${index}/`]);
    const done = await doneOf(get);
    await get.ended();
    expect(done.peers.reduce((sum, { chunks }) => sum + chunks, 0)).toBe(index === 0 ? 256 : 4_096);
    // renewals and looking for peers come with time, and a machine may be slow
    const timed = proxy.calls.filter((call) => call === 'Renew' || call === 'Locate').length;
    expect(timed).toBeLessThanOrEqual(3 + done.seconds);
    const others: Record<string, number> = {};
    for (const call of proxy.calls) if (call !== 'Renew' && call !== 'Locate') others[call] = (others[call] ?? 0) + 1;
    counts.push(others);
    await source.process.end();
  }
  expect(counts[1]).toEqual(counts[0]);
  expect(counts[0]).toMatchObject({ Register: 1, Leave: 1 });
});
