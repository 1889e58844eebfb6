/**
 * A swarm in one process: the shipped policy of src/swarm under a virtual clock and network. Bytes are counted, not moved; a chunk is
 * right or wrong by who sent it. The world is the adversary of the policy and its judge: it keeps its own account of what every peer
 * truly holds, and throws when the policy takes for good what nobody verified. Same seed, same run, same `hash`.
 */
import { chunkBytes, createChunkLayout, type ChunkLayout } from '../src/content/chunk-layout.ts';
import { ShoalError } from '../src/errors.ts';
import { DISK_RETRY_MS, IDLE_CLOSE_MS } from '../src/limits.ts';
import type { Candidate, CloseReason, LinkId, SwarmAction, SwarmFact, SwarmMessage } from '../src/swarm/facts.ts';
import { createRandom, type Random } from '../src/swarm/random.ts';
import { EventQueue, type TakenEvent } from './event-queue.ts';
import { Network, NETWORK_DEFAULTS, type Host, type SimFragment, type Stream } from './network.ts';
import type { PeerPlan, WorldOptions } from './peer-plan.ts';
import { candidateOf, SimPeer, simAddress, simIndexOf, type Incoming } from './sim-peer.ts';
import { SimTracker } from './tracker.ts';

export type { PeerPlan, WorldOptions } from './peer-plan.ts';
export type { SimPeer } from './sim-peer.ts';

const CALL = 0;
const DEPARTED = 1;
const WAKE = 2;
const ARRIVE = 3;
const TIMER = 4;
const FACT = 5;
const ARRIVE_ON_ALL = 6;

const WRITE_US = 100;
/** How often a link with socket buffers finds out how long its path takes. */
const RTT_SAMPLE_US = 1_000_000;

export class World {
  readonly layout: ChunkLayout;
  /** Those that have joined, in the order of joining. */
  readonly peers: SimPeer[] = [];
  readonly #byIndex: (SimPeer | undefined)[];
  readonly #queue = new EventQueue();
  readonly #network: Network;
  readonly #tracker: SimTracker;
  readonly #random: Random;
  readonly #options: WorldOptions;
  readonly #verifyUs: number;
  readonly #event: TakenEvent = { kind: 0, a: 0, b: 0, payload: undefined, subject: undefined };
  #nextLink = 1;
  #finished = 0;
  /** Copies of each chunk at peers that did not have it at the start. */
  readonly #copies: Uint32Array;
  #uncopied: number;
  /** Wrong chunks that were taken for right: must stay 0. */
  acceptedWrong = 0;
  /** When every chunk existed at some peer that did not have it at the start; NaN before. */
  firstCopyAtMs = Number.NaN;
  /** Chunks that those complete at the start had sent by then. */
  seederChunksAtFirstCopy = 0;
  seederChunksSent = 0;
  declines = 0;

  constructor(options: WorldOptions) {
    this.#options = options;
    this.layout = createChunkLayout(options.size, options.chunkSize);
    this.#random = createRandom(options.seed);
    this.#tracker = new SimTracker(createRandom(options.seed ^ 0x5bd1e995), options.degree);
    this.#verifyUs = (options.verifyMs ?? 1) * 1000;
    this.#copies = new Uint32Array(this.layout.chunkCount);
    this.#uncopied = this.layout.chunkCount;
    this.#byIndex = options.peers.map(() => undefined);
    this.#network = new Network(
      {
        ...NETWORK_DEFAULTS,
        slowStart: options.slowStart ?? false,
        kernelBytes: options.kernelBytes ?? 0,
        headers: options.headers ?? false,
        controlFirst: options.controlFirst ?? false,
      },
      {
        nowUs: () => this.#queue.nowUs,
        departAt: (atUs, host) => this.#queue.at(atUs, DEPARTED, host.index, 0, host),
        wakeAt: (atUs, host) => this.#queue.at(atUs, WAKE, host.index, 0, host),
        arriveAt: (atUs, stream, what) => this.#arriveAt(atUs, stream, what),
        arriveOnAllAt: (atUs, streams, message) => this.#arriveOnAllAt(atUs, streams, message),
        sent: (fragment) => this.#sent(fragment),
      },
    );
    options.peers.forEach((plan, index) => this.#callAt(plan.joinsAtMs ?? 0, () => this.#join(index, plan)));
  }

  get nowMs(): number {
    return this.#queue.nowUs / 1000;
  }

  get events(): number {
    return this.#queue.executed;
  }

  /** Of everything that has happened, in order. */
  get hash(): string {
    return this.#queue.hash;
  }

  /** Connections made so far. */
  get linksMade(): number {
    return (this.#nextLink - 1) / 2;
  }

  /** Runs until every living honest peer is complete or `untilMs`; says whether all are. */
  run(untilMs: number): boolean {
    while (!this.#allDone() && this.#step(untilMs));
    return this.#allDone();
  }

  /** Runs to a moment, whoever is complete. */
  runUntil(untilMs: number): void {
    while (this.#step(untilMs));
  }

  /** Calls `look` at a moment of the run. */
  lookAt(atMs: number, look: () => void): void {
    this.#callAt(atMs, look);
  }

  /** Tells each of two peers of the other in the same moment, so that they dial each other. */
  introduce(one: SimPeer, other: SimPeer): void {
    this.#tell(one, { type: 'candidates', candidates: [candidateOf(other)], listed: true });
    this.#tell(other, { type: 'candidates', candidates: [candidateOf(one)], listed: true });
  }

  /** Peers linked to this one. */
  linkedTo(peer: SimPeer): SimPeer[] {
    return [...peer.links.values()].map((stream) => this.#byIndex[stream.to.index] as SimPeer);
  }

  #step(untilMs: number): boolean {
    const event = this.#event;
    if (!this.#queue.next(untilMs * 1000, event)) return false;
    const { kind, a, b, payload, subject } = event;
    switch (kind) {
      case DEPARTED:
        this.#network.departed(payload as Host);
        break;
      case WAKE:
        (payload as Host).wakeAtUs = Number.POSITIVE_INFINITY;
        this.#network.pump(payload as Host);
        break;
      case ARRIVE:
        this.#arrived(subject as Stream, payload as SwarmMessage | SimFragment);
        break;
      case ARRIVE_ON_ALL:
        for (const stream of subject as Stream[]) this.#arrived(stream, payload as SwarmMessage);
        break;
      case TIMER: {
        const peer = this.#byIndex[a] as SimPeer;
        if (peer.timerAtMs !== b) break;
        peer.timerAtMs = Number.POSITIVE_INFINITY;
        // what was due then may be due later by now, as in a node
        if (peer.swarm.nextDeadline() <= this.nowMs + peer.clockAheadMs) this.#tell(peer, { type: 'tick' });
        else if (peer.alive) this.#setTimer(peer);
        break;
      }
      case FACT:
        this.#tell(this.#byIndex[a] as SimPeer, payload as SwarmFact);
        break;
      default:
        (payload as () => void)();
    }
    return true;
  }

  #callAt(atMs: number, call: () => void): void {
    this.#queue.at(atMs * 1000, CALL, 0, 0, call);
  }

  #allDone(): boolean {
    return this.peers.length === this.#options.peers.length && this.#finished === this.#expected;
  }

  /** Living honest peers that have joined. */
  #expected = 0;

  // ---- coming and going ------------------------------------------------------------------------------------------------------

  #join(index: number, plan: PeerPlan): void {
    const peer = new SimPeer(
      index,
      plan,
      this.layout,
      this.#options.seed * 1_000_003 + index,
      this.nowMs,
      this.#options.rttMs,
    );
    this.peers.push(peer);
    this.#byIndex[index] = peer;
    if (peer.counts) this.#expected++;
    if (peer.counts && peer.swarm.isComplete) this.#finished++;
    this.#befall(peer, plan);
    const known = (plan.knows ?? []).flatMap((other) => this.#byIndex[other] ?? []);
    if (known.length > 0) this.#tell(peer, { type: 'candidates', candidates: known.map(candidateOf), listed: true });
    this.#tracker.joined(peer);
    this.#tellCandidates(peer);
    if (plan.complete === true) this.#tellRanks();
  }

  #befall(peer: SimPeer, plan: PeerPlan): void {
    if (plan.diesAtMs !== undefined)
      this.#callAt(plan.diesAtMs, () => this.#die(peer, peer.host.latencyUs * 4 + 1_000));
    if (plan.diesSilentlyAtMs !== undefined)
      this.#callAt(plan.diesSilentlyAtMs, () => this.#die(peer, IDLE_CLOSE_MS * 1000));
    if (plan.leavesAtMs !== undefined) this.#callAt(plan.leavesAtMs, () => this.#leave(peer));
    const { clockJump } = plan;
    if (clockJump !== undefined)
      this.#callAt(clockJump.atMs, () => {
        peer.clockAheadMs += clockJump.byMs;
        this.#tell(peer, { type: 'tick' });
      });
    for (const atMs of plan.losesChunkAtMs ?? []) this.#callAt(atMs, () => this.#loseChunk(peer));
  }

  #gone(peer: SimPeer): void {
    if (peer.counts) {
      this.#expected--;
      if (peer.swarm.isComplete) this.#finished--;
    }
    peer.alive = false;
    this.#tracker.left(peer);
    if (peer.plan.complete === true) this.#tellRanks();
  }

  #die(peer: SimPeer, noticedAfterUs: number): void {
    if (!peer.alive) return;
    this.#gone(peer);
    for (const stream of peer.links.values()) {
      this.#network.close(stream);
      const { back } = stream;
      this.#callAt((this.#queue.nowUs + noticedAfterUs) / 1000, () => {
        if (back !== undefined) this.#unlink(back);
      });
    }
  }

  #leave(peer: SimPeer): void {
    if (!peer.alive) return;
    for (const stream of [...peer.links.values()]) this.#close(peer, stream, 'leaving');
    this.#gone(peer);
  }

  /** One of its chunks turns out damaged, as a failed read would show. */
  #loseChunk(peer: SimPeer): void {
    if (!peer.alive || peer.swarm.have.count === 0) return;
    const wanted = this.#random.below(this.layout.chunkCount);
    const chunk = peer.swarm.have.firstMember(wanted);
    if (chunk < 0) return;
    peer.holds.delete(chunk);
    if (peer.swarm.isComplete && peer.counts) this.#finished--;
    this.#tell(peer, { type: 'chunk-lost', chunkIndex: chunk });
  }

  #tellRanks(): void {
    if (this.#options.unranked === true) return;
    const seeders = this.peers.filter(({ alive, plan }) => alive && plan.complete === true);
    seeders.forEach((peer, rank) => this.#tell(peer, { type: 'seed-rank', rank, count: seeders.length }));
  }

  #tellCandidates(peer: SimPeer): void {
    const { trackerEndsAtMs = Number.POSITIVE_INFINITY, trackerBackAtMs = Number.POSITIVE_INFINITY } = this.#options;
    if (this.nowMs >= trackerEndsAtMs && this.nowMs < trackerBackAtMs) {
      this.#tell(peer, { type: 'tick' });
      return;
    }
    this.#tell(peer, { type: 'candidates', candidates: this.#tracker.locate(peer), listed: true });
  }

  // ---- the policy and its actions --------------------------------------------------------------------------------------------

  #tell(peer: SimPeer, fact: SwarmFact): void {
    if (!peer.alive) return;
    const nowMs = this.nowMs + peer.clockAheadMs;
    const actions = peer.swarm.step(nowMs, fact);
    for (let at = 0; at < actions.length;) {
      const action = actions[at] as SwarmAction;
      if (action.type === 'send' && action.message.type === 'have') {
        at = this.#tellAll(peer, actions, at, action.message);
      } else {
        this.#act(peer, action);
        at++;
      }
    }
    this.#setTimer(peer);
  }

  #setTimer(peer: SimPeer): void {
    const dueAtMs = peer.swarm.nextDeadline() - peer.clockAheadMs;
    if (dueAtMs >= peer.timerAtMs || dueAtMs === Number.POSITIVE_INFINITY) return;
    // no sooner than a timer of Node could
    const atMs = Math.max(dueAtMs, this.nowMs + 1);
    peer.timerAtMs = atMs;
    this.#queue.at(atMs * 1000, TIMER, peer.index, atMs, undefined);
  }

  /** Sends a message to everybody for whom it stands in `actions` from `first` on; answers where that ends. */
  #tellAll(peer: SimPeer, actions: readonly SwarmAction[], first: number, message: SwarmMessage): number {
    const streams: Stream[] = [];
    let at = first;
    for (; at < actions.length; at++) {
      const action = actions[at] as SwarmAction;
      if (action.type !== 'send' || action.message !== message) break;
      const stream = peer.links.get(action.link);
      if (stream !== undefined) streams.push(stream);
    }
    this.#network.broadcast(streams, message);
    return at;
  }

  #tellLater(peer: SimPeer, fact: SwarmFact, delayUs: number): void {
    this.#queue.at(this.#queue.nowUs + delayUs, FACT, peer.index, 0, fact);
  }

  #act(peer: SimPeer, action: SwarmAction): void {
    switch (action.type) {
      case 'send': {
        const stream = peer.links.get(action.link);
        if (stream === undefined) return;
        const { message } = action;
        if (message.type === 'decline') this.declines++;
        else if (message.type === 'request' || message.type === 'cancel') this.#watchStalled(peer, stream, message);
        this.#network.message(stream, message);
        return;
      }
      case 'start-send':
        this.#startSend(peer, action.link, action.requestId, action.chunkIndex);
        return;
      case 'pace': {
        const stream = peer.links.get(action.link);
        if (stream !== undefined) this.#network.pace(stream, action.bytesPerSecond);
        return;
      }
      case 'stop-send': {
        const stalled = peer.stallsSinceMs <= this.nowMs;
        if (this.#network.stop(peer.host, action.link, action.requestId) || stalled)
          this.#tellLater(
            peer,
            { type: 'send-ended', link: action.link, requestId: action.requestId, why: 'stopped' },
            0,
          );
        return;
      }
      case 'verify': {
        const incoming = peer.incoming.get(requestKey(action.link, action.requestId));
        if (incoming === undefined || incoming.bytes !== chunkBytes(this.layout, action.chunkIndex))
          throw new ShoalError('bug', `peer ${peer.index} verifies chunk ${action.chunkIndex} without all its bytes`);
        incoming.state = 'whole';
        this.#queue.at(this.#queue.nowUs + this.#verifyUs, CALL, peer.index, 0, () =>
          this.#verified(peer, incoming, action.link, action.requestId),
        );
        return;
      }
      case 'write':
        this.#write(peer, action.link, action.requestId);
        return;
      case 'discard':
        this.#discard(peer, requestKey(action.link, action.requestId));
        return;
      case 'gained':
        this.#gained(peer, action.chunkIndex, action.link);
        return;
      case 'close': {
        const stream = peer.links.get(action.link);
        if (stream !== undefined) this.#close(peer, stream, action.reason);
        return;
      }
      case 'dial':
        this.#dial(peer, action.candidate);
        return;
      case 'probe': {
        const target = this.#byIndex[simIndexOf(action.address)];
        const ok = target?.alive === true && target.key === action.key;
        this.#tellLater(peer, { type: 'probed', link: action.link, ok }, 8 * peer.host.latencyUs);
        return;
      }
      case 'complete':
        peer.finishedAtMs = this.nowMs;
        if (peer.counts) this.#finished++;
        return;
      case 'banned':
        peer.banned.push(action.key);
        return;
      case 'need-peers':
        this.#queue.at(this.#queue.nowUs + 4 * peer.host.latencyUs, CALL, peer.index, 0, () =>
          this.#tellCandidates(peer),
        );
    }
  }

  // ---- links -----------------------------------------------------------------------------------------------------------------

  #dial(peer: SimPeer, candidate: Candidate): void {
    const target = this.#byIndex[simIndexOf(candidate.addresses[0] as string)];
    const pathUs = peer.host.latencyUs + (target?.host.latencyUs ?? peer.host.latencyUs);
    this.#queue.at(this.#queue.nowUs + 4 * pathUs, CALL, peer.index, 0, () => {
      const refused = this.#options.degree !== undefined && (target?.links.size ?? 0) >= 2 * this.#options.degree;
      if (target === undefined || !target.alive || !peer.alive || refused || this.#isCut(peer.index, target.index)) {
        this.#tell(peer, { type: 'dial-failed', key: candidate.key });
        return;
      }
      const mine = this.#nextLink++;
      const theirs = this.#nextLink++;
      const out = this.#network.createStream(peer.host, target.host, mine, theirs);
      const back = this.#network.createStream(target.host, peer.host, theirs, mine);
      out.back = back;
      back.back = out;
      peer.links.set(mine, out);
      target.links.set(theirs, back);
      this.#tell(target, {
        type: 'linked',
        link: theirs,
        key: peer.key,
        address: simAddress(peer.index),
        outbound: false,
        paces: true,
        listensAt: simAddress(peer.index),
      });
      this.#tell(peer, {
        type: 'linked',
        link: mine,
        key: target.key,
        address: simAddress(target.index),
        listensAt: simAddress(target.index),
        outbound: true,
        paces: true,
        dialledKey: candidate.key,
      });
      this.#measure(peer, out);
      this.#measure(target, back);
    });
  }

  /** What a ping shows: with socket buffers it waits in queues, and is repeated. */
  #measure(peer: SimPeer, stream: Stream): void {
    if (stream.closed || !peer.alive) return;
    const { back } = stream;
    const buffered = (this.#options.kernelBytes ?? 0) > 0 && back !== undefined;
    const rttUs = buffered ? this.#network.delayUs(stream) + this.#network.delayUs(back) : 2 * stream.latencyUs;
    this.#tell(peer, { type: 'rtt', link: stream.link, rttMs: rttUs / 1000 });
    if (buffered)
      this.#queue.at(this.#queue.nowUs + RTT_SAMPLE_US, CALL, peer.index, 0, () => this.#measure(peer, stream));
  }

  #close(peer: SimPeer, stream: Stream, reason: CloseReason): void {
    stream.closed = true;
    peer.links.delete(stream.link);
    const { back } = stream;
    this.#network.close(stream);
    const atUs = Math.max(stream.arrivesAtUs, this.#queue.nowUs + stream.latencyUs);
    this.#queue.at(atUs, CALL, peer.index, 0, () => {
      if (back !== undefined) this.#unlink(back, reason);
    });
  }

  #unlink(stream: Stream, reason?: CloseReason): void {
    if (stream.closed) return;
    stream.closed = true;
    const peer = this.#byIndex[stream.from.index] as SimPeer;
    peer.links.delete(stream.link);
    this.#network.close(stream);
    this.#tell(peer, { type: 'unlinked', link: stream.link, misbehaved: false, reason });
  }

  /** Whether the two are in different halves of a network that is parted at this moment. */
  #isCut(one: number, other: number): boolean {
    const { partition } = this.#options;
    if (partition === undefined || this.nowMs < partition.fromMs || this.nowMs >= partition.toMs) return false;
    const edge = partition.share * this.#options.peers.length;
    return one < edge !== other < edge;
  }

  #arriveAt(atUs: number, stream: Stream, what: SwarmMessage | SimFragment): void {
    let arriveUs = atUs;
    if (this.#options.partition !== undefined && this.#isCut(stream.from.index, stream.to.index)) {
      arriveUs = Math.max(atUs, this.#options.partition.toMs * 1000 + stream.latencyUs);
      stream.arrivesAtUs = arriveUs;
    }
    this.#queue.at(arriveUs, ARRIVE, stream.to.index, stream.link, what, stream);
  }

  #arriveOnAllAt(atUs: number, streams: readonly Stream[], message: SwarmMessage): void {
    if (this.#options.partition !== undefined) for (const stream of streams) this.#arriveAt(atUs, stream, message);
    else this.#queue.at(atUs, ARRIVE_ON_ALL, streams[0]?.from.index ?? 0, streams.length, message, streams);
  }

  #arrived(stream: Stream, what: SwarmMessage | SimFragment): void {
    const far = stream.back as Stream;
    const peer = this.#byIndex[stream.to.index] as SimPeer;
    if (far.closed || !peer.alive) return;
    if (what.type === 'fragment') this.#fragment(peer, far.link, what);
    else this.#tell(peer, { type: 'message', link: far.link, message: what });
  }

  // ---- chunks ----------------------------------------------------------------------------------------------------------------

  #startSend(peer: SimPeer, link: LinkId, requestId: number, chunkIndex: number): void {
    const stream = peer.links.get(link);
    if (stream === undefined || peer.stallsSinceMs <= this.nowMs) return;
    const isHeld = peer.holds.has(chunkIndex);
    if (!isHeld && peer.plan.claims === 'unreadable') {
      this.#tellLater(peer, { type: 'send-ended', link, requestId, why: 'unreadable' }, WRITE_US);
      return;
    }
    const lies = peer.plan.lies ?? 0;
    const wrong = !isHeld || (lies > 0 && this.#random.next() < lies);
    const byteCount = chunkBytes(this.layout, chunkIndex);
    this.#network.start({ stream, requestId, chunkIndex, byteCount, wrong, offset: 0, stopped: false });
  }

  #sent({ stream, send, offset, byteCount }: SimFragment): void {
    const peer = this.#byIndex[stream.from.index] as SimPeer;
    const last = offset + byteCount === send.byteCount;
    if (last && peer.plan.complete === true) this.seederChunksSent++;
    const fact: SwarmFact = { type: 'sent', link: stream.link, requestId: send.requestId, byteCount, last };
    // with socket buffers this comes from within the policy's own step
    if ((this.#options.kernelBytes ?? 0) > 0) this.#tellLater(peer, fact, 0);
    else this.#tell(peer, fact);
  }

  #fragment(peer: SimPeer, link: LinkId, { send, offset, byteCount }: SimFragment): void {
    const { requestId, chunkIndex } = send;
    const nowMs = this.nowMs + peer.clockAheadMs;
    if (peer.swarm.admitFragment(nowMs, link, { requestId, chunkIndex, offset, byteCount }) === 'skip') {
      peer.lateBytes += byteCount;
      return;
    }
    const key = requestKey(link, requestId);
    let incoming = peer.incoming.get(key);
    if (incoming === undefined) {
      incoming = { chunkIndex, from: send.stream.from.index, bytes: 0, wrong: send.wrong, state: 'filling' };
      peer.incoming.set(key, incoming);
    }
    incoming.bytes += byteCount;
    this.#tell(peer, { type: 'fragment', link, requestId, byteCount });
  }

  #verified(peer: SimPeer, incoming: Incoming, link: LinkId, requestId: number): void {
    if (!incoming.wrong) incoming.state = 'verified';
    else peer.corruptBytes += incoming.bytes;
    this.#tell(peer, { type: 'verified', link, requestId, ok: !incoming.wrong });
  }

  #write(peer: SimPeer, link: LinkId, requestId: number): void {
    const incoming = peer.incoming.get(requestKey(link, requestId));
    if (incoming === undefined || incoming.state !== 'verified')
      throw new ShoalError('bug', `peer ${peer.index} writes a chunk that nobody verified`);
    const { diskFull } = peer.plan;
    const ok = diskFull === undefined || this.nowMs < diskFull.fromMs || this.nowMs >= diskFull.toMs;
    if (ok) {
      peer.holds.add(incoming.chunkIndex);
    } else {
      peer.incoming.delete(requestKey(link, requestId));
      this.#tellLater(peer, { type: 'disk-ready' }, DISK_RETRY_MS * 1000);
    }
    this.#tellLater(peer, { type: 'written', link, requestId, ok }, WRITE_US);
  }

  #gained(peer: SimPeer, chunkIndex: number, link: LinkId): void {
    let found: [number, Incoming] | undefined;
    for (const entry of peer.incoming)
      if (entry[1].chunkIndex === chunkIndex && Math.floor(entry[0] / 0x10000) === link) found ??= entry;
    if (found?.[1].state !== 'verified' || !peer.holds.has(chunkIndex)) {
      this.acceptedWrong++;
      throw new ShoalError('bug', `peer ${peer.index} took chunk ${chunkIndex}, which nobody verified`);
    }
    peer.incoming.delete(found[0]);
    const source = (this.#byIndex[found[1].from] as SimPeer).key;
    peer.gainedFrom.set(source, (peer.gainedFrom.get(source) ?? 0) + 1);
    const before = this.#copies[chunkIndex] as number;
    this.#copies[chunkIndex] = before + 1;
    if (before === 0 && --this.#uncopied === 0) this.#firstCopyMade();
  }

  #firstCopyMade(): void {
    this.firstCopyAtMs = this.nowMs;
    this.seederChunksAtFirstCopy = this.seederChunksSent;
    for (const peer of this.peers)
      if (peer.plan.leavesAfterFirstCopy === true) this.#callAt(this.nowMs, () => this.#leave(peer));
  }

  #discard(peer: SimPeer, key: number): void {
    const incoming = peer.incoming.get(key);
    if (incoming === undefined) return;
    peer.incoming.delete(key);
    if (!(incoming.wrong && incoming.state === 'whole')) peer.cancelledBytes += incoming.bytes;
  }

  /** How long a source that gives nothing is waited for. */
  #watchStalled(peer: SimPeer, stream: Stream, message: { readonly type: string; readonly requestId: number }): void {
    if ((this.#byIndex[stream.to.index] as SimPeer).stallsSinceMs > this.nowMs) return;
    const key = requestKey(stream.link, message.requestId);
    const sinceMs = this.#waitingSinceMs.get(key);
    if (message.type === 'request') this.#waitingSinceMs.set(key, this.nowMs);
    else if (sinceMs !== undefined && this.#waitingSinceMs.delete(key)) peer.replaceMs.push(this.nowMs - sinceMs);
  }

  readonly #waitingSinceMs = new Map<number, number>();
}

/** One number for a link and a request id of 16 bits. */
function requestKey(link: LinkId, requestId: number): number {
  return link * 0x10000 + requestId;
}
