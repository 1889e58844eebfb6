/**
 * The calls that come ten thousand times a second (announce, Renew, Locate), answered without the machinery of the app: the same
 * registry, the same guard, the same bytes back. It takes only what is plainly right. Everything else, and every call that the
 * registry refuses, is answered by the app as if this were not here; a refused call has changed nothing, so asking twice does no harm.
 */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { FastifyInstance } from 'fastify';
import type { IncomingMessage, OutgoingHttpHeaders, RequestListener, ServerResponse } from 'node:http';
import {
  LocateRequestSchema,
  LocateResponseSchema,
  RenewRequestSchema,
  RenewResponseSchema,
} from '../../contract/gen/shoal/v1/tracker_pb.ts';
import * as limits from '../../limits.ts';
import type { Access, Need } from '../access.ts';
import { observedHostOf } from '../addresses.ts';
import type { PlainFile } from '../plain-calls.ts';
import type { Registry } from '../registry.ts';
import type { Caller } from '../state.ts';
import type { Metrics } from './metrics.ts';
import { othersRow } from './rest-views.ts';
import { CALL_ID_HEADER } from './call-id.ts';
import { locateCall, renewCall } from './rpc.ts';

export interface HotPathOptions {
  readonly app: FastifyInstance;
  readonly registry: Registry;
  readonly access: Access;
  readonly metrics: Metrics;
}

type Answer = Uint8Array | string | undefined;

interface HotCall {
  readonly route: string;
  readonly need: Need;
  /** Of request and answer. */
  readonly contentType: 'application/json' | 'application/proto';
  /** Undefined: not plainly right. */
  run(body: Buffer, caller: Caller, query: string): Answer | Promise<Answer>;
}

const JSON_HEAD = 'application/json; charset=utf-8';

export function createHotPath({ app, registry, access, metrics }: HotPathOptions): RequestListener {
  const calls = hotCalls(registry);

  const answer = async (
    call: HotCall,
    query: string,
    request: IncomingMessage,
    response: ServerResponse,
    body: Buffer,
  ): Promise<void> => {
    let bytes: Answer;
    const startedAtMs = performance.now();
    try {
      const caller = { observedHost: observedHostOf(request.socket.remoteAddress) };
      access.admit(call.need, request.headers.authorization, caller);
      const answered = call.run(body, caller, query);
      bytes = answered instanceof Promise ? await answered : answered;
    } catch {
      bytes = undefined; // the app meets the same refusal and knows how to say it
    }
    if (bytes === undefined) return replay(app, request, response, body);
    metrics.called('POST', call.route, 200, performance.now() - startedAtMs);
    const type = call.contentType === 'application/json' ? JSON_HEAD : call.contentType;
    response.writeHead(200, { 'content-type': type, 'content-length': Buffer.byteLength(bytes) });
    response.end(bytes);
  };

  return (request, response) => {
    const [path = '', query = ''] = (request.url ?? '').split('?', 2);
    const call = request.method === 'POST' ? calls.get(path) : undefined;
    if (call === undefined || !isPlain(request, call.contentType)) {
      app.routing(request, response);
      return;
    }
    readBody(request, (body) => void answer(call, query, request, response, body));
  };
}

function hotCalls(registry: Registry): ReadonlyMap<string, HotCall> {
  const rpc = '/shoal.v1.TrackerService/';
  const announce: HotCall = {
    route: '/announce',
    need: 'publish',
    contentType: 'application/json',
    run(body, caller, query) {
      const call = parseAnnounce(body);
      const others = OTHERS_QUERY.exec(query);
      if (call === undefined || (query !== '' && others === null)) return undefined;
      const { ip, port, files } = call;
      return registry
        .announcePlain({ host: ip, port }, files, caller, Number(others?.[1] ?? 0))
        .then((named) => JSON.stringify(others === null ? { ok: true } : { ok: true, files: named.map(othersRow) }));
    },
  };
  const renew: HotCall = {
    route: `${rpc}Renew`,
    need: 'read',
    contentType: 'application/proto',
    run(body) {
      const response = create(RenewResponseSchema, renewCall(registry, fromBinary(RenewRequestSchema, body)));
      return toBinary(RenewResponseSchema, response);
    },
  };
  const locate: HotCall = {
    route: `${rpc}Locate`,
    need: 'read',
    contentType: 'application/proto',
    run: (body, caller) =>
      locateCall(registry, fromBinary(LocateRequestSchema, body), caller).then((located) =>
        toBinary(LocateResponseSchema, create(LocateResponseSchema, located)),
      ),
  };
  return new Map([announce, renew, locate].map((call) => [call.route, call]));
}

const OTHERS_QUERY = /^peers=([0-9]{1,4})$/u;

/** A body of a known, small length, of the type that the call has, and not coded in any way; a call without a name of its own. */
function isPlain({ headers }: IncomingMessage, contentType: string): boolean {
  const length = headers['content-length'];
  if (length === undefined || Number(length) > limits.HOT_BODY_BYTES_MAX) return false;
  if (headers[CALL_ID_HEADER] !== undefined) return false;
  return headers['content-type'] === contentType && headers['content-encoding'] === undefined;
}

function readBody(request: IncomingMessage, then: (body: Buffer) => void): void {
  let body: Buffer | undefined;
  request.on('data', (part: Buffer) => {
    body = body === undefined ? part : Buffer.concat([body, part]);
  });
  request.on('end', () => then(body ?? Buffer.alloc(0)));
}

/** The body when it has the shape that the schema of the call asks for, and no number or text beyond its bounds. */
function parseAnnounce(body: Buffer): { ip: string; port: number; files: readonly PlainFile[] } | undefined {
  const parsed: unknown = JSON.parse(body.toString());
  if (!isRecord(parsed)) return undefined;
  const { ip, port, files } = parsed;
  if (typeof ip !== 'string' || ip.length === 0 || ip.length > 255 || !isCount(port)) return undefined;
  if (!Array.isArray(files) || !files.every(isPlainFile)) return undefined;
  return { ip, port, files };
}

function isPlainFile(file: unknown): file is PlainFile {
  if (!isRecord(file)) return false;
  const { name, size, sha256 } = file;
  if (typeof name !== 'string' || name.length > limits.NAME_BYTES_MAX || !isCount(size)) return false;
  return typeof sha256 === 'string' && sha256.length > 0 && sha256.length <= limits.PLAIN_SHA256_CHARS_MAX;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** The whole call once more, through the app. */
async function replay(
  app: FastifyInstance,
  request: IncomingMessage,
  response: ServerResponse,
  payload: Buffer,
): Promise<void> {
  const { url = '/', headers } = request;
  const remoteAddress = request.socket.remoteAddress ?? '127.0.0.1';
  const answered = await app.inject({ method: 'POST', url, headers, payload, remoteAddress });
  const { connection: _, 'transfer-encoding': _coding, ...kept } = answered.headers;
  const body = answered.rawPayload;
  response.writeHead(answered.statusCode, { ...kept, 'content-length': body.length } as OutgoingHttpHeaders);
  response.end(body);
}
