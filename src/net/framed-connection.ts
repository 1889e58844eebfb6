/**
 * One socket that carries frames. Owns the decoder, the outbox and the deadlines of the connection; answers pings and goodbyes by
 * itself. What the other messages mean is not known here.
 *
 *     idle -> handshake -> held -> open -> closing -> closed
 *
 * `idle`: nothing is read. `held`: the handshake is done, nothing is read, what had come behind it is kept. `closing`: what waits is
 * being flushed, what comes is thrown away. `closed` of a handler is called once, when the connection leaves `open` (or `handshake`),
 * never from inside a call that the handler's owner makes; `gone` resolves when the socket is no more. From then on, and from the
 * moment of `close` or `destroy`, no destination is written to and no message is delivered.
 */
import type { Socket } from 'node:net';
import { ShoalError } from '../errors.ts';
import * as limits from '../limits.ts';
import { FrameDecoder } from '../wire/decode.ts';
import { encodeFragmentHeader, encodeMessage } from '../wire/encode.ts';
import { FRAGMENT_HEADER_BYTES } from '../wire/frame.ts';
import { createGoodbye } from '../wire/goodbye.ts';
import type {
  AuthMessage,
  ControlMessage,
  FragmentHeader,
  GoodbyeMessage,
  HelloMessage,
  PingMessage,
  PongMessage,
} from '../wire/messages.ts';
import { formatAddress, normalHost, type Address } from './address.ts';
import type { ConnectionEnd } from './connection-end.ts';
import { ControlRate } from './control-rate.ts';
import { Liveness } from './liveness.ts';
import { Outbox } from './outbox.ts';
import { socketError } from './socket-error.ts';
import type { ByteSink, SocketReader } from './socket-reader.ts';

/** Milliseconds that only ever grow. */
export type Clock = () => number;

export type HandshakeMessage = HelloMessage | AuthMessage;
/** What an open connection delivers; the rest is dealt with here. */
export type PeerMessage = Exclude<ControlMessage, HandshakeMessage | PingMessage | PongMessage | GoodbyeMessage>;

export interface HandshakeHandler {
  /** Throwing `protocol` closes the connection without a reply. */
  message(message: HandshakeMessage): void;
  closed(end: ConnectionEnd): void;
}

export interface ConnectionHandler {
  /** Throwing `protocol` says goodbye and closes; anything else thrown closes, and is told to `closed` as a failure. */
  message(message: PeerMessage): void;
  /** Where a fragment's payload goes: exactly `byteCount` bytes; undefined: it is dropped. May throw as `message`. */
  fragment(header: FragmentHeader): Uint8Array | undefined;
  fragmentEnd(header: FragmentHeader): void;
  /** `canSendFragment` has become true again. */
  writable?(): void;
  /** A new smoothed round-trip time. */
  rtt?(rttMs: number): void;
  closed(end: ConnectionEnd): void;
}

export interface FramedConnectionOptions {
  readonly reader: SocketReader;
  readonly outbound: boolean;
  readonly clock: Clock;
  /** Bytes that were read from the socket before. Kept, not copied. */
  readonly head?: Uint8Array | undefined;
}

type Phase =
  | { readonly name: 'idle' | 'held' }
  | { readonly name: 'handshake'; readonly handler: HandshakeHandler }
  | { readonly name: 'open'; readonly handler: ConnectionHandler }
  | { readonly name: 'closing'; readonly end: ConnectionEnd; readonly deadlineMs: number }
  | { readonly name: 'closed'; readonly end: ConnectionEnd };

export class FramedConnection {
  readonly outbound: boolean;
  /** Of the other side, in its normal form. */
  readonly remoteAddress: Address;
  /** Resolves when the socket is no more. */
  readonly gone: Promise<void>;
  readonly #reader: SocketReader;
  readonly #socket: Socket;
  readonly #clock: Clock;
  readonly #decoder: FrameDecoder;
  readonly #outbox: Outbox;
  readonly #liveness: Liveness;
  readonly #controlRate: ControlRate;
  #phase: Phase = { name: 'idle' };
  /** Read from the socket, not yet decoded. */
  #held: Uint8Array | undefined;
  #bytesReceived = 0;
  #readAtMs: number;

  /** Takes over a connected socket whose reading is paused. */
  constructor(options: FramedConnectionOptions) {
    this.#reader = options.reader;
    this.#socket = options.reader.socket;
    this.#clock = options.clock;
    this.outbound = options.outbound;
    this.remoteAddress = {
      host: normalHost(this.#socket.remoteAddress ?? ''),
      port: this.#socket.remotePort ?? 0,
    };
    const nowMs = this.#clock();
    this.#readAtMs = nowMs;
    this.#liveness = new Liveness(nowMs);
    this.#controlRate = new ControlRate(nowMs);
    this.#decoder = new FrameDecoder(
      {
        message: (message) => this.#onMessage(message),
        fragment: (header) => this.#onFragment(header),
        fragmentEnd: (header) => {
          if (this.#phase.name === 'open') this.#phase.handler.fragmentEnd(header);
        },
        skipped: () => this.#countControlFrame(),
      },
      'handshake',
    );
    this.#outbox = new Outbox(this.#socket, {
      writable: () => {
        if (this.#phase.name === 'open') this.#phase.handler.writable?.();
      },
      stuck: () => this.#liveness.onWriteStuck(this.#clock()),
      progress: (bytesWait) => this.#liveness.onWriteProgress(bytesWait, this.#clock()),
      overflow: () => this.#fail(this.#failure('limit', 'it does not read, and too many messages wait for it')),
    });
    if (options.head !== undefined && options.head.length > 0) {
      this.#held = options.head;
      this.#bytesReceived = options.head.length;
    }
    this.gone = new Promise((resolve) => {
      if (this.#socket.closed) resolve();
      else this.#socket.once('close', () => resolve());
    });
    this.#socket.on('error', (error) =>
      this.#fail(socketError(`lost the connection to ${formatAddress(this.remoteAddress)}`, error)),
    );
    this.#socket.on('end', () => this.#onRemoteEnd());
    if (this.#socket.closed) this.#onSocketClosed();
    else this.#socket.on('close', () => this.#onSocketClosed());
  }

  /** Reads the handshake: hello and auth only. */
  beginHandshake(handler: HandshakeHandler): void {
    this.#begin('idle', { name: 'handshake', handler }, handler);
  }

  /** Called by the handshake's handler with the last message it expects: nothing is delivered until `start`. */
  hold(): void {
    if (this.#phase.name !== 'handshake') return;
    this.#phase = { name: 'held' };
    this.#decoder.enter('traffic');
    this.#decoder.stop();
  }

  /** Delivers all that comes from now on, beginning after this turn with what came behind the handshake. Sends the first ping. */
  start(handler: ConnectionHandler): void {
    this.#begin('held', { name: 'open', handler }, handler);
    if (this.#phase.name === 'open') this.ping();
  }

  /**
   * Sends a message. It overtakes fragments that were not written yet: whoever ends a request with a message waits for `flushed` of
   * its fragments. Does nothing when the connection is closing.
   */
  send(message: ControlMessage): void {
    this.#outbox.pushControl(encodeMessage(message));
  }

  /**
   * Sends a fragment; `bytes` must not change until `flushed`, which is called once, whether they were sent or the connection was
   * lost. To be called only while `canSendFragment`; after that, `writable` tells.
   */
  sendFragment(header: FragmentHeader, bytes: Uint8Array, flushed?: () => void): void {
    if (bytes.length !== header.byteCount)
      throw new ShoalError('bug', `a fragment of ${header.byteCount} bytes was given ${bytes.length} bytes`);
    this.#liveness.onFragment();
    this.#controlRate.earn(header.byteCount);
    const headerBytes = encodeFragmentHeader(header, Buffer.allocUnsafe(FRAGMENT_HEADER_BYTES));
    this.#outbox.pushFragment(headerBytes, bytes, flushed);
  }

  /** Measures the round-trip time, unless a ping is under way. */
  ping(): void {
    const token = this.#liveness.startPing(this.#clock());
    if (token !== undefined) this.send({ type: 'ping', token });
  }

  /** Flushes what waits, says goodbye and ends; destroys the socket when that takes longer than CLOSE_TIMEOUT_MS. Idempotent. */
  close(goodbye?: GoodbyeMessage): void {
    this.#beginClosing({ type: 'closed-here', goodbye }, goodbye);
  }

  /** Ends at once, without a word. */
  destroy(end: ConnectionEnd = { type: 'closed-here', goodbye: undefined }): void {
    this.#leave(end, { name: 'closed', end: this.end ?? end });
    this.#socket.destroy();
  }

  /** Looks at the deadlines. Called by the connection set, every CONNECTION_TICK_MS or so. */
  tick(): void {
    const nowMs = this.#clock();
    if (this.#phase.name === 'closing') {
      if (nowMs >= this.#phase.deadlineMs) this.#socket.destroy();
      return;
    }
    if (this.#phase.name === 'closed') return;
    const answer = this.#liveness.check(nowMs, this.#phase.name === 'open');
    if (answer.type === 'ping') this.send({ type: 'ping', token: answer.token });
    if (answer.type === 'dead')
      this.#fail(this.#failure('peer-gone', answer.why), createGoodbye('timeout', answer.why));
  }

  get isOpen(): boolean {
    return this.#phase.name === 'open';
  }

  /** How it ended; undefined while it has not. */
  get end(): ConnectionEnd | undefined {
    return this.#phase.name === 'closing' || this.#phase.name === 'closed' ? this.#phase.end : undefined;
  }

  /** Bytes read from the socket, and bytes the kernel has taken. */
  get bytesReceived(): number {
    return this.#bytesReceived;
  }
  get bytesSent(): number {
    return this.#outbox.bytesWritten;
  }

  get unsentBytes(): number {
    return this.#outbox.unsentBytes;
  }

  get canSendFragment(): boolean {
    return this.#phase.name === 'open' && this.#outbox.hasRoom;
  }

  /** The kernel takes at once what it is given. */
  get isFast(): boolean {
    return this.#outbox.isFast;
  }

  /** On the clock that was given. */
  get lastByteAtMs(): number {
    return this.#liveness.lastByteAtMs;
  }

  get rttMs(): number | undefined {
    return this.#liveness.rttMs;
  }

  #begin(from: 'idle' | 'held', next: Phase, handler: { closed(end: ConnectionEnd): void }): void {
    const { end } = this;
    if (end !== undefined) {
      process.nextTick(() => handler.closed(end));
      return;
    }
    if (this.#phase.name !== from)
      throw new ShoalError('bug', `a connection that is ${this.#phase.name} was started as if it were ${from}`);
    this.#phase = next;
    process.nextTick(() => {
      if (this.#phase === next) this.#resume();
    });
  }

  #resume(): void {
    const held = this.#held;
    this.#held = undefined;
    if (held === undefined || this.#decode(held, held.length)) this.#reader.resume(this.#sink);
  }

  readonly #sink: ByteSink = {
    take: (bytes, byteCount) => {
      this.#count(byteCount);
      return this.#decode(bytes, byteCount);
    },
    room: () => (this.#phase.name === 'open' ? this.#decoder.room : undefined),
    filled: (byteCount) => {
      this.#count(byteCount);
      try {
        this.#decoder.filled(byteCount);
      } catch (error) {
        this.#onThrown(ShoalError.from(error));
        return true;
      }
      this.#liveness.onDecoded(this.#decoder.hasPartialFrame, this.#decoder.frameCount, this.#readAtMs);
      return true;
    },
  };

  #count(byteCount: number): void {
    this.#bytesReceived += byteCount;
    this.#readAtMs = this.#clock();
    this.#liveness.onBytes(this.#readAtMs);
  }

  /** False: the rest is kept, and reading has to stop. */
  #decode(bytes: Uint8Array, byteCount: number): boolean {
    if (this.end !== undefined) return true;
    let consumed = 0;
    try {
      if (this.#phase.name !== 'held') consumed = this.#decoder.push(bytes, 0, byteCount);
    } catch (error) {
      this.#onThrown(ShoalError.from(error));
      return true;
    }
    this.#liveness.onDecoded(this.#decoder.hasPartialFrame, this.#decoder.frameCount, this.#readAtMs);
    if (!this.#isHeld()) return true;
    if (consumed < byteCount) this.#held = bytes.slice(consumed, byteCount);
    return false;
  }

  /** A call, because a handler may have changed the phase where the compiler cannot see it. */
  #isHeld(): boolean {
    return this.#phase.name === 'held';
  }

  #onThrown(error: ShoalError): void {
    const stranger = this.#phase.name !== 'open';
    const violated = error.code === 'protocol';
    const end: ConnectionEnd = violated ? { type: 'violated', error } : { type: 'failed', error };
    if (stranger) {
      this.destroy(end);
      return;
    }
    this.#outbox.dropFragments();
    this.#beginClosing(end, violated ? createGoodbye('protocol-error', error.message) : createGoodbye('leaving'));
  }

  #onMessage(message: ControlMessage): void {
    if (this.#phase.name === 'closing' || this.#phase.name === 'closed') return;
    this.#countControlFrame();
    switch (message.type) {
      case 'goodbye':
        this.#onGoodbye(message);
        return;
      case 'hello':
      case 'auth':
        if (this.#phase.name === 'handshake') this.#phase.handler.message(message);
        return;
      case 'ping': {
        const heldMicros = (this.#clock() - this.#readAtMs) * 1000;
        this.send({ type: 'pong', token: message.token, heldMicros });
        return;
      }
      case 'pong': {
        const rttMs = this.#liveness.onPong(message.token, message.heldMicros, this.#readAtMs);
        if (this.#phase.name === 'open') this.#phase.handler.rtt?.(rttMs);
        return;
      }
      default:
        if (this.#phase.name === 'open') this.#phase.handler.message(message);
    }
  }

  #onFragment(header: FragmentHeader): Uint8Array | undefined {
    this.#liveness.onFragment();
    this.#controlRate.earn(header.byteCount);
    return this.#phase.name === 'open' ? this.#phase.handler.fragment(header) : undefined;
  }

  #countControlFrame(): void {
    if (!this.#controlRate.take(this.#readAtMs))
      throw new ShoalError('protocol', `more than ${limits.CONTROL_FRAMES_PER_SECOND} control frames a second`);
  }

  #onGoodbye(goodbye: GoodbyeMessage): void {
    this.#outbox.dropFragments();
    this.#beginClosing({ type: 'closed-there', goodbye });
  }

  #onRemoteEnd(): void {
    if (this.end === undefined) this.destroy({ type: 'closed-there', goodbye: undefined });
    else if (this.#socket.writableFinished) this.#socket.destroy();
  }

  /** The socket has failed or has to be given up; a word of farewell is sent only if there is one and it can be. */
  #fail(error: ShoalError, goodbye?: GoodbyeMessage): void {
    if (this.#phase.name === 'closing') this.#socket.destroy();
    if (this.end !== undefined) return;
    if (goodbye === undefined || this.#phase.name !== 'open') {
      this.destroy({ type: 'failed', error });
      return;
    }
    this.#outbox.dropFragments();
    this.#beginClosing({ type: 'failed', error }, goodbye);
  }

  #failure(code: 'limit' | 'peer-gone', why: string): ShoalError {
    return new ShoalError(code, `closed the connection to ${formatAddress(this.remoteAddress)}: ${why}`);
  }

  #beginClosing(end: ConnectionEnd, goodbye?: GoodbyeMessage): void {
    if (this.end !== undefined) return;
    this.#leave(end, { name: 'closing', end, deadlineMs: this.#clock() + limits.CLOSE_TIMEOUT_MS });
    this.#outbox.end(goodbye === undefined ? undefined : encodeMessage(goodbye));
    this.#socket.once('finish', () => {
      if (this.#socket.readableEnded) this.#socket.destroy();
    });
    // bytes left unread would turn our end into a reset, which can overtake the goodbye
    this.#reader.resume(this.#sink);
  }

  /** To `closing` or `closed`, once; tells the handler when this turn is over. */
  #leave(end: ConnectionEnd, next: Phase): void {
    const phase = this.#phase;
    if (phase.name === 'closed') return;
    this.#phase = next;
    this.#held = undefined;
    this.#decoder.stop();
    if (next.name === 'closed') this.#outbox.close();
    if (phase.name === 'handshake' || phase.name === 'open') process.nextTick(() => phase.handler.closed(end));
  }

  #onSocketClosed(): void {
    if (this.#phase.name === 'closed') return;
    const end = this.end ?? { type: 'closed-there', goodbye: undefined };
    this.#leave(end, { name: 'closed', end });
  }
}
