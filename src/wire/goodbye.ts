/** Makes goodbyes whose text fits the wire: texts come from error messages, which know nothing of its limit. */
import * as limits from '../limits.ts';
import type { GoodbyeMessage, GoodbyeReason } from './messages.ts';

const encoder = new TextEncoder();

export function createGoodbye(reason: GoodbyeReason, text = '', retryMs = 0): GoodbyeMessage {
  return { type: 'goodbye', reason, retryMs, text: fitGoodbyeText(text) };
}

/** The text cut at a character so that it has at most GOODBYE_TEXT_BYTES_MAX bytes of UTF-8. */
export function fitGoodbyeText(text: string): string {
  // no character has fewer bytes than code units, so the rest could not fit anyway
  const wellFormed = text.slice(0, limits.GOODBYE_TEXT_BYTES_MAX).toWellFormed();
  const { read } = encoder.encodeInto(wellFormed, new Uint8Array(limits.GOODBYE_TEXT_BYTES_MAX));
  return wellFormed.slice(0, read);
}
