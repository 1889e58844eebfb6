/** What one simulated peer is and what befalls it. Times are milliseconds of the run. */
export interface PeerPlan {
  readonly complete?: boolean;
  /** Chunks it has at the start; default none. */
  readonly have?: readonly number[];
  readonly upBytesPerSecond: number;
  readonly downBytesPerSecond: number;
  /** Its own share of a path's round trip counts half: a path has (a + b) / 2. Default: the world's. */
  readonly rttMs?: number;
  readonly joinsAtMs?: number;
  /** Peers it knows when it joins, by index, besides those the pretended tracker names. */
  readonly knows?: readonly number[];
  /** Vanishes; the others see their connections reset. */
  readonly diesAtMs?: number;
  /** Vanishes without a packet: the others learn it when the silence is too long. */
  readonly diesSilentlyAtMs?: number;
  /** Says goodbye and goes. */
  readonly leavesAtMs?: number;
  /** Goes as soon as every chunk exists at some other peer. */
  readonly leavesAfterFirstCopy?: boolean;
  /** Share of the chunks it sends that are wrong. */
  readonly lies?: number;
  /** Says that it has everything; for a chunk it lacks it sends garbage (`wrong`) or says that it cannot read it (`unreadable`). */
  readonly claims?: 'wrong' | 'unreadable';
  /** Takes requests and never sends a byte, from this moment on (`true`: always). */
  readonly stalls?: boolean | number;
  readonly order?: 'rarest' | 'in-order';
  readonly single?: boolean;
  readonly limitUp?: number;
  readonly limitDown?: number;
  /** Its clock goes forward by so much at that moment, as after a suspended machine. */
  readonly clockJump?: { readonly atMs: number; readonly byMs: number };
  /** Writes fail in this span. */
  readonly diskFull?: { readonly fromMs: number; readonly toMs: number };
  /** At these moments one of its chunks turns out damaged. */
  readonly losesChunkAtMs?: readonly number[];
}

export interface WorldOptions {
  readonly size: number;
  readonly chunkSize: number;
  readonly rttMs: number;
  readonly seed: number;
  readonly peers: readonly PeerPlan[];
  /** From then on the pretended tracker names nobody; default: it always does. */
  readonly trackerEndsAtMs?: number;
  /** From then on it does again. */
  readonly trackerBackAtMs?: number;
  /** Links between the two halves carry nothing in this span, and everything afterwards. */
  readonly partition?: { readonly fromMs: number; readonly toMs: number; readonly share: number };
  /** Milliseconds from a whole chunk to its digest. */
  readonly verifyMs?: number;
  /** Complete peers are not told their place among each other. */
  readonly unranked?: boolean;
  /** Links a peer dials and has in all; default: those of the limits. */
  readonly degree?: number;
  /** TCP's slow start and its restart after idle. */
  readonly slowStart?: boolean;
  /** Bytes a socket takes that have not left the host. */
  readonly kernelBytes?: number;
  /** Count packet headers as bytes on the link. */
  readonly headers?: boolean;
  /** Messages do not wait behind chunks in front of a receiver's downlink. */
  readonly controlFirst?: boolean;
}
