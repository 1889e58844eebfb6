/**
 * Bytes to messages, in whatever pieces they arrive. Owns the cursor in the stream and what has to be kept of a frame between two
 * packets; keeps no payload: the handler names a destination for each fragment, and its bytes go straight there.
 *
 *     header(8) -> control body -> header ...
 *              \-> fragment header(12) -> payload -> header ...
 *              \-> skipped body -> header ...
 *
 * Promises: work is linear in the bytes pushed; memory is what has arrived of the current control body plus
 * BODY_GATHER_STEP_BYTES, never a length the other side has merely named; nothing delivered shares memory with the input.
 */
import { ShoalError } from '../errors.ts';
import * as limits from '../limits.ts';
import { readU16, readU32 } from './bytes.ts';
import { decodeBody } from './decode-body.ts';
import {
  FRAGMENT_SUBHEADER_BYTES,
  FRAME_HEADER_BYTES,
  frameOfId,
  SKIPPABLE_BIT,
  type FrameStage,
  type FrameType,
} from './frame.ts';
import type { ControlMessage, FragmentHeader } from './messages.ts';

export interface FrameHandler {
  message(message: ControlMessage): void;
  /** Where the payload goes: exactly `byteCount` bytes, written until `fragmentEnd`. Undefined: the payload is dropped. */
  fragment(header: FragmentHeader): Uint8Array | undefined;
  /** All bytes of the fragment are in the destination. Not called for dropped payloads. */
  fragmentEnd(header: FragmentHeader): void;
  /** A frame of a type that is not known here, but may be skipped, has begun. */
  skipped?(typeId: number): void;
}

type State = 'header' | 'body' | 'fragment-header' | 'payload' | 'skip';

/** Bodies up to this size are gathered without allocating; nearly all control messages are smaller. */
const GATHER_BYTES_MIN = 256;
/** Copying fewer bytes than this one by one is cheaper than making a view for `set`. */
const SMALL_COPY_BYTES = 16;

export class FrameDecoder {
  readonly #handler: FrameHandler;
  #stage: FrameStage;
  #state: State = 'header';
  #stopped = false;
  #failure: ShoalError | undefined;

  /** Header or fragment header in the making, control body in the making; `#gathered` bytes of it are there. */
  readonly #small = new Uint8Array(GATHER_BYTES_MIN);
  #gather: Uint8Array = this.#small;
  #gathered = 0;

  /** Of the current frame: what it is, and how many bytes of its body or payload are to come in all. */
  #type: ControlMessage['type'] = 'goodbye';
  #bodyBytes = 0;
  #header: FragmentHeader | undefined;
  #destination: Uint8Array | undefined;

  #frameCount = 0;
  #stepCount = 0;
  #copiedByteCount = 0;

  constructor(handler: FrameHandler, stage: FrameStage = 'any') {
    this.#handler = handler;
    this.#stage = stage;
  }

  /** Whole frames decoded so far, skipped ones included. */
  get frameCount(): number {
    return this.#frameCount;
  }

  /** Whether a header or control body has begun and is not whole: what a slow sender is judged by. Payloads do not count. */
  get hasPartialFrame(): boolean {
    if (this.#state === 'header') return this.#gathered > 0;
    return this.#state !== 'payload';
  }

  /** Memory held for the frame in the making, in bytes. */
  get bufferBytes(): number {
    return this.#gather.length;
  }

  /** Steps taken and bytes copied so far: how much work the stream has caused. */
  get work(): number {
    return this.#stepCount + this.#copiedByteCount;
  }

  /** From the next frame on only frames of this stage are admitted. */
  enter(stage: FrameStage): void {
    this.#stage = stage;
  }

  /** Called from inside a handler: `push` returns as soon as the handler does. The next push goes on from there. */
  stop(): void {
    this.#stopped = true;
  }

  /**
   * Takes `bytes[start, end)` and says how many of them it has used: all, unless the handler called `stop`. The memory may be
   * reused as soon as this returns. Throws `protocol` where the stream breaks a rule, and whatever a handler throws; after that
   * the decoder is of no use.
   */
  push(bytes: Uint8Array, start = 0, end = bytes.length): number {
    if (this.#failure !== undefined) throw this.#failure;
    this.#stopped = false;
    let at = start;
    try {
      while (at < end && !this.#stopped) {
        this.#stepCount++;
        at = this.#step(bytes, at, end);
      }
    } catch (error) {
      this.#failure = ShoalError.from(error);
      this.#release();
      throw error;
    }
    return at - start;
  }

  /** Where the next bytes of the stream go, if they are payload with a destination: whoever can puts them there, and says `filled`. */
  get room(): Uint8Array | undefined {
    if (this.#state !== 'payload' || this.#failure !== undefined) return undefined;
    return this.#destination?.subarray(this.#gathered, this.#bodyBytes);
  }

  /** The next `byteCount` bytes of the stream have been put at the beginning of `room`. Throws what a handler throws. */
  filled(byteCount: number): void {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#state !== 'payload' || byteCount > this.#bodyBytes - this.#gathered)
      throw new ShoalError('bug', `${byteCount} bytes were put where there is no room for them`);
    this.#stopped = false;
    this.#stepCount++;
    this.#gathered += byteCount;
    try {
      this.#endPayload();
    } catch (error) {
      this.#failure = ShoalError.from(error);
      this.#release();
      throw error;
    }
  }

  #step(bytes: Uint8Array, at: number, end: number): number {
    switch (this.#state) {
      case 'header':
        return this.#stepSmall(bytes, at, end, FRAME_HEADER_BYTES);
      case 'fragment-header':
        return this.#stepSmall(bytes, at, end, FRAGMENT_SUBHEADER_BYTES);
      case 'body':
        return this.#stepBody(bytes, at, end);
      case 'payload':
        return this.#stepPayload(bytes, at, end);
      default:
        return this.#stepSkip(at, end);
    }
  }

  #stepSmall(bytes: Uint8Array, at: number, end: number, byteCount: number): number {
    if (this.#gathered === 0 && end - at >= byteCount) {
      this.#onSmall(bytes, at);
      return at + byteCount;
    }
    const taken = Math.min(byteCount - this.#gathered, end - at);
    this.#copy(bytes, at, taken, this.#small, this.#gathered);
    this.#gathered += taken;
    if (this.#gathered === byteCount) {
      this.#gathered = 0;
      this.#onSmall(this.#small, 0);
    }
    return at + taken;
  }

  #onSmall(bytes: Uint8Array, at: number): void {
    if (this.#state === 'header') this.#onHeader(bytes, at);
    else this.#onFragmentHeader(bytes, at);
  }

  #onHeader(bytes: Uint8Array, at: number): void {
    const bodyBytes = readU32(bytes, at);
    const typeId = bytes[at + 4] as number;
    if (bytes[at + 5] !== 0) throw violation(`a frame has flags ${bytes[at + 5]}; none are known`);
    if (readU16(bytes, at + 6) !== 0)
      throw violation(`a frame is for channel ${readU16(bytes, at + 6)}; only 0 is known`);
    const known = frameOfId(typeId);
    if (known === undefined) {
      this.#onUnknown(typeId, bodyBytes);
      return;
    }
    const { type, shape } = known;
    if (this.#stage !== 'any' && shape.stage !== 'any' && shape.stage !== this.#stage)
      throw outOfPlace(type, this.#stage);
    if (bodyBytes < shape.bodyBytesMin || bodyBytes > shape.bodyBytesMax)
      throw violation(
        `a ${type} frame has ${bodyBytes} bytes; ${shape.bodyBytesMin} to ${shape.bodyBytesMax} are allowed`,
      );
    this.#bodyBytes = bodyBytes;
    if (type === 'fragment') {
      this.#state = 'fragment-header';
      return;
    }
    this.#type = type;
    if (bodyBytes > 0) this.#state = 'body';
    else this.#deliver(bytes, 0, 0);
  }

  #onUnknown(typeId: number, bodyBytes: number): void {
    if ((typeId & SKIPPABLE_BIT) === 0 || this.#stage === 'handshake')
      throw violation(`a frame has the unknown type 0x${typeId.toString(16).padStart(2, '0')}`);
    if (bodyBytes > limits.CONTROL_FRAME_BYTES_MAX)
      throw violation(
        `a frame to be skipped has ${bodyBytes} bytes; at most ${limits.CONTROL_FRAME_BYTES_MAX} are allowed`,
      );
    this.#bodyBytes = bodyBytes;
    this.#state = 'skip';
    if (bodyBytes === 0) this.#nextFrame();
    this.#handler.skipped?.(typeId);
  }

  #stepBody(bytes: Uint8Array, at: number, end: number): number {
    const missing = this.#bodyBytes - this.#gathered;
    if (this.#gathered === 0 && end - at >= missing) {
      this.#deliver(bytes, at, at + missing);
      return at + missing;
    }
    const taken = Math.min(missing, end - at);
    this.#reserve(this.#gathered + taken);
    this.#copy(bytes, at, taken, this.#gather, this.#gathered);
    this.#gathered += taken;
    if (taken === missing) this.#deliver(this.#gather, 0, this.#bodyBytes);
    return at + taken;
  }

  /** Makes room for what has arrived, and a step more, so that a large body is not copied for each packet. */
  #reserve(byteCount: number): void {
    if (byteCount <= this.#gather.length) return;
    const grown = new Uint8Array(Math.min(this.#bodyBytes, byteCount + limits.BODY_GATHER_STEP_BYTES));
    this.#copy(this.#gather, 0, this.#gathered, grown, 0);
    this.#gather = grown;
  }

  #deliver(bytes: Uint8Array, start: number, end: number): void {
    const message = decodeBody(this.#type, bytes, start, end);
    this.#nextFrame();
    this.#handler.message(message);
  }

  #onFragmentHeader(bytes: Uint8Array, at: number): void {
    if (readU16(bytes, at + 2) !== 0) throw violation('a fragment frame has a reserved field that is not zero');
    const header: FragmentHeader = {
      requestId: readU16(bytes, at),
      chunkIndex: readU32(bytes, at + 4),
      offset: readU32(bytes, at + 8),
      byteCount: this.#bodyBytes - FRAGMENT_SUBHEADER_BYTES,
    };
    if (header.chunkIndex >= limits.CHUNK_COUNT_MAX)
      throw violation(`a fragment frame names chunk ${header.chunkIndex}, which no content has`);
    if (header.offset + header.byteCount > limits.CHUNK_SIZE_MAX_BYTES)
      throw violation('a fragment frame goes beyond the end of the largest chunk');
    this.#bodyBytes = header.byteCount;
    this.#state = 'payload';
    const destination = this.#handler.fragment(header);
    if (destination !== undefined && destination.length !== header.byteCount)
      throw new ShoalError(
        'bug',
        `a fragment of ${header.byteCount} bytes was given a destination of ${destination.length} bytes`,
      );
    this.#header = header;
    this.#destination = destination;
  }

  #stepPayload(bytes: Uint8Array, at: number, end: number): number {
    const taken = Math.min(this.#bodyBytes - this.#gathered, end - at);
    const destination = this.#destination;
    if (destination !== undefined) this.#copy(bytes, at, taken, destination, this.#gathered);
    this.#gathered += taken;
    this.#endPayload();
    return at + taken;
  }

  #endPayload(): void {
    if (this.#gathered < this.#bodyBytes) return;
    const header = this.#header;
    const hasDestination = this.#destination !== undefined;
    this.#nextFrame();
    if (hasDestination && header !== undefined) this.#handler.fragmentEnd(header);
  }

  #stepSkip(at: number, end: number): number {
    const taken = Math.min(this.#bodyBytes - this.#gathered, end - at);
    this.#gathered += taken;
    if (this.#gathered === this.#bodyBytes) this.#nextFrame();
    return at + taken;
  }

  #nextFrame(): void {
    this.#frameCount++;
    this.#state = 'header';
    this.#release();
  }

  #release(): void {
    this.#gather = this.#small;
    this.#gathered = 0;
    this.#header = undefined;
    this.#destination = undefined;
  }

  #copy(from: Uint8Array, at: number, byteCount: number, to: Uint8Array, toAt: number): void {
    this.#copiedByteCount += byteCount;
    if (byteCount >= SMALL_COPY_BYTES) {
      to.set(from.subarray(at, at + byteCount), toAt);
      return;
    }
    for (let index = 0; index < byteCount; index++) to[toAt + index] = from[at + index] as number;
  }
}

function outOfPlace(type: FrameType, stage: FrameStage): ShoalError {
  return violation(
    stage === 'handshake' ? `a ${type} frame came before the handshake` : `a ${type} frame came after the handshake`,
  );
}

function violation(what: string): ShoalError {
  return new ShoalError('protocol', what);
}
