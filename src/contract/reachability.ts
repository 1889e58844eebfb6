/** What a tracker has found out about a peer's addresses, between the words used inside and the numbers of the contract. */
import { REACHABILITY_NUMBER } from './messages.ts';

/** `unknown`: not found out yet, or the tracker does not dial back. */
export type Reachability = 'unknown' | 'reachable' | 'unreachable';

/** Numbers this version does not know say nothing to it. */
export function reachabilityFromWire(number: number): Reachability {
  if (number === REACHABILITY_NUMBER.reachable) return 'reachable';
  return number === REACHABILITY_NUMBER.unreachable ? 'unreachable' : 'unknown';
}

export function reachabilityToWire(reachability: Reachability): (typeof REACHABILITY_NUMBER)[Reachability] {
  return REACHABILITY_NUMBER[reachability];
}
