/**
 * The REST calls: for people, curl, and any language. Translates between JSON and the registry and holds no rule of its own. The
 * shapes of announce, complete, files and file are fixed to the letter; fields may only be added after those given there.
 */
// oxlint-disable oxc/no-async-endpoint-handlers -- the rule is about Express; Fastify awaits its handlers
import type { FastifyPluginAsync, RawServerDefault } from 'fastify';
import { ShoalError } from '../../errors.ts';
import { eventTypesIn } from '../event-log.ts';
import type { Registry } from '../registry.ts';
import type { Metrics } from './metrics.ts';
import { streamEvents } from './rest-events.ts';
import { fileRoutes } from './rest-files.ts';
import { plainRoutes } from './rest-plain.ts';
import { callerOf, linkNext } from './rest-request.ts';
import * as schemas from './rest-schemas.ts';
import { peerRow } from './rest-views.ts';

export interface RestOptions {
  readonly registry: Registry;
  readonly metrics: Metrics;
  /** Aborted when the tracker closes: ends event streams. */
  readonly closing: AbortSignal;
  /** The routes are only to be described, not called. */
  readonly isDescribed?: boolean;
}

export const restRoutes: FastifyPluginAsync<RestOptions, RawServerDefault, schemas.SchemaTypes> = async (
  app,
  { registry, metrics, closing, isDescribed = false },
) => {
  // curl -d calls its JSON a form and others call it nothing at all: here a body is JSON whatever it is called. A web page, which says
  // its origin, has to call it JSON, so that a browser first asks whether a page from elsewhere may send that.
  app.addHook('onRequest', (request, _reply, done) => {
    if (request.headers.origin === undefined) request.headers['content-type'] = 'application/json';
    done();
  });

  plainRoutes(app, registry);
  fileRoutes(app, registry, isDescribed);

  app.get(
    '/peers',
    {
      schema: {
        operationId: 'peers',
        summary: 'Every peer with its state, when it was seen last and what it shares',
        description:
          'In the order in which they first came, which never changes, so that paging misses nobody who stays. The link header with rel="next" leads to the next page.',
        tags: ['peers'],
        querystring: schemas.PeersQuery,
        response: { 200: schemas.PeerList, ...schemas.failures },
      },
    },
    async (request, reply) => {
      const { limit = '0', after = '', q, file, state, banned, volunteer } = request.query;
      const query = {
        ...{ limit: Number(limit), after, query: q, what: file },
        online: state === undefined ? undefined : state === 'online',
        banned: flagIn(banned),
        volunteer: flagIn(volunteer),
      };
      const { peers, nextAfter } = registry.peers(query, callerOf(request));
      linkNext(request, reply, nextAfter);
      return peers.map(peerRow);
    },
  );

  app.get(
    '/events',
    {
      exposeHeadRoute: false,
      schema: {
        operationId: 'events',
        summary: 'What happens, as server-sent events',
        description:
          'Resumes after the event named in the header Last-Event-ID or in the query. The data of each is JSON: the schema Event. A reader that was too slow gets a missed.',
        tags: ['service'],
        headers: schemas.EventsHeaders,
        querystring: schemas.EventsQuery,
        response: { 200: schemas.EventStream, ...schemas.failures },
      },
    },
    async (request, reply) => {
      const last = request.headers['last-event-id'] ?? request.query.after ?? '0';
      if (!/^[0-9]{1,16}$/u.test(last) || !Number.isSafeInteger(Number(last)))
        throw new ShoalError('usage', 'Last-Event-ID takes a number');
      const { type } = request.query;
      const types = type === undefined ? undefined : eventTypesIn(type.split(','));
      await streamEvents(reply, { registry, closing, types, afterId: Number(last) });
    },
  );

  app.get(
    '/metrics',
    {
      schema: {
        operationId: 'metrics',
        summary: 'Figures for Prometheus',
        tags: ['service'],
        response: { 200: schemas.MetricsText, ...schemas.failures },
      },
    },
    async (_request, reply) => reply.type('text/plain; version=0.0.4; charset=utf-8').send(metrics.text()),
  );

  app.get(
    '/healthz',
    {
      schema: {
        operationId: 'healthz',
        summary: 'The process lives',
        tags: ['service'],
        response: { 200: schemas.Ok, ...schemas.failures },
      },
    },
    async () => ({ ok: true as const }),
  );

  app.get(
    '/readyz',
    {
      schema: {
        operationId: 'readyz',
        summary: 'The tracker takes calls: not while it ends, nor while it cannot write its catalogue',
        tags: ['service'],
        response: { 200: schemas.Ok, ...schemas.failures },
      },
    },
    async () => {
      if (closing.aborted) throw new ShoalError('tracker-unreachable', 'the tracker is shutting down');
      if (registry.problem() !== undefined) throw new ShoalError('disk', 'the tracker cannot write its catalogue');
      return { ok: true as const };
    },
  );
};

function flagIn(text: 'true' | 'false' | undefined): boolean | undefined {
  return text === undefined ? undefined : text === 'true';
}
