import { describe, expect, it, test } from 'vitest';
import { LAN_SEARCH_REST_MS } from '../limits.ts';
import type { LanTracker } from '../net/lan-trackers.ts';
import type { NodeOptions } from '../peer/api.ts';
import { laterTrackers, type LanSearch } from './default-tracker.ts';
import { clientServices, FakeTerminal, runFake, trackerEntry } from './fixtures.ts';
import { Output } from './output.ts';
import type { Services } from './services.ts';

const A: LanTracker = { url: 'http://192.0.2.1:9000', name: 'lab-1:9000', isPrivate: false };
const B: LanTracker = { url: 'http://192.0.2.2:9000', name: 'lab-\u001b[31m2:9000', isPrivate: false };
const SECRET: LanTracker = { ...A, isPrivate: true };

/** A network with these trackers, and what was done on it. */
function network(
  found: readonly LanTracker[],
  isDefaultThere = false,
): { services: Partial<Services>; searches: () => number; asked: string[] } {
  let searches = 0;
  const asked: string[] = [];
  const { createTrackerClient } = clientServices({
    listFiles: () => Promise.resolve({ entries: [trackerEntry()], nextAfter: '' }),
  });
  const services: Partial<Services> = {
    lan: {
      isDefaultThere: () => Promise.resolve(isDefaultThere),
      findTrackers: () => Promise.resolve((searches++, found)),
    },
    createTrackerClient: (options) => {
      asked.push(options.urls.join());
      return createTrackerClient?.(options) ?? Promise.reject(new Error('none'));
    },
  };
  return { services, searches: () => searches, asked };
}

describe('a command that was told of no tracker', () => {
  it('uses the one that announces itself, and says which', async () => {
    const { services, asked } = network([A]);
    const { code, stderr } = runFake(['ls'], services);
    expect(await code).toBe(0);
    expect(asked).toEqual([A.url]);
    expect(stderr.text).toBe(
      'shoal: no tracker was named; found http://192.0.2.1:9000 (lab-1:9000) on this network and use it\n',
    );
  });

  it('says it with --json, too, beside the document', async () => {
    const { code, stdout, stderr } = runFake(['ls', '--json'], network([A]).services);
    expect(await code).toBe(0);
    expect(JSON.parse(stdout.text)).toHaveLength(1);
    expect(stderr.text).toContain('found http://192.0.2.1:9000');
  });

  it('names the others, and prints nothing that a stranger could have chosen for a terminal', async () => {
    const { services, asked } = network([A, B]);
    const { code, stderr } = runFake(['ls'], services);
    expect(await code).toBe(0);
    expect(asked).toEqual([A.url]);
    expect(stderr.text).toContain('--tracker chooses another: http://192.0.2.2:9000');
    expect(stderr.text).not.toContain('\u001b');
  });

  it('stays with the default where that is there, without a search', async () => {
    const { services, asked, searches } = network([A], true);
    expect(await runFake(['ls'], services).code).toBe(0);
    expect({ asked, searches: searches() }).toEqual({ asked: ['http://127.0.0.1:9000'], searches: 0 });
  });

  it('stays with the default where nothing is found, and says so', async () => {
    const { services, asked } = network([]);
    const { code, stderr } = runFake(['ls'], services);
    await code;
    expect(asked).toEqual(['http://127.0.0.1:9000']);
    expect(stderr.text).toContain('none announces itself on this network');
  });

  it('does not use a private one, and says what it takes', async () => {
    const { services, asked } = network([SECRET]);
    const { code, stderr } = runFake(['ls'], services);
    await code;
    expect(asked).toEqual(['http://127.0.0.1:9000']);
    expect(stderr.text).toContain('is private: it takes --tracker, and a token or a certificate');
  });
});

describe('a node that was told of no tracker', () => {
  const running = new AbortController().signal;

  it('looks again later, not sooner than after a rest, and says once what it found', async () => {
    const found: LanTracker[] = [];
    const { services, searches } = network(found);
    const stderr = new FakeTerminal();
    let nowMs = 5_000;
    const now = (): number => nowMs;
    const output = new Output({ stdout: new FakeTerminal(), stderr, env: {}, now });
    const findTracker = laterTrackers({ output, lan: services.lan as LanSearch, now });
    expect(await findTracker(running)).toBeUndefined();
    expect(searches()).toBe(0);
    nowMs += LAN_SEARCH_REST_MS;
    expect(await findTracker(running)).toBeUndefined();
    expect(searches()).toBe(1);
    found.push(SECRET, B);
    for (const count of [2, 3]) {
      expect(await findTracker(running)).toBeUndefined();
      nowMs += LAN_SEARCH_REST_MS;
      expect(await findTracker(running)).toBe(B.url);
      expect(searches()).toBe(count);
    }
    expect(stderr.text.match(/found http:\/\/192\.0\.2\.2:9000/gu)).toHaveLength(1);
  });

  it.each([
    ['is given a way to look', [], true],
    ['is given none where one is named', ['--tracker', 'http://192.0.2.9:9000'], false],
  ])('%s', async (_what, flags, isGiven) => {
    const made = Promise.withResolvers<NodeOptions>();
    const createNode: Services['createNode'] = (options) => {
      made.resolve(options);
      return Promise.reject(new Error('enough'));
    };
    await runFake(['get', 'big.bin', ...flags], { ...network([]).services, createNode }).code;
    expect((await made.promise).findTracker !== undefined).toBe(isGiven);
  });
});

test.each([
  ['a tracker', ['ls', '--tracker', 'http://192.0.2.9:9000']],
  ['a token, which a stranger must not be sent', ['ls', '--token', `${'ab'.repeat(16)}.${'cd'.repeat(16)}`]],
  ['--no-mdns', ['ls', '--no-mdns']],
  [
    'a line to complete that names a tracker',
    ['completion', 'names', '--', '--tracker', 'http://192.0.2.9:9000', 'get', 'b'],
  ],
  ['a wish for a script', ['completion', 'bash']],
])('nothing is looked for with %s', async (_what, args) => {
  const { services, searches } = network([A]);
  await runFake(args, services).code;
  expect(searches()).toBe(0);
});
