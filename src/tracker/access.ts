/**
 * Who may call what on a private tracker. One rule for all frontends: they say what kind of call it is and what came as
 * `authorization`; this says yes, or throws what they answer. Secrets are compared by their digests, in constant time.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { parseToken, type Role } from '../contract/token.ts';
import { ShoalError } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { Caller } from './state.ts';

/** `open`: needs no token even here (probes, the description of the API). */
export type Need = 'open' | Role;

export interface Access {
  readonly isPrivate: boolean;
  /** @param authorization the header as it came. Throws `unauthenticated` (401) or `not-allowed` (403). */
  admit(need: Need, authorization: string | undefined, caller: Caller): void;
}

export const OPEN_ACCESS: Access = { isPrivate: false, admit: () => undefined };

/** Throws `usage` for a token that cannot be one. */
export function privateAccess(tokenText: string, log: Logger): Access {
  const token = parseToken(tokenText);
  const whole = digest(token.text);
  const reading = digest(token.readPart);
  return {
    isPrivate: true,
    admit(need, authorization, { observedHost }) {
      if (need === 'open') return;
      const given = bearerIn(authorization);
      const refuse = (error: ShoalError): ShoalError => {
        log.warn({ host: observedHost, need, code: error.code }, 'a call was refused');
        return error;
      };
      if (given === undefined)
        throw refuse(
          new ShoalError('unauthenticated', 'this tracker is private, and the call carries no token', { hint: HINT }),
        );
      const presented = digest(given);
      // both are compared whatever the first says, so that time tells nothing
      const isWhole = timingSafeEqual(presented, whole);
      const isReading = timingSafeEqual(presented, reading);
      if (!isWhole && !isReading)
        throw refuse(new ShoalError('unauthenticated', 'the token is not the one of this tracker', { hint: HINT }));
      if (need === 'publish' && !isWhole)
        throw refuse(
          new ShoalError('not-allowed', 'this token may read but not publish', {
            hint: 'use the whole token, with the part behind the dot',
          }),
        );
    },
  };
}

const HINT = 'give the token of this swarm with --token, --token-file or SHOAL_TOKEN';

function digest(text: string): Uint8Array {
  return createHash('sha256').update(text).digest();
}

function bearerIn(header: string | undefined): string | undefined {
  return /^Bearer +(\S+) *$/iu.exec(header ?? '')?.[1];
}
