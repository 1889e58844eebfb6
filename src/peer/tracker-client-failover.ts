/**
 * Which tracker to call: the one that answered last, else the next of the list. A tracker's own refusal is an answer and ends the
 * search; silence, a broken connection or a server that is no tracker moves on. Owns the connections; close() leaves none.
 */
import type { CallName } from '../contract/messages.ts';
import * as limits from '../limits.ts';
import { ShoalError, systemErrorCode } from '../errors.ts';
import type { NodeOptions, TlsFiles } from './api.ts';
import { CallProblem, openTrackerHttp, type CallAnswer, type CallInput, type TrackerHttp } from './tracker-http.ts';

export interface FailoverOptions {
  /** Base URLs, tried in order. */
  readonly urls: readonly string[];
  /** What it finds joins the list, in the place of what it found before. */
  readonly findTracker?: NodeOptions['findTracker'];
  readonly token?: string | undefined;
  readonly tls?: TlsFiles | undefined;
  readonly timeoutMs: number;
  /** The tracker that is called first has closed a connection that was kept for the next call. */
  readonly onLost?: (() => void) | undefined;
}

export interface Failover {
  /** Base URL of the tracker that is called first. */
  readonly url: string;
  /** Calls until one tracker answers. Throws its refusal, `tracker-unreachable` when none answers, `cancelled` after the signal. */
  call<N extends CallName>(name: N, input: CallInput<N>, signal?: AbortSignal): Promise<CallAnswer<N>>;
  /** A stream from the tracker that answered last; it ends with the error of its connection, translated. */
  stream<N extends CallName>(name: N, input: CallInput<N>, signal?: AbortSignal): AsyncIterable<CallAnswer<N>>;
  close(): void;
}

interface Problem {
  readonly url: string;
  readonly error: unknown;
}

export function createFailover(options: FailoverOptions): Failover {
  if (options.urls.length === 0)
    throw new ShoalError('usage', 'no tracker is given', { hint: 'give one with --tracker URL' });
  const { urls, token, tls, onLost } = options;
  const open = (url: string): TrackerHttp => {
    const isFirst = (): boolean => endpointAt(0) === endpoint;
    const endpoint = openTrackerHttp(url, { token, tls, onLost: onLost && (() => isFirst() && onLost()) });
    return endpoint;
  };
  const endpoints = urls.map(open);
  const closed = new AbortController();
  let current = 0;

  const endpointAt = (turn: number): TrackerHttp => endpoints[(current + turn) % endpoints.length] as TrackerHttp;
  /** Calls so many of them, from the one that answered last; undefined: none answered, which `problems` tells of. */
  const inTurn = async <N extends CallName>(
    count: number,
    name: N,
    input: CallInput<N>,
    signal: AbortSignal,
    problems: Problem[],
  ): Promise<CallAnswer<N> | undefined> => {
    for (let turn = 0; turn < count; turn++) {
      const endpoint = endpointAt(turn);
      // a kept connection that the tracker closes at the very moment we use it says nothing about the tracker: one more try
      for (let attempt = 0; attempt < 2; attempt++) {
        if (signal.aborted) throw cancelled(signal.reason);
        try {
          // while there is another to ask, a tracker that is silent is not waited for as long
          const isLast = turn === count - 1;
          const timeoutMs = isLast ? options.timeoutMs : Math.min(options.timeoutMs, limits.TRACKER_FAILOVER_MS);
          const answer = await endpoint.call(name, input, { signal, timeoutMs });
          current = endpoints.indexOf(endpoint);
          return answer;
        } catch (error) {
          if (signal.aborted) throw cancelled(error);
          if (isRefusal(error)) throw error;
          if (attempt === 0 && wasReset(error)) continue;
          problems.push({ url: endpoint.url, error });
          break;
        }
      }
    }
    return undefined;
  };
  /** Whether there is now one to call that was not in the list. It is then the first. */
  const foundAnother = async (signal: AbortSignal): Promise<boolean> => {
    const url = await options.findTracker?.(signal);
    if (url === undefined || endpoints.some((endpoint) => endpoint.url === url)) return false;
    for (const earlier of endpoints.splice(options.urls.length)) earlier.close();
    current = endpoints.push(open(url)) - 1;
    return true;
  };
  const signalOf = (signal: AbortSignal | undefined): AbortSignal =>
    signal === undefined ? closed.signal : AbortSignal.any([signal, closed.signal]);

  return {
    get url() {
      return endpointAt(0).url;
    },
    async call(name, input, signal) {
      const joined = signalOf(signal);
      const problems: Problem[] = [];
      try {
        const answer = await inTurn(endpoints.length, name, input, joined, problems);
        if (answer !== undefined) return answer;
        const another = (await foundAnother(joined)) ? await inTurn(1, name, input, joined, problems) : undefined;
        if (another !== undefined) return another;
      } catch (error) {
        throw joined.aborted ? cancelled(error) : error;
      }
      throw unreachable(problems);
    },
    async *stream(name, input, signal) {
      const joined = signalOf(signal);
      const endpoint = endpointAt(0);
      try {
        yield* endpoint.stream(name, input, joined);
      } catch (error) {
        if (joined.aborted) return;
        throw isRefusal(error) ? error : unreachable([{ url: endpoint.url, error }]);
      }
    },
    close() {
      closed.abort();
      for (const endpoint of endpoints) endpoint.close();
    },
  };
}

/** What a tracker answered, and not that none did. One that is shutting down is one that does not answer. */
function isRefusal(error: unknown): error is ShoalError {
  return error instanceof ShoalError && error.code !== 'tracker-unreachable';
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

function unreachable(problems: readonly Problem[]): ShoalError {
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
  if (!(error instanceof CallProblem)) return 'failed';
  switch (error.kind) {
    case 'late':
      return 'does not answer in time';
    case 'stranger':
      return 'answers, but is not a tracker of this version';
    default:
      return `failed: ${error.message}`;
  }
}
