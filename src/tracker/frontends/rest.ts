/**
 * The REST calls: for people, curl, and any language. Translates between JSON and the registry and holds no rule of its own. The
 * shapes of announce, complete, files and file are fixed to the letter; fields may only be added after those given there.
 */
// oxlint-disable oxc/no-async-endpoint-handlers -- the rule is about Express; Fastify awaits its handlers
import type { FastifyPluginAsync, FastifyReply, FastifyRequest, RawServerDefault } from 'fastify';
import { Readable } from 'node:stream';
import { ShoalError } from '../../errors.ts';
import { observedHostOf } from '../addresses.ts';
import type { Registry } from '../registry.ts';
import type { Caller } from '../state.ts';
import type { Metrics } from './metrics.ts';
import { streamEvents } from './rest-events.ts';
import * as schemas from './rest-schemas.ts';
import {
  chunkAnswer,
  descriptorPath,
  descriptorText,
  fileRow,
  othersRow,
  partialRow,
  peerRow,
  sourceRow,
} from './rest-views.ts';

export interface RestOptions {
  readonly registry: Registry;
  readonly metrics: Metrics;
  /** Aborted when the tracker closes: ends event streams. */
  readonly closing: AbortSignal;
}

const CHUNKS_TAIL = '/chunks';
const DESCRIPTOR_TAIL = '.json';

export const restRoutes: FastifyPluginAsync<RestOptions, RawServerDefault, schemas.SchemaTypes> = async (
  app,
  { registry, metrics, closing },
) => {
  const failures = { '4xx': schemas.Failure };

  // curl -d calls its JSON a form and others call it nothing at all: here a body is JSON whatever it is called. A web page, which says
  // its origin, has to call it JSON, so that a browser first asks whether a page from elsewhere may send that.
  app.addHook('onRequest', (request, _reply, done) => {
    if (request.headers.origin === undefined) request.headers['content-type'] = 'application/json';
    done();
  });

  app.post(
    '/announce',
    {
      schema: {
        summary: 'These are all the files that the peer at this address now shares by this call',
        tags: ['plain'],
        description: 'With ?peers=N the answer also names up to N other peers of each file, for the first files.',
        body: schemas.Announcement,
        querystring: schemas.AnnounceQuery,
        response: { 200: schemas.Announced, ...failures },
      },
    },
    async (request) => {
      const { ip, port, files } = request.body;
      const { peers } = request.query;
      const others = await registry.announcePlain({ host: ip, port }, files, callerOf(request), Number(peers ?? 0));
      return peers === undefined ? { ok: true as const } : { ok: true as const, files: others.map(othersRow) };
    },
  );

  app.post(
    '/complete',
    {
      schema: {
        summary: 'The peer at this address has got the whole file, and serves it',
        tags: ['plain'],
        body: schemas.Completion,
        response: { 200: schemas.Ok, ...failures },
      },
    },
    async (request) => {
      registry.completePlain(addressIn(request.body), request.body.name, callerOf(request));
      return { ok: true as const };
    },
  );

  app.post(
    '/leave',
    {
      schema: {
        summary: 'The peer at this address goes',
        tags: ['plain'],
        body: schemas.PeerBody,
        response: { 200: schemas.Ok, ...failures },
      },
    },
    async (request) => {
      registry.leavePlain(addressIn(request.body), callerOf(request));
      return { ok: true as const };
    },
  );

  app.post(
    '/heartbeat',
    {
      schema: {
        summary: 'The peer at this address is still there',
        tags: ['plain'],
        body: schemas.PeerBody,
        response: { 200: schemas.Ok, ...failures },
      },
    },
    async (request) => {
      registry.heartbeatPlain(addressIn(request.body), callerOf(request));
      return { ok: true as const };
    },
  );

  app.get(
    '/files',
    {
      schema: {
        summary: 'The catalogue: the newest entry of each name',
        description: 'By name. The link header with rel="next" leads to the next page.',
        tags: ['files'],
        querystring: schemas.FilesQuery,
        response: { 200: schemas.FileList, ...failures },
      },
    },
    async (request, reply) => {
      const { entries, nextAfter } = registry.list(listQuery(request.query));
      linkNext(request, reply, nextAfter);
      return entries.map(fileRow);
    },
  );

  app.get(
    '/file/*',
    {
      schema: {
        summary: 'A file and who has it; with /chunks behind the name: who has which of its chunks',
        description:
          'The name is what follows /file/, with slashes as they are or as %2F; name@hex finds an older entry.',
        tags: ['files'],
        querystring: schemas.ChunksQuery,
        response: { 200: schemas.FileOrChunkAnswer, ...failures },
      },
    },
    async (request) => {
      const tail = rawTail(request, '/file/');
      const caller = callerOf(request);
      const ofChunks = tail.endsWith(CHUNKS_TAIL) ? nameIn(tail.slice(0, -CHUNKS_TAIL.length)) : undefined;
      if (ofChunks !== undefined && registry.has(ofChunks)) {
        const { from = '0', limit = '0' } = request.query;
        return chunkAnswer(await registry.chunkRows(ofChunks, { from: Number(from), limit: Number(limit) }, caller));
      }
      const name = nameIn(tail);
      const { entry, sources, partial } = registry.fileSources(name, caller);
      return {
        file: fileRow(entry),
        peers: sources.map(sourceRow),
        partial: partial.map((source) => partialRow(source, entry)),
        versions: registry.versions(name).map(fileRow),
      };
    },
  );

  app.get(
    '/torrents',
    {
      schema: {
        summary: 'Files that have a descriptor',
        tags: ['files'],
        querystring: schemas.FilesQuery,
        response: { 200: schemas.DescriptorList, ...failures },
      },
    },
    async (request, reply) => listDescriptors(request, request.query, reply),
  );

  app.get(
    '/torrents/*',
    {
      schema: {
        summary: 'The descriptor of a file: its chunks as numbered pieces with their SHA-256',
        description: 'shoal get takes the URL of one. GET /torrents/ lists them.',
        tags: ['files'],
        querystring: schemas.FilesQuery,
      },
    },
    async (request, reply) => {
      const tail = rawTail(request, '/torrents/');
      if (tail === '') return listDescriptors(request, request.query, reply);
      if (!tail.endsWith(DESCRIPTOR_TAIL))
        throw new ShoalError('no-such-name', 'the path of a descriptor ends with .json');
      const { entry, manifest } = await registry.describe(nameIn(tail.slice(0, -DESCRIPTOR_TAIL.length)));
      return reply.type('application/json').send(Readable.from(descriptorText(entry, manifest)));
    },
  );

  app.get(
    '/peers',
    {
      schema: {
        summary: 'Every peer with its state, when it was seen last and what it shares',
        tags: ['peers'],
        querystring: schemas.PeersQuery,
        response: { 200: schemas.PeerList, ...failures },
      },
    },
    async (request, reply) => {
      const { limit = '0', after = '' } = request.query;
      const { peers, nextAfter } = registry.peers({ limit: Number(limit), after }, callerOf(request));
      linkNext(request, reply, nextAfter);
      return peers.map(peerRow);
    },
  );

  app.get(
    '/events',
    {
      exposeHeadRoute: false,
      schema: {
        summary: 'What happens, as server-sent events',
        description: 'Resumes after the event named in the header Last-Event-ID or in the query.',
        tags: ['service'],
        produces: ['text/event-stream'],
        querystring: schemas.EventsQuery,
      },
    },
    async (request, reply) => {
      const last = String(request.headers['last-event-id'] ?? request.query.after ?? '0');
      if (!/^[0-9]{1,16}$/u.test(last) || !Number.isSafeInteger(Number(last)))
        throw new ShoalError('usage', 'Last-Event-ID takes a number');
      await streamEvents(reply, { registry, closing, afterId: Number(last) });
    },
  );

  app.get('/metrics', { schema: { summary: 'Figures for Prometheus', tags: ['service'] } }, async (_request, reply) =>
    reply.type('text/plain; version=0.0.4; charset=utf-8').send(metrics.text()),
  );

  app.get('/healthz', { schema: { summary: 'The process lives', tags: ['service'] } }, async () => ({ ok: true }));

  app.get('/readyz', { schema: { summary: 'The tracker takes calls', tags: ['service'] } }, async () => {
    if (closing.aborted) throw new ShoalError('tracker-unreachable', 'the tracker is shutting down');
    if (registry.problem() !== undefined) throw new ShoalError('disk', 'the tracker cannot write its catalogue');
    return { ok: true };
  });

  function listDescriptors(request: FastifyRequest, query: Parameters<typeof listQuery>[0], reply: FastifyReply) {
    const { entries, nextAfter } = registry.list(listQuery(query));
    linkNext(request, reply, nextAfter);
    return entries
      .filter(({ contentId }) => contentId !== '')
      .map(({ name, size, sha256 }) => ({ name, size, sha256, descriptor: descriptorPath(name) }));
  }
};

export function callerOf(request: FastifyRequest): Caller {
  return { observedHost: observedHostOf(request.socket.remoteAddress) };
}

function listQuery(query: { q?: string; limit?: string; after?: string; all?: string; folders?: string }) {
  const { q = '', limit = '0', after = '', all, folders } = query;
  return { query: q, limit: Number(limit), after, includeOffline: all === 'true', includeFolders: folders === 'true' };
}

function addressIn(body: { ip?: string; peer_ip?: string; port: number }): { host: string; port: number } {
  const host = body.ip ?? body.peer_ip;
  if (host === undefined) throw new ShoalError('usage', 'the body is refused: it must have ip');
  return { host, port: body.port };
}

/** What follows the prefix in the path as it was sent: still percent-encoded, so that %2F and / can be told apart. */
function rawTail(request: FastifyRequest, prefix: string): string {
  const path = (request.raw.url ?? '').split('?', 1)[0] ?? '';
  return path.slice(prefix.length);
}

function nameIn(tail: string): string {
  try {
    return decodeURIComponent(tail);
  } catch {
    throw new ShoalError('usage', 'the name in the path is not properly percent-encoded');
  }
}

/** The bare arrays have no room for a cursor: it goes into the link header, as in RFC 8288. */
function linkNext(request: FastifyRequest, reply: FastifyReply, nextAfter: string): void {
  if (nextAfter === '') return;
  const url = new URL(request.raw.url ?? '/', 'http://tracker');
  url.searchParams.set('after', nextAfter);
  reply.header('link', `<${url.pathname}${url.search}>; rel="next"`);
}
