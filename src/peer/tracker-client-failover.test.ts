import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { createFailover, type Failover, type FailoverOptions } from './tracker-client-failover.ts';

const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

interface PlayedTracker {
  readonly url: string;
  readonly calls: () => number;
  stop(): Promise<void>;
}

/** Answers every call with an empty message. */
async function startTracker(): Promise<PlayedTracker> {
  let calls = 0;
  const server: Server = createServer((_request, response) => {
    calls++;
    response.setHeader('content-type', 'application/proto').end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const stop = async (): Promise<void> => {
    server.closeAllConnections();
    if (server.listening) await new Promise((resolve) => server.close(resolve));
  };
  ends.push(stop);
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, calls: () => calls, stop };
}

async function deadUrl(): Promise<string> {
  const tracker = await startTracker();
  await tracker.stop();
  return tracker.url;
}

function failoverOf(options: Partial<FailoverOptions>): Failover {
  const failover = createFailover({ urls: [], timeoutMs: 5_000, ...options });
  ends.unshift(() => Promise.resolve(failover.close()));
  return failover;
}

test('the next of the list is called when one does not answer, and first from then on', async () => {
  const [dead, second] = [await deadUrl(), await startTracker()];
  const failover = failoverOf({ urls: [dead, second.url] });
  await failover.call('leave', {});
  expect({ url: failover.url, calls: second.calls() }).toEqual({ url: second.url, calls: 1 });
});

test('while none of the list answers, one that is found is called, and the next that is found takes its place', async () => {
  const dead = await deadUrl();
  const [first, second] = [await startTracker(), await startTracker()];
  let there: PlayedTracker | undefined;
  let searches = 0;
  const failover = failoverOf({ urls: [dead], findTracker: () => Promise.resolve((searches++, there?.url)) });
  await expect(failover.call('leave', {})).rejects.toMatchObject({ code: 'tracker-unreachable' });

  there = first;
  await failover.call('leave', {});
  await failover.call('leave', {});
  expect({ url: failover.url, calls: first.calls(), searches }).toEqual({ url: first.url, calls: 2, searches: 2 });

  await first.stop();
  await expect(failover.call('leave', {})).rejects.toThrow(first.url);
  there = second;
  await failover.call('leave', {});
  expect({ url: failover.url, calls: second.calls() }).toEqual({ url: second.url, calls: 1 });
});

test('nothing is searched for while one answers', async () => {
  const tracker = await startTracker();
  const failover = failoverOf({ urls: [tracker.url], findTracker: () => Promise.reject(new Error('searched')) });
  await failover.call('leave', {});
  expect(tracker.calls()).toBe(1);
});

test('a call that is given up during the search is cancelled', async () => {
  const giveUp = new AbortController();
  const failover = failoverOf({
    urls: [await deadUrl()],
    findTracker: (signal) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason as Error));
        giveUp.abort();
      }),
  });
  await expect(failover.call('leave', {}, giveUp.signal)).rejects.toMatchObject({ code: 'cancelled' });
});
