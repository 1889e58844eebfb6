/** At the door of both frontends: which calls need which role, and the header that has to show it. The rule is access.ts's. */
import type { Interceptor } from '@connectrpc/connect';
import type { FastifyInstance } from 'fastify';
import { ShoalError } from '../../errors.ts';
import type { Access, Need } from '../access.ts';
import { callerOf } from './rest-request.ts';
import { callerKey } from './rpc.ts';
import { toConnectError } from './rpc-errors.ts';

/** REST paths that need no token: probes, and what describes the API. */
const OPEN_PATHS: ReadonlySet<string> = new Set(['/healthz', '/readyz', '/openapi.json', '/docs']);
const OPEN_PREFIX = '/docs/';
/** Only these change what others see under a name. */
const PUBLISHING_PATHS: ReadonlySet<string> = new Set(['/announce']);
const PUBLISHING_RPCS: ReadonlySet<string> = new Set(['Publish', 'Unpublish', 'UploadManifestPart']);
const RPC_PREFIX = '/shoal.v1.';

export function guardRest(app: FastifyInstance, access: Access): void {
  if (!access.isPrivate) return;
  app.addHook('onRequest', (request, reply, done) => {
    const path = request.url.split('?', 1)[0] ?? '';
    // RPC calls are asked by their interceptor, which knows how to answer them
    if (path.startsWith(RPC_PREFIX)) {
      done();
      return;
    }
    try {
      access.admit(needOfPath(path), request.headers.authorization, callerOf(request));
      done();
    } catch (error) {
      void reply.header('www-authenticate', 'Bearer');
      done(ShoalError.from(error));
    }
  });
}

export function guardRpc(access: Access): Interceptor {
  return (next) => (request) => {
    const need: Need = PUBLISHING_RPCS.has(request.method.name) ? 'publish' : 'read';
    try {
      access.admit(need, request.header.get('authorization') ?? undefined, request.contextValues.get(callerKey));
    } catch (error) {
      throw toConnectError(ShoalError.from(error));
    }
    return next(request);
  };
}

export function needOfPath(path: string): Need {
  if (OPEN_PATHS.has(path) || path.startsWith(OPEN_PREFIX)) return 'open';
  return PUBLISHING_PATHS.has(path) ? 'publish' : 'read';
}
