import { expect, it } from 'vitest';
import { ShoalError } from '../errors.ts';
import type { GetOptions } from '../peer/api.ts';
import type { Located, TrackerSource } from '../peer/tracker-client.ts';
import { pythonText } from './aliases.ts';
import { clientServices, fakeNode, getResult, nodeServices, runFake, trackerEntry } from './fixtures.ts';

const LISTENING = 'Peer listening on 9001, sharing ./docs';

it('run and peer run print the lines of the document, and share the folder as the address they were given', async () => {
  for (const words of [['run'], ['peer', 'run']]) {
    const shared: (readonly string[])[] = [];
    const { node, closeCount } = fakeNode({
      share: (paths) => {
        shared.push(paths);
        return Promise.resolve();
      },
    });
    const { services, options } = nodeServices(node);
    const { stdout, code, interrupt } = runFake([...words, 'peer1', '7001', './docs'], services);
    await stdout.shows(/Ctrl/);
    interrupt.raise('SIGTERM');
    expect(await code).toBe(0);
    expect(stdout.lines).toEqual([LISTENING, "Announce: {'ok': True}", LISTENING, 'Press Ctrl+C to stop.']);
    expect(shared).toEqual([['./docs']]);
    expect(options).toMatchObject([{ listen: { host: '::', port: 7001 }, advertise: 'peer1' }]);
    expect(closeCount()).toBe(1);
  }
});

it('run refuses a folder that is not there, and an address that can be none, before it says that it listens', async () => {
  for (const [ip, folder, sentence] of [
    ['peer1', './nothing', './nothing does not exist'],
    ['', './docs', '"" is not where others can reach a node'],
    ['two words', './docs', '"two words" is not where others can reach a node'],
  ] as const) {
    const { stdout, stderr, code } = runFake(['run', ip, '7001', folder], nodeServices(fakeNode().node).services);
    expect(await code).toBe(2);
    expect(stdout.text).toBe('');
    expect(stderr.text).toContain(sentence);
  }
});

it('a peer that announces a loopback address listens on nothing else', async () => {
  const { services, options } = nodeServices(fakeNode().node);
  const { stdout, code, interrupt } = runFake(['run', '127.0.0.1', '7001', '.'], services);
  await stdout.shows(/Ctrl/);
  interrupt.raise('SIGTERM');
  await code;
  expect(options[0]?.listen).toEqual({ host: '127.0.0.1', port: 7001 });
});

it('peer list has a line for each file', async () => {
  const services = clientServices({
    listFiles: () =>
      Promise.resolve({
        entries: [
          trackerEntry({ name: 'KTMT.pdf', size: 17_732_905 }),
          trackerEntry({ name: 'MMT.pdf', size: 76_411 }),
        ],
        nextAfter: '',
      }),
  });
  const { stdout, code } = runFake(['peer', 'list'], services);
  expect(await code).toBe(0);
  expect(stdout.text).toBe('Files on tracker:\n- KTMT.pdf (17732905 bytes)\n- MMT.pdf (76411 bytes)\n');
});

it('peer info is what Python would print, and names the peers that have all of it', async () => {
  const source = (port: number): TrackerSource =>
    ({ peerId: '', addresses: [{ host: '127.0.0.1', port }], dialects: [] }) as unknown as TrackerSource;
  const located = { entry: trackerEntry({ name: 'KTMT.pdf', size: 5 }), sources: [source(7001), source(7002)] };
  const services = clientServices({ locate: () => Promise.resolve(located as unknown as Located) });
  const { stdout, code } = runFake(['peer', 'info', 'KTMT.pdf'], services);
  expect(await code).toBe(0);
  expect(stdout.text).toBe(
    `{'file': {'name': 'KTMT.pdf', 'size': 5, 'sha256': '${'ab'.repeat(32)}'}, ` +
      "'peers': [{'ip': '127.0.0.1', 'port': 7001}, {'ip': '127.0.0.1', 'port': 7002}]}\n",
  );
});

it('peer download ends with a line for each source and the word of the tracker', async () => {
  const asked: GetOptions[] = [];
  const [source] = getResult().peers;
  if (source === undefined) throw new Error('a result has a source');
  const { node } = fakeNode({
    get: (options) => {
      asked.push(options);
      const second = { ...source, address: '127.0.0.1:9003', seconds: 3.98 };
      return Promise.resolve(getResult({ peers: [source, second], bytesPerSecond: 111_100_000 }));
    },
  });
  const { services, options } = nodeServices(node);
  const { stdout, code } = runFake(['peer', 'download', '127.0.0.1', '7002', './shared/p2', 'big3.bin'], services);
  expect(await code).toBe(0);
  expect(stdout.lines).toEqual([
    `big3.bin ${'━'.repeat(40)} 100.00% 111 MB/s 0:00:00`,
    '✔ Chunk 0 downloaded from 127.0.0.1:9001 (1610612736 bytes) in 3.22s',
    '✔ Chunk 1 downloaded from 127.0.0.1:9003 (1610612736 bytes) in 3.98s',
    "Complete notify: {'ok': True}",
  ]);
  expect(asked[0]?.what).toBe('big3.bin');
  expect(asked[0]?.output).toMatch(/shared\/p2\/$/);
  expect(options[0]?.listen).toEqual({ host: '127.0.0.1', port: 7002 });
});

it('peer download is done by the node that shares the folder, and by another where that one cannot', async () => {
  const { node } = fakeNode({ get: () => Promise.resolve(getResult()) });
  const { services, options } = nodeServices(node);
  const running = (get: () => Promise<never> | ReturnType<typeof node.get>) => ({
    ...services,
    findNodeFor: () => Promise.resolve({ node: { get }, output: '/p2/', folder: '/p2' } as never),
  });
  const line = ['peer', 'download', '127.0.0.1', '7002', './p2', 'big3.bin'];
  expect(
    await runFake(
      line,
      running(() => Promise.resolve(getResult())),
    ).code,
  ).toBe(0);
  expect(options).toEqual([]);
  const cannot = (): Promise<never> => Promise.reject(new ShoalError('conflict', 'it has it elsewhere'));
  expect(await runFake(line, running(cannot)).code).toBe(0);
  expect(options[0]?.listen.port).toBe(0);
});

it('tracker start takes its address as two words', async () => {
  const started: unknown[] = [];
  const { code, interrupt, stdout } = runFake(['tracker', 'start', '127.0.0.1', '9100', '--store', 'memory'], {
    startTracker: (options) => {
      started.push(options);
      return Promise.resolve({ url: 'http://127.0.0.1:9100', port: 9100, close: () => Promise.resolve() });
    },
  });
  await stdout.shows(/tracker at/);
  interrupt.raise('SIGTERM');
  expect(await code).toBe(0);
  expect(started).toMatchObject([{ host: '127.0.0.1', port: 9100, store: 'memory' }]);
});

it.each([
  ["it's", `"it's"`],
  [`both ' and "`, `'both \\' and "'`],
  [true, 'True'],
  [null, 'None'],
  [['a', 1], "['a', 1]"],
])('Python writes %j as %s', (value, text) => {
  expect(pythonText(value)).toBe(text);
});
