/**
 * Calls to one tracker: Connect's protocol over HTTP/1.1, with kept connections. One answer or a stream of them, read to its limit. It
 * tries once and judges nothing: what a tracker refused is a ShoalError, everything else a CallProblem that says what became of the call.
 */
import { randomBytes } from 'node:crypto';
import type { Agent, ClientRequest, IncomingMessage, RequestOptions } from 'node:http';
import type { Socket } from 'node:net';
import { shoalErrorFromRpc } from '../contract/errors.ts';
import { decodeMessage, encodeMessage, type InputOf, type MessageOf } from '../contract/message-codec.ts';
import { CALLS, SERVICE_NAME, type CallName } from '../contract/messages.ts';
import { ShoalError } from '../errors.ts';
import * as limits from '../limits.ts';
import { tlsError } from '../net/tls-error.ts';
import type { TlsFiles } from './api.ts';

export type CallInput<N extends CallName> = InputOf<(typeof CALLS)[N]['request']>;
export type CallAnswer<N extends CallName> = MessageOf<(typeof CALLS)[N]['answer']>;

/**
 * Why a call has no answer: no connection (the cause says more), silence, an answer that no tracker of this version gives, or a failure that
 * the server tells of in its own words.
 */
export class CallProblem extends Error {
  readonly kind: 'connection' | 'late' | 'stranger' | 'failed';

  constructor(kind: CallProblem['kind'], message: string, cause?: unknown) {
    super(message, { cause });
    this.kind = kind;
  }
}

export interface TrackerHttp {
  readonly url: string;
  call<N extends CallName>(
    name: N,
    input: CallInput<N>,
    options: { readonly signal: AbortSignal; readonly timeoutMs: number },
  ): Promise<CallAnswer<N>>;
  /** Ends when the tracker ends it; throws when the connection breaks. */
  stream<N extends CallName>(name: N, input: CallInput<N>, signal: AbortSignal): AsyncIterable<CallAnswer<N>>;
  /** Breaks off what runs. */
  close(): void;
}

export interface TrackerHttpOptions {
  readonly token?: string | undefined;
  readonly tls?: TlsFiles | undefined;
  /** The other side has closed a connection that was kept for the next call: it has gone, or is about to. */
  readonly onLost?: (() => void) | undefined;
}

/** What the tracker's log calls a call that failed, and its answer: the same beginning for all calls of this process. */
const CALL_ID_HEADER = 'x-request-id';
const PROCESS_ID = randomBytes(4).toString('hex');

/** Before each message of a stream: flags, and its length in 4 bytes. */
const ENVELOPE_BYTES = 5;
const FLAG_COMPRESSED = 1;
const FLAG_END = 2;

/** Throws `usage` for what is not an http or https URL. */
export function openTrackerHttp(text: string, { token, tls, onLost }: TrackerHttpOptions = {}): TrackerHttp {
  const url = text.replace(/\/+$/u, '');
  const base = URL.parse(url);
  if (base === null || (base.protocol !== 'http:' && base.protocol !== 'https:')) {
    throw new ShoalError('usage', `${JSON.stringify(text)} is not the URL of a tracker`, {
      hint: 'it looks like http://127.0.0.1:9000',
    });
  }
  // an import would touch every export of the module, and one of them loads all of fetch: a third of the time of a short `get`
  const http = process.getBuiltinModule(base.protocol === 'https:' ? 'node:https' : 'node:http');
  const agent: Agent = new http.Agent({
    ...(base.protocol === 'https:' ? tls : {}),
    keepAlive: true,
    maxSockets: limits.TRACKER_CONNECTIONS_MAX,
    scheduling: 'lifo',
  });
  const kept = onLost === undefined ? undefined : watchKept(agent, onLost);

  let callCount = 0;
  const send = (name: CallName, body: Uint8Array, type: string, how: RequestOptions): ClientRequest => {
    const path = `${base.pathname === '/' ? '' : base.pathname}/${SERVICE_NAME}/${CALLS[name].method}`;
    const headers: Record<string, string | number> = {
      'content-type': type,
      'connect-protocol-version': '1',
      [CALL_ID_HEADER]: `${PROCESS_ID}-${++callCount}`,
      'content-length': body.length,
      ...(how.headers as Record<string, string>),
    };
    if (token !== undefined && token !== '') headers['authorization'] = `Bearer ${token}`;
    const { hostname, port } = base;
    const host = hostname.startsWith('[') ? hostname.slice(1, -1) : hostname;
    const request = http.request({ ...how, agent, host, port: port || undefined, path, method: 'POST', headers });
    if (kept !== undefined) request.once('socket', kept.taken);
    request.end(body);
    return request;
  };

  return {
    url,
    async call(name, input, { signal, timeoutMs }) {
      const late = AbortSignal.timeout(timeoutMs);
      try {
        const request = send(name, encodeMessage(CALLS[name].request, input), 'application/proto', {
          headers: { 'connect-timeout-ms': String(timeoutMs) },
          signal: AbortSignal.any([signal, late]),
        });
        const response = await responseOf(request);
        const body = await readAll(response);
        if (response.statusCode !== 200 || response.headers['content-type'] !== 'application/proto')
          throw refusal(response, body);
        return decodeMessage(CALLS[name].answer, body);
      } catch (error) {
        if (late.aborted && !signal.aborted) throw new CallProblem('late', 'no answer in time', error);
        throw asProblem(url, error);
      }
    },
    async *stream(name, input, signal) {
      try {
        const request = send(name, enveloped(encodeMessage(CALLS[name].request, input)), 'application/connect+proto', {
          signal,
        });
        const response = await responseOf(request);
        if (response.statusCode !== 200) throw refusal(response, await readAll(response));
        for await (const message of messagesOf(response)) yield decodeMessage(CALLS[name].answer, message);
      } catch (error) {
        throw asProblem(url, error);
      }
    },
    close() {
      kept?.close();
      agent.destroy();
    },
  };
}

/** Tells of connections that end while nobody uses them, but for those that we end ourselves: they were kept for too long, or we close. */
function watchKept(agent: Agent, onLost: () => void): { readonly taken: (socket: Socket) => void; close(): void } {
  const idle = new WeakSet<Socket>();
  const watched = new WeakSet<Socket>();
  let isClosed = false;
  agent.on('free', (socket: Socket) => {
    idle.add(socket);
    if (watched.has(socket)) return;
    watched.add(socket);
    socket.once('timeout', () => watched.delete(socket));
    socket.once('close', () => {
      if (!isClosed && idle.has(socket) && watched.has(socket)) onLost();
    });
  });
  return {
    taken: (socket) => void idle.delete(socket),
    close: () => {
      isClosed = true;
    },
  };
}

function responseOf(request: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.once('response', resolve);
    request.once('error', reject);
  });
}

async function readAll(response: IncomingMessage): Promise<Uint8Array<ArrayBuffer>> {
  const parts: Buffer<ArrayBuffer>[] = [];
  let byteCount = 0;
  for await (const part of response as AsyncIterable<Buffer<ArrayBuffer>>) {
    byteCount += part.length;
    if (byteCount > limits.TRACKER_ANSWER_BYTES_MAX) {
      response.destroy();
      throw new CallProblem('stranger', `an answer of more than ${limits.TRACKER_ANSWER_BYTES_MAX} bytes`);
    }
    parts.push(part);
  }
  // not a Buffer: slices of those are no copies
  const all = new Uint8Array(byteCount);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** The messages of a stream; its last one says how it ended. */
async function* messagesOf(response: IncomingMessage): AsyncIterable<Uint8Array<ArrayBuffer>> {
  let waiting = Buffer.alloc(0);
  for await (const part of response as AsyncIterable<Buffer<ArrayBuffer>>) {
    waiting = waiting.length === 0 ? part : Buffer.concat([waiting, part]);
    while (waiting.length >= ENVELOPE_BYTES) {
      const flags = waiting.readUInt8(0);
      const byteCount = waiting.readUInt32BE(1);
      if (byteCount > limits.TRACKER_ANSWER_BYTES_MAX || (flags & FLAG_COMPRESSED) !== 0) {
        response.destroy();
        throw new CallProblem('stranger', `a message of ${byteCount} bytes with the flags ${flags}`);
      }
      if (waiting.length < ENVELOPE_BYTES + byteCount) break;
      const message = new Uint8Array(waiting.subarray(ENVELOPE_BYTES, ENVELOPE_BYTES + byteCount));
      waiting = waiting.subarray(ENVELOPE_BYTES + byteCount);
      if ((flags & FLAG_END) === 0) {
        yield message;
        continue;
      }
      const { error, metadata } = jsonOf(message) as { error?: unknown; metadata?: Record<string, string[]> };
      if (error === undefined) return;
      throw refusalFrom(error, (key) => metadata?.[key]?.[0], 'the stream ended with an error');
    }
  }
  throw new CallProblem('connection', 'the stream was cut off');
}

function enveloped(message: Uint8Array): Uint8Array {
  const bytes = Buffer.alloc(ENVELOPE_BYTES + message.length);
  bytes.writeUInt32BE(message.length, 1);
  bytes.set(message, ENVELOPE_BYTES);
  return bytes;
}

/** What an answer without a message means. */
function refusal(response: IncomingMessage, body: Uint8Array<ArrayBuffer>): ShoalError | CallProblem {
  const status = response.statusCode ?? 0;
  const header = (key: string): string | undefined => {
    const value = response.headers[key];
    return typeof value === 'string' ? value : undefined;
  };
  return refusalFrom(jsonOf(body), header, `it answered with the status ${status}`);
}

function refusalFrom(
  document: unknown,
  metadata: (key: string) => string | undefined,
  otherwise: string,
): ShoalError | CallProblem {
  const { code, message } = (typeof document === 'object' && document !== null ? document : {}) as Record<
    string,
    unknown
  >;
  if (typeof code !== 'string' || typeof message !== 'string') return new CallProblem('stranger', otherwise);
  const problem = shoalErrorFromRpc(message, metadata);
  const callId = metadata(CALL_ID_HEADER);
  // its log says more, under this name
  if (problem?.code === 'bug' && callId !== undefined) return new ShoalError('bug', `${message} (call ${callId})`);
  if (problem !== undefined) return problem;
  if (code === 'unimplemented' || code === 'not_found') return new CallProblem('stranger', message);
  return new CallProblem(code === 'deadline_exceeded' ? 'late' : 'failed', message);
}

function jsonOf(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined; // a page for people: what matters is that it is no tracker's answer
  }
}

function asProblem(url: string, error: unknown): ShoalError | CallProblem {
  if (error instanceof ShoalError || error instanceof CallProblem) return error;
  const disagreement = tlsError(`cannot connect to ${url}`, error);
  if (disagreement !== undefined) return disagreement;
  return new CallProblem('connection', error instanceof Error ? error.message : String(error), error);
}
