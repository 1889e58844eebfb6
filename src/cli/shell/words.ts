/** A line of the shell as words: blanks divide, quotes and backslashes keep together. Pure. */
import { ShoalError } from '../../errors.ts';

export interface LastWord {
  /** Words before the one that is being typed. */
  readonly before: readonly string[];
  /** What the last word means so far, and how it is written. */
  readonly value: string;
  readonly raw: string;
}

/** Throws `usage` for a quote that is not closed. */
export function splitWords(line: string): readonly string[] {
  const { words, open } = scan(line);
  if (open !== '') throw new ShoalError('usage', `the quote ${open} is not closed`);
  return words.map(({ value }) => value);
}

/** The line as far as it is typed; a blank at its end begins an empty word. */
export function lastWord(line: string): LastWord {
  const { words, blankAtEnd } = scan(line);
  const last = blankAtEnd ? undefined : words.at(-1);
  const before = (last === undefined ? words : words.slice(0, -1)).map(({ value }) => value);
  return { before, value: last?.value ?? '', raw: last === undefined ? '' : line.slice(last.start) };
}

/** A word written so that it is read as one. */
export function quoteWord(word: string): string {
  return word.replace(/[\s'"\\]/gu, (char) => `\\${char}`);
}

interface Word {
  readonly start: number;
  readonly value: string;
}

function scan(line: string): { readonly words: readonly Word[]; readonly open: string; readonly blankAtEnd: boolean } {
  const words: Word[] = [];
  let start = -1;
  let value = '';
  let open = '';
  for (let at = 0; at < line.length; at++) {
    const char = line[at] ?? '';
    if (open === '' && /\s/u.test(char)) {
      if (start >= 0) words.push({ start, value });
      start = -1;
      value = '';
      continue;
    }
    if (start < 0) start = at;
    if (char === '\\' && open !== "'" && at + 1 < line.length) value += line[++at] ?? '';
    else if (char === open) open = '';
    else if (open === '' && (char === '"' || char === "'")) open = char;
    else value += char;
  }
  if (start >= 0) words.push({ start, value });
  return { words, open, blankAtEnd: start < 0 };
}
