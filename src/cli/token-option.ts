/** The token of a private swarm as the command line gives it: by itself, by a file, by the environment. */
import { readFileSync } from 'node:fs';
import { parseToken } from '../contract/token.ts';
import { ShoalError } from '../errors.ts';
import { TOKEN_CHARS_MAX } from '../limits.ts';

/** Undefined: none is given. Throws `usage` for one that cannot be used, or for two. */
export function readToken(text: string | undefined, path: string | undefined): string | undefined {
  const given = text === '' ? undefined : text;
  if (path === undefined || path === '') return given === undefined ? undefined : parseToken(given).text;
  if (given !== undefined)
    throw new ShoalError('usage', 'a token and a file with a token are given: one of them is too many', {
      hint: 'SHOAL_TOKEN and SHOAL_TOKEN_FILE count too',
    });
  return parseToken(firstLine(path)).text;
}

function firstLine(path: string): string {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new ShoalError('usage', `the token cannot be read from ${path}`, { cause: error });
  }
  // a file that is something else altogether is not searched for a line
  return (text.slice(0, TOKEN_CHARS_MAX + 2).split('\n', 1)[0] ?? '').trim();
}
