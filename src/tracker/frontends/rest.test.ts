import fc from 'fast-check';
import type { FastifyInstance, InjectOptions } from 'fastify';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import * as limits from '../../limits.ts';
import { createLog } from '../../log.ts';
import { createTrackerApp } from '../server.ts';
import { createBench, manifestOf, type Bench } from '../test-fixtures.ts';

const big = manifestOf('big', 5);
const pdf = { name: 'KTMT.pdf', size: 102_400, sha256: 'abcd1234...' };
const one = { ip: '192.168.1.10', port: 7001 };

let bench: Bench;
let app: FastifyInstance;

beforeEach(async () => {
  bench = await createBench();
  const log = createLog({ name: 'test', level: 'silent' });
  app = await createTrackerApp({
    registry: bench.registry,
    now: () => bench.clock.nowMs,
    log,
    closing: new AbortController().signal,
  });
});
afterEach(() => app.close());

const post = (url: string, payload: unknown) => app.inject({ method: 'POST', url, payload: payload as object });
const get = (url: string) => app.inject({ method: 'GET', url });
const announce = (files: readonly object[] = [pdf], address: object = one) => post('/announce', { ...address, files });

describe('the calls that are fixed to the letter', () => {
  test('announce, complete, files and file answer as written', async () => {
    const announced = await announce();
    expect([announced.statusCode, announced.body]).toEqual([200, '{"ok":true}']);
    await announce([], { ip: '192.168.1.20', port: 7002 });
    const completed = await post('/complete', { peer_ip: '192.168.1.20', port: 7002, name: 'KTMT.pdf' });
    expect([completed.statusCode, completed.body]).toEqual([200, '{"ok":true}']);

    const files = await get('/files');
    expect(files.json()).toMatchObject([pdf]);
    expect(files.body.startsWith('[{"name":"KTMT.pdf","size":102400,"sha256":"abcd1234...",')).toBe(true);

    const file = await get('/file/KTMT.pdf');
    expect(file.body.startsWith('{"file":{"name":"KTMT.pdf","size":102400,"sha256":"abcd1234...",')).toBe(true);
    const { peers } = file.json<{ peers: { ip: string; port: number }[] }>();
    expect(peers).toMatchObject([
      { ip: '192.168.1.10', port: 7001 },
      { ip: '192.168.1.20', port: 7002 },
    ]);
    expect(file.body).toContain('"peers":[{"ip":"192.168.1.10","port":7001,');
  });

  test('leave and heartbeat take ip or peer_ip', async () => {
    await announce();
    expect((await post('/heartbeat', one)).body).toBe('{"ok":true}');
    expect((await post('/leave', { peer_ip: one.ip, port: one.port })).body).toBe('{"ok":true}');
    expect((await get('/files')).json()).toEqual([]);
    expect((await get('/files?all=true')).json()).toMatchObject([pdf]);
    expect((await get('/file/KTMT.pdf')).json()).toMatchObject({ file: pdf, peers: [] });
  });

  test.each([
    ['application/json; charset=utf-8'],
    ['application/x-www-form-urlencoded'],
    ['text/plain'],
    ['json'],
    ['application/proto'],
    [''],
    [undefined],
  ])('a JSON body called %s is taken', async (type) => {
    const headers = type === undefined ? {} : { 'content-type': type };
    const send = (url: string, body: object) =>
      app.inject({ method: 'POST', url, payload: Buffer.from(JSON.stringify(body)), headers });
    const address = { peer_ip: one.ip, port: one.port };
    for (const answer of [
      await send('/announce', { ...one, files: [pdf] }),
      await send('/complete', { ...address, name: pdf.name }),
      await send('/heartbeat', one),
      await send('/leave', one),
    ])
      expect([answer.statusCode, answer.body]).toEqual([200, '{"ok":true}']);
  });

  test('a native peer may be named by its address, and goes on reporting its chunks itself', async () => {
    await announce();
    bench.join(1);
    for (const url of ['/complete', '/heartbeat', '/leave']) {
      const answer = await post(url, { peer_ip: '10.0.0.1', port: 9001, name: pdf.name });
      expect([answer.statusCode, answer.body]).toEqual([200, '{"ok":true}']);
    }
    expect((await get('/file/KTMT.pdf')).json<{ peers: unknown[] }>().peers).toMatchObject([one]);
    expect((await post('/complete', { peer_ip: '10.0.0.1', port: 9002, name: pdf.name })).statusCode).toBe(404);
  });

  test('unknown peers and names are 404', async () => {
    await announce();
    for (const answer of [
      await post('/complete', { peer_ip: '192.168.1.99', port: 1, name: 'KTMT.pdf' }),
      await post('/complete', { ...one, name: 'nothing' }),
      await post('/leave', { ip: '192.168.1.99', port: 1 }),
      await post('/heartbeat', { ip: '192.168.1.99', port: 1 }),
      await get('/file/nothing'),
      await get('/file/'),
    ]) {
      expect(answer.statusCode).toBe(404);
      expect(answer.json()).toMatchObject({ error: { code: expect.any(String), message: expect.any(String) } });
    }
  });
});

describe('the other calls', () => {
  beforeEach(async () => {
    const peer = bench.join(1);
    await bench.publish(peer, 'data/set one/big.bin', big);
    bench.join(2, { contentId: big.contentId, complete: false, chunks: Uint8Array.of(0b0100_0000) });
  });

  test('a name with slashes is reached raw and encoded', async () => {
    for (const url of ['/file/data/set%20one/big.bin', '/file/data%2Fset%20one%2Fbig.bin'])
      expect((await get(url)).json()).toMatchObject({ file: { name: 'data/set one/big.bin', content: big.contentId } });
    expect((await get(`/file/data/set%20one/big.bin@${big.contentId.slice(0, 6)}`)).statusCode).toBe(200);
  });

  test('peers with the whole file are named to plain clients, those with a part beside them', async () => {
    bench.join(3, { contentId: big.contentId, complete: false, chunks: new Uint8Array(0) });
    const { file, peers, partial } = (await get('/file/data/set%20one/big.bin')).json<Record<string, object>>();
    expect(partial).toEqual([
      {
        ...{ ip: '10.0.0.1', port: 9002, peer: '0'.repeat(31) + '2', dialects: ['native', 'range'] },
        ...{ percent: 20, replica: false },
      },
    ]);
    expect(file).toMatchObject({ seeders: 1, leechers: 2, chunks: 5 });
    expect(peers).toMatchObject([{ ip: '10.0.0.1', port: 9001 }]);
  });

  test('chunks tell who has which', async () => {
    const answer = await get('/file/data/set%20one/big.bin/chunks?from=1&limit=2');
    expect(answer.json()).toMatchObject({
      chunks: [
        { index: 1, sources: 2, peers: ['10.0.0.1:9002', '10.0.0.1:9001'] },
        { index: 2, sources: 1, peers: ['10.0.0.1:9001'] },
      ],
      next_from: 3,
    });
    expect((await get('/file/data/set%20one/big.bin/chunks?from=99')).json()).toMatchObject({
      chunks: [],
      next_from: null,
    });
    expect((await get('/file/nothing/chunks')).statusCode).toBe(404);
  });

  test('a file may be called chunks', async () => {
    await bench.publish(bench.join(1), 'lone/chunks', manifestOf('lone'));
    expect((await get('/file/lone/chunks')).json()).toMatchObject({ file: { name: 'lone/chunks' } });
  });

  test('the descriptor numbers the pieces from 1', async () => {
    const answer = await get('/torrents/data/set%20one/big.bin.json');
    const descriptor = answer.json<{ pieces: { number: number; hash: string }[] }>();
    expect(answer.headers['content-type']).toMatch(/^application\/json/u);
    expect(descriptor).toMatchObject({
      file_name: 'data/set one/big.bin',
      total_pieces: 5,
      size: big.size,
      sha256: big.sha256,
      chunk_size: big.chunkSize,
      content: big.contentId,
      links: { file: '/file/data/set%20one/big.bin' },
    });
    expect(descriptor.pieces.map(({ number }) => number)).toEqual([1, 2, 3, 4, 5]);
    expect(descriptor.pieces[4]?.hash).toBe(Buffer.from(big.chunkDigests.subarray(128, 160)).toString('hex'));
    for (const url of ['/torrents', '/torrents/'])
      expect((await get(url)).json()).toMatchObject([{ descriptor: '/torrents/data/set%20one/big.bin.json' }]);
    await announce();
    for (const url of ['/torrents/KTMT.pdf.json', '/torrents/KTMT.pdf', '/torrents/nothing.json'])
      expect((await get(url)).statusCode).toBe(404);
  });

  test('long lists have a link to the next page', async () => {
    const peer = bench.join(3);
    for (const name of ['a', 'b', 'c']) await bench.publish(peer, name, manifestOf(name));
    const first = await get('/files?limit=2');
    expect(first.json<unknown[]>()).toHaveLength(2);
    const next = /<(.*)>; rel="next"/u.exec(String(first.headers['link']))?.[1] ?? '';
    const second = await get(next);
    expect(second.json<{ name: string }[]>().map(({ name }) => name)).toEqual(['c', 'data/set one/big.bin']);
    expect(second.headers['link']).toBeUndefined();
    expect((await get('/files?q=SET')).json()).toMatchObject([{ name: 'data/set one/big.bin' }]);
  });

  test('peers are listed with state and what they share', async () => {
    await announce();
    bench.registry.leave('0'.repeat(31) + '2');
    expect((await get('/peers')).json()).toMatchObject([
      { ip: '10.0.0.1', port: 9001, state: 'online', complete: 1, files: ['data/set one/big.bin'], agent: 'test' },
      { ip: '10.0.0.1', port: 9002, state: 'offline', files: [] },
      { ip: '192.168.1.10', port: 7001, state: 'online', peer: '', dialects: ['range'], files: ['KTMT.pdf'] },
    ]);
  });

  test('peers are found by what they say of themselves, their state, and what they have', async () => {
    await announce();
    bench.volunteer(5, { offeredBytes: 9, usedBytes: 0 });
    bench.join(3);
    bench.registry.leave('0'.repeat(31) + '3');
    const ports = async (query: string): Promise<number[]> =>
      (await get(`/peers?${query}`)).json<{ port: number }[]>().map(({ port }) => port);
    expect(await ports('')).toEqual([9001, 9002, 7001, 9005, 9003]);
    expect(await ports('state=offline')).toEqual([9003]);
    expect(await ports('state=online&q=10.0.0.1')).toEqual([9001, 9002]);
    expect(await ports('q=:7001')).toEqual([7001]);
    expect(await ports(`q=${'0'.repeat(31)}5`)).toEqual([9005]);
    expect(await ports('q=TEST')).toEqual([9001, 9002, 9005, 9003]);
    expect(await ports('volunteer=true')).toEqual([9005]);
    expect(await ports('volunteer=false&banned=false&state=online')).toEqual([9001, 9002, 7001]);
    expect(await ports('banned=true')).toEqual([]);
    for (const file of ['data/set%20one/big.bin', big.contentId, `data/set%20one/big.bin@${big.contentId.slice(0, 6)}`])
      expect(await ports(`file=${file}`)).toEqual([9001, 9002]);
    expect(await ports('file=KTMT.pdf')).toEqual([7001]);
    expect((await get('/peers?file=nothing')).statusCode).toBe(404);
  });

  test('whoever pages sees all who stay once, whatever else comes and goes', async () => {
    const id = (number: number): string => number.toString(16).padStart(32, '0');
    for (let number = 10; number < 30; number++) bench.join(number);
    const seen: number[] = [];
    let next: string | undefined = '/peers?limit=4&state=online';
    for (let page = 0; next !== undefined; page++) {
      const answer = await get(next);
      seen.push(...answer.json<{ port: number }[]>().map(({ port }) => port));
      next = /<(.*)>; rel="next"/u.exec(String(answer.headers['link']))?.[1];
      if (page > 3) continue;
      // before and behind the cursor: some go, some come anew, and one that has gone comes back to its place
      bench.registry.leave(id(11 + page));
      bench.registry.leave(id(28 - page));
      bench.join(100 + page);
      bench.join(28 - page);
    }
    expect(new Set(seen).size).toBe(seen.length);
    expect(seen).toEqual(expect.arrayContaining(Array.from({ length: 15 }, (_, at) => 9015 + at)));

    for (const name of ['b', 'd', 'f', 'h']) await bench.publish(id(20), name, manifestOf(name));
    const first = await get('/files?limit=2');
    expect(first.json<{ name: string }[]>().map(({ name }) => name)).toEqual(['b', 'd']);
    await bench.registry.unpublish(id(20), ['b']);
    for (const name of ['a', 'e']) await bench.publish(id(20), name, manifestOf(name));
    const second = await get(/<(.*)>; rel="next"/u.exec(String(first.headers['link']))?.[1] ?? '');
    expect(second.json<{ name: string }[]>().map(({ name }) => name)).toEqual(['data/set one/big.bin', 'e']);
  });

  test('more rows than a page takes are not given, and the next page is named', async () => {
    bench.join(3);
    for (let number = 0; number < limits.PAGE_ROWS_DEFAULT; number++) bench.join(1_000 + number);
    const page = await get('/peers');
    expect(page.json()).toHaveLength(limits.PAGE_ROWS_DEFAULT);
    expect(page.headers['link']).toContain('rel="next"');
    expect((await get('/peers?limit=9999999999999999')).json()).toHaveLength(limits.PAGE_ROWS_DEFAULT + 3);
  });

  test('chunks are found by how many have them', async () => {
    const page = async (query: string): Promise<{ indexes: number[]; next: number | null }> => {
      const url = `/file/data/set%20one/big.bin/chunks?${query}`;
      const { chunks, next_from: next } = (await get(url)).json<{ chunks: { index: number }[]; next_from: number }>();
      return { indexes: chunks.map(({ index }) => index), next };
    };
    expect(await page('max_sources=1')).toEqual({ indexes: [0, 2, 3, 4], next: null });
    expect(await page('max_sources=1&limit=2')).toEqual({ indexes: [0, 2], next: 3 });
    expect(await page('max_sources=1&limit=2&from=3')).toEqual({ indexes: [3, 4], next: null });
    expect(await page('max_sources=0')).toEqual({ indexes: [], next: null });
    bench.registry.leave('0'.repeat(31) + '1');
    expect(await page('max_sources=0')).toEqual({ indexes: [0, 2, 3, 4], next: null });
  });

  test('service calls answer', async () => {
    expect((await get('/healthz')).json()).toEqual({ ok: true });
    expect((await get('/readyz')).json()).toEqual({ ok: true });
    const metrics = await get('/metrics');
    expect(metrics.body).toContain('shoal_tracker_peers{state="online"} 2\n');
    expect(metrics.body).toContain('shoal_tracker_calls_total{method="GET",route="/healthz",status="200"} 1\n');
  });

  test('the API is described when somebody asks, as JSON and as a page', async () => {
    const [openapi, again] = await Promise.all([get('/openapi.json'), get('/openapi.json')]);
    expect(again.body).toBe(openapi.body);
    const { paths } = openapi.json<{ paths: Record<string, { post?: { requestBody: object } }> }>();
    expect(Object.keys(paths)).toEqual(
      expect.arrayContaining(['/announce', '/complete', '/files', '/file/{name}', '/peers', '/events']),
    );
    expect(JSON.stringify(paths['/announce']?.post?.requestBody)).toContain('sha256');
    const page = await get('/docs');
    expect([page.statusCode, page.headers['content-type']]).toEqual([200, 'text/html; charset=utf-8']);
    const assets = [...page.body.matchAll(/(?:src|href)="([^"]+\.(?:js|css))"/gu)].map(([, path = '']) => path);
    expect(assets.length).toBeGreaterThan(2);
    for (const path of assets)
      expect((await get(new URL(path, 'http://tracker/docs').pathname)).statusCode, path).toBe(200);
    expect((await get('/docs/json')).json()).toEqual(openapi.json());
    expect((await get('/docs/nothing')).json()).toMatchObject({ error: { code: 'usage' } });
    expect((await app.inject({ method: 'HEAD', url: '/docs' })).statusCode).toBe(200);
  });
});

describe('bad input', () => {
  const file = (change: object): object => ({ ...one, files: [{ ...pdf, ...change }] });
  const refused: readonly (readonly [string, InjectOptions, number])[] = [
    ['broken JSON', { payload: '{"ip":', headers: { 'content-type': 'application/json' } }, 400],
    ['an empty body', { payload: '', headers: { 'content-type': 'application/json' } }, 400],
    ['a form', { payload: 'ip=1', headers: { 'content-type': 'application/x-www-form-urlencoded' } }, 400],
    ['an empty form', { payload: '', headers: { 'content-type': 'application/x-www-form-urlencoded' } }, 400],
    ['text without a content type', { payload: 'ip=1', headers: {} }, 400],
    ['a form that is too large', { payload: 'x'.repeat(limits.CALL_BODY_BYTES_MAX + 1), headers: {} }, 413],
    [
      'JSON that a web page calls a form',
      {
        payload: JSON.stringify({ ...one, files: [pdf] }),
        headers: { 'content-type': 'application/x-www-form-urlencoded', origin: 'http://elsewhere.example' },
      },
      415,
    ],
    [
      'JSON that a web page calls text',
      {
        payload: JSON.stringify({ ...one, files: [pdf] }),
        headers: { 'content-type': 'text/plain', origin: 'http://elsewhere.example' },
      },
      400,
    ],
    ['no body at all', {}, 400],
    ['an array', { payload: [] }, 400],
    ['null', { payload: 'null', headers: { 'content-type': 'application/json' } }, 400],
    ['a prototype', { payload: '{"__proto__":{}}', headers: { 'content-type': 'application/json' } }, 400],
    ['no files', { payload: one }, 400],
    ['a port as text', { payload: { ...one, port: '7001', files: [] } }, 400],
    ['port 0', { payload: { ...one, port: 0, files: [] } }, 400],
    ['port 65536', { payload: { ...one, port: 65_536, files: [] } }, 400],
    ['an ip that is none', { payload: { ip: 'not a host', port: 1, files: [] } }, 400],
    ['a size as text', { payload: file({ size: '1' }) }, 400],
    ['a negative size', { payload: file({ size: -1 }) }, 400],
    ['a size beyond 2^53 - 1', { payload: file({ size: 2 ** 53 }) }, 400],
    ['a broken size', { payload: file({ size: 0.5 }) }, 400],
    ['a name that climbs', { payload: file({ name: '../x' }) }, 400],
    ['an absolute name', { payload: file({ name: '/etc/passwd' }) }, 400],
    ['an empty name', { payload: file({ name: '' }) }, 400],
    ['a name with NUL', { payload: file({ name: 'a\0b' }) }, 400],
    ['half a surrogate pair', { payload: file({ name: '\ud800' }) }, 400],
    ['an empty sha256', { payload: file({ sha256: '' }) }, 400],
    ['a sha256 that is too long', { payload: file({ sha256: 'a'.repeat(129) }) }, 400],
    [
      'too many files',
      { payload: { ...one, files: Array.from({ length: limits.ANNOUNCE_FILES_MAX + 1 }, () => pdf) } },
      400,
    ],
    ['too much', { payload: { ...one, files: [], fill: 'x'.repeat(limits.CALL_BODY_BYTES_MAX) } }, 413],
  ];

  test.each(refused)('%s is refused with one sentence', async (_what, options, status) => {
    const answer = await app.inject({ method: 'POST', url: '/announce', ...options });
    expect(answer.statusCode).toBe(status);
    const { error } = answer.json<{ error: { code: string; message: string } }>();
    expect(error.message).toMatch(/\S/u);
    expect(answer.body).not.toMatch(/node_modules|\/src\/|at .*:\d+:\d+|FST_ERR/u);
    expect(bench.registry.figures()).toMatchObject({ peersOnline: 0, entries: 0 });
  });

  test('of a few words the refusal names those that there are', async () => {
    expect((await get('/peers?state=gone')).json()).toMatchObject({
      error: {
        code: 'usage',
        message: expect.stringMatching(/^the querystring is refused: state .*: online, offline$/u),
      },
    });
  });

  test('unknown keys are let pass', async () => {
    expect((await post('/announce', { ...one, files: [{ ...pdf, more: 1 }], extra: { a: 1 } })).statusCode).toBe(200);
  });

  test('a body without ip and peer_ip is refused', async () => {
    expect((await post('/leave', { port: 1 })).json()).toMatchObject({
      error: { code: 'usage', message: /must have ip/u },
    });
  });

  test('an unknown path is 404 and a wrong method 405 with what is allowed', async () => {
    expect((await get('/nothing')).json()).toMatchObject({ error: { code: 'usage' } });
    const wrong = await get('/announce');
    expect([wrong.statusCode, wrong.headers['allow']]).toEqual([405, 'POST']);
    const deleted = await app.inject({ method: 'DELETE', url: '/file/a/b' });
    expect([deleted.statusCode, deleted.headers['allow']]).toEqual([405, 'GET, HEAD']);
  });

  test.each([
    '/file/%',
    '/file/%ff',
    '/file/a%2',
    '/torrents/%zz.json',
    '/files?limit=x',
    '/files?limit=1&limit=2',
    '/files?limit=-1',
    '/files?all=yes',
    '/peers?after=x',
    '/peers?state=asleep',
    '/peers?banned=1',
    '/file/KTMT.pdf/chunks?max_sources=-1',
    '/events?type=joined',
    '/events?after=x',
    '/file/KTMT.pdf/chunks?from=-1',
  ])('%s is 400', async (url) => {
    await announce();
    const answer = await get(url);
    expect(answer.statusCode).toBe(400);
    expect(answer.json()).toMatchObject({ error: { code: 'usage' } });
  });

  test('no JSON body whatever makes the tracker fail', async () => {
    const almost = fc.record(
      {
        ip: fc.oneof(fc.string(), fc.ipV4(), fc.ipV6(), fc.jsonValue()),
        peer_ip: fc.oneof(fc.ipV4(), fc.jsonValue()),
        port: fc.oneof(fc.integer(), fc.jsonValue()),
        name: fc.oneof(fc.string({ unit: 'binary' }), fc.jsonValue()),
        files: fc.oneof(
          fc.array(
            fc.record({
              name: fc.oneof(fc.string({ unit: 'binary' }), fc.jsonValue()),
              size: fc.oneof(fc.maxSafeNat(), fc.jsonValue()),
              sha256: fc.oneof(fc.string({ unit: 'grapheme' }), fc.jsonValue()),
            }),
            { maxLength: 4 },
          ),
          fc.jsonValue(),
        ),
      },
      { requiredKeys: [] },
    );
    const url = fc.constantFrom('/announce', '/complete', '/leave', '/heartbeat');
    await fc.assert(
      fc.asyncProperty(url, fc.oneof(almost, fc.jsonValue()), async (path, body) => {
        const payload = JSON.stringify(body);
        const answer = await app.inject({
          method: 'POST',
          url: path,
          payload,
          headers: { 'content-type': 'application/json' },
        });
        expect(answer.statusCode, answer.body).toBeLessThan(500);
      }),
      { numRuns: 400 },
    );
    expect((await get('/files')).statusCode).toBe(200);
    expect((await get('/peers')).statusCode).toBe(200);
  });

  test('no path whatever makes the tracker fail', async () => {
    await announce();
    const tail = fc.oneof(
      fc.webPath(),
      fc.string().map(encodeURIComponent),
      fc.stringMatching(/^[%a-f0-9@/.]{0,20}$/u),
    );
    await fc.assert(
      fc.asyncProperty(fc.constantFrom('/file/', '/torrents/', '/files?q=', '/'), tail, async (prefix, rest) => {
        expect((await get(prefix + rest)).statusCode).toBeLessThan(500);
      }),
      { numRuns: 300 },
    );
  });
});
