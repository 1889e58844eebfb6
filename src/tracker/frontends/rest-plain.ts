/** The calls of the plain client: announce, complete, heartbeat, leave. Their shapes are fixed to the letter. */
// oxlint-disable oxc/no-async-endpoint-handlers -- the rule is about Express; Fastify awaits its handlers
import { ShoalError } from '../../errors.ts';
import type { Registry } from '../registry.ts';
import { callerOf } from './rest-request.ts';
import * as schemas from './rest-schemas.ts';
import { othersRow } from './rest-views.ts';

export function plainRoutes(app: schemas.RestApp, registry: Registry): void {
  app.post(
    '/announce',
    {
      schema: {
        operationId: 'announce',
        summary: 'These are all the files that the peer at this address now shares by this call',
        tags: ['plain'],
        description: 'With ?peers=N the answer also names up to N other peers of each file, for the first files.',
        body: schemas.Announcement,
        querystring: schemas.AnnounceQuery,
        response: { 200: schemas.Announced, ...schemas.failures },
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
        operationId: 'complete',
        summary: 'The peer at this address has got the whole file, and serves it',
        tags: ['plain'],
        body: schemas.Completion,
        response: { 200: schemas.Ok, ...schemas.failures },
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
        operationId: 'leave',
        summary: 'The peer at this address goes',
        tags: ['plain'],
        body: schemas.PeerBody,
        response: { 200: schemas.Ok, ...schemas.failures },
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
        operationId: 'heartbeat',
        summary: 'The peer at this address is still there',
        tags: ['plain'],
        body: schemas.PeerBody,
        response: { 200: schemas.Ok, ...schemas.failures },
      },
    },
    async (request) => {
      registry.heartbeatPlain(addressIn(request.body), callerOf(request));
      return { ok: true as const };
    },
  );
}

function addressIn(body: { ip?: string; peer_ip?: string; port: number }): { host: string; port: number } {
  const host = body.ip ?? body.peer_ip;
  if (host === undefined) throw new ShoalError('usage', 'the body is refused: it must have ip');
  return { host, port: body.port };
}
