/** How large the next fragment to a peer may be. */
import { FRAGMENT_BYTES_MAX, LARGE_FRAGMENT_BYTES_MAX } from '../../limits.ts';
import { FEATURE_LARGE_FRAGMENTS } from '../../wire/frame.ts';

/**
 * @param features of the peer's hello.
 * @param isFast the kernel takes at once what this link is given: a control message would not wait behind a large fragment.
 */
export function fragmentBytesMax(features: number, isFast: boolean): number {
  return isFast && (features & FEATURE_LARGE_FRAGMENTS) !== 0 ? LARGE_FRAGMENT_BYTES_MAX : FRAGMENT_BYTES_MAX;
}
