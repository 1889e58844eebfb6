/**
 * One content's swarm as seen from one node: a state machine without input or output. Tell it what has happened with `step`, do
 * what it answers, and call it again at `nextDeadline`. It owns the policy (whom to dial, whom to serve, what to fetch, whom to
 * ban) and nothing else: no clock, no sockets, no buffers, no promises. The same code runs in a node and in the simulator.
 *
 * Contract of the caller:
 * - actions are carried out in the order given, and what comes of them returns as facts, never from inside `step`;
 * - `nowMs` never goes back;
 * - before the bytes of a fragment are kept, `admitFragment` is asked, and afterwards a `fragment` fact follows;
 * - `nextDeadline` may change with every step.
 */
import { Bitfield } from '../content/bitfield.ts';
import { createChunkLayout, type ChunkLayout } from '../content/chunk-layout.ts';
import { ShoalError } from '../errors.ts';
import {
  CONNECTIONS_PER_CONTENT_MAX,
  CONNECTIONS_PER_CONTENT_TARGET,
  DUPLICATE_GRACE_MS,
  HAVE_CHUNKS_MAX,
  HAVE_COALESCE_MS,
  MAP_TIMEOUT_MS,
  REDIAL_FULL_MS,
  REDIAL_MS,
  REDIAL_USELESS_MS,
} from '../limits.ts';
import { BanList, type Offence } from './ban-list.ts';
import type { Bottleneck } from './bottleneck.ts';
import type { ChunkReason, ReasonCounts } from './chunk-reasons.ts';
import type { SwarmContext } from './context.ts';
import { DialPlan } from './dial-plan.ts';
import { Dialler } from './dialler.ts';
import { Download } from './download.ts';
import { loserOf, overdueDuplicate } from './duplicate-links.ts';
import type {
  CloseReason,
  LinkId,
  Reached,
  StallReason,
  SwarmAction,
  SwarmFact,
  SwarmMessage,
  SwarmOptions,
} from './facts.ts';
import { LinkTurnover } from './link-turnover.ts';
import { Neighbour } from './neighbour.ts';
import { PeerExchange } from './peer-exchange.ts';
import { createRandom } from './random.ts';
import type { IncomingFragment } from './requests.ts';
import { RoundTrips } from './round-trips.ts';
import { Upload } from './upload.ts';

const NOTHING: readonly SwarmAction[] = [];

/**
 * Facts that, where they call for nothing themselves, leave everything else to be done as it was, deadlines included: the bulk of
 * all facts, and for these the rest of a step is left out.
 */
function isMereNews(fact: SwarmFact): boolean {
  if (fact.type === 'message') return fact.message.type === 'have';
  return fact.type === 'fragment' || (fact.type === 'sent' && !fact.last);
}

/** What a person or a page may want to know of one neighbour. */
export interface NeighbourView {
  readonly link: LinkId;
  readonly key: string;
  readonly address: string;
  readonly complete: boolean;
  readonly rttMs: number | undefined;
  readonly receivedBytes: number;
  readonly sentBytes: number;
  readonly snubbed: boolean;
}

export interface SwarmLoad {
  readonly awaited: number;
  readonly checking: number;
  readonly sending: number;
  readonly granted: number;
  readonly queued: number;
}

export class Swarm {
  readonly #options: SwarmOptions;
  readonly #have: Bitfield;
  readonly #neighbours = new Map<LinkId, Neighbour>();
  readonly #unmapped = new Set<Neighbour>();
  readonly #roundTrips = new RoundTrips(this.#neighbours);
  readonly #dials: DialPlan;
  readonly #dialler: Dialler;
  readonly #bans = new BanList();
  readonly #layout: ChunkLayout;
  readonly #download: Download;
  readonly #upload: Upload;
  readonly #exchange: PeerExchange;
  readonly #turnover: LinkTurnover;
  /** When two accepted links of one peer are looked at again. */
  #duplicatesAtMs = Number.POSITIVE_INFINITY;
  #actions: SwarmAction[] = [];
  #nowMs: number;
  /** What `nextDeadline` has answered since the last step that could change it. */
  #deadlineMs: number | undefined;
  #pendingHaves: number[] = [];
  #haveFlushedAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: SwarmOptions, nowMs: number) {
    this.#options = options;
    this.#have = options.have;
    this.#nowMs = nowMs;
    this.#layout = createChunkLayout(options.size, options.chunkSize);
    const random = createRandom(options.seed);
    this.#dials = new DialPlan(random);
    const context: SwarmContext = {
      options,
      layout: this.#layout,
      have: this.#have,
      neighbours: this.#neighbours,
      random,
      roundTrips: this.#roundTrips,
      emit: (action) => this.#actions.push(action),
      send: (neighbour, message) => this.#actions.push({ type: 'send', link: neighbour.link, message }),
      close: (neighbour, reason, text) => this.#close(neighbour, reason, text),
      misbehaved: (neighbour, offence, text) => this.#misbehaved(neighbour, offence, text),
    };
    this.#dialler = new Dialler(context, this.#dials, this.#bans);
    this.#download = new Download(context, nowMs);
    this.#upload = new Upload(context, nowMs);
    this.#exchange = new PeerExchange(context, this.#dials);
    this.#exchange.setEnabled(options.peerExchange ?? true, nowMs);
    this.#turnover = new LinkTurnover(context, nowMs);
  }

  /** Our chunks; kept up to date, not to be changed from outside. */
  get have(): Bitfield {
    return this.#have;
  }

  get isComplete(): boolean {
    return this.#have.isFull;
  }

  /** Takes in a fact and answers what is to be done, in order. */
  step(nowMs: number, fact: SwarmFact): readonly SwarmAction[] {
    this.#nowMs = nowMs;
    this.#apply(fact);
    if (this.#actions.length === 0 && isMereNews(fact)) return NOTHING;
    this.#settle();
    this.#deadlineMs = undefined;
    if (this.#actions.length === 0) return NOTHING;
    const actions = this.#actions;
    this.#actions = [];
    return actions;
  }

  /** When `tick` is due at the latest; Infinity when nothing waits for time. */
  nextDeadline(): number {
    this.#deadlineMs ??= this.#earliestDeadline();
    return this.#deadlineMs;
  }

  #earliestDeadline(): number {
    let next = Math.min(this.#download.nextDeadlineMs(this.#nowMs), this.#upload.nextDeadlineMs());
    if (this.#pendingHaves.length > 0) next = Math.min(next, this.#haveFlushedAtMs + HAVE_COALESCE_MS);
    next = Math.min(next, this.#dialler.nextDeadlineMs(this.#nowMs), this.#exchange.nextDeadlineMs);
    next = Math.min(next, this.#turnover.nextDeadlineMs, this.#duplicatesAtMs);
    for (const { linkedAtMs } of this.#unmapped) next = Math.min(next, linkedAtMs + MAP_TIMEOUT_MS);
    return next;
  }

  /** Whether a fragment's bytes are to be kept or thrown away. Throws `protocol` when the peer had no right to send them. */
  admitFragment(nowMs: number, link: LinkId, fragment: IncomingFragment): 'take' | 'skip' {
    const neighbour = this.#neighbours.get(link);
    if (neighbour === undefined) return 'skip';
    return this.#download.admit(neighbour, fragment, nowMs);
  }

  // ---- what a person may ask -----------------------------------------------------------------------------------------------

  neighbours(): NeighbourView[] {
    return [...this.#neighbours.values()].map(
      ({ link, key, address, complete, rttMs, receivedBytes, sentBytes, snubbed }) => {
        return { link, key, address, complete, rttMs, receivedBytes, sentBytes, snubbed };
      },
    );
  }

  get linkCount(): number {
    return this.#neighbours.size;
  }

  downBytesPerSecond(nowMs: number): number {
    return this.#download.bytesPerSecond(nowMs);
  }

  upBytesPerSecond(nowMs: number): number {
    return this.#upload.bytesPerSecond(nowMs);
  }

  get sentBytes(): number {
    return this.#upload.sentBytes;
  }

  /** Bytes that came twice, were taken back, or were wrong. */
  /** Chunks on their way in (asked for, and whole but not in their place yet) and out (sent, promised, waiting for a slot). */
  get load(): SwarmLoad {
    return { ...this.#download.load, ...this.#upload.load };
  }

  get wastedBytes(): number {
    return this.#download.wastedBytes;
  }

  /** Why nothing moves; null while something does, or when we are complete. */
  stallReason(nowMs: number): StallReason | null {
    return this.#download.why.stallReason(nowMs);
  }

  /** What a download waits for most; null: not known yet, or nothing is wanted. */
  bottleneck(nowMs: number): Bottleneck | null {
    return this.#download.why.bottleneck(nowMs);
  }

  /** How many chunks do not move, by reason. */
  reasons(nowMs: number): ReasonCounts {
    return this.#download.why.reasons(nowMs);
  }

  /** Why a chunk does not move; null: we have it, or its bytes are coming. */
  reasonOf(chunkIndex: number, nowMs: number): ChunkReason | null {
    return this.#download.why.reasonOf(chunkIndex, nowMs);
  }

  // ---- facts ---------------------------------------------------------------------------------------------------------------

  #apply(fact: SwarmFact): void {
    const nowMs = this.#nowMs;
    switch (fact.type) {
      case 'candidates':
        this.#dialler.changed();
        this.#dials.learn(
          fact.candidates.filter((candidate) => candidate.key !== this.#options.ownKey),
          fact.listed,
          nowMs,
        );
        return;
      case 'dial-failed':
        this.#dialler.changed();
        this.#dials.failed(fact.key, nowMs);
        return;
      case 'linked':
        this.#dialler.changed();
        this.#linked(fact);
        return;
      case 'unlinked': {
        this.#dialler.changed();
        const neighbour = this.#neighbours.get(fact.link);
        if (neighbour === undefined) return;
        if (fact.misbehaved) this.#ban(neighbour, 'protocol', 'it broke the protocol');
        this.#forget(neighbour, redialMs(fact.reason));
        return;
      }
      case 'probed': {
        const neighbour = this.#neighbours.get(fact.link);
        if (neighbour !== undefined) this.#exchange.probed(neighbour, fact.ok, nowMs);
        return;
      }
      case 'peer-exchange':
        this.#exchange.setEnabled(fact.enabled, nowMs);
        return;
      case 'message': {
        const neighbour = this.#neighbours.get(fact.link);
        if (neighbour === undefined) return;
        neighbour.heardAtMs = nowMs;
        this.#message(neighbour, fact.message);
        return;
      }
      case 'fragment': {
        const neighbour = this.#neighbours.get(fact.link);
        if (neighbour !== undefined) this.#download.fragment(neighbour, fact.requestId, fact.byteCount, nowMs);
        return;
      }
      case 'verified':
        this.#download.verified(fact.link, fact.requestId, fact.ok, nowMs);
        return;
      case 'written': {
        const request = this.#download.written(fact.link, fact.requestId, fact.ok, nowMs);
        if (request !== undefined) this.#gained(request.chunkIndex, fact.link, request.byteCount);
        return;
      }
      case 'convicted': {
        const { key, address, offence, text } = fact;
        this.#punish({ key, address, offence, text, reached: { key, address } }, [key, address]);
        return;
      }
      case 'disk-ready':
        this.#download.diskReady();
        return;
      case 'sent': {
        const neighbour = this.#neighbours.get(fact.link);
        if (neighbour !== undefined) this.#upload.sent(neighbour, fact.requestId, fact.byteCount, fact.last, nowMs);
        return;
      }
      case 'send-ended': {
        const neighbour = this.#neighbours.get(fact.link);
        if (neighbour !== undefined) this.#upload.sendEnded(neighbour, fact.requestId, fact.why, nowMs);
        return;
      }
      case 'chunk-lost':
        this.#dialler.changed();
        this.#lost(fact.chunkIndex);
        return;
      case 'chunk-dropped':
        this.#dialler.changed();
        if (this.#have.has(fact.chunkIndex)) this.#download.drop(fact.chunkIndex);
        this.#lost(fact.chunkIndex);
        return;
      case 'rtt': {
        const neighbour = this.#neighbours.get(fact.link);
        if (neighbour === undefined) return;
        neighbour.heardAtMs = nowMs;
        this.#roundTrips.sample(neighbour, fact.rttMs);
        return;
      }
      case 'want':
        this.#download.want(fact.chunks);
        return;
      case 'seed-rank':
        this.#upload.setShard(fact.rank, fact.count);
        return;
      case 'limits':
        this.#download.setLimit(fact.downBytesPerSecond, nowMs);
        this.#upload.setLimit(fact.upBytesPerSecond);
        return;
      case 'tick':
        this.#download.tick(nowMs);
        this.#upload.tick(nowMs);
        this.#closeUnmapped();
        this.#closeSuperfluous();
        return;
    }
  }

  #linked(fact: Extract<SwarmFact, { type: 'linked' }>): void {
    if (fact.dialledKey !== undefined) this.#dials.linked(fact.dialledKey, fact.key);
    const neighbour = new Neighbour({
      link: fact.link,
      key: fact.key,
      address: fact.address,
      outbound: fact.outbound,
      candidateKey: fact.dialledKey,
      listensAt: fact.listensAt,
      paces: fact.paces ?? false,
      theirs: new Bitfield(this.#layout.chunkCount),
      nowMs: this.#nowMs,
    });
    this.#neighbours.set(fact.link, neighbour);
    this.#unmapped.add(neighbour);
    if (this.#bans.isBanned(fact.key, this.#nowMs)) {
      this.#close(neighbour, 'full', 'banned for a while');
      return;
    }
    for (const other of this.#neighbours.values()) {
      if (other === neighbour || other.key !== neighbour.key) continue;
      const loser = loserOf(other, neighbour, this.#options.ownKey);
      if (loser === undefined) {
        this.#duplicatesAtMs = Math.min(this.#duplicatesAtMs, this.#nowMs + DUPLICATE_GRACE_MS);
        continue;
      }
      this.#close(loser, 'duplicate', 'one connection is enough');
      if (loser === neighbour) return;
    }
    if (this.#neighbours.size > CONNECTIONS_PER_CONTENT_MAX) {
      this.#exchange.sendElsewhere(neighbour);
      this.#close(neighbour, 'full', 'no room for more connections of this content');
      return;
    }
    this.#actions.push({ type: 'send', link: neighbour.link, message: this.#ownMap() });
  }

  #ownMap(): SwarmMessage {
    if (this.#have.isFull) return { type: 'have-all' };
    if (this.#have.count === 0) return { type: 'have-none' };
    return { type: 'bitfield', chunkCount: this.#layout.chunkCount, bytes: this.#have.toBytes() };
  }

  #message(neighbour: Neighbour, message: SwarmMessage): void {
    if (message.type === 'pex') {
      if (this.#exchange.receive(neighbour, message, this.#nowMs)) this.#dialler.changed();
      return;
    }
    const isMap = message.type === 'have-all' || message.type === 'have-none' || message.type === 'bitfield';
    if (isMap === neighbour.mapped) {
      this.#misbehaved(
        neighbour,
        'protocol',
        isMap ? 'a second map of chunks' : `${message.type} before the map of chunks`,
      );
      return;
    }
    switch (message.type) {
      case 'have-all':
        neighbour.theirs.addAll();
        this.#mapped(neighbour);
        return;
      case 'have-none':
        this.#mapped(neighbour);
        return;
      case 'bitfield':
        this.#bitfield(neighbour, message.chunkCount, message.bytes);
        return;
      case 'have':
        for (const chunkIndex of message.chunkIndexes) if (!this.#theyGained(neighbour, chunkIndex)) return;
        this.#closeIfUseless(neighbour);
        return;
      case 'lost':
        for (const chunkIndex of message.chunkIndexes) {
          neighbour.denials.admitted(chunkIndex);
          if (!this.#theyLost(neighbour, chunkIndex)) return;
        }
        return;
      case 'grant':
        this.#download.grant(neighbour, message, this.#nowMs);
        return;
      case 'reject': {
        // who claims a chunk and never gives it would be asked for it for ever
        const deniedChunk = this.#download.deniedBy(neighbour, message);
        const isFalseClaim = deniedChunk >= 0 && neighbour.theirs.has(deniedChunk);
        if (deniedChunk >= 0) this.#theyLost(neighbour, deniedChunk);
        this.#download.reject(neighbour, message);
        if (isFalseClaim && neighbour.denials.denied(deniedChunk))
          this.#misbehaved(neighbour, 'undelivered', 'it says that it has chunks, and refuses them one after another');
        return;
      }
      case 'interest':
        this.#upload.interest(neighbour, message.interested);
        return;
      case 'decline':
        this.#upload.decline(neighbour, message.grantId, message.reason);
        return;
      case 'request':
        this.#upload.request(neighbour, message, this.#nowMs);
        return;
      case 'pace':
        this.#upload.pace(neighbour, message.bytesPerSecond, this.#nowMs);
        return;
      case 'cancel':
        this.#upload.cancel(neighbour, message.requestId);
        return;
    }
  }

  #bitfield(neighbour: Neighbour, chunkCount: number, bytes: Uint8Array): void {
    if (chunkCount !== this.#layout.chunkCount) {
      this.#misbehaved(
        neighbour,
        'protocol',
        `a map of ${chunkCount} chunks for a content of ${this.#layout.chunkCount}`,
      );
      return;
    }
    try {
      for (const chunk of Bitfield.fromBytes(bytes, chunkCount)) neighbour.theirs.add(chunk);
    } catch (error) {
      this.#misbehaved(neighbour, 'protocol', ShoalError.from(error).message);
      return;
    }
    this.#mapped(neighbour);
  }

  #mapped(neighbour: Neighbour): void {
    neighbour.mapped = true;
    this.#unmapped.delete(neighbour);
    neighbour.complete = neighbour.theirs.isFull;
    this.#download.mapped(neighbour);
    this.#upload.mapped(neighbour);
    this.#exchange.mapped(neighbour, this.#nowMs);
    this.#closeIfUseless(neighbour);
  }

  #theyGained(neighbour: Neighbour, chunkIndex: number): boolean {
    if (chunkIndex >= this.#layout.chunkCount) {
      this.#misbehaved(neighbour, 'protocol', `has chunk ${chunkIndex} of ${this.#layout.chunkCount}`);
      return false;
    }
    if (!neighbour.theirs.add(chunkIndex)) return true;
    this.#download.neighbourGained(neighbour, chunkIndex);
    this.#upload.neighbourGained(neighbour, chunkIndex);
    return true;
  }

  #theyLost(neighbour: Neighbour, chunkIndex: number): boolean {
    if (chunkIndex >= this.#layout.chunkCount) {
      this.#misbehaved(neighbour, 'protocol', `lost chunk ${chunkIndex} of ${this.#layout.chunkCount}`);
      return false;
    }
    if (!neighbour.theirs.has(chunkIndex)) return true;
    this.#download.neighbourLosing(neighbour, chunkIndex);
    neighbour.theirs.delete(chunkIndex);
    this.#upload.neighbourLost(neighbour, chunkIndex);
    return true;
  }

  #gained(chunkIndex: number, link: LinkId, byteCount: number): void {
    this.#upload.weGained(chunkIndex);
    this.#pendingHaves.push(chunkIndex);
    this.#actions.push({ type: 'gained', chunkIndex, link, byteCount });
    if (this.#download.wantsMore) return;
    this.#flushHaves();
    if (this.#have.isFull) this.#upload.becameComplete((chunk) => this.#download.copiesAtLeechers(chunk));
    this.#actions.push({ type: 'complete' });
    for (const neighbour of [...this.#neighbours.values()]) this.#closeIfUseless(neighbour);
  }

  #lost(chunkIndex: number): void {
    if (!this.#have.has(chunkIndex)) return;
    this.#download.lost(chunkIndex);
    this.#upload.weLost(chunkIndex);
    this.#pendingHaves = this.#pendingHaves.filter((one) => one !== chunkIndex);
    for (const neighbour of this.#neighbours.values()) {
      this.#actions.push({ type: 'send', link: neighbour.link, message: { type: 'lost', chunkIndexes: [chunkIndex] } });
    }
  }

  // ---- after every fact ----------------------------------------------------------------------------------------------------

  #settle(): void {
    if (this.#pendingHaves.length > 0 && this.#nowMs >= this.#haveFlushedAtMs + HAVE_COALESCE_MS) this.#flushHaves();
    if (this.#nowMs >= this.#exchange.nextDeadlineMs) this.#exchange.run(this.#nowMs);
    this.#dialler.run(this.#nowMs);
    this.#upload.schedule(this.#nowMs);
  }

  #flushHaves(): void {
    for (let at = 0; at < this.#pendingHaves.length; at += HAVE_CHUNKS_MAX) {
      const message: SwarmMessage = { type: 'have', chunkIndexes: this.#pendingHaves.slice(at, at + HAVE_CHUNKS_MAX) };
      for (const link of this.#neighbours.keys()) this.#actions.push({ type: 'send', link, message });
    }
    this.#pendingHaves = [];
    this.#haveFlushedAtMs = this.#nowMs;
  }

  // ---- ends ----------------------------------------------------------------------------------------------------------------

  #closeIfUseless(neighbour: Neighbour): void {
    if (this.#have.isFull && neighbour.mapped && neighbour.complete && this.#neighbours.has(neighbour.link)) {
      this.#close(neighbour, 'useless', 'both sides have everything');
    }
  }

  #closeUnmapped(): void {
    for (const neighbour of this.#unmapped) {
      if (this.#nowMs >= neighbour.linkedAtMs + MAP_TIMEOUT_MS)
        this.#close(neighbour, 'timeout', 'no map of chunks came');
    }
  }

  /** What has no use: the older of two links to one peer, and the least useful of many. */
  #closeSuperfluous(): void {
    if (this.#nowMs >= this.#duplicatesAtMs) {
      this.#duplicatesAtMs = Number.POSITIVE_INFINITY;
      for (;;) {
        const older = overdueDuplicate(this.#neighbours.values(), this.#nowMs);
        if (older === undefined) break;
        this.#close(older, 'duplicate', 'a newer connection has taken its place');
      }
    }
    const useless = this.#turnover.next(this.#nowMs, () => {
      return this.#neighbours.size > CONNECTIONS_PER_CONTENT_TARGET || this.#dialler.hasOthers(this.#nowMs);
    });
    if (useless !== undefined) this.#close(useless, 'useless', 'no chunk went either way for a minute');
  }

  #misbehaved(neighbour: Neighbour, offence: Offence, text: string): void {
    this.#ban(neighbour, offence, text);
    this.#close(neighbour, CLOSE_REASONS[offence], text);
  }

  #ban(neighbour: Neighbour, offence: Offence, text: string): void {
    const { key, address, candidateKey, outbound } = neighbour;
    const keys = new Set([key, candidateKey ?? key]);
    // what an accepted peer says of its address may be another's
    if (outbound) keys.add(address);
    const reached = outbound ? { key: candidateKey ?? key, address } : undefined;
    this.#punish({ key, address, offence, text, reached }, keys);
  }

  #punish(
    {
      key,
      address,
      offence,
      text,
      reached,
    }: Reached & { offence: Offence; text: string; reached: Reached | undefined },
    keys: Iterable<string>,
  ): void {
    let untilMs = 0;
    for (const one of keys) untilMs = Math.max(untilMs, this.#bans.punish(one, offence, this.#nowMs));
    this.#actions.push({ type: 'banned', key, address, offence, reason: text, untilMs, reached });
  }

  #close(neighbour: Neighbour, reason: CloseReason, text: string): void {
    if (!this.#neighbours.has(neighbour.link)) return;
    this.#actions.push({ type: 'close', link: neighbour.link, reason, text });
    this.#forget(neighbour, redialMs(reason));
  }

  #forget(neighbour: Neighbour, redialMs: number): void {
    this.#dialler.changed();
    this.#neighbours.delete(neighbour.link);
    this.#unmapped.delete(neighbour);
    this.#roundTrips.changed();
    this.#download.unlinked(neighbour, this.#nowMs);
    this.#upload.unlinked(neighbour, this.#nowMs);
    this.#exchange.unlinked(neighbour, this.#nowMs);
    if (neighbour.candidateKey !== undefined) this.#dials.ended(neighbour.candidateKey, this.#nowMs, redialMs);
  }
}

const CLOSE_REASONS: Readonly<Record<Offence, CloseReason>> = {
  integrity: 'integrity',
  protocol: 'protocol-error',
  undelivered: 'timeout',
};

/** How long a peer is not dialled after a link to it has ended. */
function redialMs(reason: CloseReason | undefined): number {
  if (reason === 'useless' || reason === 'duplicate') return REDIAL_USELESS_MS;
  return reason === 'full' ? REDIAL_FULL_MS : REDIAL_MS;
}
