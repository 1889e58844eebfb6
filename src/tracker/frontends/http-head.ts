/**
 * What the head of a request says, for calls that come very often: read from the bytes, without a text for each line. It understands
 * only what is plainly right, and nothing that would change how a request is read or answered: for the rest there is Node's server.
 */
import * as limits from '../../limits.ts';
import { CALL_ID_HEADER, isCallId } from './call-id.ts';
import type { HotCall } from './hot-calls.ts';

export interface Head {
  readonly call: HotCall;
  /** Behind the `?`. */
  readonly query: string;
  readonly bodyBytes: number;
  readonly authorization: string | undefined;
  readonly callId: string | undefined;
}

const SP = 0x20;
const TAB = 0x09;
const CR = 0x0d;
const LF = 0x0a;
const COLON = 0x3a;
const SLASH = 0x2f;
const QUESTION_MARK = 0x3f;
const DIGIT_0 = 0x30;
/** Of letters in ASCII: set in small ones. In the other characters of the names below it is set too. */
const SMALL = 0x20;

const METHOD = Buffer.from('POST ', 'latin1');
const VERSION = Buffer.from(' HTTP/1.1', 'latin1');
const KEEP_ALIVE = Buffer.from('keep-alive', 'latin1');
const CONTENT_LENGTH_DIGITS_MAX = 9;

type Kind =
  | 'host'
  | 'connection'
  | 'content-length'
  | 'content-type'
  | 'authorization'
  | typeof CALL_ID_HEADER
  | 'not-here';

/** Headers that come once at most; a bit for each. */
const ONCE: readonly Kind[] = ['host', 'connection', 'content-length', 'content-type', 'authorization', CALL_ID_HEADER];
/** Headers that change how a request is read, or what is to be answered: Node's server knows how. */
const NOT_HERE = 'transfer-encoding content-encoding expect upgrade te trailer http2-settings'.split(' ');

interface Known {
  readonly name: Buffer;
  readonly kind: Kind;
  readonly bit: number;
}

/** By the length of their names. */
const KNOWN: readonly (readonly Known[])[] = knownHeaders();

function knownHeaders(): readonly (readonly Known[])[] {
  const all = [
    ...ONCE.map((kind, index): Known => ({ name: Buffer.from(kind, 'latin1'), kind, bit: 1 << index })),
    ...NOT_HERE.map((name): Known => ({ name: Buffer.from(name, 'latin1'), kind: 'not-here', bit: 0 })),
  ];
  const longest = Math.max(...all.map(({ name }) => name.length));
  return Array.from({ length: longest + 1 }, (_, length) => all.filter(({ name }) => name.length === length));
}

/** Characters of a header's name. */
const IS_TOKEN = Uint8Array.from({ length: 256 }, (_, code) =>
  /[!#$%&'*+.^_`|~0-9A-Za-z-]/u.test(String.fromCharCode(code)) ? 1 : 0,
);

/** @param end where the empty line begins that ends the head. Undefined: not plainly right. */
export function parseHead(bytes: Buffer, end: number, calls: ReadonlyMap<string, HotCall>): Head | undefined {
  if (!isAt(bytes, 0, METHOD) || bytes[METHOD.length] !== SLASH) return undefined;
  const pathEnd = visibleEnd(bytes, METHOD.length, end, QUESTION_MARK);
  const call = calls.get(bytes.toString('latin1', METHOD.length, pathEnd));
  if (call === undefined) return undefined;
  const targetEnd = bytes[pathEnd] === QUESTION_MARK ? visibleEnd(bytes, pathEnd + 1, end, SP) : pathEnd;
  if (targetEnd + VERSION.length > end || !isAt(bytes, targetEnd, VERSION)) return undefined;

  let seen = 0;
  let bodyBytes = -1;
  let authorization: string | undefined;
  let callId: string | undefined;
  let at = targetEnd + VERSION.length;
  for (let count = 0; at < end; count++) {
    if (count === limits.HOT_HEADERS_MAX || bytes[at] !== CR || bytes[at + 1] !== LF) return undefined;
    const nameAt = at + 2;
    at = nameAt;
    while (IS_TOKEN[bytes[at] as number] === 1) at++;
    if (at === nameAt || bytes[at] !== COLON) return undefined;
    const known = knownAt(bytes, nameAt, at);
    at++;
    while (bytes[at] === SP || bytes[at] === TAB) at++;
    const valueAt = at;
    let valueEnd = at;
    for (; at < end && bytes[at] !== CR; at++) {
      const code = bytes[at] as number;
      if ((code < SP && code !== TAB) || code === 0x7f) return undefined;
      if (code !== SP && code !== TAB) valueEnd = at + 1;
    }
    if (known === undefined) continue;
    if (known.kind === 'not-here' || (seen & known.bit) !== 0) return undefined;
    seen |= known.bit;
    switch (known.kind) {
      case 'host':
        break;
      case 'connection':
        if (valueEnd - valueAt !== KEEP_ALIVE.length || !isSmallAt(bytes, valueAt, KEEP_ALIVE)) return undefined;
        break;
      case 'content-length':
        bodyBytes = numberAt(bytes, valueAt, valueEnd);
        if (bodyBytes < 0 || bodyBytes > limits.HOT_BODY_BYTES_MAX) return undefined;
        break;
      case 'content-type':
        if (bytes.toString('latin1', valueAt, valueEnd) !== call.contentType) return undefined;
        break;
      case 'authorization':
        authorization = bytes.toString('latin1', valueAt, valueEnd);
        break;
      case CALL_ID_HEADER:
        callId = bytes.toString('latin1', valueAt, valueEnd);
        if (!isCallId(callId)) return undefined;
    }
  }
  if ((seen & NEEDED) !== NEEDED) return undefined;
  const query = targetEnd === pathEnd ? '' : bytes.toString('latin1', pathEnd + 1, targetEnd);
  return { call, query, bodyBytes, authorization, callId };
}

/** Bits of the headers without which a call is not plainly right. */
const NEEDED = (['host', 'content-length', 'content-type'] as const).reduce(
  (all, kind) => all | (1 << ONCE.indexOf(kind)),
  0,
);

/** Where the visible characters end that stand here, or the first of this code. */
function visibleEnd(bytes: Buffer, from: number, end: number, code: number): number {
  let at = from;
  while (at < end && bytes[at] !== code && (bytes[at] as number) > SP && (bytes[at] as number) < 0x7f) at++;
  return at;
}

function knownAt(bytes: Buffer, from: number, to: number): Known | undefined {
  const sameLength = KNOWN[to - from];
  if (sameLength === undefined) return undefined;
  for (const known of sameLength) if (isSmallAt(bytes, from, known.name)) return known;
  return undefined;
}

function isAt(bytes: Buffer, from: number, text: Buffer): boolean {
  for (let index = 0; index < text.length; index++) if (bytes[from + index] !== text[index]) return false;
  return true;
}

/** The same in small letters; what stands here are characters of a name or of a text. */
function isSmallAt(bytes: Buffer, from: number, text: Buffer): boolean {
  for (let index = 0; index < text.length; index++)
    if (((bytes[from + index] as number) | SMALL) !== text[index]) return false;
  return true;
}

/** -1: no number, or too long a one. */
function numberAt(bytes: Buffer, from: number, to: number): number {
  if (to === from || to - from > CONTENT_LENGTH_DIGITS_MAX) return -1;
  let value = 0;
  for (let at = from; at < to; at++) {
    const digit = (bytes[at] as number) - DIGIT_0;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}
