/**
 * A load generator for HTTP servers, as a process of its own: keeps connections open, sends prepared requests one after another on each
 * (or at a given rate over all), reads whole answers, and reports how many came and how long each took. Does as little as it can: on a
 * small machine it shares the cores with what it measures.
 */
import { connect, type Socket } from 'node:net';

export interface LoadOptions {
  readonly port: number;
  readonly connections: number;
  readonly seconds: number;
  /** Requests a second over all connections; 0: as fast as answers come. */
  readonly rate: number;
  readonly requests: readonly Buffer[];
  /** Ends after so many answers, if that is before the time is over. */
  readonly answersMax?: number;
}

export interface LoadFigures {
  readonly answers: number;
  readonly perSecond: number;
  /** Answers without a 200. */
  readonly refused: number;
  /** Connections that the server closed, and requests that it closed them upon. */
  readonly reconnects: number;
  readonly lost: number;
  readonly answerBytes: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

const HEAD_END = Buffer.from('\r\n\r\n');
const OK = / 200 /u;
const LENGTH = /\r\ncontent-length: *(\d+)/iu;

export async function load(options: LoadOptions): Promise<LoadFigures> {
  const { port, connections, seconds, rate, requests, answersMax = Number.POSITIVE_INFINITY } = options;
  const latencies: number[] = [];
  let refused = 0;
  let reconnects = 0;
  let lost = 0;
  /** The server closes after each answer: do not send again before it has. */
  let closes = false;
  let answerBytes = 0;
  let next = 0;
  let stopped = false;
  const startedAtMs = performance.now();
  /** When the n-th request of all is due; waiting for a free connection counts as waiting for the answer. */
  let due = 0;
  const idle: (() => void)[] = [];

  const run = (): Promise<void> =>
    new Promise((resolve, reject) => {
      let socket: Socket;
      let sentAtMs = 0;
      let got: Buffer | undefined;
      let open = false;
      let pending = false;
      const send = (atMs: number): void => {
        pending = true;
        sentAtMs = atMs;
        socket.write(requests[next++ % requests.length] as Buffer);
      };
      const goOn = (): void => {
        if (stopped || next >= answersMax) {
          stopped = true;
          socket.destroy();
          resolve();
        } else if (!open) dial();
        else if (rate === 0) send(performance.now());
        else idle.push(() => (stopped ? goOn() : send(startedAtMs + (due++ * 1000) / rate)));
      };
      const answered = (head: string, bytes: number): void => {
        latencies.push(performance.now() - sentAtMs);
        if (!OK.test(head.slice(0, 16))) refused++;
        answerBytes += bytes;
        got = undefined;
        pending = false;
        if (!closes || stopped) goOn(); // else its close is what goes on
      };
      const dial = (): void => {
        socket = connect({ port, host: '127.0.0.1', noDelay: true }, () => {
          open = true;
          goOn();
        });
        socket.on('data', (part: Buffer) => {
          got = got === undefined ? part : Buffer.concat([got, part]);
          const at = got.indexOf(HEAD_END);
          if (at < 0) return;
          const head = got.toString('latin1', 0, at);
          const length = Number(LENGTH.exec(head)?.[1] ?? Number.NaN);
          if (got.length >= at + 4 + length) answered(head, got.length);
        });
        socket.on('close', () => {
          open = false;
          if (stopped) return resolve();
          reconnects++;
          if (pending) lost++;
          closes ||= pending;
          pending = false;
          got = undefined;
          dial();
        });
        socket.on('error', (error) => {
          if (!stopped && !open) reject(error); // it never answered; one that is cut off is dialled again
        });
      };
      dial();
    });

  const all = Array.from({ length: connections }, run);
  const pace = rate === 0 ? undefined : setInterval(() => dispatch(), 1);
  const dispatch = (): void => {
    const now = performance.now();
    const allowed = Math.floor(((now - startedAtMs) * rate) / 1000) - due;
    for (const one of idle.splice(0, Math.max(0, allowed))) one();
  };
  const timer = setTimeout(() => {
    stopped = true;
    clearInterval(pace);
    for (const one of idle) one();
  }, seconds * 1000);
  await Promise.all(all);
  clearTimeout(timer);
  const elapsed = (performance.now() - startedAtMs) / 1000;
  const sorted = Float64Array.from(latencies).toSorted();
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
  return {
    answers: sorted.length,
    perSecond: sorted.length / elapsed,
    refused,
    reconnects,
    lost,
    answerBytes,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    maxMs: sorted.at(-1) ?? 0,
  };
}
