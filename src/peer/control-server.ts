/**
 * The control socket of a node: answers this user's other processes. Whoever can connect is trusted to be the owner
 * (control-place.ts sees to that), and still may fetch only into folders that this node shares.
 */
import { realpath, stat } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { dirname, sep } from 'node:path';
import { ShoalError } from '../errors.ts';
import * as limits from '../limits.ts';
import type { NodeLimits, NodeStatus, TransferStatus, PeerNode } from './api.ts';
import { createLineReader } from './control-lines.ts';
import {
  encodeLine,
  problemOf,
  readRequest,
  type ControlNews,
  type ControlRequest,
  type HandedGet,
  type RequestId,
} from './control-messages.ts';
import { bindControl, removeControl, type ControlPlace } from './control-place.ts';

/** What a node is asked for. */
export type ControlHost = Pick<PeerNode, 'status' | 'get' | 'chunks' | 'setLimits'>;

export interface ControlServer {
  /** What to connect to. */
  readonly address: string;
  /** Refuses new callers, ends the downloads of those there are, tells them, and takes the socket away. Idempotent. */
  close(): Promise<void>;
}

/** Throws what the file system throws: without the socket a node works, and cannot be asked. */
export async function serveControl(host: ControlHost, place: ControlPlace): Promise<ControlServer> {
  const callers = new Set<Caller>();
  // a caller that has said all still wants its answers
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const caller = new Caller(host, socket, () => callers.delete(caller));
    callers.add(caller);
  });
  server.maxConnections = limits.CONTROL_CONNECTIONS_MAX;
  const address = await bindControl(server, place).catch((error: unknown) => {
    server.close();
    throw error;
  });
  // what else can go wrong is one connection's
  server.on('error', () => undefined);
  let closed: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    const ended = closeServer(server);
    // at once, so that what ends now is known to end because of us
    const told = [...callers].map((caller) => caller.close());
    await removeControl(place);
    await Promise.all([...told, ended]);
  };
  return {
    address,
    close: () => (closed ??= close()),
  };
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}

/** One connection, and the requests at work on it. */
class Caller {
  readonly #host: ControlHost;
  readonly #socket: Socket;
  readonly #jobs = new Set<Promise<void>>();
  /** Aborted when the caller has hung up, and when the node closes. */
  readonly #gone = new AbortController();
  readonly #ended: Promise<void>;
  #nodeCloses = false;

  constructor(host: ControlHost, socket: Socket, onClosed: () => void) {
    this.#host = host;
    this.#socket = socket;
    const read = createLineReader(limits.CONTROL_LINE_BYTES_MAX, (line) => this.#onLine(line));
    socket.on('data', (bytes: Buffer) => {
      try {
        read(bytes);
      } catch (error) {
        this.#answer(null, { event: 'error', error: problemOf(ShoalError.from(error)) });
        this.#hangUp();
      }
    });
    socket.on('end', () => this.#hangUp());
    // the close that follows says all
    socket.on('error', () => undefined);
    socket.setTimeout(limits.CONTROL_IDLE_MS, () => {
      if (this.#jobs.size === 0) this.#hangUp();
    });
    this.#ended = new Promise((resolve) => {
      socket.once('close', () => {
        this.#gone.abort();
        onClosed();
        resolve();
      });
    });
  }

  async close(): Promise<void> {
    this.#nodeCloses = true;
    this.#hangUp();
    await Promise.all(this.#jobs);
    const timer = setTimeout(() => this.#socket.destroy(), limits.CLOSE_TIMEOUT_MS);
    await this.#ended;
    clearTimeout(timer);
  }

  /** Nothing more is read; what is at work is cancelled, and the connection ends when that has been told. */
  #hangUp(): void {
    this.#gone.abort();
    this.#socket.removeAllListeners('data').resume();
    void Promise.all(this.#jobs).then(() => this.#socket.end());
  }

  #onLine(line: string): void {
    if (this.#gone.signal.aborted) return;
    const read = readRequest(line);
    if ('problem' in read) {
      this.#answer(read.id, { event: 'error', error: problemOf(read.problem) });
      return;
    }
    if (this.#jobs.size >= limits.CONTROL_REQUESTS_MAX) {
      const text = `this connection has ${limits.CONTROL_REQUESTS_MAX} requests at work already`;
      this.#answer(read.request.id, { event: 'error', error: problemOf(new ShoalError('limit', text)) });
      return;
    }
    const job = this.#serve(read.request).finally(() => this.#jobs.delete(job));
    this.#jobs.add(job);
  }

  /** Never rejects. */
  async #serve(request: ControlRequest): Promise<void> {
    const { id } = request;
    try {
      if (request.method === 'status') this.#answer(id, { event: 'status', status: brief(this.#host.status()) });
      else if (request.method === 'chunks')
        this.#answer(id, { event: 'chunks', transfers: this.#host.chunks(request.what) });
      else if (request.method === 'limit') this.#answer(id, { event: 'status', status: brief(this.#limit(request)) });
      else await this.#get(id, request);
    } catch (error) {
      this.#answer(id, { event: 'error', error: problemOf(this.#explain(ShoalError.from(error))) });
    }
  }

  #limit({ up, down }: NodeLimits): NodeStatus {
    return this.#host.setLimits({ up, down });
  }

  async #get(id: RequestId, { what, output, ...rest }: HandedGet): Promise<void> {
    await checkOutput(output, this.#host.status().roots);
    const { expectedSha256, from, single, sequential, stallTimeoutMs } = rest;
    const result = await this.#host.get({
      what,
      output,
      expectedSha256,
      from,
      single,
      sequential,
      stallTimeoutMs,
      signal: this.#gone.signal,
      onProgress: (progress) => this.#answer(id, { event: 'progress', progress }),
      onPeerBanned: ({ address, reason }) => this.#answer(id, { event: 'peer-banned', address, reason }),
    });
    this.#answer(id, { event: 'done', result });
  }

  /** A download that ends because the node does was not cancelled by the one who asked for it. */
  #explain(error: ShoalError): ShoalError {
    if (error.code !== 'cancelled' || !this.#nodeCloses) return error;
    return new ShoalError('peer-gone', 'the node that was downloading is closing', {
      cause: error,
      hint: 'the partial file is kept: the same command goes on where it stopped',
    });
  }

  #answer(id: RequestId | null, news: ControlNews): void {
    const socket = this.#socket;
    if (!socket.writable) return;
    // the next progress says more than one that waits
    if (news.event === 'progress' && socket.writableNeedDrain) return;
    socket.write(encodeLine({ id, ...news }));
    if (socket.writableLength > limits.CONTROL_UNSENT_BYTES_MAX) socket.destroy();
  }
}

/** Throws `not-allowed` unless a download to `output` ends in a folder that is shared. */
async function checkOutput(output: string, roots: readonly string[]): Promise<void> {
  const isFolder = await stat(output).then(
    (found) => found.isDirectory(),
    () => output.endsWith('/') || output.endsWith(sep),
  );
  const asked = isFolder ? output : dirname(output);
  const folder = await realpath(asked).catch(() => undefined);
  if (folder !== undefined && roots.some((root) => folder === root || folder.startsWith(root + sep))) return;
  throw new ShoalError('not-allowed', `${asked} is not in a folder that this node shares`, {
    hint: 'download there with a node of your own: shoal get',
  });
}

/** With as many transfers as an answer may have, those that move first. */
function brief(status: NodeStatus): NodeStatus {
  const { transfers } = status;
  if (transfers.length <= limits.CONTROL_TRANSFERS_MAX) return status;
  const rank = transfers.toSorted((a, b) => Number(isMoving(b)) - Number(isMoving(a)) || b.peers - a.peers);
  return { ...status, transfers: rank.slice(0, limits.CONTROL_TRANSFERS_MAX) };
}

function isMoving({ state }: TransferStatus): boolean {
  return state === 'fetching' || state === 'stalled';
}
