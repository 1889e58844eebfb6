/** What we know of one connected peer: its chunks, what we have asked of it, and what we have granted it. Data without rules. */
import type { Bitfield } from '../content/bitfield.ts';
import { GRANTS_PER_LINK_MAX } from '../limits.ts';
import { Denials } from './denials.ts';
import { DecayingSum, Ewma } from './estimators.ts';
import type { LinkId } from './facts.ts';

/** A chunk we have asked of a neighbour. */
export interface Request {
  readonly link: LinkId;
  readonly requestId: number;
  readonly chunkIndex: number;
  readonly byteCount: number;
  readonly requestedAtMs: number;
  /** No byte by then: the source is snubbed and the chunk asked elsewhere. */
  firstByteByMs: number;
  firstByteAtMs: number;
  lastByteAtMs: number;
  receivedBytes: number;
  /** `open`: bytes may come; `checking`: whole, its digest or its write under way; `cancelled`: late bytes are thrown away. */
  state: 'open' | 'checking' | 'cancelled';
  cancelledAtMs: number;
  /** While `checking`: its digest matched, it is being written. */
  isVerified: boolean;
}

/** A credit we have given a neighbour and that it has not answered yet. */
export interface Grant {
  readonly grantId: number;
  readonly lapsesAtMs: number;
  /** Its receiver wants to be sent less than the uplink gives, so that it takes no slot of others. */
  isPaced: boolean;
  /** Not answered by then: it no longer counts as work to come. */
  readonly answerByMs: number;
  state: 'awaited' | 'doubted' | 'over';
  /** The first chunk suggested with it, counted as on its way; -1: none. */
  readonly pledgedChunk: number;
}

/** A chunk a neighbour has asked of us. */
export interface Send {
  readonly link: LinkId;
  readonly requestId: number;
  readonly chunkIndex: number;
  /** As of the grant it used. */
  isPaced: boolean;
  state: 'queued' | 'active' | 'stopping';
  progressAtMs: number;
}

export class Neighbour {
  // ---- what every choice looks at, kept together because it is looked at for all neighbours
  readonly link: LinkId;
  /** Its first map has arrived; before that it has nothing for us. */
  mapped = false;
  complete = false;
  /** It will take grants: it has not declined since it last said it was interested. */
  armed = true;
  /** Chunks we have and it lacks. */
  neededCount = 0;
  /** Pickable chunks it has. */
  wantedCount = 0;
  /** Grants unanswered, requests queued and sends under way towards it: the sizes of `grants` and `sends`, kept by upload.ts. */
  outstanding = 0;
  readonly theirs: Bitfield;

  // ---- who it is
  readonly key: string;
  readonly address: string;
  readonly outbound: boolean;
  readonly candidateKey: string | undefined;
  /** `host:port` where it says that it accepts connections. */
  readonly listensAt: string | undefined;
  /** It keeps to a pace that we ask for. */
  readonly paces: boolean;
  readonly linkedAtMs: number;
  /** When it last said anything, or answered a ping. */
  heardAtMs: number;
  rttMs: number | undefined;
  /** Its fastest round trip of late: the path without its queues. */
  rttFloorMs: number | undefined;

  // ---- what it gives us
  /** We gave a grant back and owe it an `interest` before it grants again. */
  declined: 'no' | 'nothing-needed' | 'busy' = 'no';
  snubbed = false;
  readonly denials = new Denials();
  /** Since when it is found to leave cancels unanswered; see Download. */
  muteSinceMs: number | undefined;
  readonly snubTimesMs: number[] = [];
  readonly requests = new Map<number, Request>();
  nextRequestId = 0;
  /** Bytes a second over its last chunks. */
  readonly rate = new Ewma(0.3);
  /** Milliseconds from our interest (or the last chunk) to its next grant. */
  readonly grantWaitMs = new Ewma(0.3);
  receivedBytes = 0;
  /** When bytes of a chunk last came from it. */
  lastByteAtMs = Number.NEGATIVE_INFINITY;
  lastUsefulAtMs: number;

  // ---- what we give it
  /** What it wants to be sent a second, frames included. */
  paceBytesPerSecond = Number.POSITIVE_INFINITY;
  readonly grants = new Map<number, Grant>();
  readonly lapsedGrants = new Set<number>();
  /** Unanswered grants it may hold at a time; halved when it declines, grown when it takes. */
  grantWindow = GRANTS_PER_LINK_MAX;
  nextGrantId = 0;
  readonly sends = new Map<number, Send>();
  /** Chunks sent to it of late. */
  readonly served = new DecayingSum(60_000);
  sentBytes = 0;

  constructor(init: {
    link: LinkId;
    key: string;
    address: string;
    outbound: boolean;
    candidateKey: string | undefined;
    listensAt: string | undefined;
    paces: boolean;
    theirs: Bitfield;
    nowMs: number;
  }) {
    this.link = init.link;
    this.key = init.key;
    this.address = init.address;
    this.outbound = init.outbound;
    this.candidateKey = init.candidateKey;
    this.listensAt = init.listensAt;
    this.paces = init.paces;
    this.theirs = init.theirs;
    this.linkedAtMs = init.nowMs;
    this.heardAtMs = init.nowMs;
    this.lastUsefulAtMs = init.nowMs;
  }
}
