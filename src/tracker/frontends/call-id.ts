/**
 * A name for each call, the same in its answer and in what the log says of it, so that a complaint can be looked up. It is what the
 * caller has sent as `x-request-id`, as a proxy before the tracker does, or else made here. Calls that are answered by the short way
 * (hot-connection.ts) have one only where the caller gave it, or where they fail, into the app.
 */
import { ConnectError, createContextKey, type Interceptor } from '@connectrpc/connect';
import type { FastifyInstance } from 'fastify';
import { randomBytes } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import * as limits from '../../limits.ts';

export const CALL_ID_HEADER = 'x-request-id';
/** What may stand in a line of a log and in a header without being anything else. */
const CALL_ID = new RegExp(String.raw`^[\w.:+/=-]{1,${limits.CALL_ID_CHARS_MAX}}$`, 'u');

/** The id of a call of the RPC: over HTTP/1.1 that of the app's request. */
export const callIdKey = createContextKey<string>('', { description: 'call id' });

export function isCallId(text: string): boolean {
  return CALL_ID.test(text);
}

/** The caller's own, if it is short and plain; else a new one. */
export function callIdOf(headers: IncomingHttpHeaders): string {
  const given = headers[CALL_ID_HEADER];
  return typeof given === 'string' && isCallId(given) ? given : randomBytes(8).toString('hex');
}

export function tellCallIds(app: FastifyInstance): void {
  app.addHook('onRequest', (request, reply, done) => {
    void reply.header(CALL_ID_HEADER, request.id);
    done();
  });
}

/** The same for the RPC, also where no app stands before it. First of the interceptors: refusals have the header, too. */
export const tellRpcCallId: Interceptor = (next) => async (request) => {
  const id = request.contextValues.get(callIdKey);
  try {
    const response = await next(request);
    response.header.set(CALL_ID_HEADER, id);
    return response;
  } catch (error) {
    if (error instanceof ConnectError) error.metadata.set(CALL_ID_HEADER, id);
    throw error;
  }
};
