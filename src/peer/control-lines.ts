/** Cuts a byte stream into lines of bounded length; keeps at most one unfinished line. */
import { ShoalError } from '../errors.ts';

const NEWLINE = 0x0a;

/** Calls `onLine` for each whole line, without its newline. The returned function throws `too-large` for a line over the limit. */
export function createLineReader(lineBytesMax: number, onLine: (line: string) => void): (bytes: Buffer) => void {
  let parts: Buffer[] = [];
  let partBytes = 0;
  const keep = (bytes: Buffer): void => {
    partBytes += bytes.length;
    if (partBytes > lineBytesMax)
      throw new ShoalError('too-large', `a line on the control socket is longer than ${lineBytesMax} bytes`);
    if (bytes.length > 0) parts.push(bytes);
  };
  return (bytes) => {
    let start = 0;
    for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, start)) {
      keep(bytes.subarray(start, end));
      const line = Buffer.concat(parts).toString('utf8');
      parts = [];
      partBytes = 0;
      start = end + 1;
      if (line !== '') onLine(line);
    }
    keep(bytes.subarray(start));
  };
}
