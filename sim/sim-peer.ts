/** A peer of the virtual world: the shipped policy, a host of the network, and what has become of it. Data without rules. */
import { Bitfield } from '../src/content/bitfield.ts';
import type { ChunkLayout } from '../src/content/chunk-layout.ts';
import type { Candidate, LinkId } from '../src/swarm/facts.ts';
import { Swarm } from '../src/swarm/swarm.ts';
import { createHost, type Host, type Stream } from './network.ts';
import type { PeerPlan } from './peer-plan.ts';

/** A chunk on its way to a peer, as the peer's shell would know it. */
export interface Incoming {
  readonly chunkIndex: number;
  readonly from: number;
  bytes: number;
  wrong: boolean;
  state: 'filling' | 'whole' | 'verified';
}

export class SimPeer {
  readonly index: number;
  readonly key: string;
  readonly plan: PeerPlan;
  readonly swarm: Swarm;
  readonly host: Host;
  /** By our name for the link: the stream that leaves us. */
  readonly links = new Map<LinkId, Stream>();
  /** By link and request. */
  readonly incoming = new Map<number, Incoming>();
  /** Chunks whose right bytes it holds: what it claims may be more. */
  readonly holds: Bitfield;
  alive = true;
  /** Told to the policy beside the world's time. */
  clockAheadMs = 0;
  timerAtMs = Number.POSITIVE_INFINITY;
  readonly joinedAtMs: number;
  finishedAtMs = Number.NaN;
  gainedFrom = new Map<string, number>();
  readonly banned: string[] = [];
  /** Times it was stalled by a source until it asked elsewhere, and saw wrong bytes until it banned, in milliseconds. */
  readonly replaceMs: number[] = [];
  cancelledBytes = 0;
  lateBytes = 0;
  corruptBytes = 0;

  constructor(index: number, plan: PeerPlan, layout: ChunkLayout, seed: number, nowMs: number, rttMs: number) {
    this.index = index;
    this.key = index.toString(16).padStart(32, '0');
    this.plan = plan;
    this.joinedAtMs = nowMs;
    this.holds = plan.complete === true ? Bitfield.full(layout.chunkCount) : new Bitfield(layout.chunkCount);
    for (const chunk of plan.have ?? []) this.holds.add(chunk);
    const have = plan.claims === undefined ? this.holds.clone() : Bitfield.full(layout.chunkCount);
    this.host = createHost(
      index,
      Math.min(plan.upBytesPerSecond, plan.limitUp ?? Number.POSITIVE_INFINITY),
      plan.downBytesPerSecond,
      plan.rttMs ?? rttMs,
    );
    this.swarm = new Swarm(
      {
        ownKey: this.key,
        size: layout.size,
        chunkSize: layout.chunkSize,
        have,
        seed,
        order: plan.order ?? 'rarest',
        single: plan.single ?? false,
        upload: true,
        downBytesPerSecond: plan.limitDown ?? Number.POSITIVE_INFINITY,
        upBytesPerSecond: plan.limitUp ?? Number.POSITIVE_INFINITY,
      },
      nowMs,
    );
    if (have.isFull) this.finishedAtMs = nowMs;
  }

  get sentBytes(): number {
    return this.host.dataBytes;
  }

  get stallsSinceMs(): number {
    const { stalls } = this.plan;
    return stalls === true ? 0 : typeof stalls === 'number' ? stalls : Number.POSITIVE_INFINITY;
  }

  /** Whether it is one that the others should get everything to: alive, and honest. */
  get counts(): boolean {
    return this.alive && this.plan.claims === undefined && (this.plan.lies ?? 0) === 0;
  }
}

/** Of one private network, so that peers may tell each other of each other. */
export function simAddress(index: number): string {
  return `10.${index >> 16}.${(index >> 8) & 0xff}.${index & 0xff}:9000`;
}

/** The peer at an address made by `simAddress`. */
export function simIndexOf(address: string): number {
  const [, a, b, c] = address.split(/[.:]/).map(Number);
  return ((a as number) << 16) | ((b as number) << 8) | (c as number);
}

export function candidateOf({ key, index, swarm }: SimPeer): Candidate {
  return { key, addresses: [simAddress(index)], dialect: 'native', complete: swarm.isComplete };
}
