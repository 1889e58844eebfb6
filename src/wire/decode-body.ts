/**
 * The body of one control frame to a message, strictly: exact lengths, no spare bits, no reserved values, no unknown reasons. A
 * message that passes has only one form as bytes, and shares no memory with them. Throws `protocol`. What needs knowledge of the
 * content (is this chunk one of it, is this grant alive) is checked by those who have it.
 */
import * as limits from '../limits.ts';
import { BodyReader } from './bytes.ts';
import { hasSpareBits } from './encode.ts';
import * as frame from './frame.ts';
import type {
  BitfieldMessage,
  ControlMessage,
  GoodbyeMessage,
  GrantMessage,
  HelloMessage,
  InterestMessage,
  ManifestPartMessage,
  PaceMessage,
  PexMessage,
  PexPeer,
} from './messages.ts';

/** Reads the body `bytes[start, end)` of a frame of this type; its length has been checked against the type's shape. */
export function decodeBody(
  type: ControlMessage['type'],
  bytes: Uint8Array,
  start: number,
  end: number,
): ControlMessage {
  const body = new BodyReader(type, bytes, start, end);
  const message = read(type, body);
  body.finish();
  return message;
}

function read(type: ControlMessage['type'], body: BodyReader): ControlMessage {
  switch (type) {
    case 'hello':
      return readHello(body);
    case 'auth':
      return { type, mac: body.copy(frame.MAC_BYTES) };
    case 'have-all':
    case 'have-none':
      return { type };
    case 'bitfield':
      return readBitfield(body);
    case 'have':
    case 'lost':
      return { type, chunkIndexes: readChunkIndexes(body, readCount(body, body.u16(), 1, limits.HAVE_CHUNKS_MAX)) };
    case 'grant':
      return readGrant(body);
    case 'request':
      return { type, grantId: body.u16(), requestId: body.u16(), chunkIndex: readChunkIndex(body) };
    case 'decline':
      return { type, grantId: body.u16(), reason: readReason(body, frame.DECLINE_CODES) };
    case 'interest':
      return readInterest(body);
    case 'cancel':
      return { type, requestId: body.u16() };
    case 'reject': {
      const requestId = body.u16();
      const reason = readReason(body, frame.REJECT_CODES);
      readZero(body, body.u8());
      return { type, requestId, reason, retryMs: body.u16() };
    }
    case 'ping':
      return { type, token: body.u32() };
    case 'pong':
      return { type, token: body.u32(), heldMicros: body.u32() };
    case 'pace':
      return readPace(body);
    case 'pex':
      return readPex(body);
    case 'manifest-request': {
      const offset = body.u32();
      if (offset >= limits.MANIFEST_BYTES_MAX) throw body.refuse(`asks for offset ${offset}`);
      return { type, offset };
    }
    case 'manifest-part':
      return readManifestPart(body);
    default:
      return readGoodbye(type, body);
  }
}

function readHello(body: BodyReader): HelloMessage {
  if (body.u32() !== frame.PROTOCOL_MAGIC) throw body.refuse('does not begin with "SHLP"');
  const version = body.u8();
  if (version !== frame.PROTOCOL_VERSION)
    throw body.refuse(`is of version ${version}; this peer speaks version ${frame.PROTOCOL_VERSION}`);
  const role = body.u8();
  if ((role & ~(frame.ROLE_COMPLETE | frame.ROLE_UPLOAD_DISABLED)) !== 0) throw body.refuse('sets unknown role bits');
  const message: HelloMessage = {
    type: 'hello',
    complete: (role & frame.ROLE_COMPLETE) !== 0,
    uploadDisabled: (role & frame.ROLE_UPLOAD_DISABLED) !== 0,
    listenPort: body.u16(),
    features: body.u32(),
    contentId: body.copy(32),
    peerId: body.copy(frame.PEER_ID_BYTES),
    nonce: body.copy(frame.NONCE_BYTES),
    inFlightBytesMax: body.u32(),
    grantsMax: readCount(body, body.u16(), 0, limits.GRANTS_PER_LINK_MAX),
  };
  readZero(body, body.u16());
  return message;
}

function readBitfield(body: BodyReader): BitfieldMessage {
  const chunkCount = readCount(body, body.u32(), 0, limits.CHUNK_COUNT_MAX);
  const bytes = body.copy(Math.ceil(chunkCount / 8));
  if (hasSpareBits(bytes, chunkCount)) throw body.refuse('has bits beyond its last chunk');
  return { type: 'bitfield', chunkCount, bytes };
}

function readGrant(body: BodyReader): GrantMessage {
  const grantId = body.u16();
  const etaMs = body.u16();
  const count = readCount(body, body.u8(), 0, limits.GRANT_SUGGESTIONS_MAX);
  readZero(body, body.u8());
  return { type: 'grant', grantId, etaMs, suggestions: readChunkIndexes(body, count) };
}

function readInterest(body: BodyReader): InterestMessage {
  const interested = body.u8();
  if (interested > 1) throw body.refuse(`says ${interested} where 0 or 1 belongs`);
  readZero(body, body.u8());
  return { type: 'interest', interested: interested === 1, wantedCount: body.u16() };
}

function readPace(body: BodyReader): PaceMessage {
  const rate = body.u32();
  if (rate < limits.PACE_BYTES_PER_SECOND_MIN) throw body.refuse(`asks for ${rate} bytes a second`);
  return { type: 'pace', bytesPerSecond: rate === frame.PACE_UNLIMITED ? Number.POSITIVE_INFINITY : rate };
}

function readPex(body: BodyReader): PexMessage {
  const addedCount = readCount(body, body.u8(), 0, limits.PEX_PEERS_MAX);
  const droppedCount = readCount(body, body.u8(), 0, limits.PEX_PEERS_MAX);
  const added: PexPeer[] = [];
  for (let count = 0; count < addedCount; count++) {
    const peer = { ip: body.copy(frame.IP_BYTES), port: body.u16(), peerId: body.copy(frame.PEER_ID_BYTES) };
    if (peer.port === 0) throw body.refuse('names a peer without a port');
    added.push(peer);
  }
  const dropped: Uint8Array[] = [];
  for (let count = 0; count < droppedCount; count++) dropped.push(body.copy(frame.PEER_ID_BYTES));
  return { type: 'pex', added, dropped };
}

function readManifestPart(body: BodyReader): ManifestPartMessage {
  const offset = body.u32();
  const totalBytes = readCount(body, body.u32(), frame.MANIFEST_TOTAL_BYTES_MIN, limits.MANIFEST_BYTES_MAX);
  const bytes = body.copyRest();
  if (offset + bytes.length > totalBytes) throw body.refuse('goes beyond the end of the manifest');
  return { type: 'manifest-part', offset, totalBytes, bytes };
}

function readGoodbye(type: 'goodbye', body: BodyReader): GoodbyeMessage {
  const reason = readReason(body, frame.GOODBYE_CODES);
  const retryMs = body.u32();
  const bytes = body.copyRest();
  let text: string;
  try {
    // a decoder of its own: a shared one would keep the state of a call that threw
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw body.refuse('has a text that is not valid UTF-8');
  }
  return { type, reason, retryMs, text };
}

function readChunkIndexes(body: BodyReader, count: number): readonly number[] {
  const chunkIndexes: number[] = [];
  for (let read = 0; read < count; read++) chunkIndexes.push(readChunkIndex(body));
  return chunkIndexes;
}

function readChunkIndex(body: BodyReader): number {
  const chunkIndex = body.u32();
  if (chunkIndex >= limits.CHUNK_COUNT_MAX) throw body.refuse(`names chunk ${chunkIndex}, which no content has`);
  return chunkIndex;
}

function readCount(body: BodyReader, count: number, min: number, max: number): number {
  if (count < min || count > max) throw body.refuse(`says ${count} where ${min} to ${max} are allowed`);
  return count;
}

function readZero(body: BodyReader, value: number): void {
  if (value !== 0) throw body.refuse('has a reserved field that is not zero');
}

function readReason<Reason extends string>(body: BodyReader, codes: Readonly<Record<Reason, number>>): Reason {
  const code = body.u8();
  const reason = frame.reasonOfCode(codes, code);
  if (reason === undefined) throw body.refuse(`gives the unknown reason ${code}`);
  return reason;
}
