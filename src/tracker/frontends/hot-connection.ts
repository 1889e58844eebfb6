/**
 * HTTP/1.1 connections on which the calls come that come ten thousand times a second (hot-calls.ts), read and answered without Node's
 * HTTP server, which costs several times what such a call does. It understands only what is plainly right: a POST of a known path with a
 * body of a known, small length and no header that would change what the call means. At the first request that is anything else, or
 * that the tracker refuses, the connection goes to Node's server for good, with every byte that has not been answered, as if this had
 * not been here; a refused call has changed nothing, so asking twice does no harm.
 */
import type { Socket } from 'node:net';
import * as limits from '../../limits.ts';
import type { Access } from '../access.ts';
import { observedHostOf } from '../addresses.ts';
import type { Caller } from '../state.ts';
import { CALL_ID_HEADER, isCallId } from './call-id.ts';
import type { Answer, HotCall } from './hot-calls.ts';
import type { Metrics } from './metrics.ts';

export interface HotOptions {
  /** By path. */
  readonly calls: ReadonlyMap<string, HotCall>;
  readonly access: Access;
  readonly metrics: Metrics;
}

/** Takes connections, whose bytes so far are to be read yet. */
export interface HotConnections {
  /** @param giveUp takes the connection, again with bytes to be read. */
  take(socket: Socket, giveUp: (socket: Socket) => void): void;
  /** From now on a connection ends with the call that has begun, at once without one, and is given up with a new one. */
  close(): void;
}

/** What a head says. */
interface Head {
  readonly call: HotCall;
  readonly query: string;
  readonly bodyBytes: number;
  readonly authorization: string | undefined;
  readonly callId: string | undefined;
}

const HEAD_END = Buffer.from('\r\n\r\n', 'latin1');
const REQUEST_LINE = /^POST (\/[!->@-~]*)(?:\?([!-~]*))? HTTP\/1\.1$/u;
const HEADER_LINE = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t -~\u0080-\u00ff]*)$/u;
/** Headers that change how a request is read, or what is to be answered: Node's server knows how. */
const NOT_HERE = new Set('transfer-encoding content-encoding expect upgrade te trailer http2-settings'.split(' '));
const ONCE_ONLY = new Set(['host', 'content-length', 'content-type', 'authorization', 'connection', CALL_ID_HEADER]);
/** A request that is not whole after so many reads comes slowly: Node's server has the clocks for that. */
const READS_MAX = 8;

export function createHotConnections({ calls, access, metrics }: HotOptions): HotConnections {
  const open = new Set<HotConnection>();
  const shared = { calls, access, metrics, isClosing: false };
  return {
    take(socket, giveUp) {
      const connection = new HotConnection(socket, shared, giveUp, () => open.delete(connection));
      open.add(connection);
    },
    close() {
      shared.isClosing = true;
      for (const connection of open) connection.endSoon();
    },
  };
}

class HotConnection {
  readonly #socket: Socket;
  readonly #shared: HotOptions & { readonly isClosing: boolean };
  readonly #giveUp: (socket: Socket) => void;
  readonly #over: () => void;
  readonly #caller: Caller;
  #bytes: Buffer = Buffer.alloc(0);
  #reads = 0;
  #isBusy = false;
  /** A call had come in part when the tracker began to end. */
  #hasBegun = false;
  /** The head of the last request, which most often is that of the next one too, and what it says. */
  #lastHead: Buffer = Buffer.alloc(0);
  #last: Head | undefined;

  constructor(
    socket: Socket,
    shared: HotOptions & { readonly isClosing: boolean },
    giveUp: (socket: Socket) => void,
    over: () => void,
  ) {
    this.#socket = socket;
    this.#shared = shared;
    this.#giveUp = giveUp;
    this.#over = over;
    this.#caller = { observedHost: observedHostOf(socket.remoteAddress) };
    socket.setTimeout(limits.TRACKER_KEEP_ALIVE_MS);
    socket.on('timeout', this.#onTimeout);
    socket.on('error', this.#onError);
    socket.on('close', this.#over);
    socket.on('drain', this.#goOn);
    socket.on('data', this.#onData);
  }

  /** The tracker ends: what has begun is answered. */
  endSoon(): void {
    if (!this.#isBusy && this.#bytes.length === 0) this.#socket.destroy();
    else this.#hasBegun = !this.#isBusy;
  }

  readonly #onData = (part: Buffer): void => {
    this.#bytes = this.#bytes.length === 0 ? part : Buffer.concat([this.#bytes, part]);
    this.#reads++;
    // what comes before the answer waits; whoever sends on and on is not read until then
    if (this.#isBusy && this.#bytes.length > limits.HOT_BODY_BYTES_MAX) this.#socket.pause();
    this.#goOn();
  };

  /** Whoever breaks the connection has gone. */
  readonly #onError = (): void => void this.#socket.destroy();

  readonly #onTimeout = (): void => {
    if (this.#isBusy) return;
    if (this.#bytes.length > 0) this.#handOver();
    else this.#socket.destroy();
  };

  /** Answers what is there, one call after the other. */
  readonly #goOn = (): void => {
    // Node's server says to what comes now that the tracker ends
    if (this.#shared.isClosing && !this.#isBusy && !this.#hasBegun && this.#bytes.length > 0) return this.#handOver();
    while (!this.#isBusy && this.#bytes.length > 0 && !this.#socket.writableNeedDrain && this.#socket.writable) {
      const head = this.#readHead();
      if (head === 'more') {
        if (this.#reads > READS_MAX) this.#handOver();
        return;
      }
      if (head === 'other') return this.#handOver();
      const start = this.#lastHead.length;
      const end = start + head.bodyBytes;
      if (this.#bytes.length < end) {
        if (this.#reads > READS_MAX) this.#handOver();
        return;
      }
      this.#run(head, this.#bytes.subarray(start, end), end);
    }
  };

  #run(head: Head, body: Buffer, end: number): void {
    const startedAtMs = performance.now();
    let answered: Answer | Promise<Answer>;
    try {
      this.#shared.access.admit(head.call.need, head.authorization, this.#caller);
      answered = head.call.run(body, this.#caller, head.query);
    } catch {
      answered = undefined; // Node's server and the app meet the same refusal and know how to say it
    }
    if (!(answered instanceof Promise)) {
      this.#answered(head, answered, end, startedAtMs);
      return;
    }
    this.#isBusy = true;
    const then = (answer: Answer): void => {
      this.#isBusy = false;
      this.#answered(head, answer, end, startedAtMs);
      this.#socket.resume();
      this.#goOn();
    };
    answered.then(then, () => then(undefined));
  }

  #answered(head: Head, answer: Answer, end: number, startedAtMs: number): void {
    if (this.#socket.destroyed) return;
    if (answer === undefined) {
      this.#handOver();
      return;
    }
    this.#shared.metrics.called('POST', head.call.route, 200, performance.now() - startedAtMs);
    this.#bytes = this.#bytes.subarray(end);
    this.#reads = this.#bytes.length === 0 ? 0 : 1;
    const { isClosing } = this.#shared;
    this.#socket.write(responseOf(head, answer, isClosing));
    if (isClosing) this.#socket.end();
  }

  #readHead(): Head | 'more' | 'other' {
    const bytes = this.#bytes;
    const length = this.#lastHead.length;
    if (this.#last !== undefined && bytes.length >= length && bytes.compare(this.#lastHead, 0, length, 0, length) === 0)
      return this.#last;
    const at = bytes.indexOf(HEAD_END);
    if (at < 0) return bytes.length > limits.HOT_HEAD_BYTES_MAX ? 'other' : 'more';
    if (at > limits.HOT_HEAD_BYTES_MAX) return 'other';
    const head = parseHead(bytes.toString('latin1', 0, at), this.#shared.calls);
    if (head === undefined) return 'other';
    // a copy: the bytes around it are not to stay in memory with it
    this.#lastHead = Buffer.from(bytes.subarray(0, at + HEAD_END.length));
    this.#last = head;
    return head;
  }

  #handOver(): void {
    const socket = this.#socket;
    socket.setTimeout(0);
    socket.off('timeout', this.#onTimeout);
    socket.off('error', this.#onError);
    socket.off('close', this.#over);
    socket.off('drain', this.#goOn);
    socket.off('data', this.#onData);
    this.#over();
    socket.pause();
    if (this.#bytes.length > 0) socket.unshift(this.#bytes);
    this.#bytes = Buffer.alloc(0);
    this.#giveUp(socket);
    socket.resume();
  }
}

/** Undefined: not plainly right. */
export function parseHead(text: string, calls: ReadonlyMap<string, HotCall>): Head | undefined {
  const [requestLine = '', ...lines] = text.split('\r\n');
  const [, path = '', query = ''] = REQUEST_LINE.exec(requestLine) ?? [];
  const call = calls.get(path);
  if (call === undefined || lines.length > limits.HOT_HEADERS_MAX) return undefined;
  const headers = new Map<string, string>();
  for (const line of lines) {
    const [, given, value = ''] = HEADER_LINE.exec(line) ?? [];
    const name = given?.toLowerCase();
    if (name === undefined || NOT_HERE.has(name) || (ONCE_ONLY.has(name) && headers.has(name))) return undefined;
    headers.set(name, value.trimEnd());
  }
  const length = headers.get('content-length') ?? '';
  const connection = headers.get('connection') ?? 'keep-alive';
  const callId = headers.get(CALL_ID_HEADER);
  if (!headers.has('host') || !/^\d{1,9}$/u.test(length) || Number(length) > limits.HOT_BODY_BYTES_MAX)
    return undefined;
  if (headers.get('content-type') !== call.contentType || connection.toLowerCase() !== 'keep-alive') return undefined;
  if (callId !== undefined && !isCallId(callId)) return undefined;
  return { call, query, bodyBytes: Number(length), authorization: headers.get('authorization'), callId };
}

const KEPT = `Connection: keep-alive\r\nKeep-Alive: timeout=${limits.TRACKER_KEEP_ALIVE_MS / 1000}\r\n`;
const JSON_TYPE = 'application/json; charset=utf-8';

function responseOf({ call, callId }: Head, answer: string | Uint8Array, isLast: boolean): Buffer {
  const type = call.contentType === 'application/json' ? JSON_TYPE : call.contentType;
  const bodyBytes = typeof answer === 'string' ? Buffer.byteLength(answer) : answer.length;
  const id = callId === undefined ? '' : `${CALL_ID_HEADER}: ${callId}\r\n`;
  const head = `HTTP/1.1 200 OK\r\ncontent-type: ${type}\r\ncontent-length: ${bodyBytes}\r\n${id}Date: ${httpDate()}\r\n${isLast ? 'Connection: close\r\n' : KEPT}\r\n`;
  const bytes = Buffer.allocUnsafe(head.length + bodyBytes);
  bytes.write(head, 0, 'latin1');
  if (typeof answer === 'string') bytes.write(answer, head.length, 'utf8');
  else bytes.set(answer, head.length);
  return bytes;
}

let dateSecond = 0;
let dateText = '';

/** As HTTP writes it; made once a second. */
function httpDate(): string {
  const nowMs = Date.now();
  const second = Math.floor(nowMs / 1000);
  if (second !== dateSecond) {
    dateSecond = second;
    dateText = new Date(nowMs).toUTCString();
  }
  return dateText;
}
