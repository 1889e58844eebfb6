/**
 * What a swarm is told and what it wants done: the whole surface between policy and the world. A fact is something that has
 * happened; an action is something the caller is asked to do. All are plain data. Messages have the same shape as those of the wire
 * protocol but are declared here, where they are used: this room does not know how they look as bytes.
 */
import type { Bitfield } from '../content/bitfield.ts';
import type { Offence } from './ban-list.ts';
import type { DownLimit } from './down-limit.ts';

/** A number the caller gives each connection; never used twice in the life of a swarm. */
export type LinkId = number;

/** Bytes of a fragment's frame beside its payload; limits count them too. */
export const FRAGMENT_OVERHEAD_BYTES = 20;

export type DeclineReason = 'nothing-needed' | 'busy' | 'disk';
export type RejectReason = 'cancelled' | 'no-chunk' | 'busy' | 'disk';
export type CloseReason = 'leaving' | 'useless' | 'full' | 'protocol-error' | 'integrity' | 'duplicate' | 'timeout';

export type SwarmMessage =
  | { readonly type: 'have-all' }
  | { readonly type: 'have-none' }
  | { readonly type: 'bitfield'; readonly chunkCount: number; readonly bytes: Uint8Array }
  | { readonly type: 'have'; readonly chunkIndexes: readonly number[] }
  | { readonly type: 'lost'; readonly chunkIndexes: readonly number[] }
  | {
      readonly type: 'grant';
      readonly grantId: number;
      readonly etaMs: number;
      readonly suggestions: readonly number[];
    }
  | { readonly type: 'request'; readonly grantId: number; readonly requestId: number; readonly chunkIndex: number }
  | { readonly type: 'decline'; readonly grantId: number; readonly reason: DeclineReason }
  | { readonly type: 'interest'; readonly interested: boolean; readonly wantedCount: number }
  | { readonly type: 'cancel'; readonly requestId: number }
  | { readonly type: 'reject'; readonly requestId: number; readonly reason: RejectReason; readonly retryMs: number }
  /** At which rate the sender of this wants to be sent fragments; Infinity: any. */
  | { readonly type: 'pace'; readonly bytesPerSecond: number }
  /** Peers the sender is linked to, `host:port` with an IP address and peer id, and ids of those it no longer is. */
  | {
      readonly type: 'pex';
      readonly added: readonly { readonly address: string; readonly key: string }[];
      readonly dropped: readonly string[];
    };

/** A peer that might be dialled. */
export interface Candidate {
  /** Peer id in hex, or `host:port` where the id is not known. Identity for bans, back-off and duplicates. */
  readonly key: string;
  /** `host:port`, tried in order. */
  readonly addresses: readonly string[];
  readonly dialect: 'native' | 'range';
  /** The name under which it serves the content to range requests, where that is known. */
  readonly rangeName?: string | undefined;
  readonly complete: boolean;
}

/** Whom a ban is about, as the tracker knows it: who was dialled, and where. Undefined for who came to us, as its address proves nothing. */
export interface Reached {
  /** Key of the candidate that was dialled. */
  readonly key: string;
  readonly address: string;
}

export type SwarmFact =
  /** Peers worth dialling have been learned. `listed`: by the tracker or the user, which forgives earlier dial failures. */
  | { readonly type: 'candidates'; readonly candidates: readonly Candidate[]; readonly listed: boolean }
  | { readonly type: 'dial-failed'; readonly key: string }
  /** A connection has finished its handshake. */
  | {
      readonly type: 'linked';
      readonly link: LinkId;
      /** Peer id in hex; for a range source its address. */
      readonly key: string;
      /** `host:port` for people. */
      readonly address: string;
      readonly outbound: boolean;
      /** The candidate this was dialled for; undefined for accepted connections. */
      readonly dialledKey?: string | undefined;
      /** It keeps to a `pace` that it is asked for. Default false. */
      readonly paces?: boolean;
      /** `host:port` where it accepts connections, by what it says; the host is an IP address. Undefined: it does not, or not so that others could dial it. */
      readonly listensAt?: string | undefined;
    }
  /** `reason`: why the other side has closed it, where it said so. */
  | {
      readonly type: 'unlinked';
      readonly link: LinkId;
      readonly misbehaved: boolean;
      readonly reason?: CloseReason | undefined;
    }
  /** What came of a `probe`: whether this very peer answered at that address. */
  | { readonly type: 'probed'; readonly link: LinkId; readonly ok: boolean }
  /** Whether peers may tell each other of peers, by the tracker's word. */
  | { readonly type: 'peer-exchange'; readonly enabled: boolean }
  | { readonly type: 'message'; readonly link: LinkId; readonly message: SwarmMessage }
  /** Bytes of a requested chunk have arrived (only fragments that `admitFragment` let in). */
  | { readonly type: 'fragment'; readonly link: LinkId; readonly requestId: number; readonly byteCount: number }
  /** The digest of a whole chunk has been compared. */
  | { readonly type: 'verified'; readonly link: LinkId; readonly requestId: number; readonly ok: boolean }
  /** A verified chunk is readable from our storage, or could not be written. */
  | { readonly type: 'written'; readonly link: LinkId; readonly requestId: number; readonly ok: boolean }
  /** A peer was found to lie before it was linked, on a connection that was dialled. */
  | {
      readonly type: 'convicted';
      readonly key: string;
      readonly address: string;
      readonly offence: Offence;
      readonly text: string;
    }
  /** Writing is possible again after a failed write. */
  | { readonly type: 'disk-ready' }
  /** Bytes of a chunk we serve have left; `last` with the chunk's last byte. */
  | {
      readonly type: 'sent';
      readonly link: LinkId;
      readonly requestId: number;
      readonly byteCount: number;
      readonly last: boolean;
    }
  /** A send was stopped as asked, or its chunk could not be read. */
  | {
      readonly type: 'send-ended';
      readonly link: LinkId;
      readonly requestId: number;
      readonly why: 'stopped' | 'unreadable';
    }
  /** Our copy of a chunk is found damaged or gone. */
  | { readonly type: 'chunk-lost'; readonly chunkIndex: number }
  /** A chunk of ours made room for others: we do not have it any more, and do not want it again. */
  | { readonly type: 'chunk-dropped'; readonly chunkIndex: number }
  | { readonly type: 'rtt'; readonly link: LinkId; readonly rttMs: number }
  /** These chunks are wanted too, where not all were from the start. */
  | { readonly type: 'want'; readonly chunks: Bitfield }
  /** Our place among the complete peers, from the tracker. */
  | { readonly type: 'seed-rank'; readonly rank: number; readonly count: number }
  | { readonly type: 'limits'; readonly downBytesPerSecond: number; readonly upBytesPerSecond: number }
  /** Time has passed: call at `nextDeadline()`. */
  | { readonly type: 'tick' };

export type SwarmAction =
  | { readonly type: 'dial'; readonly candidate: Candidate }
  /** Find out whether the peer of this link answers at this address, without joining it; answer with `probed`. */
  | { readonly type: 'probe'; readonly link: LinkId; readonly address: string; readonly key: string }
  | { readonly type: 'close'; readonly link: LinkId; readonly reason: CloseReason; readonly text: string }
  | { readonly type: 'send'; readonly link: LinkId; readonly message: SwarmMessage }
  /** Read this chunk and send its fragments, those of sends started earlier first where they can leave; answer with `sent` facts or `send-ended`. */
  | { readonly type: 'start-send'; readonly link: LinkId; readonly requestId: number; readonly chunkIndex: number }
  /** From now on send fragments on this link no faster than this, frames included; Infinity: any rate. */
  | { readonly type: 'pace'; readonly link: LinkId; readonly bytesPerSecond: number }
  /** Stop at the next fragment boundary; answer with `send-ended`, or with the last `sent` if it was too late. */
  | { readonly type: 'stop-send'; readonly link: LinkId; readonly requestId: number }
  /** All bytes of the chunk are here: compare its digest; answer with `verified`. */
  | { readonly type: 'verify'; readonly link: LinkId; readonly requestId: number; readonly chunkIndex: number }
  /** Write the verified chunk; answer with `written`. */
  | { readonly type: 'write'; readonly link: LinkId; readonly requestId: number; readonly chunkIndex: number }
  /** The bytes received for this request are of no use any more: free their buffer. */
  | { readonly type: 'discard'; readonly link: LinkId; readonly requestId: number }
  /** We have this chunk now, from this link. */
  | { readonly type: 'gained'; readonly chunkIndex: number; readonly link: LinkId; readonly byteCount: number }
  /** We have every chunk that is wanted now. */
  | { readonly type: 'complete' }
  | {
      readonly type: 'banned';
      readonly key: string;
      readonly address: string;
      readonly offence: Offence;
      readonly reason: string;
      readonly untilMs: number;
      readonly reached: Reached | undefined;
    }
  /** Too few neighbours: ask the tracker again. */
  | { readonly type: 'need-peers' };

/** How this side takes part in a swarm. */
export interface SwarmOptions {
  /** Our own peer id in hex. */
  readonly ownKey: string;
  readonly size: number;
  readonly chunkSize: number;
  /** What we have at the start; the swarm takes it over and keeps it up to date. */
  readonly have: Bitfield;
  /** What is to be fetched; default every chunk. */
  readonly wanted?: Bitfield | undefined;
  readonly seed: number;
  readonly order: 'rarest' | 'in-order';
  /** Use one source at a time, the one with the lowest round-trip time. */
  readonly single: boolean;
  /** False: never grant anything (range-only partners, unverifiable contents). */
  readonly upload: boolean;
  /** False: peers are not told of each other. Default true. */
  readonly peerExchange?: boolean;
  /** Bytes a second; Infinity: none. */
  readonly downBytesPerSecond: number;
  readonly upBytesPerSecond: number;
  /** The limit in `downBytesPerSecond` where several swarms share it; whoever shares it sets its rate. */
  readonly downLimit?: DownLimit;
}

/** Why nothing moves, for people. Null: something moves, or nothing is wanted. */
export type StallReason = 'no-source' | 'choked' | 'slow-source' | 'hashing' | 'disk' | 'rate-limit';
