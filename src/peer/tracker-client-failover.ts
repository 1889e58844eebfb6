/**
 * Which tracker to call: the one that answered last, else the next of the list. A tracker's own refusal is an answer and ends the
 * search; silence, a broken connection or a server that is no tracker moves on. Owns the connections; close() leaves none.
 */
import { Code, ConnectError, createClient, type CallOptions, type Client, type Interceptor } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { fromConnectError } from '../contract/errors.ts';
import { TrackerService } from '../contract/gen/shoal/v1/tracker_pb.ts';
import { ShoalError, systemErrorCode } from '../errors.ts';
import * as limits from '../limits.ts';

export type TrackerRpc = Client<typeof TrackerService>;

export interface FailoverOptions {
  /** Base URLs, tried in order. */
  readonly urls: readonly string[];
  readonly token?: string | undefined;
  readonly timeoutMs: number;
}

export interface Failover {
  /** Base URL of the tracker that is called first. */
  readonly url: string;
  /** Calls until one tracker answers. Throws its refusal, `tracker-unreachable` when none answers, `cancelled` after the signal. */
  call<T>(run: (rpc: TrackerRpc, options: CallOptions) => Promise<T>, signal?: AbortSignal): Promise<T>;
  /** A stream from the tracker that answered last; it ends with the error of its connection, translated. */
  stream<T>(run: (rpc: TrackerRpc, options: CallOptions) => AsyncIterable<T>, signal?: AbortSignal): AsyncIterable<T>;
  close(): void;
}

interface Endpoint {
  readonly url: string;
  readonly rpc: TrackerRpc;
  readonly agent: HttpAgent | HttpsAgent;
}

export function createFailover(options: FailoverOptions): Failover {
  if (options.urls.length === 0)
    throw new ShoalError('usage', 'no tracker is given', { hint: 'give one with --tracker URL' });
  const endpoints = options.urls.map((url) => openEndpoint(url, options.token));
  const closed = new AbortController();
  let current = 0;

  const endpointAt = (turn: number): Endpoint => endpoints[(current + turn) % endpoints.length] as Endpoint;
  const signalOf = (signal: AbortSignal | undefined): AbortSignal =>
    signal === undefined ? closed.signal : AbortSignal.any([signal, closed.signal]);

  return {
    get url() {
      return endpointAt(0).url;
    },
    async call(run, signal) {
      const joined = signalOf(signal);
      const problems: { readonly url: string; readonly error: unknown }[] = [];
      for (let turn = 0; turn < endpoints.length; turn++) {
        const endpoint = endpointAt(turn);
        // a kept connection that the tracker closes at the very moment we use it says nothing about the tracker: one more try
        for (let attempt = 0; attempt < 2; attempt++) {
          if (joined.aborted) throw cancelled(joined.reason);
          try {
            const answer = await run(endpoint.rpc, { signal: joined, timeoutMs: options.timeoutMs });
            current = endpoints.indexOf(endpoint);
            return answer;
          } catch (error) {
            if (joined.aborted) throw cancelled(error);
            const refusal = refusalIn(error);
            if (refusal !== undefined) throw refusal;
            if (attempt === 0 && wasReset(error)) continue;
            problems.push({ url: endpoint.url, error });
            break;
          }
        }
      }
      throw unreachable(problems);
    },
    async *stream(run, signal) {
      const joined = signalOf(signal);
      const endpoint = endpointAt(0);
      try {
        yield* run(endpoint.rpc, { signal: joined });
      } catch (error) {
        if (joined.aborted) return;
        throw refusalIn(error) ?? unreachable([{ url: endpoint.url, error }]);
      }
    },
    close() {
      closed.abort();
      for (const { agent } of endpoints) agent.destroy();
    },
  };
}

function openEndpoint(text: string, token: string | undefined): Endpoint {
  const url = URL.parse(text);
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw new ShoalError('usage', `${JSON.stringify(text)} is not the URL of a tracker`, {
      hint: 'it looks like http://127.0.0.1:9000',
    });
  }
  const agentOptions = { keepAlive: true, maxSockets: limits.TRACKER_CONNECTIONS_MAX, scheduling: 'lifo' } as const;
  const agent = url.protocol === 'https:' ? new HttpsAgent(agentOptions) : new HttpAgent(agentOptions);
  const baseUrl = text.replace(/\/+$/u, '');
  const transport = createConnectTransport({
    baseUrl,
    httpVersion: '1.1',
    useBinaryFormat: true,
    nodeOptions: { agent },
    // most of what a tracker says are digests and ids, which only cost time to compress
    acceptCompression: [],
    readMaxBytes: limits.TRACKER_ANSWER_BYTES_MAX,
    interceptors: token === undefined || token === '' ? [] : [bearer(token)],
  });
  return { url: baseUrl, rpc: createClient(TrackerService, transport), agent };
}

function bearer(token: string): Interceptor {
  return (next) => (request) => {
    request.header.set('authorization', `Bearer ${token}`);
    return next(request);
  };
}

/** What a tracker answered; undefined when no tracker did. */
function refusalIn(error: unknown): ShoalError | undefined {
  if (error instanceof ShoalError) return error;
  if (!(error instanceof ConnectError)) return ShoalError.from(error);
  const refusal = fromConnectError(error);
  // a tracker that is shutting down is one that does not answer
  return refusal?.code === 'tracker-unreachable' ? undefined : refusal;
}

function cancelled(cause: unknown): ShoalError {
  return new ShoalError('cancelled', 'the call to the tracker was cancelled', { cause });
}

function wasReset(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (systemErrorCode(cause) === 'ECONNRESET' || systemErrorCode(cause) === 'EPIPE') return true;
  }
  return false;
}

function unreachable(problems: readonly { readonly url: string; readonly error: unknown }[]): ShoalError {
  const each = problems.map(({ url, error }) => `${url} ${problemOf(error)}`).join('; ');
  return new ShoalError('tracker-unreachable', `no tracker answers: ${each}`, {
    cause: problems.at(-1)?.error,
    hint: 'start one with shoal tracker, or name it with --tracker URL',
  });
}

function problemOf(error: unknown): string {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    switch (systemErrorCode(cause)) {
      case 'ECONNREFUSED':
        return 'refuses the connection';
      case 'ENOTFOUND':
      case 'EAI_AGAIN':
        return 'is a host nobody knows';
      case 'ECONNRESET':
      case 'EPIPE':
        return 'closed the connection';
      case 'ETIMEDOUT':
      case 'EHOSTUNREACH':
      case 'ENETUNREACH':
        return 'cannot be reached';
    }
  }
  if (!(error instanceof ConnectError)) return 'failed';
  switch (error.code) {
    case Code.DeadlineExceeded:
      return 'does not answer in time';
    case Code.Unimplemented:
    case Code.NotFound:
      return 'answers, but is not a tracker of this version';
    default:
      return `failed: ${error.rawMessage}`;
  }
}
