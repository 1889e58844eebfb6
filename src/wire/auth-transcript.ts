/** The bytes both sides of a handshake prove they agree on. Who computes the HMAC over them, and with which key, is not known here. */
import { ShoalError } from '../errors.ts';
import { HELLO_BODY_BYTES } from './frame.ts';

export type HandshakeRole = 'dialler' | 'listener';

const LABEL = new TextEncoder().encode('shoal peer handshake v1');
const ROLE_BYTES = { dialler: 1, listener: 2 } as const satisfies Record<HandshakeRole, number>;

/**
 * Label, role byte of the side that proves itself, then the bodies of both hellos. The role keeps one side's proof from being
 * sent back to it; the nonces inside the hellos keep a proof from being used twice.
 */
export function authTranscript(
  role: HandshakeRole,
  diallerHello: Uint8Array,
  listenerHello: Uint8Array,
): Uint8Array<ArrayBuffer> {
  if (diallerHello.length !== HELLO_BODY_BYTES || listenerHello.length !== HELLO_BODY_BYTES)
    throw new ShoalError('bug', `the body of a hello has ${HELLO_BODY_BYTES} bytes`);
  const transcript = new Uint8Array(LABEL.length + 1 + 2 * HELLO_BODY_BYTES);
  transcript.set(LABEL);
  transcript[LABEL.length] = ROLE_BYTES[role];
  transcript.set(diallerHello, LABEL.length + 1);
  transcript.set(listenerHello, LABEL.length + 1 + HELLO_BODY_BYTES);
  return transcript;
}
