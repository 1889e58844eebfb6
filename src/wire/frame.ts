/**
 * What a frame is: the header, the number of each type, how long its body may be and when it may come. The only table of the
 * peer protocol's numbers; how a body is laid out stands in encode.ts and decode-body.ts.
 *
 *     offset  bytes  field (big-endian)
 *          0      4  bytes after the header
 *          4      1  type; an unknown type with the bit 0x80 set is skipped
 *          5      1  flags, 0
 *          6      2  channel, 0 (kept for several contents on one connection)
 */
import { MANIFEST_HEADER_BYTES } from '../content/manifest.ts';
import * as limits from '../limits.ts';
import type { ControlMessage, DeclineReason, GoodbyeReason, RejectReason } from './messages.ts';

export const FRAME_HEADER_BYTES = 8;
/** What follows the frame header of a fragment: u16 requestId, u16 0, u32 chunkIndex, u32 offset. */
export const FRAGMENT_SUBHEADER_BYTES = 12;
export const FRAGMENT_HEADER_BYTES = FRAME_HEADER_BYTES + FRAGMENT_SUBHEADER_BYTES;

/** First bytes of a hello: "SHLP". */
export const PROTOCOL_MAGIC = 0x53484c50;
export const PROTOCOL_VERSION = 1;

/** Bits of the hello's role byte; the others are zero. */
export const ROLE_COMPLETE = 0x01;
export const ROLE_UPLOAD_DISABLED = 0x02;
/** Bits of the hello's features; unknown ones are ignored. */
export const FEATURE_PACE = 0x01;
export const FEATURE_LARGE_FRAGMENTS = 0x02;
/** What stands for no rate at all in a pace. */
export const PACE_UNLIMITED = 0xffff_ffff;

export const HELLO_BODY_BYTES = 84;
export const PEER_ID_BYTES = 16;
export const NONCE_BYTES = 16;
export const IP_BYTES = 16;
export const MAC_BYTES = 32;
export const PEX_ADDED_BYTES = IP_BYTES + 2 + PEER_ID_BYTES;
export const MANIFEST_PART_HEADER_BYTES = 8;
export const GOODBYE_HEADER_BYTES = 5;

/** Types with this bit may be skipped by those who do not know them. */
export const SKIPPABLE_BIT = 0x80;

export type FrameType = ControlMessage['type'] | 'fragment';

/**
 * Which frames may come: those of the handshake, those after it, or (tests and tools) all. A frame out of its stage is refused by
 * its header, before anything of it is kept: a stranger cannot make us gather a large body.
 */
export type FrameStage = 'handshake' | 'traffic' | 'any';

export interface FrameShape {
  readonly id: number;
  readonly bodyBytesMin: number;
  readonly bodyBytesMax: number;
  readonly stage: FrameStage;
}

export const FRAME_SHAPES = {
  hello: exactly(0x01, HELLO_BODY_BYTES, 'handshake'),
  auth: exactly(0x02, MAC_BYTES, 'handshake'),
  'have-all': exactly(0x10, 0),
  'have-none': exactly(0x11, 0),
  bitfield: between(0x12, 4, limits.BITFIELD_FRAME_BYTES_MAX),
  have: between(0x13, 6, 2 + 4 * limits.HAVE_CHUNKS_MAX),
  lost: between(0x14, 6, 2 + 4 * limits.HAVE_CHUNKS_MAX),
  grant: between(0x20, 6, 6 + 4 * limits.GRANT_SUGGESTIONS_MAX),
  request: exactly(0x21, 8),
  decline: exactly(0x22, 3),
  interest: exactly(0x23, 4),
  fragment: between(0x24, FRAGMENT_SUBHEADER_BYTES + 1, FRAGMENT_SUBHEADER_BYTES + limits.LARGE_FRAGMENT_BYTES_MAX),
  cancel: exactly(0x25, 2),
  reject: exactly(0x26, 6),
  ping: exactly(0x30, 4),
  pong: exactly(0x31, 8),
  pex: between(0x32, 2, 2 + limits.PEX_PEERS_MAX * (PEX_ADDED_BYTES + PEER_ID_BYTES)),
  'manifest-request': exactly(0x33, 4),
  'manifest-part': between(
    0x34,
    MANIFEST_PART_HEADER_BYTES + 1,
    MANIFEST_PART_HEADER_BYTES + limits.MANIFEST_PART_BYTES_MAX,
  ),
  goodbye: between(0x3f, GOODBYE_HEADER_BYTES, GOODBYE_HEADER_BYTES + limits.GOODBYE_TEXT_BYTES_MAX, 'any'),
  pace: exactly(0xa0, 4),
} as const satisfies Record<FrameType, FrameShape>;

/** The type and shape of a type number; undefined for numbers that are not ours. */
export function frameOfId(id: number): { readonly type: FrameType; readonly shape: FrameShape } | undefined {
  return FRAMES_BY_ID[id];
}

const FRAMES_BY_ID: readonly ({ readonly type: FrameType; readonly shape: FrameShape } | undefined)[] = indexById();

export const DECLINE_CODES = { 'nothing-needed': 0, busy: 1, disk: 2 } as const satisfies Record<DeclineReason, number>;
export const REJECT_CODES = { cancelled: 0, 'no-chunk': 1, busy: 2, disk: 3 } as const satisfies Record<
  RejectReason,
  number
>;
export const GOODBYE_CODES = {
  leaving: 0,
  useless: 1,
  full: 2,
  'protocol-error': 3,
  integrity: 4,
  duplicate: 5,
  'unknown-content': 6,
  timeout: 7,
  'not-allowed': 8,
} as const satisfies Record<GoodbyeReason, number>;

/** The reason a code stands for, in one of the three tables above; undefined for a code it does not have. */
export function reasonOfCode<Reason extends string>(
  codes: Readonly<Record<Reason, number>>,
  code: number,
): Reason | undefined {
  for (const reason in codes) if (codes[reason] === code) return reason;
  return undefined;
}

/** A manifest is at least its header. */
export const MANIFEST_TOTAL_BYTES_MIN = MANIFEST_HEADER_BYTES;

function exactly(id: number, bodyBytes: number, stage: FrameStage = 'traffic'): FrameShape {
  return { id, bodyBytesMin: bodyBytes, bodyBytesMax: bodyBytes, stage };
}

function between(id: number, bodyBytesMin: number, bodyBytesMax: number, stage: FrameStage = 'traffic'): FrameShape {
  return { id, bodyBytesMin, bodyBytesMax, stage };
}

function indexById(): ({ readonly type: FrameType; readonly shape: FrameShape } | undefined)[] {
  const byId: ({ readonly type: FrameType; readonly shape: FrameShape } | undefined)[] = Array.from({ length: 256 });
  for (const [type, shape] of Object.entries(FRAME_SHAPES)) byId[shape.id] = { type: type as FrameType, shape };
  return byId;
}
