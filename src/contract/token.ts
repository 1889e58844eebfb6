/**
 * What the token of a private swarm is: one secret that opens everything, or two parts with a dot between them, of which the first
 * alone opens reading and both together open publishing too.
 *
 *     a-long-secret              read and publish
 *     read-secret.publish-part   publish; `read-secret` by itself: read
 *
 * Peers prove to each other that they know the part that reads (all of a token without a dot), so readers and publishers are in one
 * swarm; only the tracker tells them apart.
 */
import { ShoalError } from '../errors.ts';
import { TOKEN_CHARS_MAX, TOKEN_PART_CHARS_MIN } from '../limits.ts';

export type Role = 'read' | 'publish';

export interface SwarmToken {
  /** The whole, as it is sent to the tracker. */
  readonly text: string;
  /** The part that opens reading. */
  readonly readPart: string;
}

const PART = /^[A-Za-z0-9_~+/=-]+$/u;

/** Throws `usage` for a text that is no token; the message never holds the text. */
export function parseToken(text: string): SwarmToken {
  const parts = text.split('.');
  const [readPart = ''] = parts;
  if (text.length > TOKEN_CHARS_MAX) throw refusal(`it is longer than ${TOKEN_CHARS_MAX} characters`);
  if (parts.length > 2) throw refusal('it has more than one dot');
  for (const part of parts) {
    if (part.length < TOKEN_PART_CHARS_MIN)
      throw refusal(`${parts.length > 1 ? 'each part' : 'it'} needs at least ${TOKEN_PART_CHARS_MIN} characters`);
    if (!PART.test(part)) throw refusal('it may have letters, digits and -_~+/= only');
  }
  return { text, readPart };
}

function refusal(why: string): ShoalError {
  return new ShoalError('usage', `the token cannot be used: ${why}`, {
    hint: '`shoal token` makes one that cannot be guessed',
  });
}
