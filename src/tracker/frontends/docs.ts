/**
 * `GET /openapi.json` and `GET /docs`: the description of the REST calls, and a page of it to try them on. Both are made when somebody
 * first asks: the same routes are registered on a second instance that does not listen and only describes them. A tracker that nobody
 * asks pays nothing for it.
 */
// oxlint-disable oxc/no-async-endpoint-handlers -- the rule is about Express; Fastify awaits its handlers
import Fastify, { type FastifyInstance, type FastifyPluginAsync } from 'fastify';
import { VERSION } from '../../version.ts';
import { EventSchema } from './event-schema.ts';
import { installErrorHandlers } from './rest-errors.ts';

/** The page is a plugin's, which does not describe itself. */
const PAGE = {
  operationId: 'docs',
  summary: 'This description as a page, to try the calls on',
  tags: ['service'],
  security: [],
  responses: { '200': { description: 'The page', content: { 'text/html': { schema: { type: 'string' as const } } } } },
};

export interface DocsOptions {
  /** Registers the routes to be described. */
  readonly describe: (app: FastifyInstance) => PromiseLike<unknown>;
}

export const docsRoutes: FastifyPluginAsync<DocsOptions> = async (app, { describe }) => {
  let made: Promise<FastifyInstance> | undefined;
  const docs = (): Promise<FastifyInstance> => {
    made ??= createDocs(describe).catch((error: unknown) => {
      made = undefined; // the next who asks tries again
      throw error;
    });
    return made;
  };
  app.addHook('onClose', async () => {
    await made?.then((instance) => instance.close());
  });
  app.get('/openapi.json', async () => (await docs()).swagger());
  for (const url of ['/docs', '/docs/*'])
    app.get(url, async (request, reply) => {
      const page = await docs();
      reply.hijack();
      page.routing(request.raw, reply.raw);
    });
};

async function createDocs(describe: DocsOptions['describe']): Promise<FastifyInstance> {
  const [swagger, ui] = await Promise.all([import('@fastify/swagger'), import('@fastify/swagger-ui')]);
  const app = Fastify();
  installErrorHandlers(app);
  await app.register(swagger.default, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Shoal tracker',
        version: VERSION,
        description: 'Who has what. Peers use the RPC shoal.v1.TrackerService on the same port.',
        license: { name: 'MIT', identifier: 'MIT' },
      },
      servers: [{ url: '/', description: 'This tracker' }],
      tags: [
        { name: 'plain', description: 'For clients that announce files and serve them by the range dialect' },
        { name: 'files', description: 'The catalogue' },
        { name: 'peers', description: 'Who is here' },
        { name: 'service', description: 'The tracker itself' },
      ],
      paths: { '/docs': { get: PAGE } },
      components: {
        schemas: { Event: EventSchema },
        securitySchemes: {
          token: { type: 'http', scheme: 'bearer', description: 'Only a private tracker wants one' },
        },
      },
      security: [{}, { token: [] }],
    },
  });
  await app.register(ui.default, { routePrefix: '/docs' });
  app.get(
    '/openapi.json',
    {
      schema: {
        operationId: 'openapi',
        summary: 'This description',
        tags: ['service'],
        security: [],
        response: { 200: { type: 'object', additionalProperties: true } },
      },
    },
    () => app.swagger(),
  );
  await describe(app);
  await app.ready();
  return app;
}
