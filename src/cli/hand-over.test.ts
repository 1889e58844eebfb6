import { describe, expect, it } from 'vitest';
import { ShoalError } from '../errors.ts';
import type { GetOptions, NodeStatus, PeerNode } from '../peer/api.ts';
import { fakeNode, getProgress, getResult, nodeServices, runFake } from './fixtures.ts';
import type { Services } from './services.ts';

const STATUS: NodeStatus = {
  peer: 'ab'.repeat(16),
  pid: 4711,
  address: '127.0.0.1:9001',
  tracker: { url: 'http://127.0.0.1:9000', state: 'connected' },
  roots: ['/shared'],
  sharedFiles: 0,
  sharedBytes: 0,
  limitUp: null,
  limitDown: null,
  connections: 0,
  uploadedBytes: 0,
  downloadedBytes: 0,
  transfers: [],
};

/** Services with a running node that shares /shared, and a node of its own that must be given to be used. */
function running(get: PeerNode['get'], own: Partial<Services> = {}): { services: Partial<Services>; asked: unknown[] } {
  const asked: unknown[] = [];
  const findNodeFor: Services['findNodeFor'] = ({ output, trackerUrls }) => {
    asked.push({ output, trackerUrls });
    return Promise.resolve({
      node: { status: STATUS, get, chunks: () => Promise.resolve([]), setLimits: () => Promise.resolve(STATUS) },
      output: '/shared/',
      folder: '/shared',
    });
  };
  return { services: { ...own, findNodeFor }, asked };
}

describe('a get into a folder that a running node shares', () => {
  it('is done there, with the same events, and says so in one line for people', async () => {
    let seen: GetOptions | undefined;
    const get = (options: GetOptions): Promise<ReturnType<typeof getResult>> => {
      seen = options;
      options.onProgress?.(getProgress({ bytes: 10 }));
      return Promise.resolve(getResult({ size: 1000 }));
    };
    const { services, asked } = running(get);
    const args = ['get', 'big3.bin', '-o', 'shared/', '--single', '--tracker', 'http://a:1'];
    const json = runFake([...args, '--json'], services);
    expect(await json.code).toBe(0);
    expect(json.stdout.events.map(({ event }) => event)).toEqual(['progress', 'progress', 'done']);
    expect(json.stderr.text).toBe('');
    expect(asked).toEqual([{ output: 'shared/', trackerUrls: ['http://a:1'] }]);
    expect(seen).toMatchObject({ what: 'big3.bin', output: '/shared/', single: true });

    const human = runFake(args, services);
    expect(await human.code).toBe(0);
    expect(human.stderr.lines[0]).toBe('handed to the node on 127.0.0.1:9001, which shares /shared');
    expect(human.stdout.text).toContain('✔ big3.bin verified');
  });

  it('ends with the exit code of what went wrong there', async () => {
    const error = new ShoalError('no-source', 'nobody has it', { hint: 'the partial file is kept' });
    const { stdout, code } = runFake(['get', 'x', '--json'], running(() => Promise.reject(error)).services);
    expect(await code).toBe(4);
    expect(stdout.events).toEqual([{ event: 'error', code: 'no-source', message: 'nobody has it', exit: 4 }]);
  });

  it('is done by a node of its own when that node cannot', async () => {
    const conflict = new ShoalError('conflict', 'it has the same content elsewhere');
    const { node, closeCount } = fakeNode({ get: () => Promise.resolve(getResult()) });
    const { services } = running(() => Promise.reject(conflict), nodeServices(node).services);
    const { stderr, code } = runFake(['get', 'x'], services);
    expect(await code).toBe(0);
    expect(stderr.text).toContain('that node cannot: it has the same content elsewhere');
    expect(closeCount()).toBe(1);
  });

  it.each([
    ['--listen', '127.0.0.1:0'],
    ['--limit-up', '1M'],
    ['--limit-down', '1M'],
    ['--advertise', 'host'],
  ])('is done by a node of its own that %s says something of', async (...flags) => {
    const { node, closeCount } = fakeNode({ get: () => Promise.resolve(getResult()) });
    const { services, asked } = running(() => Promise.reject(new Error('unused')), nodeServices(node).services);
    expect(await runFake(['get', 'x', ...flags], services).code).toBe(0);
    expect(asked).toEqual([]);
    expect(closeCount()).toBe(1);
  });

  it('is done by a node of its own with --seed, which stays', async () => {
    const { node, closeCount } = fakeNode({ get: () => Promise.resolve(getResult()) });
    const { services, asked } = running(() => Promise.reject(new Error('unused')), nodeServices(node).services);
    const { stderr, interrupt, code } = runFake(['get', 'x', '--seed'], services);
    await stderr.shows(/serving big3\.bin/u);
    interrupt.raise('SIGINT');
    await code;
    expect(asked).toEqual([]);
    expect(closeCount()).toBe(1);
  });
});

describe('status', () => {
  it('says that no node runs', async () => {
    const none = runFake(['status'], { readNodeStatuses: () => Promise.resolve([]) });
    expect(await none.code).toBe(0);
    expect(none.stdout.text).toBe('no node is running on this machine\n');
    const json = runFake(['status', '--json'], { readNodeStatuses: () => Promise.resolve([]) });
    expect(await json.code).toBe(0);
    expect(JSON.parse(json.stdout.text)).toEqual([]);
  });

  it('names the node that does not answer, and does not say that none runs', async () => {
    const { stdout, stderr, code } = runFake(['status'], {
      readNodeStatuses: ({ onSilent }) => {
        onSilent(new ShoalError('peer-gone', 'the node at /x cannot be asked: no answer for 2 s'));
        return Promise.resolve([]);
      },
    });
    expect(await code).toBe(0);
    expect(stdout.text).toBe('');
    expect(stderr.text).toContain('/x cannot be asked');
  });

  it('shows what each node shares, the first paths by name', async () => {
    const roots = Array.from({ length: 7 }, (_, index) => `/data/${index}`);
    const { stdout, code } = runFake(['status'], { readNodeStatuses: () => Promise.resolve([{ ...STATUS, roots }]) });
    expect(await code).toBe(0);
    expect(stdout.text).toContain('node abababababab on 127.0.0.1:9001');
    expect(stdout.text).toContain('/data/4\n');
    expect(stdout.text).toContain('and 2 more paths');
    expect(stdout.text).not.toContain('/data/5');
  });
});
