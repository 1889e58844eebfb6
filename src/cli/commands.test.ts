import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Bitfield } from '../content/bitfield.ts';
import { ShoalError } from '../errors.ts';
import { REPLICA_GONE_MS } from '../limits.ts';
import { SHARED_LINES_MAX } from '../limits.ts';
import type { GetOptions, GetResult, ShareOptions } from '../peer/api.ts';
import type { Located, TrackerSource } from '../peer/tracker-client.ts';
import { VERSION } from '../version.ts';
import {
  clientServices,
  fakeNode,
  getProgress,
  getResult,
  manifestOf,
  nodeServices,
  runFake,
  trackerEntry,
} from './fixtures.ts';
import { COMMANDS } from './program.ts';
import type { NodeStatus } from '../peer/api.ts';
import type { RunningNode } from '../peer/control-client.ts';
import type { Services } from './services.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shoal-cli-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('help and usage', () => {
  it.each(Object.entries(COMMANDS))(
    '%s explains itself with an example and the options of all commands',
    async (name, entry) => {
      const { stdout, stderr, code } = runFake([name, '--help']);
      expect(await code).toBe(0);
      expect(stdout.text).toContain(`Usage: shoal ${name}`);
      expect(stdout.text.replace(/\s+/g, ' ')).toContain(entry.summary);
      expect(stdout.text).toMatch(/Examples:\n {2}shoal /);
      expect(stdout.text).toContain('--tracker <url>');
      expect(stderr.text).toBe('');
    },
  );

  it('the program lists every command and every exit code', async () => {
    const { stdout, code } = runFake(['--help']);
    expect(await code).toBe(0);
    for (const name of Object.keys(COMMANDS)) expect(stdout.text).toMatch(new RegExp(`^ {2}${name} `, 'm'));
    for (const exit of [0, 1, 2, 3, 4, 5, 6, 7, 8, 130]) expect(stdout.text).toMatch(new RegExp(`\\b${exit} [a-z]`));
  });

  it('the version is that of the package', async () => {
    const { stdout, code } = runFake(['--version']);
    expect(await code).toBe(0);
    expect(stdout.text).toBe(`${VERSION}\n`);
  });

  it.each([
    [['gte', 'x'], "unknown command 'gte'"],
    [['get'], "missing required argument 'what'"],
    [['get', 'x', '--nope'], "unknown option '--nope'"],
    [['get', 'x', 'y'], 'one name too many'],
    [['get', 'x', '--limit-up', 'fast'], 'is not a rate'],
    [['get', 'x', '--sha256', 'abc'], 'is not a SHA-256'],
    [['get', 'x', '--from', 'nowhere'], 'is not the address of a peer'],
    [['ls', '--tracker', 'ftp://x'], 'is not the URL of a tracker'],
    [['tracker', '--port', '70000'], 'is not a port'],
    [['tracker', '--store', 'paper'], 'It takes sqlite, memory, or valkey://host:port'],
    [['tracker', '--store-replicas', 'many'], 'It takes auto or a number up to 16'],
    [['tracker', '--store-replicas', '17'], 'It takes auto or a number up to 16'],
    [['tracker', '--store', 'memory', '--store-replicas', '1'], 'is about a store that several trackers share'],
    [['share', '.', '--chunk-size', '256KB'], 'is no size for chunks'],
    [['share', './does-not-exist'], './does-not-exist does not exist'],
    [['verify', './does-not-exist'], './does-not-exist does not exist'],
  ])('%j ends with 2 and says why', async (args, message) => {
    const plain = runFake(args);
    expect(await plain.code).toBe(2);
    expect(plain.stderr.text).toContain(message);
    expect(plain.stderr.text).toMatch(/^shoal: /);
    expect(plain.stdout.text).toBe('');
    const json = runFake([...args, '--json']);
    expect(await json.code).toBe(2);
    expect(json.stdout.events).toEqual([
      { event: 'error', code: 'usage', message: expect.stringContaining(message) as string, exit: 2 },
    ]);
  });

  it('a complaint about arguments comes with the usage of that very command', async () => {
    const get = runFake(['get']);
    await get.code;
    expect(get.stderr.text).toContain('       usage: shoal get [options] <what>\n');
    const below = runFake(['tracker', 'start']);
    await below.code;
    expect(below.stderr.text).toContain('       usage: shoal tracker start [options] <host> <port>\n');
  });

  it('help of a command is its --help, and of an unknown one a complaint', async () => {
    const asked = runFake(['help', 'peer', 'download']);
    const flag = runFake(['peer', 'download', '--help']);
    expect(await asked.code).toBe(0);
    expect(await flag.code).toBe(0);
    expect(asked.stdout.text).toBe(flag.stdout.text);
    const unknown = runFake(['help', 'foo']);
    expect(await unknown.code).toBe(2);
    expect(unknown.stdout.text).toBe('');
    expect(unknown.stderr.text).toMatch(/^shoal: unknown command 'foo'\n/);
  });

  it('no command at all is shown the help and ends with 2', async () => {
    const { stderr, code } = runFake([]);
    expect(await code).toBe(2);
    expect(stderr.text).toContain('Usage: shoal');
  });

  it('what nobody foresaw is one sentence, not a stack', async () => {
    const { stderr, code } = runFake(
      ['ls'],
      clientServices({ listFiles: () => Promise.reject(new TypeError('x is not a function')) }),
    );
    expect(await code).toBe(1);
    expect(stderr.text).toContain('shoal: x is not a function\n');
    expect(stderr.text).toContain('SHOAL_LOG=debug');
    expect(stderr.text).not.toContain(' at ');
  });
});

function getToStdout(options: GetOptions): Promise<GetResult> {
  options.onProgress?.(getProgress());
  return Promise.resolve(getResult({ path: '-' }));
}

describe('get', () => {
  it('tells what came from whom, then that the whole is verified', async () => {
    const { node, closeCount } = fakeNode({ get: () => Promise.resolve(getResult()) });
    const { stdout, stderr, code } = runFake(['get', 'big3.bin'], nodeServices(node).services);
    expect(await code).toBe(0);
    expect(stdout.lines).toEqual([
      '✔ 1536 chunks (1.5 GiB) from 127.0.0.1:9001 in 3.22 s',
      '✔ big3.bin verified',
      `  sha256 ${'ab'.repeat(32)}`,
      '  1.5 GiB in 3.22 s (500 MB/s) to /tmp/big3.bin',
    ]);
    expect(stderr.text).toBe('');
    expect(closeCount()).toBe(1);
  });

  it('says what an earlier run had fetched', async () => {
    const { node } = fakeNode({ get: () => Promise.resolve(getResult({ resumedBytes: 2 ** 29 })) });
    const { stdout, code } = runFake(['get', 'big3.bin'], nodeServices(node).services);
    expect(await code).toBe(0);
    expect(stdout.lines[0]).toBe('✔ 512 MiB kept from an earlier run');
  });

  it('hands its options to the node', async () => {
    let seen: GetOptions | undefined;
    const { node } = fakeNode({
      get: (options) => {
        seen = options;
        return Promise.resolve(getResult());
      },
    });
    const { services, options } = nodeServices(node);
    const flags = [
      '--single',
      '--sequential',
      '--stall-timeout',
      '5',
      '--limit-down',
      '60M',
      '--listen',
      '127.0.0.1:0',
    ];
    const shared = ['--tracker', 'http://a:1,http://b:2', '--token', 'one-secret'];
    const from = ['--from', '192.0.2.1:1', '192.0.2.2:2', '--from', '192.0.2.3:3'];
    expect(await runFake(['get', 'x@3fa9', '-o', 'dir/', ...flags, ...shared, ...from], services).code).toBe(0);
    expect(seen).toMatchObject({
      what: 'x@3fa9',
      output: 'dir/',
      single: true,
      sequential: true,
      stallTimeoutMs: 5000,
    });
    expect(new Set(seen?.from)).toEqual(new Set(['192.0.2.1:1', '192.0.2.2:2', '192.0.2.3:3']));
    expect(options[0]).toMatchObject({
      trackerUrls: ['http://a:1', 'http://b:2'],
      token: 'one-secret',
      listen: { host: '127.0.0.1', port: 0 },
      limitDown: 60e6,
      dataDir: undefined,
    });
  });

  it('with --json ends its progress with all bytes, then says done', async () => {
    const { node } = fakeNode({
      get: (options) => {
        options.onProgress?.(getProgress({ bytes: 10 }));
        options.onPeerBanned?.({ address: '192.0.2.9:1', reason: 'bad-chunk' });
        return Promise.resolve(getResult({ size: 1000 }));
      },
    });
    const { stdout, stderr, code } = runFake(['get', 'big3.bin', '--json'], nodeServices(node).services);
    expect(await code).toBe(0);
    expect(stdout.events.map(({ event }) => event)).toEqual(['progress', 'peer-banned', 'progress', 'done']);
    expect(stdout.events[2]).toMatchObject({ bytes: 1000, total: 1000, etaSeconds: 0 });
    expect(stderr.text).toBe('');
  });

  it('with -o - leaves standard output to the file', async () => {
    for (const json of [[], ['--json']]) {
      const { stdout, stderr, code } = runFake(
        ['get', 'big3.bin', '-o', '-', ...json],
        nodeServices(fakeNode({ get: getToStdout }).node).services,
      );
      expect(await code).toBe(0);
      expect(stdout.text).toBe('');
      expect(stderr.text).toContain(json.length === 0 ? '✔ big3.bin verified' : '"event":"done"');
    }
  });

  it.each([
    ['no-such-name', 3],
    ['no-source', 4],
    ['stalled', 4],
    ['integrity', 5],
    ['tracker-unreachable', 6],
    ['not-allowed', 7],
    ['no-space', 8],
  ] as const)('ends a download that fails with %s with exit code %d', async (errorCode, exit) => {
    const error = new ShoalError(errorCode, 'this is why', { hint: 'do that' });
    const { node, closeCount } = fakeNode({ get: () => Promise.reject(error) });
    const { stdout, stderr, code } = runFake(['get', 'x', '--json'], nodeServices(node).services);
    expect(await code).toBe(exit);
    expect(stdout.events).toEqual([{ event: 'error', code: errorCode, message: 'this is why', exit }]);
    expect(stderr.text).toBe('shoal: this is why\n       do that\n');
    expect(closeCount()).toBe(1);
  });

  it('when interrupted closes the node, ends with 130 and says what is kept', async () => {
    const { node, closeCount } = fakeNode({
      get: ({ signal }) =>
        new Promise((_resolve, reject) =>
          signal?.addEventListener('abort', () =>
            reject(
              new ShoalError('cancelled', 'the download of x was interrupted', { hint: 'the partial file is kept' }),
            ),
          ),
        ),
    });
    const { stderr, interrupt, code } = runFake(['get', 'x'], {
      createNode: () => {
        setImmediate(() => interrupt.raise('SIGINT'));
        return Promise.resolve(node);
      },
    });
    expect(await code).toBe(130);
    expect(stderr.text).toContain('the partial file is kept');
    expect(closeCount()).toBe(1);
  });
});

describe('share', () => {
  it('tells where it listens, what it shares, and when all is announced; then waits', async () => {
    await writeFile(join(folder, 'a.bin'), 'abc');
    const manifest = manifestOf(new Uint8Array(20_000));
    const share = (_paths: readonly string[], options?: ShareOptions): Promise<void> => {
      options?.onProgress?.({ filesTotal: 1, filesDone: 0, bytesTotal: 3, bytesDone: 0 });
      options?.onShared?.({ name: 'a.bin', path: 'a.bin', manifest });
      options?.onProblem?.('b.bin', 'it cannot be read');
      return Promise.resolve();
    };
    const { node, closeCount } = fakeNode({ share });
    const json = runFake(['share', folder, '--json', '--data', '/d', '--advertise', 'h'], nodeServices(node).services);
    await json.stdout.shows(/"ready"/);
    json.interrupt.raise('SIGTERM');
    expect(await json.code).toBe(0);
    expect(json.stdout.events).toEqual([
      { event: 'listening', address: '127.0.0.1:9001', peer: node.peerId },
      { event: 'shared', name: 'a.bin', size: 20_000, sha256: manifest.sha256, content: manifest.contentId },
      { event: 'problem', path: 'b.bin', message: 'it cannot be read' },
      { event: 'ready' },
    ]);
    expect(closeCount()).toBe(1);

    const human = runFake(['share', folder], nodeServices(node).services);
    await human.stdout.shows(/Ctrl\+C/);
    human.interrupt.raise('SIGINT');
    expect(await human.code).toBe(0);
    expect(human.stdout.lines).toEqual([
      'shared a.bin (19.5 KiB)',
      'sharing 1 file (19.5 KiB) on 127.0.0.1:9001, Ctrl+C to stop',
    ]);
    expect(human.stderr.text).toContain('not shared: b.bin: it cannot be read');
  });

  it('names the first files and counts the others', async () => {
    const manifest = manifestOf(new Uint8Array(1024));
    const share = (_paths: readonly string[], options?: ShareOptions): Promise<void> => {
      for (let index = 0; index < 50; index++) options?.onShared?.({ name: `f${index}`, path: '', manifest });
      return Promise.resolve();
    };
    const { stdout, interrupt, code } = runFake(['share', folder], nodeServices(fakeNode({ share }).node).services);
    await stdout.shows(/Ctrl\+C/);
    interrupt.raise('SIGINT');
    expect(await code).toBe(0);
    expect(stdout.lines).toHaveLength(SHARED_LINES_MAX + 2);
    expect(stdout.lines.slice(-2)).toEqual([
      'and 30 more files',
      'sharing 50 files (50 KiB) on 127.0.0.1:9001, Ctrl+C to stop',
    ]);
  });

  it('can be stopped while it hashes', async () => {
    const { node, closeCount } = fakeNode({ share: () => new Promise(() => undefined) });
    const { stdout, interrupt, code } = runFake(['share', folder, '--json'], nodeServices(node).services);
    await stdout.shows(/listening/);
    interrupt.raise('SIGINT');
    expect(await code).toBe(0);
    expect(stdout.text).not.toContain('ready');
    expect(closeCount()).toBe(1);
  });
});

describe('tracker', () => {
  it('tells its URL, says once that the swarm is open, and closes when asked', async () => {
    let closes = 0;
    const seen: unknown[] = [];
    const services: Partial<Services> = {
      startTracker: (options) => {
        seen.push(options);
        return Promise.resolve({
          url: 'http://127.0.0.1:4242',
          port: 4242,
          close: () => Promise.resolve(void closes++),
        });
      },
    };
    const json = runFake(['tracker', '--port', '0', '--store', 'memory', '--data', '/d', '--json'], services);
    await json.stdout.shows(/listening/);
    json.interrupt.raise('SIGTERM');
    expect(await json.code).toBe(0);
    expect(json.stdout.events).toEqual([{ event: 'listening', url: 'http://127.0.0.1:4242' }]);
    expect(seen).toEqual([
      {
        ...{ host: '::', port: 0, store: 'memory', dataDir: '/d', peerExchange: true, dialBack: true },
        storeReplicas: 'auto',
        replicaGoneMs: REPLICA_GONE_MS,
      },
    ]);

    const human = runFake(['tracker'], services);
    await human.stderr.shows(/Ctrl\+C/);
    human.interrupt.raise('SIGINT');
    expect(await human.code).toBe(0);
    expect(human.stdout.text).toBe('tracker at http://127.0.0.1:4242, its API at http://127.0.0.1:4242/docs\n');
    expect(human.stderr.text.match(/open/g)).toHaveLength(1);
    expect(closes).toBe(2);
  });
});

function source(parts: Partial<TrackerSource> = {}): TrackerSource {
  return {
    peerId: 'cd'.repeat(16),
    addresses: [{ host: '192.0.2.1', port: 9001 }],
    dialects: ['native'],
    chunks: undefined,
    rangeName: '',
    isReplica: false,
    ...parts,
  };
}

describe('questions to the tracker', () => {
  it('ls reads every page, and says when there is more than was asked for', async () => {
    const entries = Array.from({ length: 25 }, (_, index) =>
      trackerEntry({ name: `f${String(index).padStart(2, '0')}` }),
    );
    const listFiles = ({ limit = 0, after = '' } = {}) => {
      const from = after === '' ? 0 : entries.findIndex(({ name }) => name === after) + 1;
      const page = entries.slice(from, from + Math.min(limit, 10));
      const nextAfter = from + page.length < entries.length ? (page.at(-1)?.name ?? '') : '';
      return Promise.resolve({ entries: page, nextAfter });
    };
    const all = runFake(['ls', '--json'], clientServices({ listFiles }));
    expect(await all.code).toBe(0);
    const rows = JSON.parse(all.stdout.text) as { name: string }[];
    expect(rows.map(({ name }) => name)).toEqual(entries.map(({ name }) => name));
    expect(all.stderr.text).toBe('');
    const some = runFake(['ls', '--limit', '12'], clientServices({ listFiles }));
    expect(await some.code).toBe(0);
    expect(some.stdout.lines).toHaveLength(13);
    expect(some.stdout.lines[1]).toBe('f00   1.5 GiB        2         1  abababababab  1 min ago');
    expect(some.stderr.text).toContain('only the first 12 rows');
  });

  it('ls of nothing says so, and is an empty list for programs', async () => {
    const services = clientServices({ listFiles: () => Promise.resolve({ entries: [], nextAfter: '' }) });
    const human = runFake(['ls', '--query', 'x'], services);
    expect(await human.code).toBe(0);
    expect([human.stdout.text, human.stderr.text]).toEqual(['', 'no name contains "x"\n']);
    const json = runFake(['ls', '--json'], services);
    await json.code;
    expect(JSON.parse(json.stdout.text)).toEqual([]);
  });

  it('peers lists plain and native peers alike', async () => {
    const plain = {
      peerId: '',
      addresses: [{ host: '2001:db8::1', port: 9001 }],
      dialects: ['range' as const],
      agent: '',
      online: false,
      banned: false,
      lastSeenMs: 990_000,
      completeContents: 1,
      partialContents: 0,
      replicaContents: 0,
      reachability: 'unknown' as const,
    };
    const listPeers = () => Promise.resolve({ peers: [plain], nextAfter: '' });
    const { stdout, code } = runFake(['peers'], clientServices({ listPeers }));
    expect(await code).toBe(0);
    expect(stdout.lines[1]).toMatch(/^\[2001:db8::1\]:9001 +- +offline +range +1 +0 +10 s ago$/);
  });

  it('peers says who cannot be reached, and what volunteers keep', async () => {
    const volunteer = { offeredBytes: 50e9, usedBytes: 3e9 };
    const peer = {
      ...{ peerId: 'ab'.repeat(16), addresses: [{ host: '192.0.2.1', port: 9001 }], dialects: ['native' as const] },
      ...{ agent: 'shoal', online: true, banned: false, lastSeenMs: 990_000, completeContents: 1, partialContents: 0 },
      ...{ replicaContents: 2, reachability: 'unreachable' as const, volunteer },
    };
    let asked: unknown;
    const listPeers = (options?: unknown) => {
      asked = options;
      return Promise.resolve({ peers: [peer], nextAfter: '' });
    };
    const flags = ['192.0', '--file', 'big.bin', '--state', 'online', '--volunteers'];
    const human = runFake(['peers', ...flags], clientServices({ listPeers }));
    expect(await human.code).toBe(0);
    expect(asked).toMatchObject({ query: '192.0', what: { name: 'big.bin' }, state: 'online', volunteers: true });
    expect(human.stdout.lines[1]).toMatch(/ unreachable +native +1 +0 +2\.79 GiB of 46\.6 GiB +shoal /u);
    const json = runFake(['peers', '--json'], clientServices({ listPeers }));
    expect(await json.code).toBe(0);
    expect(JSON.parse(json.stdout.text)).toMatchObject([
      { replicaContents: 2, reachability: 'unreachable', offeredBytes: 50e9, usedBytes: 3e9 },
    ]);
  });

  it('info shows which chunks can be had, and how often', async () => {
    const half = new Bitfield(4);
    half.add(0);
    half.add(1);
    const entry = trackerEntry({ chunkCount: 4, contentId: 'ef'.repeat(32) as Located['entry']['contentId'] });
    let asked: unknown;
    const locate = (options: unknown): Promise<Located> => {
      asked = options;
      return Promise.resolve({
        entry,
        sources: [source({ chunks: half })],
        manifest: undefined,
        news: undefined,
        revision: new Uint8Array(),
      });
    };
    const human = runFake(['info', 'big.bin@ab'], clientServices({ locate }));
    expect(await human.code).toBe(0);
    expect(asked).toEqual({ what: { name: 'big.bin@ab' } });
    expect(human.stdout.text).toContain('2 of 4 can be had, 2 have no source');
    expect(human.stdout.text).toContain('map        11..');
    expect(human.stdout.text).toMatch(/192\.0\.2\.1:9001 +cdcdcdcdcdcd +native +50 %/);
    const json = runFake(['info', 'ef'.repeat(32), '--json'], clientServices({ locate }));
    expect(await json.code).toBe(0);
    expect(asked).toEqual({ what: { contentId: 'ef'.repeat(32) } });
    expect(JSON.parse(json.stdout.text)).toMatchObject({
      name: 'big.bin',
      availability: { chunkCount: 4, missingCount: 2, copiesMin: 0, copiesMax: 1 },
      sources: [{ complete: false, chunks: 2 }],
    });
  });
});

describe('verify', () => {
  const bytes = new Uint8Array(50_000).map((_, index) => (index * 31) % 251);
  const manifest = manifestOf(bytes);
  const entry = trackerEntry({
    name: 'v.bin',
    size: bytes.length,
    sha256: manifest.sha256,
    contentId: manifest.contentId,
  });
  const services = (actual: Uint8Array): Partial<Services> => ({
    ...clientServices({
      locate: () => Promise.resolve({ entry, sources: [], manifest, news: undefined, revision: new Uint8Array() }),
    }),
    hashFile: (_path, options) =>
      Promise.resolve({ manifest: manifestOf(actual, options?.chunkSize) } as Awaited<
        ReturnType<Services['hashFile']>
      >),
  });

  it('says equal of what is equal', async () => {
    await writeFile(join(folder, 'v.bin'), bytes);
    const { stdout, code } = runFake(['verify', join(folder, 'v.bin')], services(bytes));
    expect(await code).toBe(0);
    expect(stdout.lines[0]).toContain('v.bin verified (48.8 KiB): equal to v.bin at the tracker');
  });

  it('names the chunks that differ, and ends with 5', async () => {
    const changed = bytes.slice();
    changed[20_000] = (changed[20_000] ?? 0) ^ 1;
    const { stdout, stderr, code } = runFake(['verify', join(folder, 'v.bin'), '--json'], services(changed));
    expect(await code).toBe(5);
    expect(stderr.text).toContain('1 of 4 chunks differ: 1');
    expect(JSON.parse(stdout.text)).toMatchObject({ verified: false, differentChunks: [1] });
  });

  it('compares with a digest without asking a tracker', async () => {
    const { hashFile } = services(bytes);
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    const args = ['verify', join(folder, 'v.bin'), '--sha256'];
    expect(await runFake([...args, sha256], hashFile === undefined ? {} : { hashFile }).code).toBe(0);
    expect(await runFake([...args, 'ab'.repeat(32)], hashFile === undefined ? {} : { hashFile }).code).toBe(5);
  });

  it('with nothing to compare with prints the digest, but is no success', async () => {
    const unknown = new ShoalError('no-such-name', 'v.bin is not in the catalogue');
    const { hashFile } = services(bytes);
    const { stdout, code } = runFake(['verify', join(folder, 'v.bin')], {
      ...clientServices({ locate: () => Promise.reject(unknown) }),
      ...(hashFile === undefined ? {} : { hashFile }),
    });
    expect(await code).toBe(3);
    expect(stdout.text).toContain(manifest.sha256);
  });
});

describe('status', () => {
  it('shows what moves, and why something does not', async () => {
    const statuses: Awaited<ReturnType<Services['readNodeStatuses']>> = [
      {
        peer: 'ab'.repeat(16),
        pid: 4711,
        limitUp: 10_000_000,
        limitDown: null,
        address: '127.0.0.1:9001',
        tracker: { url: 'http://127.0.0.1:9000', state: 'away' },
        roots: ['/data'],
        sharedFiles: 2,
        sharedBytes: 2 ** 30,
        volunteer: { offeredBytes: 50e9, usedBytes: 3e9, contents: 2 },
        connections: 3,
        uploadedBytes: 2 ** 20,
        downloadedBytes: 0,
        transfers: [
          {
            name: 'big.bin',
            content: 'ef'.repeat(32),
            size: 100,
            bytes: 50,
            state: 'stalled',
            reason: 'no-source',
            bottleneck: 'source',
            reasons: { 'no-source': 5 },
            peers: 0,
            bytesPerSecondUp: 0,
            bytesPerSecondDown: 0,
          },
        ],
      },
    ];
    const { stdout, code } = runFake(['status'], { readNodeStatuses: () => Promise.resolve(statuses) });
    expect(await code).toBe(0);
    expect(stdout.text).toContain('http://127.0.0.1:9000 (away)');
    expect(stdout.text).toMatch(/keeps +2\.79 GiB of 46\.6 GiB offered, copies of 2 contents/u);
    expect(stdout.text).toMatch(/limits +10 MB\/s up, none down/);
    expect(stdout.text).toMatch(/big\.bin +50 % +stalled: no-source/);
  });
});

describe('limit', () => {
  const running = (parts: Partial<NodeStatus>): { node: RunningNode; told: unknown[] } => {
    const told: unknown[] = [];
    let status = { ...IDLE_NODE, ...parts };
    const node: RunningNode = {
      status,
      get: () => Promise.reject(new Error('not asked')),
      chunks: () => Promise.resolve([]),
      setLimits: (limits) => {
        told.push(limits);
        status = { ...status, limitUp: limits.up ?? null, limitDown: limits.down ?? null };
        return Promise.resolve(status);
      },
    };
    return { node, told };
  };
  const IDLE_NODE: NodeStatus = {
    peer: 'ab'.repeat(16),
    pid: 1,
    address: '127.0.0.1:9001',
    tracker: { url: 'http://127.0.0.1:9000', state: 'connected' },
    roots: [],
    sharedFiles: 0,
    sharedBytes: 0,
    limitUp: null,
    limitDown: null,
    connections: 0,
    uploadedBytes: 0,
    downloadedBytes: 0,
    transfers: [],
  };

  it('is set for every node, or for the one named by address, process or peer id', async () => {
    const [one, other] = [running({}), running({ pid: 2, address: '127.0.0.1:9002', peer: 'cd'.repeat(16) })];
    const services = { findNodes: () => Promise.resolve([one.node, other.node]) };
    const all = runFake(['limit', '--up', '10M', '--down', 'none'], services);
    expect(await all.code).toBe(0);
    expect(one.told).toEqual([{ up: 10_000_000, down: null }]);
    expect(other.told).toEqual(one.told);
    expect(all.stdout.text).toMatch(/127\.0\.0\.1:9001 \(process 1\): up at most 10 MB\/s, down unlimited/);
    for (const which of ['127.0.0.1:9002', '2', 'CDCDCD']) {
      expect(await runFake(['limit', '--down', '500mbit', '--node', which], services).code).toBe(0);
    }
    expect(one.told).toHaveLength(1);
    expect(other.told.slice(1)).toEqual(Array.from({ length: 3 }, () => ({ up: undefined, down: 62_500_000 })));
  });

  it('shows the limits when none is given, and changes nothing', async () => {
    const { node, told } = running({ limitUp: 5_000 });
    const shown = runFake(['limit', '--json'], { findNodes: () => Promise.resolve([node]) });
    expect(await shown.code).toBe(0);
    expect(told).toEqual([]);
    expect(JSON.parse(shown.stdout.text)).toMatchObject([{ limitUp: 5_000, limitDown: null }]);
  });

  it('fails when there is no such node, and for what is no rate', async () => {
    const { node } = running({});
    expect(
      await runFake(['limit', '--up', '1M', '--node', '9'], { findNodes: () => Promise.resolve([node]) }).code,
    ).toBe(1);
    expect(await runFake(['limit', '--up', 'fast'], { findNodes: () => Promise.resolve([node]) }).code).toBe(2);
  });
});
