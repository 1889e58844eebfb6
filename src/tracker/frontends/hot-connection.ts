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
import { CALL_ID_HEADER } from './call-id.ts';
import type { Answer, HotCall } from './hot-calls.ts';
import { parseHead, type Head } from './http-head.ts';
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

const HEAD_END = Buffer.from('\r\n\r\n', 'latin1');
/** A request that is not whole after so many reads comes slowly: Node's server has the clocks for that. */
const READS_MAX = 8;

export function createHotConnections({ calls, access, metrics }: HotOptions): HotConnections {
  const open = new Set<HotConnection>();
  const noteOf = new Map([...calls.values()].map((call) => [call, metrics.counter('POST', call.route, 200)] as const));
  const shared = { calls, access, noteOf, isClosing: false };
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

interface Shared extends Pick<HotOptions, 'calls' | 'access'> {
  /** Notes an answer of a call, and how long it took. */
  readonly noteOf: ReadonlyMap<HotCall, (milliseconds: number) => void>;
  readonly isClosing: boolean;
}

class HotConnection {
  readonly #socket: Socket;
  readonly #shared: Shared;
  readonly #giveUp: (socket: Socket) => void;
  readonly #over: () => void;
  readonly #caller: Caller;
  #bytes: Buffer = NO_BYTES;
  #reads = 0;
  #isBusy = false;
  /** A call had come in part when the tracker began to end. */
  #hasBegun = false;
  /** The head of the request whose body has not come yet, and how long it is. */
  #head: Head | undefined;
  #headBytes = 0;
  /** Answers to calls that came at once, to be written at once. */
  #answers: Buffer[] = [];
  #answersBytes = 0;

  constructor(socket: Socket, shared: Shared, giveUp: (socket: Socket) => void, over: () => void) {
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
      const state = this.#readHead();
      const start = this.#headBytes;
      const end = start + (this.#head?.bodyBytes ?? 0);
      if (state === 'more' || (state === 'read' && this.#bytes.length < end)) {
        if (this.#reads > READS_MAX) this.#handOver();
        else this.#flush();
        return;
      }
      const head = this.#head;
      if (head === undefined) return this.#handOver();
      this.#run(head, this.#bytes.subarray(start, end), end);
    }
    this.#flush();
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
    this.#flush();
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
    this.#shared.noteOf.get(head.call)?.(performance.now() - startedAtMs);
    this.#bytes = this.#bytes.length === end ? NO_BYTES : this.#bytes.subarray(end);
    this.#reads = this.#bytes.length === 0 ? 0 : 1;
    this.#head = undefined;
    const { isClosing } = this.#shared;
    const response = responseOf(head, answer, isClosing);
    this.#answers.push(response);
    this.#answersBytes += response.length;
    if (isClosing || this.#bytes.length === 0 || this.#answersBytes > limits.HOT_BODY_BYTES_MAX) this.#flush();
    if (isClosing) this.#socket.end();
  }

  #flush(): void {
    const [first, ...others] = this.#answers;
    if (first === undefined) return;
    this.#answers = [];
    this.#answersBytes = 0;
    if (!this.#socket.destroyed) this.#socket.write(others.length === 0 ? first : Buffer.concat([first, ...others]));
  }

  /** Reads the head of the next request, unless it is read already. */
  #readHead(): 'read' | 'more' | 'other' {
    if (this.#head !== undefined) return 'read';
    const bytes = this.#bytes;
    const at = bytes.indexOf(HEAD_END);
    if (at < 0 && bytes.length <= limits.HOT_HEAD_BYTES_MAX) return 'more';
    if (at < 0 || at > limits.HOT_HEAD_BYTES_MAX) return 'other';
    this.#head = parseHead(bytes, at, this.#shared.calls);
    this.#headBytes = at + HEAD_END.length;
    return this.#head === undefined ? 'other' : 'read';
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
    this.#flush();
    socket.pause();
    if (this.#bytes.length > 0) socket.unshift(this.#bytes);
    this.#bytes = NO_BYTES;
    this.#giveUp(socket);
    socket.resume();
  }
}

const NO_BYTES: Buffer = Buffer.alloc(0);
const KEPT = `Connection: keep-alive\r\nKeep-Alive: timeout=${limits.TRACKER_KEEP_ALIVE_MS / 1000}\r\n`;
const LAST = 'Connection: close\r\n';
const JSON_TYPE = 'application/json; charset=utf-8';

function responseOf({ call, callId }: Head, answer: string | Uint8Array, isLast: boolean): Buffer {
  const type = call.contentType === 'application/json' ? JSON_TYPE : call.contentType;
  const bodyBytes = typeof answer === 'string' ? Buffer.byteLength(answer) : answer.length;
  const id = callId === undefined ? '' : `${CALL_ID_HEADER}: ${callId}\r\n`;
  const head = `HTTP/1.1 200 OK\r\ncontent-type: ${type}\r\ncontent-length: ${bodyBytes}\r\n${id}${isLast ? LAST : KEPT}Date: ${httpDate()}\r\n\r\n`;
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
