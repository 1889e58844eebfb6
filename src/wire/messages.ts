/**
 * The messages two peers exchange, as values. What each means and when it may be sent stands in docs/protocol.md; how they look as
 * bytes stands in encode.ts and decode-body.ts, and nowhere else.
 */

/** First message of each side, once. */
export interface HelloMessage {
  readonly type: 'hello';
  /** The sender has every chunk. */
  readonly complete: boolean;
  /** The sender will not upload. */
  readonly uploadDisabled: boolean;
  /** Port on which the sender accepts connections; 0 when it does not. */
  readonly listenPort: number;
  /** Bit set of optional features; unknown bits are ignored. */
  readonly features: number;
  /** 32 bytes. */
  readonly contentId: Uint8Array;
  /** 16 bytes. */
  readonly peerId: Uint8Array;
  /** 16 random bytes, fresh for each connection. */
  readonly nonce: Uint8Array;
  /** Bytes the sender is willing to have in flight towards it on this connection. */
  readonly inFlightBytesMax: number;
  /** Grants the sender is willing to hold on this connection. */
  readonly grantsMax: number;
}

/** Second message of each side, once: HMAC-SHA-256 over the transcript of both hellos. */
export interface AuthMessage {
  readonly type: 'auth';
  /** 32 bytes. */
  readonly mac: Uint8Array;
}

/** Exactly one of these three follows the handshake on each side. */
export interface HaveAllMessage {
  readonly type: 'have-all';
}
export interface HaveNoneMessage {
  readonly type: 'have-none';
}
export interface BitfieldMessage {
  readonly type: 'bitfield';
  readonly chunkCount: number;
  /** `ceil(chunkCount / 8)` bytes, bit 0 highest, spare bits zero. */
  readonly bytes: Uint8Array;
}

/** Chunks the sender has gained. */
export interface HaveMessage {
  readonly type: 'have';
  readonly chunkIndexes: readonly number[];
}
/** Chunks the sender no longer has (damaged or deleted). */
export interface LostMessage {
  readonly type: 'lost';
  readonly chunkIndexes: readonly number[];
}

/** An uploader's credit for one chunk, with chunks it would like to see chosen (at most 4). */
export interface GrantMessage {
  readonly type: 'grant';
  readonly grantId: number;
  /** When the first byte is expected, from now. */
  readonly etaMs: number;
  readonly suggestions: readonly number[];
}

/** Uses a grant: the downloader names the chunk. Every request has exactly one end: the last fragment or a reject. */
export interface RequestMessage {
  readonly type: 'request';
  readonly grantId: number;
  readonly requestId: number;
  readonly chunkIndex: number;
}

export type DeclineReason = 'nothing-needed' | 'busy' | 'disk';
/** Gives a grant back. The uploader grants again only after an `interest`. */
export interface DeclineMessage {
  readonly type: 'decline';
  readonly grantId: number;
  readonly reason: DeclineReason;
}

/** Says whether the sender wants chunks from the receiver, and how many it could use (saturating at 65,535). */
export interface InterestMessage {
  readonly type: 'interest';
  readonly interested: boolean;
  readonly wantedCount: number;
}

/** Takes a request back; answered by a reject unless the chunk was sent already. */
export interface CancelMessage {
  readonly type: 'cancel';
  readonly requestId: number;
}

export type RejectReason = 'cancelled' | 'no-chunk' | 'busy' | 'disk';
export interface RejectMessage {
  readonly type: 'reject';
  readonly requestId: number;
  readonly reason: RejectReason;
  readonly retryMs: number;
}

export interface PingMessage {
  readonly type: 'ping';
  readonly token: number;
}
export interface PongMessage {
  readonly type: 'pong';
  readonly token: number;
  /** How long the ping waited at the sender of this pong. */
  readonly heldMicros: number;
}

/** At which rate the sender wants to be sent fragments on this connection: it has a limit, and divides it among its sources. */
export interface PaceMessage {
  readonly type: 'pace';
  /** Frames of fragments included; Infinity: as fast as you like. */
  readonly bytesPerSecond: number;
}

export interface PexPeer {
  /** 16 bytes; IPv4 as ::ffff:a.b.c.d. */
  readonly ip: Uint8Array;
  readonly port: number;
  /** 16 bytes. */
  readonly peerId: Uint8Array;
}
export interface PexMessage {
  readonly type: 'pex';
  readonly added: readonly PexPeer[];
  /** Peer ids, 16 bytes each. */
  readonly dropped: readonly Uint8Array[];
}

export interface ManifestRequestMessage {
  readonly type: 'manifest-request';
  readonly offset: number;
}
export interface ManifestPartMessage {
  readonly type: 'manifest-part';
  readonly offset: number;
  readonly totalBytes: number;
  readonly bytes: Uint8Array;
}

export type GoodbyeReason =
  | 'leaving'
  | 'useless'
  | 'full'
  | 'protocol-error'
  | 'integrity'
  | 'duplicate'
  | 'unknown-content'
  | 'timeout'
  | 'not-allowed';
/** Last message: why the sender closes. */
export interface GoodbyeMessage {
  readonly type: 'goodbye';
  readonly reason: GoodbyeReason;
  /** Do not come back before this; 0: any time. */
  readonly retryMs: number;
  /** For people, at most 128 bytes of UTF-8. */
  readonly text: string;
}

export type ControlMessage =
  | HelloMessage
  | AuthMessage
  | HaveAllMessage
  | HaveNoneMessage
  | BitfieldMessage
  | HaveMessage
  | LostMessage
  | GrantMessage
  | RequestMessage
  | DeclineMessage
  | InterestMessage
  | CancelMessage
  | RejectMessage
  | PingMessage
  | PongMessage
  | PaceMessage
  | PexMessage
  | ManifestRequestMessage
  | ManifestPartMessage
  | GoodbyeMessage;

/** What stands before the bytes of a fragment. Fragments of a chunk come in order, without gaps. */
export interface FragmentHeader {
  readonly requestId: number;
  readonly chunkIndex: number;
  /** Of the fragment's first byte in the chunk. */
  readonly offset: number;
  readonly byteCount: number;
}
