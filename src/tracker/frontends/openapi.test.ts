/** The API description: a valid one, of every route there is, and with every field that is answered. */
import { Validator } from '@seriousme/openapi-schema-validator';
import Fastify, { type FastifyInstance } from 'fastify';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Compile, type XSchema } from 'typebox/schema';
import * as limits from '../../limits.ts';
import { createLog } from '../../log.ts';
import { createTrackerApp } from '../server.ts';
import { changeOf, claimOf, createBench, manifestOf, peerIdOf, type Bench } from '../test-fixtures.ts';
import { docsRoutes } from './docs.ts';
import { createMetrics } from './metrics.ts';
import { eventData } from './rest-events.ts';
import { restRoutes } from './rest.ts';

type Json = Readonly<Record<string, unknown>>;
interface Operation {
  readonly operationId: string;
  readonly parameters?: readonly { readonly name: string; readonly in: string }[];
  readonly responses: Readonly<
    Record<string, { readonly content?: Readonly<Record<string, { readonly schema: Json }>> }>
  >;
}
interface Description extends Json {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: { readonly Event: Json } };
}

const big = manifestOf('big', 5);
const one = { ip: '192.168.1.10', port: 7001 };
const pdf = { name: 'KTMT.pdf', size: 102_400, sha256: 'abcd1234...' };

let bench: Bench;
let app: FastifyInstance;
let description: Description;

beforeEach(async () => {
  bench = await createBench();
  const log = createLog({ name: 'test', level: 'silent' });
  const closing = new AbortController().signal;
  app = await createTrackerApp({ registry: bench.registry, now: () => bench.clock.nowMs, log, closing });
  description = (await app.inject('/openapi.json')).json<Description>();
});
afterEach(() => app.close());

/** As the router has them. */
async function servedRoutes({ registry }: Bench): Promise<{ readonly method: string; readonly url: string }[]> {
  const routes: { readonly method: string; readonly url: string }[] = [];
  const bare = Fastify();
  bare.addHook('onRoute', ({ method, url }) => {
    for (const each of [method].flat()) routes.push({ method: each, url });
  });
  const closing = new AbortController().signal;
  await bare.register(restRoutes, { registry, metrics: createMetrics(registry, () => 1), closing });
  await bare.register(docsRoutes, { describe: async () => undefined });
  await bare.close();
  // what the tracker serves besides is the RPC, which its proto file describes
  const others = app
    .printRoutes({ commonPrefix: false })
    .split('\n')
    .filter((line) => /\(.*GET|POST/u.test(line));
  const rest = others.filter((line) => !line.includes('shoal.v1') && !line.includes('TRACE'));
  expect(rest).toHaveLength(new Set(routes.map(({ url }) => url)).size);
  return routes;
}

/** Takes nothing that is not described. */
function strict(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(strict);
  if (typeof schema !== 'object' || schema === null) return schema;
  const walked = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, strict(value)]));
  return 'properties' in walked && walked['additionalProperties'] === undefined
    ? { ...walked, additionalProperties: false }
    : walked;
}

function problems(schema: Json, value: unknown): string[] {
  const [ok, errors] = Compile(strict(schema) as XSchema).Errors(value);
  return ok ? [] : errors.map(({ instancePath, message }) => `${instancePath}: ${message}`);
}

/** The operation of a path and what its answers are, by status. */
function schemaOf(path: string, method: string, status: number, type: string): Json {
  const responses = description.paths[path]?.[method]?.responses ?? {};
  const answer = responses[String(status)] ?? responses[`${Math.floor(status / 100)}XX`];
  const schema = answer?.content?.[type]?.schema;
  if (schema === undefined) throw new Error(`${method} ${path} does not describe its answer ${status} of ${type}`);
  return schema;
}

test('the description is valid OpenAPI 3.1, every operation has a name of its own, every {name} is a parameter', async () => {
  const { valid, errors } = await new Validator().validate(structuredClone(description));
  expect(errors).toBeUndefined();
  expect(valid).toBe(true);
  expect(description.openapi).toBe('3.1.0');
  const operations = Object.values(description.paths).flatMap((path) => Object.values(path));
  expect(new Set(operations.map(({ operationId }) => operationId)).size).toBe(operations.length);
  for (const [path, methods] of Object.entries(description.paths))
    for (const { parameters = [] } of Object.values(methods))
      expect(
        parameters.filter((parameter) => parameter.in === 'path').map(({ name }) => `{${name}}`),
        path,
      ).toEqual(path.match(/\{\w+\}/gu) ?? []);
});

test('a description that is none is noticed', async () => {
  const { info: _, ...rest } = description;
  expect(await new Validator().validate(rest)).toMatchObject({ valid: false });
});

test('every route is described, and nothing else', async () => {
  const served = await servedRoutes(bench);
  const described = Object.entries(description.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  );
  /** Each wildcard of the router, as what it answers. */
  const spelled: Readonly<Record<string, readonly string[]>> = {
    '/file/*': ['/file/{name}', '/file/{name}/chunks'],
    '/torrents/*': ['/torrents/', '/torrents/{name}.json'],
    '/docs/*': [],
  };
  const expected = served
    .filter(({ method }) => method !== 'HEAD') // each GET has its own
    .flatMap(({ method, url }) => (spelled[url] ?? [url]).map((path) => `${method} ${path}`));
  expect(described.toSorted()).toEqual(expected.toSorted());
});

describe('real answers', () => {
  beforeEach(async () => {
    const offer = { offeredBytes: 1_000, usedBytes: 10 };
    const peer = bench.join(1);
    await bench.publish(peer, 'data/set one/big.bin', big);
    bench.volunteer(2, offer, claimOf(big, [1]));
    await app.inject({ method: 'POST', url: '/announce', payload: { ...one, files: [pdf] } });
    bench.join(3);
    bench.registry.leave(peerIdOf(3));
  });

  const gets: readonly (readonly [string, string])[] = [
    ['/files', '/files?all=true'],
    ['/file/{name}', '/file/data/set%20one/big.bin'],
    ['/file/{name}', '/file/KTMT.pdf'],
    ['/file/{name}/chunks', '/file/data/set%20one/big.bin/chunks'],
    ['/file/{name}/chunks', '/file/data/set%20one/big.bin/chunks?limit=2'],
    ['/torrents', '/torrents'],
    ['/torrents/', '/torrents/'],
    ['/torrents/{name}.json', '/torrents/data/set%20one/big.bin.json'],
    ['/peers', '/peers'],
    ['/healthz', '/healthz'],
    ['/readyz', '/readyz'],
    ['/openapi.json', '/openapi.json'],
  ];
  test.each(gets)('GET %s answers %s as described', async (path, url) => {
    const answer = await app.inject(url);
    expect(answer.statusCode).toBe(200);
    expect(problems(schemaOf(path, 'get', 200, 'application/json'), answer.json())).toEqual([]);
  });

  test.each(['/announce', '/announce?peers=3', '/complete', '/heartbeat', '/leave'])('POST %s', async (url) => {
    await app.inject({ method: 'POST', url: '/announce', payload: { ...one, port: 7002, files: [pdf] } });
    const payload = { ...one, name: pdf.name, files: [pdf] };
    const answer = await app.inject({ method: 'POST', url, payload });
    expect(answer.statusCode).toBe(200);
    const schema = schemaOf(url.split('?', 1)[0] ?? '', 'post', 200, 'application/json');
    expect(problems(schema, answer.json())).toEqual([]);
  });

  test.each([
    ['/file/{name}', '/file/nothing', 404],
    ['/file/{name}/chunks', '/file/KTMT.pdf/chunks', 404],
    ['/peers', '/peers?state=asleep', 400],
    ['/events', '/events?type=earthquake', 400],
  ])('GET %s refuses %s as described', async (path, url, status) => {
    const answer = await app.inject(url);
    expect(answer.statusCode).toBe(status);
    expect(problems(schemaOf(path, 'get', status, 'application/json'), answer.json())).toEqual([]);
  });

  test('text is described as text', async () => {
    for (const [path, type] of [
      ['/metrics', 'text/plain'],
      ['/docs', 'text/html'],
    ] as const) {
      const answer = await app.inject(path);
      expect(answer.headers['content-type']).toContain(type);
      expect(schemaOf(path, 'get', 200, type)).toMatchObject({ type: 'string' });
    }
    expect(schemaOf('/events', 'get', 200, 'text/event-stream')).toMatchObject({ type: 'string' });
  });

  test('a field that is not described is noticed', () => {
    const schema = schemaOf('/peers', 'get', 200, 'application/json');
    expect(problems(schema, [{ surprise: 1 }])).not.toEqual([]);
  });

  test('every event is described', async () => {
    const stop = new AbortController();
    const seen: unknown[] = [];
    const events = bench.registry.events.watch({ afterId: 1, signal: stop.signal });
    bench.join(4, claimOf(big, []));
    bench.registry.renew(peerIdOf(4), [changeOf(big, { gained: [0, 1, 2, 3] })]);
    bench.registry.renew(peerIdOf(4), [changeOf(big, { complete: true })]);
    for (let number = 10; number < 10 + limits.REPORTERS_MIN; number++) {
      const accusation = { contentId: big.contentId, peerId: peerIdOf(4), offence: 'wrong-bytes' } as const;
      bench.join(number, claimOf(big, [0]));
      const address = { host: '10.0.0.1', port: 9004 };
      bench.registry.reportPeers(peerIdOf(number), [{ ...accusation, address }], { observedHost: `10.0.1.${number}` });
    }
    bench.registry.leave(peerIdOf(4));
    for (let type = ''; type !== 'peer-banned';) {
      const event = (await events.next()).value;
      if (event === undefined) break;
      ({ type } = event);
      seen.push(type);
      expect(problems(description.components.schemas.Event, JSON.parse(eventData(event))), type).toEqual([]);
    }
    stop.abort();
    expect(seen).toEqual(expect.arrayContaining(['missed', 'peer-joined', 'entry-published', 'milestone']));
  });
});
