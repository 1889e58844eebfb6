/**
 * What is said on a node's control socket: one JSON object a line. A request names a method; a status has one answer, a get has as
 * many as its download has news, the last being `done` or `error`. Parses what comes from outside; opens nothing.
 */
import { isAbsolute } from 'node:path';
import { isSha256Hex, type Sha256Hex } from '../content/digest.ts';
import { ERROR_TABLE, ShoalError, type ErrorCode } from '../errors.ts';
import { parseAddress } from '../net/address.ts';
import type {
  ChunkReasonRange,
  GetOptions,
  GetProgress,
  GetResult,
  NodeLimits,
  NodeStatus,
  SourceTally,
  TransferChunks,
  TransferStatus,
  VolunteerStatus,
} from './api.ts';
import {
  isFlag,
  isList,
  isNumber,
  isOneOf,
  isOptional,
  isOrNull,
  isShape,
  isText,
  type Check,
} from './control-shape.ts';

/** What of a get is data and can be handed to another process; `output` is an absolute path, a folder if it ends with a separator. */
export type HandedGet = Omit<GetOptions, 'output' | 'onProgress' | 'onPeerBanned' | 'signal'> & {
  readonly output: string;
};

/** Chosen by the caller, repeated in every answer; null where a line could not be read that far. */
export type RequestId = string | number;

export type ControlRequest =
  | { readonly id: RequestId; readonly method: 'status' }
  | { readonly id: RequestId; readonly method: 'chunks'; readonly what: string }
  | ({ readonly id: RequestId; readonly method: 'limit' } & NodeLimits)
  | ({ readonly id: RequestId; readonly method: 'get' } & HandedGet);

export interface ControlProblem {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint: string;
}

export type ControlNews =
  | { readonly event: 'status'; readonly status: NodeStatus }
  | { readonly event: 'chunks'; readonly transfers: readonly TransferChunks[] }
  | { readonly event: 'progress'; readonly progress: GetProgress }
  | { readonly event: 'peer-banned'; readonly address: string; readonly reason: string }
  | { readonly event: 'done'; readonly result: GetResult }
  | { readonly event: 'error'; readonly error: ControlProblem };

export type ControlAnswer = ControlNews & { readonly id: RequestId | null };

export function encodeLine(message: ControlRequest | ControlAnswer): string {
  return `${JSON.stringify(message)}\n`;
}

export function problemOf(error: ShoalError): ControlProblem {
  const { code, message, hint } = error;
  return { code, message, hint };
}

// ---- requests --------------------------------------------------------------------------------------------------------------

const ID_CHARS_MAX = 64;
/** A descriptor's URL is the longest thing one may ask for. */
const WHAT_CHARS_MAX = 8_192;
const PATH_CHARS_MAX = 4_096;
const FROM_MAX = 64;

const isId: Check<RequestId> = (value): value is RequestId =>
  Number.isSafeInteger(value) || (isText(value) && value.length <= ID_CHARS_MAX);
const isWhat: Check<string> = (value): value is string =>
  isText(value) && value.length > 0 && value.length <= WHAT_CHARS_MAX;
const isOutput: Check<string> = (value): value is string =>
  isText(value) && value.length <= PATH_CHARS_MAX && isAbsolute(value) && !value.includes('\0');
const isDigest: Check<Sha256Hex> = (value): value is Sha256Hex => isText(value) && isSha256Hex(value);
const isTimeout: Check<number> = (value): value is number => isNumber(value) && value > 0;
const isPeerAddress: Check<string> = (value): value is string => {
  if (!isText(value)) return false;
  try {
    return parseAddress(value).port > 0;
  } catch {
    return false;
  }
};

const isRate: Check<number> = (value): value is number => isNumber(value) && value >= 1;
const isLimits = isShape<NodeLimits>({ up: isOptional(isOrNull(isRate)), down: isOptional(isOrNull(isRate)) });

const isHandedGet = isShape<HandedGet>({
  what: isWhat,
  output: isOutput,
  expectedSha256: isOptional(isDigest),
  from: isOptional(isList(isPeerAddress, FROM_MAX)),
  single: isOptional(isFlag),
  sequential: isOptional(isFlag),
  stallTimeoutMs: isOptional(isTimeout),
});

/** The request in a line, or why it is none, with its id if that much can be read. */
export function readRequest(
  line: string,
): { readonly request: ControlRequest } | { readonly id: RequestId | null; readonly problem: ShoalError } {
  const value = parseJson(line);
  const id = isShape<{ id: RequestId }>({ id: isId })(value) ? value.id : null;
  const refuse = (message: string): { readonly id: RequestId | null; readonly problem: ShoalError } => ({
    id,
    problem: new ShoalError('usage', message, { hint: 'docs/api.md describes the control socket' }),
  });
  if (id === null) return refuse('the line is not a request: it has to be a JSON object with an id');
  if (!isShape<{ method: string }>({ method: isText })(value)) return refuse('the request names no method');
  switch (value.method) {
    case 'status':
      return { request: { id, method: 'status' } };
    case 'chunks': {
      if (!isShape<{ what: string }>({ what: isWhat })(value)) return refuse('chunks of what? name a transfer');
      return { request: { id, method: 'chunks', what: value.what } };
    }
    case 'limit': {
      if (!isLimits(value)) return refuse('a limit is a number of bytes a second above 0, or null for none');
      return { request: { id, method: 'limit', up: value.up, down: value.down } };
    }
    case 'get': {
      if (!isHandedGet(value)) return refuse('the get has a field that is missing, too long or not what it should be');
      const { what, output, expectedSha256, from, single, sequential, stallTimeoutMs } = value;
      const options = { what, output, expectedSha256, from, single, sequential, stallTimeoutMs };
      return { request: { id, method: 'get', ...options } };
    }
    default:
      return refuse(`this node knows no method ${JSON.stringify(value.method.slice(0, 80))}`);
  }
}

// ---- answers ---------------------------------------------------------------------------------------------------------------

const isCounts: Check<Readonly<Record<string, number>>> = (value): value is Readonly<Record<string, number>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && Object.values(value).every(isNumber);

const isChunkRange = isShape<ChunkReasonRange>({ first: isNumber, last: isNumber, reason: isOrNull(isText) });
const isChunks = isShape<TransferChunks>({
  name: isText,
  content: isText,
  chunkCount: isNumber,
  missingCount: isNumber,
  ranges: isList(isChunkRange),
});

const isTransfer = isShape<TransferStatus>({
  name: isText,
  content: isText,
  size: isNumber,
  bytes: isNumber,
  state: isOneOf('seeding', 'serving', 'fetching', 'stalled'),
  reason: isOrNull(isText),
  bottleneck: isOrNull(isText),
  reasons: isCounts,
  peers: isNumber,
  bytesPerSecondUp: isNumber,
  bytesPerSecondDown: isNumber,
});

const isStatus = isShape<NodeStatus>({
  peer: isText,
  pid: isNumber,
  address: isText,
  tracker: isShape<NodeStatus['tracker']>({ url: isText, state: isOneOf('connected', 'away') }),
  roots: isList(isText),
  sharedFiles: isNumber,
  sharedBytes: isNumber,
  limitUp: isOrNull(isNumber),
  limitDown: isOrNull(isNumber),
  volunteer: isOptional(isShape<VolunteerStatus>({ offeredBytes: isNumber, usedBytes: isNumber, contents: isNumber })),
  connections: isNumber,
  uploadedBytes: isNumber,
  downloadedBytes: isNumber,
  transfers: isList(isTransfer),
});

const isProgress = isShape<GetProgress>({
  bytes: isNumber,
  total: isNumber,
  bytesPerSecond: isNumber,
  peers: isNumber,
  etaSeconds: isOrNull(isNumber),
  stalled: isOrNull(isText),
  bottleneck: isOrNull(isText),
  reasons: isCounts,
  name: isText,
});

const isTally = isShape<SourceTally>({
  address: isText,
  peer: isText,
  bytes: isNumber,
  chunks: isNumber,
  rttMs: isOrNull(isNumber),
  seconds: isNumber,
});

const isResult = isShape<GetResult>({
  name: isText,
  path: isText,
  size: isNumber,
  sha256: isDigest,
  content: (value): value is GetResult['content'] => value === '' || isDigest(value),
  seconds: isNumber,
  bytesPerSecond: isNumber,
  resumedBytes: isNumber,
  peers: isList(isTally),
  folder: isOptional(isShape<NonNullable<GetResult['folder']>>({ files: isNumber, kept: isNumber })),
});

const isErrorCode: Check<ErrorCode> = (value): value is ErrorCode => isText(value) && Object.hasOwn(ERROR_TABLE, value);
const isProblem = isShape<ControlProblem>({ code: isErrorCode, message: isText, hint: isText });

type News<E extends ControlNews['event']> = Extract<ControlNews, { event: E }>;

const NEWS: { readonly [E in ControlNews['event']]: Check<News<E>> } = {
  status: isShape<News<'status'>>({ event: isOneOf('status'), status: isStatus }),
  chunks: isShape<News<'chunks'>>({ event: isOneOf('chunks'), transfers: isList(isChunks) }),
  progress: isShape<News<'progress'>>({ event: isOneOf('progress'), progress: isProgress }),
  'peer-banned': isShape<News<'peer-banned'>>({ event: isOneOf('peer-banned'), address: isText, reason: isText }),
  done: isShape<News<'done'>>({ event: isOneOf('done'), result: isResult }),
  error: isShape<News<'error'>>({ event: isOneOf('error'), error: isProblem }),
};

/**
 * The answer in a line; undefined for an event this version does not know, which a newer node may send before the last one. Throws
 * `protocol` for anything else.
 */
export function readAnswer(line: string): ControlAnswer | undefined {
  const value = parseJson(line);
  if (isShape<{ id: RequestId | null; event: string }>({ id: isOrNull(isId), event: isText })(value)) {
    if (!Object.hasOwn(NEWS, value.event)) return undefined;
    const check: Check<ControlNews> = NEWS[value.event as ControlNews['event']];
    if (check(value)) return value;
  }
  throw new ShoalError('protocol', 'a node on this machine answers in a way this version does not understand', {
    hint: 'it may be of another version of Shoal: restart it',
  });
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    // what is not JSON has none of the fields that are looked for
    return undefined;
  }
}
