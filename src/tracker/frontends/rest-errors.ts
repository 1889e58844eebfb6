/** Every error of a REST call as `{"error":{"code","message"}}` with the status of the error table; nothing of the process shows. */
import type {
  FastifyError,
  FastifyInstance,
  FastifyReply,
  FastifyRequest,
  FastifySchemaValidationError,
} from 'fastify';
import type { Socket } from 'node:net';
import { rpcMetadata } from '../../contract/errors.ts';
import { ERROR_TABLE, ShoalError, type ErrorCode } from '../../errors.ts';
import * as limits from '../../limits.ts';
import type { NotTaken, Refusal } from '../one-port.ts';

interface FailureBody {
  readonly error: { readonly code: ErrorCode; readonly message: string; readonly hint?: string };
}

export function failureBody(code: ErrorCode, message: string, hint = ''): FailureBody {
  return { error: hint === '' ? { code, message } : { code, message, hint } };
}

/** Errors thrown by handlers and by Fastify itself. Install before any route. */
export function installErrorHandlers(app: FastifyInstance): void {
  const routes: { readonly method: string; readonly prefix: string; readonly exact: boolean }[] = [];
  app.addHook('onRoute', ({ method, url }) => {
    const exact = !url.endsWith('*');
    for (const one of [method].flat()) routes.push({ method: one, exact, prefix: exact ? url : url.slice(0, -1) });
  });
  app.setErrorHandler((error: FastifyError | ShoalError, request, reply) => sendError(error, request, reply));
  app.setNotFoundHandler((request, reply) => {
    const path = (request.raw.url ?? '').split('?', 1)[0] ?? '';
    const here = routes.filter(
      ({ prefix, exact }) => prefix !== '/' && (exact ? path === prefix : path.startsWith(prefix)),
    );
    const methods = [...new Set(here.map(({ method }) => method))].filter((method) => method !== request.method);
    if (methods.length > 0) {
      const message = `${request.method} is not a method of this path: it takes ${methods.join(', ')}`;
      return reply.code(405).header('allow', methods.join(', ')).send(failureBody('usage', message));
    }
    return reply.code(404).send(failureBody('usage', 'this tracker has no such path: GET /docs shows what there is'));
  });
}

export function sendError(
  thrown: FastifyError | ShoalError,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  if (thrown instanceof ShoalError) {
    const { http } = ERROR_TABLE[thrown.code];
    if (http < 500) return reply.code(http).send(failureBody(thrown.code, thrown.message, thrown.hint));
    request.log.error({ err: thrown, url: request.url }, 'a call failed');
    const message = thrown.code === 'bug' ? 'the tracker failed at this; its log says why' : thrown.message;
    return reply.code(http).send(failureBody(thrown.code, message, thrown.hint));
  }
  const known = fastifyProblem(thrown);
  if (known !== undefined) return reply.code(known.status).send(failureBody(known.code, known.message));
  request.log.error({ err: thrown, url: request.url }, 'a call failed');
  return reply.code(500).send(failureBody('bug', 'the tracker failed at this; its log says why'));
}

/** What is wrong with a request that never became one: broken HTTP, headers too large, too slow. */
export function refuseBrokenRequest(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const [status, message] =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? ['431 Request Header Fields Too Large', 'the headers are too large']
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? ['408 Request Timeout', 'the request did not come in time']
        : ['400 Bad Request', 'this is not an HTTP request'];
  const body = JSON.stringify(failureBody('usage', message));
  const head = `HTTP/1.1 ${status}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\nconnection: close`;
  socket.end(`${head}\r\n\r\n${body}`);
}

/** What a connection that is not let in is answered, so that REST clients and those of the RPC see why. */
export function connectionRefusal(why: NotTaken): Refusal {
  const error =
    why === 'clear-text'
      ? new ShoalError('not-allowed', 'this tracker takes https only', {
          hint: 'write its URL with https://, and give --tls',
        })
      : new ShoalError(
          'not-allowed',
          'this tracker takes only those who show a certificate by its authority that has not run out',
          { hint: 'give one with --tls; shoal cert makes them' },
        );
  return refusalOf(error);
}

/** For whoever asks in whichever dialect of HTTP/1.1. */
export function refusalOf(error: ShoalError): Refusal {
  const { http, rpc } = ERROR_TABLE[error.code];
  const body = { ...failureBody(error.code, error.message, error.hint), code: rpc, message: error.message };
  return {
    status: http,
    headers: { 'content-type': 'application/json', ...rpcMetadata(error) },
    body: JSON.stringify(body),
  };
}

function fastifyProblem(error: FastifyError): { status: number; code: ErrorCode; message: string } | undefined {
  if (error.validation !== undefined) {
    const where = error.validationContext ?? 'request';
    const what =
      error.message.replace(/^(body|querystring|params|headers)\/?/u, '').trim() + allowedBy(error.validation);
    return { status: 400, code: 'usage', message: `the ${where} is refused: ${what}` };
  }
  switch (error.code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return { status: 413, code: 'too-large', message: `the body is larger than ${limits.CALL_BODY_BYTES_MAX} bytes` };
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return {
        status: 415,
        code: 'usage',
        message: 'send the body as JSON, with the header content-type: application/json',
      };
    case 'FST_ERR_CTP_EMPTY_JSON_BODY':
      return { status: 400, code: 'usage', message: 'the body is empty; it takes JSON' };
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
      return { status: 400, code: 'usage', message: 'the body does not have the length its header says' };
    case 'FST_ERR_BAD_URL':
      return { status: 400, code: 'usage', message: 'the path is not properly percent-encoded' };
  }
  const status = error.statusCode ?? 500;
  if (status === 503) return { status, code: 'tracker-unreachable', message: 'the tracker is shutting down' };
  if (status < 400 || status >= 500) return undefined;
  return { status, code: 'usage', message: 'the body is not valid JSON' };
}

/** The values that there are, where one of a few is wanted. */
function allowedBy([first]: readonly FastifySchemaValidationError[]): string {
  const values = first?.keyword === 'enum' ? first.params['allowedValues'] : undefined;
  return Array.isArray(values) ? `: ${values.join(', ')}` : '';
}
