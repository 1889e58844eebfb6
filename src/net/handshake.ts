/**
 * Both roles of the handshake: each side says who it is and what content it is about, and proves that it holds the key of the
 * swarm. One round trip before the dialler may send.
 *
 *     dialler                     listener
 *        | ------- HELLO --------> |  accept() finds the content and its key, or refuses
 *        | <--- HELLO, AUTH ------ |
 *        | ------- AUTH ---------> |
 *
 * A proof that is wrong gets no reply. When these functions return, the connection is `held`: what came behind the handshake is
 * delivered by `start`.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { bytesEqual, contentIdFromBytes, digestBytes, parseContentId, type ContentId } from '../content/digest.ts';
import { ShoalError } from '../errors.ts';
import * as limits from '../limits.ts';
import { authTranscript, type HandshakeRole } from '../wire/auth-transcript.ts';
import { encodeHelloBody } from '../wire/encode.ts';
import { NONCE_BYTES } from '../wire/frame.ts';
import { createGoodbye } from '../wire/goodbye.ts';
import type { AuthMessage, GoodbyeMessage, HelloMessage } from '../wire/messages.ts';
import { formatAddress } from './address.ts';
import { describeEnd, type ConnectionEnd } from './connection-end.ts';
import type { FramedConnection, HandshakeMessage } from './framed-connection.ts';

/**
 * The content that a hello is about when it only asks who is there: no manifest has this digest. A listener answers it as any other,
 * and joins nothing.
 */
export const NO_CONTENT: ContentId = parseContentId('00'.repeat(32));

/** `refused`: one side said goodbye instead; the connection is closing. */
export type HandshakeOutcome =
  | { readonly type: 'linked'; readonly own: HelloMessage; readonly remote: HelloMessage }
  | { readonly type: 'refused'; readonly by: 'us' | 'them'; readonly goodbye: GoodbyeMessage };

export interface HandshakeDeadline {
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface DiallerOptions extends HandshakeDeadline {
  readonly hello: HelloMessage;
  readonly swarmKey: Uint8Array;
}

/** Our own hello, which must be about the content of the one that came; or why we do not want the connection. */
export type AcceptAnswer =
  | { readonly hello: HelloMessage; readonly swarmKey: Uint8Array }
  | { readonly refuse: GoodbyeMessage };

export interface ListenerHandshakeOptions extends HandshakeDeadline {
  /** The hello that came is not proven yet: answer, but do nothing in its name. */
  accept(hello: HelloMessage): AcceptAnswer;
}

/** A hello with a fresh nonce. */
export function createHello(
  fields: Omit<HelloMessage, 'type' | 'nonce' | 'contentId'> & { readonly contentId: ContentId },
): HelloMessage {
  return { ...fields, type: 'hello', contentId: digestBytes(fields.contentId), nonce: randomBytes(NONCE_BYTES) };
}

/**
 * The dialler's side. Rejects with `unauthenticated` (the proof is wrong), `protocol`, `conflict` (we dialled ourselves),
 * `peer-gone` or `cancelled`; then the connection is closed.
 */
export function dialHandshake(connection: FramedConnection, options: DiallerOptions): Promise<HandshakeOutcome> {
  return handshakeAsDialler(connection, options, true);
}

/**
 * Finds out who listens at the other end: as the dialler's side, but we prove nothing, so that the listener takes no part of it.
 * The outcome `linked` means that it is who it says and holds the key of the swarm; the connection is to be closed in any case.
 */
export function probeHandshake(connection: FramedConnection, options: DiallerOptions): Promise<HandshakeOutcome> {
  return handshakeAsDialler(connection, options, false);
}

function handshakeAsDialler(
  connection: FramedConnection,
  options: DiallerOptions,
  join: boolean,
): Promise<HandshakeOutcome> {
  const { hello, swarmKey } = options;
  let remote: HelloMessage | undefined;
  return runHandshake(connection, options, {
    begin: () => connection.send(hello),
    onMessage: (message) => {
      if (message.type === 'hello') {
        if (remote !== undefined) throw outOfOrder(message);
        if (!bytesEqual(message.contentId, hello.contentId))
          throw new ShoalError('protocol', 'the listener answered for another content');
        if (bytesEqual(message.peerId, hello.peerId))
          throw new ShoalError('conflict', `${formatAddress(connection.remoteAddress)} is this node itself`);
        remote = message;
        return undefined;
      }
      if (remote === undefined) throw outOfOrder(message);
      checkProof(connection, message, 'listener', swarmKey, hello, remote);
      if (join) connection.send(proof('dialler', swarmKey, hello, remote));
      return { type: 'linked', own: hello, remote };
    },
  });
}

/** The listener's side. Rejects as `dialHandshake`, but meeting itself it refuses. */
export function acceptHandshake(
  connection: FramedConnection,
  options: ListenerHandshakeOptions,
): Promise<HandshakeOutcome> {
  let linking: { readonly own: HelloMessage; readonly remote: HelloMessage; readonly swarmKey: Uint8Array } | undefined;
  return runHandshake(connection, options, {
    begin: () => undefined,
    onMessage: (message) => {
      if (message.type === 'hello') {
        if (linking !== undefined) throw outOfOrder(message);
        const answer = options.accept(message);
        if ('refuse' in answer) return { type: 'refused', by: 'us', goodbye: answer.refuse };
        const { hello: own, swarmKey } = answer;
        if (!bytesEqual(own.contentId, message.contentId))
          throw new ShoalError('bug', 'a hello was answered for another content');
        if (bytesEqual(own.peerId, message.peerId))
          return { type: 'refused', by: 'us', goodbye: createGoodbye('duplicate', 'this is the node that dialled') };
        linking = { own, remote: message, swarmKey };
        connection.send(own);
        connection.send(proof('listener', swarmKey, message, own));
        return undefined;
      }
      if (linking === undefined) throw outOfOrder(message);
      const { own, remote, swarmKey } = linking;
      checkProof(connection, message, 'dialler', swarmKey, remote, own);
      return { type: 'linked', own, remote };
    },
  });
}

interface Role {
  begin(): void;
  /** The outcome when this message decides it. */
  onMessage(message: HandshakeMessage): HandshakeOutcome | undefined;
}

function runHandshake(
  connection: FramedConnection,
  deadline: HandshakeDeadline,
  role: Role,
): Promise<HandshakeOutcome> {
  const { timeoutMs = limits.HANDSHAKE_TIMEOUT_MS, signal } = deadline;
  return new Promise((resolve, reject) => {
    const fail = (error: ShoalError): void => {
      settle();
      connection.destroy({ type: error.code === 'protocol' ? 'violated' : 'failed', error });
      reject(error);
    };
    const onAbort = (): void =>
      fail(new ShoalError('cancelled', `${subject(connection)} was cancelled`, { cause: signal?.reason }));
    const timer = setTimeout(
      () => fail(new ShoalError('peer-gone', `${subject(connection)} was not done within ${timeoutMs} ms`)),
      timeoutMs,
    );
    const settle = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    };
    if (signal?.aborted === true) {
      onAbort();
      return;
    }
    signal?.addEventListener('abort', onAbort, { once: true });
    connection.beginHandshake({
      message: (message) => {
        let outcome: HandshakeOutcome | undefined;
        try {
          outcome = role.onMessage(message);
        } catch (error) {
          fail(ShoalError.from(error));
          return;
        }
        if (outcome === undefined) return;
        settle();
        if (outcome.type === 'linked') connection.hold();
        else connection.close(outcome.goodbye);
        resolve(outcome);
      },
      closed: (end) => {
        settle();
        if (end.type === 'closed-there' && end.goodbye !== undefined)
          resolve({ type: 'refused', by: 'them', goodbye: end.goodbye });
        else reject(errorOf(connection, end));
      },
    });
    role.begin();
  });
}

function errorOf(connection: FramedConnection, end: ConnectionEnd): ShoalError {
  if (end.type === 'violated' || end.type === 'failed') return end.error;
  return new ShoalError('peer-gone', `${subject(connection)} was not finished: ${describeEnd(end)}`);
}

function proof(
  role: HandshakeRole,
  swarmKey: Uint8Array,
  diallerHello: HelloMessage,
  listenerHello: HelloMessage,
): AuthMessage {
  const transcript = authTranscript(role, encodeHelloBody(diallerHello), encodeHelloBody(listenerHello));
  return { type: 'auth', mac: createHmac('sha256', swarmKey).update(transcript).digest() };
}

function checkProof(
  connection: FramedConnection,
  message: AuthMessage,
  role: HandshakeRole,
  swarmKey: Uint8Array,
  diallerHello: HelloMessage,
  listenerHello: HelloMessage,
): void {
  const expected = proof(role, swarmKey, diallerHello, listenerHello);
  if (timingSafeEqual(expected.mac, message.mac)) return;
  const contentId = contentIdFromBytes(diallerHello.contentId);
  throw new ShoalError(
    'unauthenticated',
    `${formatAddress(connection.remoteAddress)} does not hold the key of the swarm of content ${contentId.slice(0, 12)}`,
  );
}

function outOfOrder(message: HandshakeMessage): ShoalError {
  return new ShoalError('protocol', `${message.type === 'hello' ? 'a second hello' : 'a proof before the hello'} came`);
}

function subject(connection: FramedConnection): string {
  return `the handshake with ${formatAddress(connection.remoteAddress)}`;
}
