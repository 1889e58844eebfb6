import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readdir, realpath, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ShoalError } from '../errors.ts';
import { CONTROL_CONNECTIONS_MAX, CONTROL_LINE_BYTES_MAX, CONTROL_PATH_BYTES_MAX } from '../limits.ts';
import type { GetOptions, GetResult, NodeStatus } from './api.ts';
import { askStatus, findNodeFor, findNodes, handOver, handOverTarget, readNodeStatuses } from './control-client.ts';
import { dataDirectoryPlace, listControls, recordControl, runPlace } from './control-place.ts';
import { ControlPoints } from './control-points.ts';
import { serveControl, type ControlHost, type ControlServer } from './control-server.ts';
import { until } from './fixtures.ts';

const TRACKER = 'http://127.0.0.1:9000';
/** More than any process id can be. */
const DEAD_PID = 2 ** 30;

let home: string;
let shared: string;
let cleanUps: (() => Promise<unknown>)[] = [];

beforeEach(async () => {
  home = await realpath(await mkdtemp(join(tmpdir(), 'shoal-control-')));
  shared = join(home, 'shared');
  await mkdir(shared);
});

afterEach(async () => {
  for (const cleanUp of cleanUps.toReversed()) await cleanUp();
  cleanUps = [];
  await rm(home, { recursive: true, force: true });
});

function statusOf(parts: Partial<NodeStatus> = {}): NodeStatus {
  return {
    peer: 'ab'.repeat(16),
    pid: 4711,
    address: '127.0.0.1:9001',
    tracker: { url: TRACKER, state: 'connected' },
    roots: [shared],
    sharedFiles: 2,
    sharedBytes: 20,
    limitUp: null,
    limitDown: null,
    connections: 0,
    uploadedBytes: 0,
    downloadedBytes: 0,
    transfers: [],
    ...parts,
  };
}

const RESULT: GetResult = {
  name: 'big.bin',
  path: '/data/big.bin',
  size: 10,
  sha256: 'ab'.repeat(32) as GetResult['sha256'],
  content: '',
  seconds: 1,
  bytesPerSecond: 10,
  resumedBytes: 0,
  peers: [{ address: '192.0.2.1:1', peer: '', bytes: 10, chunks: 1, rttMs: null, seconds: 1 }],
};
const PROGRESS = {
  bytes: 5,
  total: 10,
  bytesPerSecond: 1,
  peers: 1,
  etaSeconds: null,
  stalled: null,
  bottleneck: 'source',
  reasons: { choked: 1 },
  name: 'big.bin',
};

function hostOf(parts: Partial<NodeStatus> = {}, get: ControlHost['get'] = () => Promise.resolve(RESULT)): ControlHost {
  let limits: Pick<NodeStatus, 'limitUp' | 'limitDown'> = { limitUp: null, limitDown: null };
  const status = (): NodeStatus => statusOf({ ...parts, ...limits });
  return {
    status,
    get,
    chunks: (what) => [
      { name: what, content: '', chunkCount: 4, missingCount: 2, ranges: [{ first: 1, last: 2, reason: 'choked' }] },
    ],
    setLimits: ({ up = limits.limitUp, down = limits.limitDown }) => {
      limits = { limitUp: up, limitDown: down };
      return status();
    },
  };
}

/** A download that goes on until it is cancelled; `begun` resolves with what it was asked for. */
function endless(): { get: ControlHost['get']; begun: Promise<GetOptions>; cancelled: () => boolean } {
  const begun = Promise.withResolvers<GetOptions>();
  let cancelled = false;
  const get = (options: GetOptions): Promise<GetResult> => {
    begun.resolve(options);
    return new Promise((_resolve, reject) =>
      options.signal?.addEventListener('abort', () => {
        cancelled = true;
        reject(new ShoalError('cancelled', 'interrupted', { hint: 'the partial file is kept' }));
      }),
    );
  };
  return { get, begun: begun.promise, cancelled: () => cancelled };
}

async function serve(host: ControlHost, place = dataDirectoryPlace(join(home, 'nodes', 'n1'))): Promise<ControlServer> {
  const server = await serveControl(host, place);
  cleanUps.push(() => server.close());
  return server;
}

async function rawSocket(address: string): Promise<Socket> {
  const socket = connect(address);
  cleanUps.push(() => {
    socket.destroy();
    return Promise.resolve();
  });
  await once(socket, 'connect');
  return socket;
}

/** All that comes until the other side ends. */
async function readAll(socket: Socket): Promise<string> {
  let text = '';
  for await (const bytes of socket) text += String(bytes);
  return text;
}

const signal = (): AbortSignal => AbortSignal.timeout(10_000);

describe('the socket', () => {
  it('is its owner’s alone, stands in the data directory, and goes with the node', async () => {
    const dataDir = join(home, 'nodes', 'n1');
    const server = await serve(hostOf());
    expect(server.address).toBe(join(dataDir, 'control.sock'));
    expect((await stat(server.address)).mode & 0o777).toBe(0o600);
    expect(await readdir(dataDir)).toEqual(['control.sock']);
    expect(await askStatus(server.address, signal())).toEqual(statusOf());
    await server.close();
    expect(await readdir(dataDir)).toEqual([]);
  });

  it('says why chunks of a transfer do not move', async () => {
    await serve(hostOf());
    const [node] = await findNodes({ home });
    expect(await node?.chunks('big.bin')).toEqual([
      {
        name: 'big.bin',
        content: '',
        chunkCount: 4,
        missingCount: 2,
        ranges: [{ first: 1, last: 2, reason: 'choked' }],
      },
    ]);
    await expect(node?.chunks('')).rejects.toMatchObject({ code: 'usage' });
  });

  it('changes the limits of the node that runs, one or both, and takes them away', async () => {
    await serve(hostOf());
    const [node] = await findNodes({ home });
    expect(await node?.setLimits({ up: 10_000_000 })).toMatchObject({ limitUp: 10_000_000, limitDown: null });
    expect(await node?.setLimits({ down: 5 })).toMatchObject({ limitUp: 10_000_000, limitDown: 5 });
    expect(await node?.setLimits({ up: null, down: null })).toMatchObject({ limitUp: null, limitDown: null });
    await expect(node?.setLimits({ up: 0 })).rejects.toMatchObject({ code: 'usage' });
    await expect(node?.setLimits({ up: Number.NaN, down: -1 })).rejects.toMatchObject({ code: 'usage' });
  });

  it('takes the place of what a dead node left', async () => {
    const place = dataDirectoryPlace(join(home, 'nodes', 'n1'));
    await mkdir(place.folder, { recursive: true });
    await writeFile(join(place.folder, 'control.sock'), '');
    const server = await serve(hostOf(), place);
    expect(await askStatus(server.address, signal())).toEqual(statusOf());
  });

  it('with a path too long for a socket stands elsewhere, is found there, and leaves nothing', async () => {
    const before = process.env['TMPDIR'];
    const tmp = await mkdtemp('/tmp/shoal-t-');
    cleanUps.push(() => rm(tmp, { recursive: true }));
    process.env['TMPDIR'] = tmp;
    cleanUps.push(() => {
      if (before === undefined) delete process.env['TMPDIR'];
      else process.env['TMPDIR'] = before;
      return Promise.resolve();
    });
    const long = join(home, 'd'.repeat(CONTROL_PATH_BYTES_MAX));
    const server = await serve(hostOf(), dataDirectoryPlace(join(long, 'nodes', 'n1')));
    expect(server.address.startsWith(tmp)).toBe(true);
    expect((await stat(join(tmp, `shoal-${process.getuid?.()}`))).mode & 0o777).toBe(0o700);
    expect(await readNodeStatuses({ home: long })).toEqual([statusOf()]);
    await server.close();
    expect(await readdir(join(tmp, `shoal-${process.getuid?.()}`))).toEqual([]);
    expect(await listControls(long)).toEqual([]);

    await chmod(join(tmp, `shoal-${process.getuid?.()}`), 0o777);
    await expect(serveControl(hostOf(), dataDirectoryPlace(long))).rejects.toMatchObject({ code: 'not-allowed' });
  });
});

describe('a node', () => {
  it('answers bad lines and goes on', async () => {
    const server = await serve(hostOf());
    const socket = await rawSocket(server.address);
    socket.end('nonsense\n{"id":1,"method":"fly"}\n{"id":"s","method":"status"}\n');
    const answers = (await readAll(socket)).trim().split('\n');
    expect(answers.map((line) => JSON.parse(line) as unknown)).toMatchObject([
      { id: null, event: 'error', error: { code: 'usage' } },
      { id: 1, event: 'error', error: { code: 'usage' } },
      { id: 's', event: 'status', status: { roots: [shared] } },
    ]);
  });

  it('hangs up on a line without end', async () => {
    const server = await serve(hostOf());
    const socket = await rawSocket(server.address);
    socket.write('x'.repeat(CONTROL_LINE_BYTES_MAX + 1));
    expect(JSON.parse(await readAll(socket))).toMatchObject({ event: 'error', error: { code: 'too-large' } });
  });

  it('has a limit of callers, and room again when one leaves', async () => {
    const server = await serve(hostOf());
    const callers: Socket[] = [];
    for (let count = 0; count < CONTROL_CONNECTIONS_MAX; count++) callers.push(await rawSocket(server.address));
    await expect(askStatus(server.address, signal())).rejects.toThrow(ShoalError);
    callers[0]?.destroy();
    const again = async (): Promise<NodeStatus> => {
      for (;;) {
        try {
          return await askStatus(server.address, signal());
        } catch {
          // it has not seen yet that one has left
        }
      }
    };
    expect(await again()).toEqual(statusOf());
  });

  it('names no more transfers than fit, first those that move', async () => {
    const transfer = {
      name: 'x',
      content: '',
      size: 1,
      bytes: 1,
      state: 'seeding',
      reason: null,
      bottleneck: null,
      reasons: {},
      peers: 0,
      bytesPerSecondUp: 0,
      bytesPerSecondDown: 0,
    } as const;
    const moving = { ...transfer, name: 'moving', state: 'fetching' } as const;
    const transfers = [...Array.from({ length: 1_500 }, () => transfer), moving];
    const server = await serve(hostOf({ transfers }));
    const status = await askStatus(server.address, signal());
    expect(status.transfers).toHaveLength(1_000);
    expect(status.transfers[0]?.name).toBe('moving');
  });
});

describe('a handed-over get', () => {
  it('carries its options there, and news and result back', async () => {
    let asked: GetOptions | undefined;
    const server = await serve(
      hostOf({}, (options) => {
        asked = options;
        options.onProgress?.(PROGRESS);
        options.onPeerBanned?.({ address: '192.0.2.9:1', reason: 'bad-chunk' });
        return Promise.resolve(RESULT);
      }),
    );
    const news: unknown[] = [];
    const data = {
      what: 'big.bin',
      output: `${shared}/`,
      from: ['192.0.2.1:1'],
      sequential: true,
      stallTimeoutMs: 700,
    };
    const result = await handOver(server.address, {
      ...data,
      onProgress: (progress) => news.push(progress),
      onPeerBanned: ({ address, reason }) => news.push([address, reason]),
    });
    expect(result).toEqual(RESULT);
    expect(asked).toMatchObject(data);
    expect(news).toEqual([PROGRESS, ['192.0.2.9:1', 'bad-chunk']]);
  });

  it('fails as it fails there', async () => {
    const error = new ShoalError('no-source', 'nobody has it', { hint: 'wait' });
    const server = await serve(hostOf({}, () => Promise.reject(error)));
    await expect(handOver(server.address, { what: 'x', output: `${shared}/` })).rejects.toMatchObject({
      code: 'no-source',
      message: 'nobody has it',
      hint: 'wait',
    });
  });

  it('goes only where the node shares', async () => {
    const elsewhere = join(home, 'elsewhere');
    await mkdir(elsewhere);
    await symlink(elsewhere, join(shared, 'link'));
    const server = await serve(hostOf());
    const outputs = [`${elsewhere}/`, join(elsewhere, 'x'), `${shared}/link/`, join(shared, 'link'), `${shared}/../x`];
    for (const output of outputs)
      await expect(handOver(server.address, { what: 'x', output }), output).rejects.toMatchObject({
        code: 'not-allowed',
      });
    expect(await handOver(server.address, { what: 'x', output: join(shared, 'new.bin') })).toEqual(RESULT);
  });

  it('is cancelled there when it is cancelled here, and tells how that ended', async () => {
    const { get, begun, cancelled } = endless();
    const server = await serve(hostOf({}, get));
    const controller = new AbortController();
    const got = handOver(server.address, { what: 'x', output: `${shared}/`, signal: controller.signal });
    await begun;
    controller.abort();
    await expect(got).rejects.toMatchObject({ code: 'cancelled', hint: 'the partial file is kept' });
    expect(cancelled()).toBe(true);
  });

  it('is cancelled there when its caller is gone', async () => {
    const { get, begun, cancelled } = endless();
    const server = await serve(hostOf({}, get));
    const socket = await rawSocket(server.address);
    socket.write(`${JSON.stringify({ id: 1, method: 'get', what: 'x', output: `${shared}/` })}\n`);
    await begun;
    socket.destroy();
    await until(cancelled, 'the download is cancelled');
  });

  it('whose node closes is told so, not that it was cancelled', async () => {
    const { get, begun } = endless();
    const server = await serve(hostOf({}, get));
    const got = handOver(server.address, { what: 'x', output: `${shared}/` });
    await begun;
    const failed = expect(got).rejects.toMatchObject({
      code: 'peer-gone',
      message: expect.stringContaining('closing') as string,
    });
    await server.close();
    await failed;
  });
});

describe('finding nodes', () => {
  it('sees nodes with and without a data directory, each once', async () => {
    const points = (parts: Partial<NodeStatus>): ControlPoints => {
      const made = new ControlPoints({ host: hostOf(parts), peerId: parts.peer ?? '', home });
      cleanUps.push(() => made.close());
      return made;
    };
    const sharing = points({ peer: 'a'.repeat(32), address: '127.0.0.1:3' });
    const explicit = points({ peer: 'b'.repeat(32), address: '127.0.0.1:2' });
    const plain = points({ peer: 'c'.repeat(32), address: '127.0.0.1:10' });
    const both = points({ peer: 'd'.repeat(32), address: '127.0.0.1:1' });
    await sharing.openShared(join(home, 'nodes', 'n1'));
    await sharing.openPlain();
    await explicit.openShared(join(home, 'explicit'));
    await plain.openPlain();
    await both.openPlain();
    await both.openShared(join(home, 'other'));
    const peers = (await readNodeStatuses({ home })).map(({ peer }) => peer[0]);
    expect(peers).toEqual(['d', 'b', 'a', 'c']);
    expect((await readNodeStatuses({ home, dataDir: join(home, 'explicit') })).map(({ peer }) => peer[0])).toEqual([
      'b',
    ]);
    expect(await readNodeStatuses({ home, dataDir: join(home, 'nothing') })).toEqual([]);
    for (const one of [sharing, explicit, plain, both]) await one.close();
    expect(await listControls(home)).toEqual([]);
    expect(await readdir(join(home, 'run'))).toEqual([]);
  });

  it('passes over the dead and removes what they left below run', async () => {
    const dead = createServer().listen(join(home, 'dead.sock'));
    await once(dead, 'listening');
    const alive = runPlace(home, 'a'.repeat(32));
    await recordControl(runPlace(home, 'b'.repeat(32), DEAD_PID), join(home, 'nowhere.sock'));
    await recordControl(alive, join(home, 'nowhere.sock'));
    await new Promise((resolve) => dead.close(resolve));
    const problems: ShoalError[] = [];
    expect(await readNodeStatuses({ home, onSilent: (problem) => problems.push(problem) })).toEqual([]);
    expect(problems).toEqual([]);
    expect(await readdir(join(home, 'run'))).toEqual([`${alive.name}.path`]);
  });

  it('says which node does not answer, and does not wait for it longer than it may', async () => {
    const mute = createServer(() => undefined);
    const place = runPlace(home, 'e'.repeat(32));
    await mkdir(place.folder);
    mute.listen(join(place.folder, `${place.name}.sock`));
    await once(mute, 'listening');
    const sockets: Socket[] = [];
    mute.on('connection', (socket) => sockets.push(socket));
    cleanUps.push(async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => mute.close(resolve));
    });
    const server = await serve(hostOf());
    const problems: string[] = [];
    const query = { home, onSilent: (problem: ShoalError) => problems.push(problem.message) };
    // one that answers is not held up by one that does not
    const startedAtMs = performance.now();
    expect(await findNodeFor({ ...query, folder: shared, trackerUrls: [TRACKER] })).toBeDefined();
    expect(performance.now() - startedAtMs).toBeLessThan(1_500);
    expect(await readNodeStatuses(query)).toEqual([statusOf()]);
    expect(problems.some((text) => text.includes('no answer for 2 s'))).toBe(true);
    await server.close();
  });

  it('finds the one that shares this very folder and uses the same tracker', async () => {
    await serve(hostOf());
    const find = (folder: string, trackerUrls: readonly string[]): Promise<unknown> =>
      findNodeFor({ home, folder, trackerUrls }).then((node) => node?.status.address);
    expect(await find(shared, ['http://192.0.2.1:9000', TRACKER])).toBe('127.0.0.1:9001');
    expect(await find(shared, ['http://192.0.2.1:9000'])).toBeUndefined();
    expect(await find(join(shared, 'sub'), [TRACKER])).toBeUndefined();
    expect(await find(home, [TRACKER])).toBeUndefined();
  });
});

describe('where a handed-over file goes', () => {
  it('is an absolute output and the folder it leads into', async () => {
    await symlink(shared, join(home, 'link'));
    const at = (output: string | undefined): Promise<unknown> => handOverTarget(output, home);
    expect(await handOverTarget(undefined, shared)).toEqual({ folder: shared, output: `${shared}/` });
    expect(await at('shared')).toEqual({ folder: shared, output: `${shared}/` });
    expect(await at('link/')).toEqual({ folder: shared, output: `${shared}/` });
    expect(await at('link/new.bin')).toEqual({ folder: shared, output: join(home, 'link/new.bin') });
  });

  it('is nowhere for standard output and folders that are not there', async () => {
    for (const output of ['-', 'new/', 'no/such/file'])
      expect(await handOverTarget(output, home), output).toBeUndefined();
  });
});
