/**
 * Peers tell each other whom they are linked to, so that a swarm finds itself without a tracker. What we pass on is only what we
 * know for ourselves: the address of a peer that we dialled there, or that answered there when we knocked. What we are told is
 * only a hint: dial-plan.ts ranks it below what the tracker lists and bounds it by source.
 *
 * A link hears of others soon after its map, when the first few have gathered, and then of changes, at most every
 * PEX_INTERVAL_MS. A newcomer for whom there is no room gets one such message before it is sent away: it leaves with somewhere
 * to go. Addresses pass only where their scope says that they may (address-scope.ts).
 */
import {
  PEX_FIRST_MS,
  PEX_INTERVAL_MS,
  PEX_PEERS_MAX,
  PEX_PROBES_MAX,
  PEX_PROBE_AFTER_MS,
  PEX_RECEIVE_INTERVAL_MIN_MS,
} from '../limits.ts';
import { addressScope, hostOf, mayPass } from './address-scope.ts';
import type { SwarmContext } from './context.ts';
import type { DialPlan, ToldPeer } from './dial-plan.ts';
import type { LinkId, SwarmMessage } from './facts.ts';
import type { Neighbour } from './neighbour.ts';
import { shuffle } from './random.ts';

type PexMessage = Extract<SwarmMessage, { type: 'pex' }>;

/** What we have told and heard on one link. */
interface Line {
  /** Keys of peers it has been told of and that have not been taken back. */
  readonly told: Set<string>;
  /** When something is to be told; Infinity while there is nothing new. */
  dueAtMs: number;
  sentAtMs: number;
  heardAtMs: number;
  /** Whether the neighbour can be reached where it says that it listens. */
  standing: 'unknown' | 'probing' | 'verified' | 'unreachable';
}

export class PeerExchange {
  readonly #context: SwarmContext;
  readonly #dials: DialPlan;
  readonly #lines = new Map<LinkId, Line>();
  #enabled = true;
  #probing = 0;
  #nextMs = Number.POSITIVE_INFINITY;

  constructor(context: SwarmContext, dials: DialPlan) {
    this.#context = context;
    this.#dials = dials;
  }

  /** When `run` has something to do; Infinity when nothing waits for time. */
  get nextDeadlineMs(): number {
    return this.#enabled ? this.#nextMs : Number.POSITIVE_INFINITY;
  }

  /** Off: nothing is told and what we are told is not used. */
  setEnabled(enabled: boolean, nowMs: number): void {
    this.#enabled = enabled;
    this.#nextMs = nowMs;
  }

  /** A neighbour's map has come: it takes part. */
  mapped(neighbour: Neighbour, nowMs: number): void {
    const standing = neighbour.listensAt === undefined ? 'unreachable' : neighbour.outbound ? 'verified' : 'unknown';
    this.#lines.set(neighbour.link, {
      told: new Set(),
      dueAtMs: nowMs + PEX_FIRST_MS,
      sentAtMs: Number.NEGATIVE_INFINITY,
      heardAtMs: Number.NEGATIVE_INFINITY,
      standing,
    });
    this.#nextMs = Math.min(this.#nextMs, nowMs + (standing === 'unknown' ? PEX_PROBE_AFTER_MS : PEX_FIRST_MS));
    if (standing === 'verified') this.#changed(nowMs);
  }

  unlinked(neighbour: Neighbour, nowMs: number): void {
    const line = this.#lines.get(neighbour.link);
    if (line === undefined) return;
    this.#lines.delete(neighbour.link);
    if (line.standing === 'probing') this.#probing--;
    if (line.standing === 'verified') this.#changed(nowMs);
    this.#nextMs = Math.min(this.#nextMs, nowMs + PEX_PROBE_AFTER_MS);
  }

  /** What came of knocking where a neighbour says that it listens. */
  probed(neighbour: Neighbour, ok: boolean, nowMs: number): void {
    const line = this.#lines.get(neighbour.link);
    if (line?.standing !== 'probing') return;
    this.#probing--;
    line.standing = ok ? 'verified' : 'unreachable';
    this.#nextMs = Math.min(this.#nextMs, nowMs);
    if (ok) this.#changed(nowMs);
  }

  /** Whether the message was taken in. */
  receive(neighbour: Neighbour, { added, dropped }: PexMessage, nowMs: number): boolean {
    if (!this.#enabled || this.#context.have.isFull) return false;
    const line = this.#lines.get(neighbour.link);
    if (line !== undefined) {
      // too soon after the last: not worth a quarrel, and not worth the work
      if (nowMs - line.heardAtMs < PEX_RECEIVE_INTERVAL_MIN_MS) return false;
      line.heardAtMs = nowMs;
    }
    const theirScope = addressScope(neighbour.address);
    const source = theirScope === 'loopback' ? neighbour.key : hostOf(neighbour.address);
    this.#dials.untold(dropped, source);
    if (!this.#dials.mayBeTold(source)) return true;
    const peers = added.slice(0, PEX_PEERS_MAX).filter(({ address, key }) => {
      return key !== this.#context.options.ownKey && mayPass(addressScope(address), theirScope);
    });
    this.#dials.told(peers, source, nowMs);
    return true;
  }

  /** There is no room for this neighbour: it is told of others before it is sent away. */
  sendElsewhere(neighbour: Neighbour): void {
    if (!this.#enabled) return;
    const added = this.#pick(neighbour, new Set());
    if (added.length > 0) this.#context.send(neighbour, { type: 'pex', added, dropped: [] });
  }

  /** Knocks and tells where the time for it has come. */
  run(nowMs: number): void {
    if (!this.#enabled || nowMs < this.#nextMs) return;
    const { neighbours } = this.#context;
    this.#nextMs = Number.POSITIVE_INFINITY;
    for (const [link, line] of this.#lines) {
      const neighbour = neighbours.get(link);
      if (neighbour === undefined) continue;
      if (line.standing === 'unknown') this.#probe(neighbour, line, nowMs);
      if (line.dueAtMs <= nowMs) this.#tell(neighbour, line, nowMs);
      this.#nextMs = Math.min(this.#nextMs, line.dueAtMs);
    }
  }

  /** Whoever is alone with us has nobody to be told of. */
  #probe(neighbour: Neighbour, line: Line, nowMs: number): void {
    if (this.#probing >= PEX_PROBES_MAX || this.#lines.size < 2 || neighbour.listensAt === undefined) return;
    const dueAtMs = neighbour.linkedAtMs + PEX_PROBE_AFTER_MS;
    if (nowMs < dueAtMs) {
      this.#nextMs = Math.min(this.#nextMs, dueAtMs);
      return;
    }
    this.#probing++;
    line.standing = 'probing';
    this.#context.emit({ type: 'probe', link: neighbour.link, address: neighbour.listensAt, key: neighbour.key });
  }

  #tell(neighbour: Neighbour, line: Line, nowMs: number): void {
    const added = this.#pick(neighbour, line.told);
    const dropped: string[] = [];
    const linked = new Set<string>();
    for (const other of this.#context.neighbours.values()) linked.add(other.key);
    for (const key of line.told) if (!linked.has(key) && dropped.length < PEX_PEERS_MAX) dropped.push(key);
    line.dueAtMs = Number.POSITIVE_INFINITY;
    if (added.length === 0 && dropped.length === 0) return;
    for (const { key } of added) line.told.add(key);
    for (const key of dropped) line.told.delete(key);
    line.sentAtMs = nowMs;
    this.#context.send(neighbour, { type: 'pex', added, dropped });
    if (added.length === PEX_PEERS_MAX || dropped.length === PEX_PEERS_MAX) line.dueAtMs = nowMs + PEX_INTERVAL_MS;
  }

  /** Verified neighbours that this one may hear of and has not, as many as fit, at random when more. */
  #pick(neighbour: Neighbour, told: ReadonlySet<string>): ToldPeer[] {
    const theirScope = addressScope(neighbour.address);
    const peers: ToldPeer[] = [];
    for (const [link, line] of this.#lines) {
      const other = this.#context.neighbours.get(link);
      if (line.standing !== 'verified' || other?.listensAt === undefined || other.snubbed) continue;
      if (other.key === neighbour.key || told.has(other.key)) continue;
      // two that have everything have nothing for each other
      if (other.complete && neighbour.complete) continue;
      if (mayPass(addressScope(other.listensAt), theirScope)) peers.push({ address: other.listensAt, key: other.key });
    }
    shuffle(peers, this.#context.random);
    return peers.slice(0, PEX_PEERS_MAX);
  }

  /** Somebody can be told of now, or no longer. */
  #changed(nowMs: number): void {
    for (const line of this.#lines.values()) {
      line.dueAtMs = Math.min(line.dueAtMs, Math.max(line.sentAtMs + PEX_INTERVAL_MS, nowMs + PEX_FIRST_MS));
      this.#nextMs = Math.min(this.#nextMs, line.dueAtMs);
    }
  }
}
