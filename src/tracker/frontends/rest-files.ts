/** The catalogue: files, who has them, their chunks and their descriptors. */
// oxlint-disable oxc/no-async-endpoint-handlers -- the rule is about Express; Fastify awaits its handlers
import type { FastifyReply, FastifyRequest, FastifySchema } from 'fastify';
import { Readable } from 'node:stream';
import { ShoalError } from '../../errors.ts';
import type { Registry } from '../registry.ts';
import { callerOf, linkNext, nameIn, rawTail } from './rest-request.ts';
import * as schemas from './rest-schemas.ts';
import { chunkAnswer, descriptorPath, descriptorText, fileRow, partialRow, sourceRow } from './rest-views.ts';

const CHUNKS_TAIL = '/chunks';
const DESCRIPTOR_TAIL = '.json';

const FILE_SCHEMA = {
  operationId: 'file',
  summary: 'A file and who has it',
  description: 'Of very many peers it names some, others each time; GET /peers?file= pages through all of them.',
  tags: ['files'],
  params: schemas.NameInPath,
  response: { 200: schemas.FileAnswer, ...schemas.failures },
} as const;
const CHUNKS_SCHEMA = {
  operationId: 'chunks',
  summary: 'The chunks of a file: SHA-256, how many sources, which',
  description:
    'Pages are of one content when the name is written name@hex; otherwise the name may get a newer one meanwhile.',
  tags: ['files'],
  params: schemas.NameInPath,
  querystring: schemas.ChunksQuery,
  response: { 200: schemas.ChunkAnswer, ...schemas.failures },
} as const;
const DESCRIPTOR_SCHEMA = {
  operationId: 'descriptor',
  summary: 'The descriptor of a file: its chunks as numbered pieces with their SHA-256',
  description: 'shoal get takes the URL of one.',
  tags: ['files'],
  params: schemas.NameInPath,
  response: { 200: schemas.Descriptor, ...schemas.failures },
} as const;
const DESCRIPTORS_SCHEMA = {
  operationId: 'descriptors',
  summary: 'Files that have a descriptor',
  description: 'Pages as GET /files does.',
  tags: ['files'],
  querystring: schemas.FilesQuery,
  response: { 200: schemas.DescriptorList, ...schemas.failures },
} as const;

/** @param isDescribed the routes are not called but described: each path by itself, where one wildcard answers several. */
export function fileRoutes(app: schemas.RestApp, registry: Registry, isDescribed: boolean): void {
  app.get(
    '/files',
    {
      schema: {
        operationId: 'files',
        summary: 'The catalogue: the newest entry of each name',
        description:
          'By name, so that what comes and goes meanwhile moves nothing else. The link header with rel="next" leads to the next page.',
        tags: ['files'],
        querystring: schemas.FilesQuery,
        response: { 200: schemas.FileList, ...schemas.failures },
      },
    },
    async (request, reply) => {
      const { entries, nextAfter } = registry.list(listQuery(request.query));
      linkNext(request, reply, nextAfter);
      return entries.map(fileRow);
    },
  );

  app.get('/torrents', { schema: DESCRIPTORS_SCHEMA }, async (request, reply) =>
    listDescriptors(request, request.query, reply),
  );

  if (isDescribed) {
    const describe = (url: string, schema: FastifySchema): void => void app.get(url, { schema }, async () => undefined);
    describe('/file/:name', FILE_SCHEMA);
    describe('/file/:name/chunks', CHUNKS_SCHEMA);
    describe('/torrents/', { ...DESCRIPTORS_SCHEMA, operationId: 'descriptorsBelow' });
    describe('/torrents/:name.json', DESCRIPTOR_SCHEMA);
    return;
  }

  // names have slashes, as they are or encoded, which no parameter of a route takes
  app.get('/file/*', { schema: { querystring: schemas.ChunksQuery } }, async (request) => {
    const tail = rawTail(request, '/file/');
    const caller = callerOf(request);
    const ofChunks = tail.endsWith(CHUNKS_TAIL) ? nameIn(tail.slice(0, -CHUNKS_TAIL.length)) : undefined;
    if (ofChunks !== undefined && registry.has(ofChunks)) {
      const { from = '0', limit = '0', max_sources: most } = request.query;
      const sourcesMax = most === undefined ? undefined : Number(most);
      const query = { from: Number(from), limit: Number(limit), sourcesMax };
      return chunkAnswer(await registry.chunkRows(ofChunks, query, caller));
    }
    const name = nameIn(tail);
    const { entry, sources, partial } = registry.fileSources(name, caller);
    return {
      file: fileRow(entry),
      peers: sources.map(sourceRow),
      partial: partial.map((source) => partialRow(source, entry)),
      versions: registry.versions(name).map(fileRow),
    };
  });

  app.get('/torrents/*', { schema: { querystring: schemas.FilesQuery } }, async (request, reply) => {
    const tail = rawTail(request, '/torrents/');
    if (tail === '') return listDescriptors(request, request.query, reply);
    if (!tail.endsWith(DESCRIPTOR_TAIL))
      throw new ShoalError('no-such-name', 'the path of a descriptor ends with .json');
    const { entry, manifest } = await registry.describe(nameIn(tail.slice(0, -DESCRIPTOR_TAIL.length)));
    return reply.type('application/json').send(Readable.from(descriptorText(entry, manifest)));
  });

  function listDescriptors(request: FastifyRequest, query: Parameters<typeof listQuery>[0], reply: FastifyReply) {
    const { entries, nextAfter } = registry.list(listQuery(query));
    linkNext(request, reply, nextAfter);
    return entries
      .filter(({ contentId }) => contentId !== '')
      .map(({ name, size, sha256 }) => ({ name, size, sha256, descriptor: descriptorPath(name) }));
  }
}

function listQuery(query: { q?: string; limit?: string; after?: string; all?: string; folders?: string }) {
  const { q = '', limit = '0', after = '', all, folders } = query;
  return { query: q, limit: Number(limit), after, includeOffline: all === 'true', includeFolders: folders === 'true' };
}
