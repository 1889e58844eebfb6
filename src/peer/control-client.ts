/**
 * Asks this user's nodes on this machine, over their control sockets: for their status, and to download into a folder they share.
 * Starts none.
 */
import { realpath, stat } from 'node:fs/promises';
import { connect } from 'node:net';
import { dirname, resolve, sep } from 'node:path';
import { ShoalError, systemErrorCode } from '../errors.ts';
import * as limits from '../limits.ts';
import type { GetOptions, GetResult, NodeLimits, NodeStatus, TransferChunks } from './api.ts';
import { createLineReader } from './control-lines.ts';
import { encodeLine, readAnswer, type ControlAnswer, type ControlRequest } from './control-messages.ts';
import { controlAt, dataDirectoryPlace, listControls, removeLeftOver, type ControlSpot } from './control-place.ts';

export interface AskOptions {
  /** The data home below which nodes are looked for. */
  readonly home: string;
  /** Only the node of this data directory. */
  readonly dataDir?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called for each node that is there and gave no answer. */
  readonly onSilent?: ((problem: ShoalError) => void) | undefined;
}

/** A live node, and what it said of itself. */
export interface RunningNode {
  readonly status: NodeStatus;
  /** Has it download; the same promises as a node's own `get`. `output` has to be absolute, inside one of its roots. */
  get(options: GetOptions): Promise<GetResult>;
  /** Why the missing chunks of its transfers of this name or content do not move. */
  chunks(what: string): Promise<readonly TransferChunks[]>;
  /** Changes its limits; its status after that. */
  setLimits(limits: NodeLimits): Promise<NodeStatus>;
}

/** All live nodes, in order of their addresses. */
export async function findNodes(options: AskOptions): Promise<readonly RunningNode[]> {
  const answers = await Promise.all((await findSpots(options)).map((spot) => askSpot(spot, options)));
  // a node may be found in two places
  const byPeer = new Map(answers.flatMap((one) => (one === undefined ? [] : [[one.status.peer, one]])));
  return [...byPeer.values()].toSorted((a, b) =>
    a.status.address.localeCompare(b.status.address, 'en', { numeric: true }),
  );
}

/** What all live nodes say of themselves, in order of their addresses. */
export async function readNodeStatuses(options: AskOptions): Promise<readonly NodeStatus[]> {
  return (await findNodes(options)).map(({ status }) => status);
}

export interface HandOverOptions extends AskOptions {
  /** Absolute, without symbolic links. */
  readonly folder: string;
  /** Whom the download would ask: a node that uses another tracker is not meant. */
  readonly trackerUrls: readonly string[];
}

/** The live node that shares exactly this folder and uses one of these trackers. Does not wait for others once it has answered. */
export async function findNodeFor(options: HandOverOptions): Promise<RunningNode | undefined> {
  const matching = (await findSpots(options)).map(async (spot) => {
    const node = await askSpot(spot, options);
    if (node === undefined) throw new ShoalError('peer-gone', 'no node is there');
    const { roots, tracker } = node.status;
    if (!roots.includes(options.folder) || !options.trackerUrls.includes(tracker.url))
      throw new ShoalError('unknown-peer', 'the node shares something else');
    return node;
  });
  try {
    return await Promise.any(matching);
  } catch (error) {
    options.signal?.throwIfAborted();
    if (error instanceof AggregateError) return undefined;
    throw error;
  }
}

export interface HandOverTarget {
  /** Where the file would lie: absolute, without symbolic links. */
  readonly folder: string;
  /** The same output, absolute; a folder ends with a separator. */
  readonly output: string;
}

/** What `-o` means to another process; undefined for standard output, and for a folder that is not there. */
export async function handOverTarget(output: string | undefined, cwd: string): Promise<HandOverTarget | undefined> {
  if (output === '-') return undefined;
  const asked = resolve(cwd, output ?? '');
  const isFolder = await stat(asked).then(
    (found) => found.isDirectory(),
    () => false,
  );
  const ending = output ?? '';
  if (!isFolder && (ending.endsWith('/') || ending.endsWith(sep))) return undefined;
  const folder = await realpath(isFolder ? asked : dirname(asked)).catch(() => undefined);
  if (folder === undefined) return undefined;
  return { folder, output: isFolder ? folder + sep : asked };
}

async function findSpots({ home, dataDir, onSilent }: AskOptions): Promise<readonly ControlSpot[]> {
  if (dataDir !== undefined) {
    const spot = await controlAt(dataDirectoryPlace(resolve(dataDir)));
    return spot === undefined ? [] : [spot];
  }
  const spots = await listControls(home);
  const unasked = spots.length - limits.CONTROL_NODES_MAX;
  if (unasked > 0) onSilent?.(new ShoalError('limit', `${unasked} nodes below ${home} are too many to be asked`));
  return spots.slice(0, limits.CONTROL_NODES_MAX);
}

/** Undefined: nobody lives there, or it does not answer. */
async function askSpot(spot: ControlSpot, { signal, onSilent }: AskOptions): Promise<RunningNode | undefined> {
  const { address } = spot;
  const deadline = AbortSignal.timeout(limits.CONTROL_ANSWER_TIMEOUT_MS);
  try {
    const status = await askStatus(address, signal === undefined ? deadline : AbortSignal.any([signal, deadline]));
    return {
      status,
      get: (options) => handOver(address, options),
      chunks: (what) => askChunks(address, what),
      setLimits: (changes) => changeLimits(address, changes),
    };
  } catch (error) {
    signal?.throwIfAborted();
    if (isNobody(error)) {
      await removeLeftOver(spot);
      return undefined;
    }
    const problem = ShoalError.from(error);
    const why = deadline.aborted ? `no answer for ${limits.CONTROL_ANSWER_TIMEOUT_MS / 1000} s` : problem.message;
    onSilent?.(new ShoalError('peer-gone', `the node at ${address} cannot be asked: ${why}`, { cause: error }));
    return undefined;
  }
}

/** What a node at this address says of itself. */
export async function askStatus(address: string, signal: AbortSignal): Promise<NodeStatus> {
  const last = await converse(address, { id: 1, method: 'status' }, { signal, cancelMs: 0, onAnswer: () => undefined });
  if (last.event !== 'status') throw unexpected(last.event);
  return last.status;
}

async function askChunks(address: string, what: string): Promise<readonly TransferChunks[]> {
  const signal = AbortSignal.timeout(limits.CONTROL_ANSWER_TIMEOUT_MS);
  const request = { id: 1, method: 'chunks' as const, what };
  const last = await converse(address, request, { signal, cancelMs: 0, onAnswer: () => undefined });
  if (last.event !== 'chunks') throw unexpected(last.event);
  return last.transfers;
}

async function changeLimits(address: string, { up, down }: NodeLimits): Promise<NodeStatus> {
  const signal = AbortSignal.timeout(limits.CONTROL_ANSWER_TIMEOUT_MS);
  const request = { id: 1, method: 'limit' as const, up, down };
  const last = await converse(address, request, { signal, cancelMs: 0, onAnswer: () => undefined });
  if (last.event !== 'status') throw unexpected(last.event);
  return last.status;
}

/** Has the node at this address download. An aborted signal cancels the download there and waits until it is. */
export async function handOver(address: string, options: GetOptions): Promise<GetResult> {
  const { what, output = '', expectedSha256, from, single, sequential, stallTimeoutMs, signal } = options;
  const handed = { what, output, expectedSha256, from, single, sequential, stallTimeoutMs };
  const last = await converse(
    address,
    { id: 1, method: 'get', ...handed },
    {
      signal: signal ?? new AbortController().signal,
      cancelMs: limits.CONTROL_CANCEL_TIMEOUT_MS,
      onAnswer: (answer) => {
        if (answer.event === 'progress') options.onProgress?.(answer.progress);
        if (answer.event === 'peer-banned') options.onPeerBanned?.(answer);
      },
    },
  );
  if (last.event !== 'done') throw unexpected(last.event);
  return last.result;
}

/** Events that are the whole answer, or its end. */
const ENDINGS: ReadonlySet<string> = new Set(['done', 'status', 'chunks']);

interface ConverseOptions {
  readonly signal: AbortSignal;
  /** How long the node may take to end what the signal has cancelled. */
  readonly cancelMs: number;
  readonly onAnswer: (answer: ControlAnswer) => void;
}

/** One request on a connection of its own, up to its last answer. An `error` rejects, as does a node that goes away. */
function converse(address: string, request: ControlRequest, options: ConverseOptions): Promise<ControlAnswer> {
  const { signal, cancelMs, onAnswer } = options;
  const { promise, resolve: finish, reject } = Promise.withResolvers<ControlAnswer>();
  const cancelled = (): ShoalError =>
    new ShoalError('cancelled', 'the node was not waited for any longer', { cause: signal.reason });
  if (signal.aborted) return Promise.reject(cancelled());

  // what it still has to say after we have hung up is how the cancelled download ended
  const socket = connect({ path: address, allowHalfOpen: true });
  let connected = false;
  let timer: NodeJS.Timeout | undefined;
  const onAbort = (): void => {
    if (!connected || cancelMs === 0) {
      reject(cancelled());
      socket.destroy();
      return;
    }
    socket.end();
    timer = setTimeout(() => {
      reject(cancelled());
      socket.destroy();
    }, cancelMs);
  };
  signal.addEventListener('abort', onAbort, { once: true });

  const read = createLineReader(limits.CONTROL_ANSWER_BYTES_MAX, (line) => {
    const answer = readAnswer(line);
    if (answer === undefined) return;
    if (answer.event === 'error') {
      const { code, message, hint } = answer.error;
      reject(new ShoalError(code, message, { hint }));
      socket.destroy();
    } else if (ENDINGS.has(answer.event)) {
      finish(answer);
      socket.destroy();
    } else onAnswer(answer);
  });
  socket.on('connect', () => {
    connected = true;
    socket.write(encodeLine(request));
  });
  socket.on('data', (bytes: Buffer) => {
    try {
      if (!socket.destroyed) read(bytes);
    } catch (error) {
      reject(ShoalError.from(error));
      socket.destroy();
    }
  });
  let lost: unknown;
  socket.on('error', (error) => {
    lost = error;
  });
  socket.on('end', () => socket.destroy());
  socket.on('close', () => {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
    reject(
      new ShoalError('peer-gone', 'the node on this machine that was asked has gone away', {
        cause: lost,
        hint: 'the partial file of a download is kept: the same command goes on where it stopped',
      }),
    );
  });
  return promise;
}

/** Whether a failed connection says that no process listens there. */
function isNobody(error: unknown): boolean {
  const cause = error instanceof ShoalError ? error.cause : error;
  return ['ENOENT', 'ECONNREFUSED', 'ENOTSOCK', 'ENOTDIR'].includes(systemErrorCode(cause));
}

function unexpected(event: string): ShoalError {
  return new ShoalError('protocol', `a node on this machine answered with ${event}, which was not the question`);
}
