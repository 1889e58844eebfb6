/** What a peer is reported to the tracker for, between the words used inside and the numbers of the contract. */
import { OFFENCE_NUMBER } from './messages.ts';

/** A chunk or manifest without its SHA-256; messages the protocol does not allow; chunks claimed and not given. */
export type Offence = 'wrong-bytes' | 'protocol' | 'undelivered';

/** undefined: an offence of a later version. */
export function offenceFromWire(number: number): Offence | undefined {
  switch (number) {
    case OFFENCE_NUMBER['wrong-bytes']:
      return 'wrong-bytes';
    case OFFENCE_NUMBER.protocol:
      return 'protocol';
    case OFFENCE_NUMBER.undelivered:
      return 'undelivered';
    default:
      return undefined;
  }
}

export function offenceToWire(offence: Offence): (typeof OFFENCE_NUMBER)[Offence] {
  return OFFENCE_NUMBER[offence];
}
