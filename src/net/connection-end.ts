/** How a connection came to its end, by who ended it. */
import type { ShoalError } from '../errors.ts';
import type { GoodbyeMessage } from '../wire/messages.ts';

export type ConnectionEnd =
  /** We closed it. */
  | { readonly type: 'closed-here'; readonly goodbye: GoodbyeMessage | undefined }
  /** The other side closed it in good order; without a goodbye when it just ended its stream. */
  | { readonly type: 'closed-there'; readonly goodbye: GoodbyeMessage | undefined }
  /** The other side broke the rules; the error has the code `protocol`. */
  | { readonly type: 'violated'; readonly error: ShoalError }
  /** A deadline passed, a limit was reached, the socket failed, or a handler of ours threw (then the code is `bug`). */
  | { readonly type: 'failed'; readonly error: ShoalError };

/** One sentence for people and logs. */
export function describeEnd(end: ConnectionEnd): string {
  switch (end.type) {
    case 'closed-here':
      return `closed by this side${afterwords(end.goodbye)}`;
    case 'closed-there':
      return `closed by the other side${afterwords(end.goodbye)}`;
    case 'violated':
      return `the other side broke the protocol: ${end.error.message}`;
    default:
      return end.error.message;
  }
}

function afterwords(goodbye: GoodbyeMessage | undefined): string {
  if (goodbye === undefined) return '';
  return goodbye.text === '' ? ` (${goodbye.reason})` : ` (${goodbye.reason}: ${goodbye.text})`;
}
