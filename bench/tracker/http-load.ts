/**
 * A load generator for HTTP servers, as a process of its own: keeps connections open, sends prepared requests on each, one after another
 * or several at a time, (or at a given rate over all), reads whole answers, and reports how many came and how long each took. Does as
 * little as it can, because on a small machine it shares the cores with what it measures: all connections read into one memory, and of
 * an answer it looks at the status and the length. It says what it cost itself.
 */
import { connect, type Socket } from 'node:net';

export interface LoadOptions {
  readonly port: number;
  readonly connections: number;
  readonly seconds: number;
  /** Requests a second over all connections; 0: as fast as answers come. */
  readonly rate: number;
  readonly requests: readonly Buffer[];
  /** Requests on a connection that are under way at a time. */
  readonly pipelined?: number;
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
  /** Of the generator's processor time, an answer. */
  readonly generatorCpuMicroseconds: number;
}

const READ_BYTES = 256 * 1024;

export async function load(options: LoadOptions): Promise<LoadFigures> {
  const { port, connections, seconds, rate, requests, pipelined = 1 } = options;
  const { answersMax = Number.POSITIVE_INFINITY } = options;
  const memory = Buffer.allocUnsafe(READ_BYTES);
  const latencies: number[] = [];
  let refused = 0;
  let reconnects = 0;
  let lost = 0;
  /** The server closes after each answer: do not send again before it has. */
  let closes = false;
  let answerBytes = 0;
  let next = 0;
  let stopped = false;
  const cpuBefore = process.cpuUsage();
  const startedAtMs = performance.now();
  /** When the n-th request of all is due; waiting for a free connection counts as waiting for the answer. */
  let due = 0;
  /** From when they are due: all connections are open. To dial them takes longer than the slowest of a hundred answers. */
  let paceFromMs = Number.POSITIVE_INFINITY;
  let unopened = connections;
  const idle: (() => void)[] = [];

  const run = (): Promise<void> =>
    new Promise((resolve, reject) => {
      let socket: Socket;
      /** When those that are under way were sent, oldest first. */
      let sentAtMs: number[] = [];
      let rest: Buffer | undefined;
      let open = false;
      const request = (): Buffer => requests[next++ % requests.length] as Buffer;
      const send = (atMs: number, count: number): void => {
        for (let one = 0; one < count; one++) sentAtMs.push(atMs);
        socket.write(count === 1 ? request() : Buffer.concat(Array.from({ length: count }, request)));
      };
      const goOn = (free: number): void => {
        if (stopped || next >= answersMax) {
          stopped = true;
          socket.destroy();
          resolve();
        } else if (!open) dial();
        else if (rate === 0) send(performance.now(), Math.min(free, answersMax - next));
        else idle.push(() => (stopped ? goOn(1) : send(paceFromMs + (due++ * 1000) / rate, 1)));
      };
      const read = (bytes: Buffer, length: number): void => {
        const nowMs = performance.now();
        let answered = 0;
        let at = 0;
        for (let size = answerSize(bytes, at, length); size > 0; size = answerSize(bytes, at, length)) {
          latencies.push(nowMs - (sentAtMs.shift() ?? Number.NaN));
          if (!isOk(bytes, at)) refused++;
          answerBytes += size;
          answered++;
          at += size;
        }
        rest = at === length ? undefined : Buffer.from(bytes.subarray(at, length));
        if (answered > 0 && (!closes || stopped)) goOn(answered); // else its close is what goes on
      };
      const dial = (): void => {
        const onread = {
          buffer: memory,
          callback(byteCount: number): boolean {
            if (rest === undefined) read(memory, byteCount);
            else read(Buffer.concat([rest, memory.subarray(0, byteCount)]), rest.length + byteCount);
            return true;
          },
        };
        socket = connect({ port, host: '127.0.0.1', noDelay: true, onread }, () => {
          open = true;
          if (--unopened === 0) paceFromMs = performance.now();
          goOn(rate === 0 ? pipelined : 1);
        });
        socket.on('close', () => {
          open = false;
          if (stopped) return resolve();
          reconnects++;
          lost += sentAtMs.length;
          closes ||= sentAtMs.length > 0;
          sentAtMs = [];
          rest = undefined;
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
    const allowed = Math.floor((Math.max(0, now - paceFromMs) * rate) / 1000) - due;
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
  const { user, system } = process.cpuUsage(cpuBefore);
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
    generatorCpuMicroseconds: (user + system) / sorted.length,
  };
}

const LF = 0x0a;
const CR = 0x0d;
const NAME = Buffer.from('content-length:');
const DIGIT_0 = 0x30;
const STATUS_AT = 'HTTP/1.1 '.length;

/** Bytes of the answer that begins here, head and all; 0: it is not whole yet. */
function answerSize(bytes: Buffer, start: number, end: number): number {
  let bodyBytes = Number.NaN;
  for (let at = start; at + 1 < end; at++) {
    if (bytes[at] !== LF) continue;
    if (bytes[at + 1] === CR) {
      const size = at + 3 - start + bodyBytes;
      return start + size <= end ? size : 0;
    }
    if (isLengthAt(bytes, at + 1)) bodyBytes = numberAt(bytes, at + 1 + NAME.length);
  }
  return 0;
}

function isLengthAt(bytes: Buffer, at: number): boolean {
  // letters in either case; of ':' and '-' the bit is set
  for (let index = 0; index < NAME.length; index++)
    if (((bytes[at + index] as number) | 0x20) !== NAME[index]) return false;
  return true;
}

function numberAt(bytes: Buffer, from: number): number {
  let at = from;
  while (bytes[at] === 0x20) at++;
  let value = 0;
  for (let digit = (bytes[at] as number) - DIGIT_0; digit >= 0 && digit <= 9; digit = (bytes[++at] as number) - DIGIT_0)
    value = value * 10 + digit;
  return value;
}

function isOk(bytes: Buffer, start: number): boolean {
  const at = start + STATUS_AT;
  return bytes[at] === DIGIT_0 + 2 && bytes[at + 1] === DIGIT_0 && bytes[at + 2] === DIGIT_0;
}
