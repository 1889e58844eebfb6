/**
 * A swarm in one process: the shipped policy of src/swarm under a virtual clock, with links that have a latency and peers that
 * have an uplink and a downlink. Bytes are counted, not moved; a chunk is right or wrong by who sent it. Same seed, same run.
 */
import { Bitfield } from '../src/content/bitfield.ts';
import { chunkBytes, createChunkLayout, type ChunkLayout } from '../src/content/chunk-layout.ts';
import { FRAGMENT_BYTES_MAX } from '../src/limits.ts';
import type { Candidate, CloseReason, LinkId, SwarmAction, SwarmFact, SwarmMessage } from '../src/swarm/facts.ts';
import { createRandom, type Random } from '../src/swarm/random.ts';
import { Swarm } from '../src/swarm/swarm.ts';
import { EventQueue } from './event-queue.ts';

export interface PeerPlan {
  readonly complete?: boolean;
  /** Chunks it has at the start; default none. */
  readonly have?: readonly number[];
  readonly upBytesPerSecond: number;
  readonly downBytesPerSecond: number;
  readonly joinsAtMs?: number;
  /** Vanishes without a word. */
  readonly diesAtMs?: number;
  /** Share of the chunks it sends that are wrong. */
  readonly lies?: number;
  /** Takes requests and never sends a byte. */
  readonly stalls?: boolean;
  readonly order?: 'rarest' | 'in-order';
  readonly single?: boolean;
  /** Peers it knows when it joins, by index, besides those the pretended tracker names. */
  readonly knows?: readonly number[];
  readonly limitUp?: number;
  readonly limitDown?: number;
}

export interface WorldOptions {
  readonly size: number;
  readonly chunkSize: number;
  readonly rttMs: number;
  readonly seed: number;
  readonly peers: readonly PeerPlan[];
  /** From then on the pretended tracker names nobody; default: it always does. */
  readonly trackerEndsAtMs?: number;
}

interface LinkEnd {
  readonly link: LinkId;
  readonly peer: SimPeer;
  other: LinkEnd;
  open: boolean;
  /** Nothing sent by this end arrives before what it sent earlier, as in a stream. */
  arrivesAtMs: number;
}

interface ActiveSend {
  readonly end: LinkEnd;
  readonly requestId: number;
  readonly chunkIndex: number;
  readonly wrong: boolean;
  offset: number;
  /** A fragment of it is on the uplink at this moment. */
  onUplink: boolean;
  stopped: boolean;
}

export class SimPeer {
  readonly index: number;
  readonly key: string;
  readonly plan: PeerPlan;
  readonly swarm: Swarm;
  readonly links = new Map<LinkId, LinkEnd>();
  readonly sends: ActiveSend[] = [];
  /** Requests whose bytes were wrong, by `link:requestId`. */
  readonly wrongRequests = new Set<string>();
  alive = true;
  uplinkBusy = false;
  downlinkFreeAtMs = 0;
  timerAtMs = Number.POSITIVE_INFINITY;
  finishedAtMs = Number.NaN;
  sentBytes = 0;
  gainedFrom = new Map<string, number>();
  readonly banned: string[] = [];

  constructor(index: number, plan: PeerPlan, layout: ChunkLayout, seed: number, nowMs: number) {
    this.index = index;
    this.key = index.toString(16).padStart(32, '0');
    this.plan = plan;
    const have = plan.complete === true ? Bitfield.full(layout.chunkCount) : new Bitfield(layout.chunkCount);
    for (const chunk of plan.have ?? []) have.add(chunk);
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
}

/** Candidates the pretended tracker hands out at a time. */
const LOCATE_MAX = 25;

export class World {
  readonly layout: ChunkLayout;
  readonly peers: SimPeer[] = [];
  readonly #queue = new EventQueue();
  readonly #random: Random;
  readonly #options: WorldOptions;
  readonly #latencyMs: number;
  #nextLink = 1;
  /** Wrong chunks that were taken for right: must stay 0. */
  acceptedWrong = 0;

  constructor(options: WorldOptions) {
    this.#options = options;
    this.layout = createChunkLayout(options.size, options.chunkSize);
    this.#random = createRandom(options.seed);
    this.#latencyMs = options.rttMs / 2;
    options.peers.forEach((plan, index) => this.#queue.at(plan.joinsAtMs ?? 0, () => this.#join(index, plan)));
  }

  get nowMs(): number {
    return this.#queue.nowMs;
  }

  get events(): number {
    return this.#queue.executed;
  }

  /** Connections made so far. */
  get linksMade(): number {
    return (this.#nextLink - 1) / 2;
  }

  /** Tells each of two peers of the other in the same moment, so that they dial each other. */
  introduce(one: SimPeer, other: SimPeer): void {
    this.#tell(one, { type: 'candidates', candidates: [candidateOf(other)], listed: true });
    this.#tell(other, { type: 'candidates', candidates: [candidateOf(one)], listed: true });
  }

  /** Runs until every living peer is complete or `untilMs`; says whether all are. */
  run(untilMs: number): boolean {
    while (!this.#allDone() && this.#queue.next(untilMs));
    return this.#allDone();
  }

  /** Runs to a moment, whoever is complete. */
  runUntil(untilMs: number): void {
    while (this.#queue.next(untilMs));
  }

  #allDone(): boolean {
    return (
      this.peers.length === this.#options.peers.length &&
      this.peers.every((peer) => !peer.alive || peer.swarm.isComplete)
    );
  }

  #join(index: number, plan: PeerPlan): void {
    const peer = new SimPeer(index, plan, this.layout, this.#options.seed * 1_000_003 + index, this.nowMs);
    this.peers.push(peer);
    if (plan.diesAtMs !== undefined) this.#queue.at(plan.diesAtMs, () => this.#die(peer));
    this.#tellCandidates(peer);
    const known = (plan.knows ?? []).flatMap((other) => this.peers.find(({ index: one }) => one === other) ?? []);
    if (known.length > 0) this.#tell(peer, { type: 'candidates', candidates: known.map(candidateOf), listed: true });
  }

  /** A crash: its connections are found dead by the others after two round trips, as a reset would show. */
  #die(peer: SimPeer): void {
    peer.alive = false;
    for (const end of peer.links.values()) {
      const other = end.other;
      this.#queue.at(this.nowMs + 4 * this.#latencyMs + 1, () => this.#unlink(other));
    }
  }

  #tellCandidates(peer: SimPeer): void {
    if (this.nowMs >= (this.#options.trackerEndsAtMs ?? Number.POSITIVE_INFINITY)) return;
    const others = this.peers.filter((other) => other !== peer && other.alive);
    const chosen: Candidate[] = [];
    while (others.length > 0 && chosen.length < LOCATE_MAX) {
      const [other] = others.splice(this.#random.below(others.length), 1);
      if (other === undefined) break;
      chosen.push(candidateOf(other));
    }
    this.#tell(peer, { type: 'candidates', candidates: chosen, listed: true });
  }

  #tell(peer: SimPeer, fact: SwarmFact): void {
    if (!peer.alive) return;
    for (const action of peer.swarm.step(this.nowMs, fact)) this.#act(peer, action);
    const dueAtMs = peer.swarm.nextDeadline();
    if (dueAtMs >= peer.timerAtMs || dueAtMs === Number.POSITIVE_INFINITY) return;
    peer.timerAtMs = dueAtMs;
    this.#queue.at(dueAtMs, () => {
      if (peer.timerAtMs !== dueAtMs) return;
      peer.timerAtMs = Number.POSITIVE_INFINITY;
      this.#tell(peer, { type: 'tick' });
    });
  }

  #act(peer: SimPeer, action: SwarmAction): void {
    const later = (fact: SwarmFact, delayMs: number): void =>
      this.#queue.at(this.nowMs + delayMs, () => this.#tell(peer, fact));
    switch (action.type) {
      case 'dial':
        this.#dial(peer, action.candidate);
        return;
      case 'close': {
        const end = peer.links.get(action.link);
        if (end === undefined) return;
        peer.links.delete(end.link);
        end.open = false;
        this.#stopSends(peer, end);
        this.#arrive(end, () => this.#unlink(end.other, action.reason));
        return;
      }
      case 'probe': {
        const target = this.peers.find((other) => simAddress(other.index) === action.address);
        const ok = target?.alive === true && target.key === action.key;
        later({ type: 'probed', link: action.link, ok }, 4 * this.#latencyMs);
        return;
      }
      case 'send': {
        const end = peer.links.get(action.link);
        if (end !== undefined) this.#message(end, action.message);
        return;
      }
      case 'start-send': {
        const end = peer.links.get(action.link);
        if (end === undefined) return;
        const wrong = (peer.plan.lies ?? 0) > 0 && this.#random.next() < (peer.plan.lies ?? 0);
        if (peer.plan.stalls === true) return;
        peer.sends.push({
          end,
          requestId: action.requestId,
          chunkIndex: action.chunkIndex,
          wrong,
          offset: 0,
          onUplink: false,
          stopped: false,
        });
        this.#pumpUplink(peer);
        return;
      }
      case 'stop-send': {
        const at = peer.sends.findIndex((send) => send.end.link === action.link && send.requestId === action.requestId);
        const [send] = at >= 0 ? peer.sends.splice(at, 1) : [];
        if (send?.onUplink === true) send.stopped = true;
        else if (send !== undefined || peer.plan.stalls === true) {
          later({ type: 'send-ended', link: action.link, requestId: action.requestId, why: 'stopped' }, 0);
        }
        return;
      }
      case 'verify': {
        const wrong = peer.wrongRequests.delete(`${action.link}:${action.requestId}`);
        later({ type: 'verified', link: action.link, requestId: action.requestId, ok: !wrong }, 1);
        return;
      }
      case 'write':
        later({ type: 'written', link: action.link, requestId: action.requestId, ok: true }, 0.1);
        return;
      case 'discard':
        peer.wrongRequests.delete(`${action.link}:${action.requestId}`);
        return;
      case 'gained': {
        const source = peer.links.get(action.link)?.other.peer.key ?? 'gone';
        peer.gainedFrom.set(source, (peer.gainedFrom.get(source) ?? 0) + 1);
        return;
      }
      case 'complete':
        peer.finishedAtMs = this.nowMs;
        return;
      case 'banned':
        peer.banned.push(action.key);
        return;
      case 'need-peers':
        this.#queue.at(this.nowMs + 2 * this.#latencyMs, () => this.#tellCandidates(peer));
    }
  }

  #dial(peer: SimPeer, candidate: Candidate): void {
    const target = this.peers.find((other) => candidate.addresses.includes(simAddress(other.index)));
    this.#queue.at(this.nowMs + 4 * this.#latencyMs, () => {
      if (target === undefined || !target.alive || !peer.alive) {
        this.#tell(peer, { type: 'dial-failed', key: candidate.key });
        return;
      }
      const mine = { link: this.#nextLink++, peer, open: true, arrivesAtMs: 0 } as LinkEnd;
      const theirs: LinkEnd = { link: this.#nextLink++, peer: target, other: mine, open: true, arrivesAtMs: 0 };
      mine.other = theirs;
      peer.links.set(mine.link, mine);
      target.links.set(theirs.link, theirs);
      this.#tell(target, {
        type: 'linked',
        link: theirs.link,
        key: peer.key,
        address: simAddress(peer.index),
        outbound: false,
        listensAt: simAddress(peer.index),
      });
      this.#tell(peer, {
        type: 'linked',
        link: mine.link,
        key: target.key,
        address: simAddress(target.index),
        outbound: true,
        dialledKey: candidate.key,
        listensAt: simAddress(target.index),
      });
      for (const end of [mine, theirs])
        this.#tell(end.peer, { type: 'rtt', link: end.link, rttMs: 2 * this.#latencyMs });
    });
  }

  #message(end: LinkEnd, message: SwarmMessage): void {
    this.#arrive(end, () => {
      const { other } = end;
      if (other.open) this.#tell(other.peer, { type: 'message', link: other.link, message });
    });
  }

  /** Runs `effect` when something sent now by this end arrives, never before what was sent earlier. */
  #arrive(end: LinkEnd, effect: () => void, notBeforeMs = 0): void {
    end.arrivesAtMs = Math.max(end.arrivesAtMs, this.nowMs + this.#latencyMs, notBeforeMs);
    this.#queue.at(end.arrivesAtMs, effect);
  }

  #unlink(end: LinkEnd, reason?: CloseReason): void {
    if (!end.open) return;
    end.open = false;
    end.peer.links.delete(end.link);
    this.#stopSends(end.peer, end);
    this.#tell(end.peer, { type: 'unlinked', link: end.link, misbehaved: false, reason });
  }

  #stopSends(peer: SimPeer, end: LinkEnd): void {
    for (let at = peer.sends.length - 1; at >= 0; at--) if (peer.sends[at]?.end === end) peer.sends.splice(at, 1);
  }

  /** One fragment of each active send in turn, as fast as the uplink allows. */
  #pumpUplink(peer: SimPeer): void {
    if (peer.uplinkBusy || !peer.alive) return;
    const send = peer.sends.shift();
    if (send === undefined) return;
    peer.uplinkBusy = true;
    const total = chunkBytes(this.layout, send.chunkIndex);
    const offset = send.offset;
    const byteCount = Math.min(FRAGMENT_BYTES_MAX, total - offset);
    const last = offset + byteCount === total;
    send.offset += byteCount;
    if (!last) peer.sends.push(send);
    send.onUplink = true;
    const rate = Math.min(peer.plan.upBytesPerSecond, peer.plan.limitUp ?? Number.POSITIVE_INFINITY);
    this.#queue.at(this.nowMs + (byteCount * 1000) / rate, () => {
      peer.uplinkBusy = false;
      send.onUplink = false;
      if (!peer.alive) return;
      peer.sentBytes += byteCount;
      if (send.end.open) {
        this.#deliver(send, offset, byteCount, last);
        this.#tell(peer, { type: 'sent', link: send.end.link, requestId: send.requestId, byteCount, last });
        if (send.stopped)
          this.#tell(peer, { type: 'send-ended', link: send.end.link, requestId: send.requestId, why: 'stopped' });
      }
      this.#pumpUplink(peer);
    });
  }

  #deliver(send: ActiveSend, offset: number, byteCount: number, last: boolean): void {
    const { other } = send.end;
    const receiver = other.peer;
    const startMs = Math.max(this.nowMs + this.#latencyMs, receiver.downlinkFreeAtMs);
    receiver.downlinkFreeAtMs = startMs + (byteCount * 1000) / receiver.plan.downBytesPerSecond;
    const { requestId, chunkIndex } = send;
    this.#arrive(
      send.end,
      () => {
        if (!other.open || !receiver.alive) return;
        if (
          receiver.swarm.admitFragment(this.nowMs, other.link, { requestId, chunkIndex, offset, byteCount }) === 'skip'
        )
          return;
        if (last && send.wrong) receiver.wrongRequests.add(`${other.link}:${requestId}`);
        this.#tell(receiver, { type: 'fragment', link: other.link, requestId, byteCount });
      },
      receiver.downlinkFreeAtMs,
    );
  }
}

/** Of one private network, so that peers may tell each other of each other. */
function simAddress(index: number): string {
  return `10.${index >> 16}.${(index >> 8) & 0xff}.${index & 0xff}:9000`;
}

function candidateOf({ key, index, swarm }: SimPeer): Candidate {
  return { key, addresses: [simAddress(index)], dialect: 'native', complete: swarm.isComplete };
}

/** The least time in which the last leecher can have everything, all joining at 0 (Kumar and Ross, 2006), in milliseconds. */
export function fluidBoundMs(options: WorldOptions): number {
  const seeders = options.peers.filter((peer) => peer.complete === true);
  const leechers = options.peers.filter((peer) => peer.complete !== true);
  const up = (peers: readonly PeerPlan[]): number => peers.reduce((sum, peer) => sum + peer.upBytesPerSecond, 0);
  const seedRate = up(seeders);
  const slowestDown = Math.min(...leechers.map((peer) => peer.downBytesPerSecond));
  return (
    Math.max(
      options.size / seedRate,
      options.size / slowestDown,
      (leechers.length * options.size) / (seedRate + up(leechers)),
    ) * 1000
  );
}
