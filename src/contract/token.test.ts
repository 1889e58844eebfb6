import { describe, expect, it } from 'vitest';
import { ShoalError } from '../errors.ts';
import { TOKEN_CHARS_MAX } from '../limits.ts';
import { parseToken } from './token.ts';

const refusalOf = (text: string): string => {
  try {
    parseToken(text);
  } catch (error) {
    expect(error).toBeInstanceOf(ShoalError);
    expect((error as ShoalError).code).toBe('usage');
    return (error as ShoalError).message;
  }
  throw new Error(`${text} is taken for a token`);
};

describe('parseToken()', () => {
  it('takes one secret for everything, and two parts for reading and publishing', () => {
    expect(parseToken('correct-horse')).toEqual({ text: 'correct-horse', readPart: 'correct-horse' });
    expect(parseToken('read-secret.publish-secret').readPart).toBe('read-secret');
  });

  it('says what is wrong without saying the secret', () => {
    expect(refusalOf('short')).toContain('at least 8');
    expect(refusalOf('read-secret.short')).toContain('each part');
    expect(refusalOf('read-secret.')).toContain('each part');
    expect(refusalOf('a secret with blanks')).not.toContain('blanks');
    expect(refusalOf('read-secret.publish-secret.more-secret')).toContain('more than one dot');
    expect(refusalOf('x'.repeat(TOKEN_CHARS_MAX + 1))).toContain(`${TOKEN_CHARS_MAX}`);
    expect(parseToken('x'.repeat(TOKEN_CHARS_MAX)).text).toHaveLength(TOKEN_CHARS_MAX);
  });
});
