/** Which frontend a connection is for, by the first bytes that came on it. Decides; holds and reads nothing. */
import * as limits from '../limits.ts';

/** `unclear`: more bytes, or a silence, will tell. `unusable`: no frontend of ours begins like that. */
export type Dialect = 'native' | 'range' | 'http' | 'unclear' | 'unusable';

const NEWLINE = 0x0a;
const METHODS = ['GET ', 'HEAD '] as const;

/**
 * `head`: all bytes so far, at least one. A native connection begins with the length of a hello, whose first byte is 0, which no
 * text has. An HTTP request is told from a file called `GET something` by its version at the end of the line.
 * `complete`: no more will come, or nothing came for a while.
 */
export function dialectOf(head: Uint8Array, complete: boolean): Dialect {
  const [first = 0] = head;
  if (first === 0) return 'native';
  if (first < 0x20 || first === 0x7f) return 'unusable';
  const newline = head.indexOf(NEWLINE);
  if (newline < 0 && head.length > limits.RANGE_LINE_BYTES_MAX) return 'unusable';
  if (!METHODS.some((method) => startsLike(head, method))) return 'range';
  if (newline < 0 && !complete) return 'unclear';
  const line = latin1(newline < 0 ? head : head.subarray(0, newline));
  return METHODS.some((method) => line.startsWith(method)) && line.includes(' HTTP/1.') ? 'http' : 'range';
}

/** Whether the bytes begin with the word, or are a beginning of it. */
function startsLike(head: Uint8Array, word: string): boolean {
  const byteCount = Math.min(head.length, word.length);
  return latin1(head.subarray(0, byteCount)) === word.slice(0, byteCount);
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}
