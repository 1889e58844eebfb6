/**
 * Messages to bytes. Everything here was made by us, so a value that does not fit is a bug and says so; only times and counts that
 * are hints by nature (eta, retry, held, wanted) saturate at what their field can carry.
 */
import { ShoalError } from '../errors.ts';
import * as limits from '../limits.ts';
import { BodyWriter, writeU16, writeU32 } from './bytes.ts';
import * as frame from './frame.ts';
import type {
  BitfieldMessage,
  ControlMessage,
  FragmentHeader,
  GoodbyeMessage,
  GrantMessage,
  HelloMessage,
  ManifestPartMessage,
  PexMessage,
} from './messages.ts';

const U16_MAX = 0xffff;
const U32_MAX = 0xffff_ffff;
const encoder = new TextEncoder();

/** The whole frame of a message, header included; memory of its own. */
export function encodeMessage(message: ControlMessage): Uint8Array<ArrayBuffer> {
  switch (message.type) {
    case 'hello':
      return encodeHello(message);
    case 'auth':
      return build('auth', frame.MAC_BYTES, (body) => body.put(bytesOf('mac', message.mac, frame.MAC_BYTES)));
    case 'have-all':
    case 'have-none':
      return build(message.type, 0, () => undefined);
    case 'bitfield':
      return encodeBitfield(message);
    case 'have':
    case 'lost':
      return encodeChunkIndexes(message.type, message.chunkIndexes);
    case 'grant':
      return encodeGrant(message);
    case 'request':
      return build('request', 8, (body) =>
        body
          .u16(exact('grantId', message.grantId, U16_MAX))
          .u16(exact('requestId', message.requestId, U16_MAX))
          .u32(chunkIndexOf(message.chunkIndex)),
      );
    case 'decline':
      return build('decline', 3, (body) =>
        body.u16(exact('grantId', message.grantId, U16_MAX)).u8(frame.DECLINE_CODES[message.reason]),
      );
    case 'interest':
      return build('interest', 4, (body) =>
        body
          .u8(message.interested ? 1 : 0)
          .u8(0)
          .u16(saturated(message.wantedCount, U16_MAX)),
      );
    case 'cancel':
      return build('cancel', 2, (body) => body.u16(exact('requestId', message.requestId, U16_MAX)));
    case 'reject':
      return build('reject', 6, (body) =>
        body
          .u16(exact('requestId', message.requestId, U16_MAX))
          .u8(frame.REJECT_CODES[message.reason])
          .u8(0)
          .u16(saturated(message.retryMs, U16_MAX)),
      );
    case 'ping':
      return build('ping', 4, (body) => body.u32(exact('token', message.token, U32_MAX)));
    case 'pong':
      return build('pong', 8, (body) =>
        body.u32(exact('token', message.token, U32_MAX)).u32(saturated(message.heldMicros, U32_MAX)),
      );
    case 'pace':
      return build('pace', 4, (body) => body.u32(paceOf(message.bytesPerSecond)));
    case 'pex':
      return encodePex(message);
    case 'manifest-request':
      return build('manifest-request', 4, (body) =>
        body.u32(exact('offset', message.offset, limits.MANIFEST_BYTES_MAX - 1)),
      );
    case 'manifest-part':
      return encodeManifestPart(message);
    default:
      return encodeGoodbye(message);
  }
}

/** The body of a hello alone: what authTranscript() is computed over. A hello has only one form as bytes. */
export function encodeHelloBody(message: HelloMessage): Uint8Array<ArrayBuffer> {
  return encodeHello(message).subarray(frame.FRAME_HEADER_BYTES);
}

/** The 20 bytes before a fragment's payload, written to the start of `into` when it is given. */
export function encodeFragmentHeader(
  header: FragmentHeader,
  into: Uint8Array = new Uint8Array(frame.FRAGMENT_HEADER_BYTES),
): Uint8Array {
  if (header.byteCount < 1) throw unfit(`a fragment of ${header.byteCount} bytes`);
  const byteCount = exact('byteCount', header.byteCount, limits.LARGE_FRAGMENT_BYTES_MAX);
  writeHeader(into, 'fragment', frame.FRAGMENT_SUBHEADER_BYTES + byteCount);
  writeU16(into, 8, exact('requestId', header.requestId, U16_MAX));
  writeU16(into, 10, 0);
  writeU32(into, 12, chunkIndexOf(header.chunkIndex));
  writeU32(into, 16, exact('offset + byteCount', header.offset + byteCount, limits.CHUNK_SIZE_MAX_BYTES) - byteCount);
  return into;
}

function encodeHello(message: HelloMessage): Uint8Array<ArrayBuffer> {
  return build('hello', frame.HELLO_BODY_BYTES, (body) =>
    body
      .u32(frame.PROTOCOL_MAGIC)
      .u8(frame.PROTOCOL_VERSION)
      .u8((message.complete ? frame.ROLE_COMPLETE : 0) | (message.uploadDisabled ? frame.ROLE_UPLOAD_DISABLED : 0))
      .u16(exact('listenPort', message.listenPort, U16_MAX))
      .u32(exact('features', message.features, U32_MAX))
      .put(bytesOf('contentId', message.contentId, 32))
      .put(bytesOf('peerId', message.peerId, frame.PEER_ID_BYTES))
      .put(bytesOf('nonce', message.nonce, frame.NONCE_BYTES))
      .u32(exact('inFlightBytesMax', message.inFlightBytesMax, U32_MAX))
      .u16(exact('grantsMax', message.grantsMax, limits.GRANTS_PER_LINK_MAX))
      .u16(0),
  );
}

function encodeBitfield(message: BitfieldMessage): Uint8Array<ArrayBuffer> {
  const chunkCount = exact('chunkCount', message.chunkCount, limits.CHUNK_COUNT_MAX);
  const bytes = bytesOf('bitfield', message.bytes, Math.ceil(chunkCount / 8));
  if (hasSpareBits(bytes, chunkCount)) throw unfit('a bitfield with bits beyond its last chunk');
  return build('bitfield', 4 + bytes.length, (body) => body.u32(chunkCount).put(bytes));
}

function encodeChunkIndexes(type: 'have' | 'lost', chunkIndexes: readonly number[]): Uint8Array<ArrayBuffer> {
  if (chunkIndexes.length < 1) throw unfit(`a ${type} message without chunks`);
  const count = exact(`chunks of a ${type} message`, chunkIndexes.length, limits.HAVE_CHUNKS_MAX);
  return build(type, 2 + 4 * count, (body) => {
    body.u16(count);
    for (const chunkIndex of chunkIndexes) body.u32(chunkIndexOf(chunkIndex));
  });
}

function encodeGrant(message: GrantMessage): Uint8Array<ArrayBuffer> {
  const count = exact('suggestions', message.suggestions.length, limits.GRANT_SUGGESTIONS_MAX);
  return build('grant', 6 + 4 * count, (body) => {
    body
      .u16(exact('grantId', message.grantId, U16_MAX))
      .u16(saturated(message.etaMs, U16_MAX))
      .u8(count)
      .u8(0);
    for (const chunkIndex of message.suggestions) body.u32(chunkIndexOf(chunkIndex));
  });
}

function encodePex(message: PexMessage): Uint8Array<ArrayBuffer> {
  const added = exact('peers added', message.added.length, limits.PEX_PEERS_MAX);
  const dropped = exact('peers dropped', message.dropped.length, limits.PEX_PEERS_MAX);
  return build('pex', 2 + added * frame.PEX_ADDED_BYTES + dropped * frame.PEER_ID_BYTES, (body) => {
    body.u8(added).u8(dropped);
    for (const peer of message.added) {
      if (peer.port < 1) throw unfit('a peer without a port');
      body
        .put(bytesOf('ip', peer.ip, frame.IP_BYTES))
        .u16(exact('port', peer.port, U16_MAX))
        .put(bytesOf('peerId', peer.peerId, frame.PEER_ID_BYTES));
    }
    for (const peerId of message.dropped) body.put(bytesOf('peerId', peerId, frame.PEER_ID_BYTES));
  });
}

function encodeManifestPart(message: ManifestPartMessage): Uint8Array<ArrayBuffer> {
  const { bytes, totalBytes } = message;
  exact('totalBytes', totalBytes, limits.MANIFEST_BYTES_MAX);
  if (totalBytes < frame.MANIFEST_TOTAL_BYTES_MIN) throw unfit(`a manifest of ${totalBytes} bytes`);
  if (bytes.length < 1 || bytes.length > limits.MANIFEST_PART_BYTES_MAX)
    throw unfit(`a part of ${bytes.length} bytes of a manifest`);
  exact('end of the part', message.offset + bytes.length, totalBytes);
  return build('manifest-part', frame.MANIFEST_PART_HEADER_BYTES + bytes.length, (body) =>
    body
      .u32(exact('offset', message.offset, totalBytes))
      .u32(totalBytes)
      .put(bytes),
  );
}

/** A rate is a wish, so one that is out of range is the nearest that is not. */
function paceOf(bytesPerSecond: number): number {
  if (bytesPerSecond === Number.POSITIVE_INFINITY) return frame.PACE_UNLIMITED;
  return Math.max(limits.PACE_BYTES_PER_SECOND_MIN, saturated(bytesPerSecond, frame.PACE_UNLIMITED - 1));
}

function encodeGoodbye(message: GoodbyeMessage): Uint8Array<ArrayBuffer> {
  if (!message.text.isWellFormed()) throw unfit('a goodbye whose text is not valid Unicode');
  const text = encoder.encode(message.text);
  exact('bytes of text', text.length, limits.GOODBYE_TEXT_BYTES_MAX);
  return build('goodbye', frame.GOODBYE_HEADER_BYTES + text.length, (body) =>
    body.u8(frame.GOODBYE_CODES[message.reason]).u32(saturated(message.retryMs, U32_MAX)).put(text),
  );
}

/** Whether a bit is set that stands for no chunk. */
export function hasSpareBits(bytes: Uint8Array, chunkCount: number): boolean {
  const spareBits = bytes.length * 8 - chunkCount;
  return ((bytes[bytes.length - 1] ?? 0) & ((1 << spareBits) - 1)) !== 0;
}

function build(
  type: frame.FrameType,
  bodyBytes: number,
  write: (body: BodyWriter) => unknown,
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(frame.FRAME_HEADER_BYTES + bodyBytes);
  writeHeader(bytes, type, bodyBytes);
  write(new BodyWriter(bytes, frame.FRAME_HEADER_BYTES));
  return bytes;
}

function writeHeader(bytes: Uint8Array, type: frame.FrameType, bodyBytes: number): void {
  writeU32(bytes, 0, bodyBytes);
  writeU32(bytes, 4, frame.FRAME_SHAPES[type].id * 0x1_00_00_00);
}

function chunkIndexOf(chunkIndex: number): number {
  return exact('chunkIndex', chunkIndex, limits.CHUNK_COUNT_MAX - 1);
}

function exact(field: string, value: number, max: number): number {
  if (!Number.isInteger(value) || value < 0 || value > max) throw unfit(`${field} ${value}, outside 0 to ${max}`);
  return value;
}

function saturated(value: number, max: number): number {
  if (Number.isNaN(value)) throw unfit('a time or count that is not a number');
  return Math.min(Math.max(Math.round(value), 0), max);
}

function bytesOf(field: string, bytes: Uint8Array, byteCount: number): Uint8Array {
  if (bytes.length !== byteCount) throw unfit(`${field} of ${bytes.length} bytes instead of ${byteCount}`);
  return bytes;
}

function unfit(what: string): ShoalError {
  return new ShoalError('bug', `cannot be sent: ${what}`);
}
