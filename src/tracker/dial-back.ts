/**
 * Which announced addresses may be named to others. A native peer's are dialled back first: only where that very peer answers, and
 * shows that it has the key of the swarm, are others sent. So nobody can point a swarm at somebody else, and of the addresses that a
 * peer in a container believes to have the right one is found without its being told. Peers of the plain calls keep their contract and
 * are named as they announce themselves; on a private tracker one at another address than its call came from has to answer there too.
 *
 * Decides what to dial and how often, and keeps what was found with the peer; the dialling itself is given (net/peer-probe.ts).
 */
import type { Reachability } from '../contract/reachability.ts';
import * as limits from '../limits.ts';
import { formatAddress, reporterGroup, isLoopback, isName, mayBeDialled } from './addresses.ts';
import { CallBudget } from './call-budget.ts';
import type { Address, PeerRecord } from './records.ts';

/** What has to answer there: the peer of this id, or whoever serves the first bytes of a file in the range dialect. */
export type Expected =
  | { readonly kind: 'native'; readonly peerId: string }
  | { readonly kind: 'range'; readonly name: string; readonly byteCount: number };

/** Whether it answers. `mayDial` judges what a name stands for. Never rejects. */
export type AddressProbe = (
  address: Address,
  expected: Expected,
  mayDial: (ip: string) => boolean,
  signal: AbortSignal,
) => Promise<boolean>;

export interface DialBackOptions {
  readonly probe: AddressProbe;
  readonly now: () => number;
  /** Peers of the plain calls have to be where their calls come from, or answer where they say that they are. */
  readonly plainToo: boolean;
  /** What is known of where a peer can be reached has changed. */
  readonly onChange: (peer: PeerRecord) => void;
  readonly dialsMax?: number;
}

/** What was found at one address, kept with the peer. */
export interface Proof {
  readonly ok: boolean;
  readonly atMs: number;
  /** Dials in a row that found nobody. */
  readonly failures: number;
}

interface Check {
  /** Addresses that are being dialled or wait for it. */
  readonly pending: Set<string>;
  readonly waiting: (() => void)[];
}

interface Job {
  readonly peer: PeerRecord;
  readonly address: Address;
  readonly expected: Expected;
  readonly fromLoopback: boolean;
}

export class DialBack {
  readonly #options: DialBackOptions;
  readonly #dialsMax: number;
  readonly #checks = new Map<PeerRecord, Check>();
  readonly #queue: Job[] = [];
  readonly #abort = new AbortController();
  readonly #callers = new CallBudget(BUDGET);
  readonly #targets = new CallBudget(BUDGET);
  #running = 0;
  /** Addresses that answered, and that did not. */
  readonly counts = { answered: 0, silent: 0 };

  constructor(options: DialBackOptions) {
    this.#options = options;
    this.#dialsMax = options.dialsMax ?? limits.DIAL_BACKS_MAX;
  }

  /** It has told its addresses, for the first time or again: what was found before is used, the rest is dialled. */
  announced(peer: PeerRecord, observedHost: string, nowMs: number): void {
    peer.observedHost = observedHost;
    if (peer.kind === 'plain' && !this.#isAsked(peer)) return;
    const told = new Set(peer.addresses.map(formatAddress));
    for (const text of peer.proofs.keys()) if (!told.has(text)) peer.proofs.delete(text);
    this.#apply(peer);
    this.#dialDue(peer, nowMs);
  }

  /** It is still there; what did not answer a while ago may now. */
  renewed(peer: PeerRecord, nowMs: number): void {
    if (nowMs >= peer.dialBackDueMs) this.#dialDue(peer, nowMs);
  }

  verdict(peer: PeerRecord): Reachability {
    if (peer.reachable === undefined) return 'unknown';
    if (peer.reachable.length > 0) return 'reachable';
    return peer.addresses.every((address) => peer.proofs.has(formatAddress(address))) ? 'unreachable' : 'unknown';
  }

  /** Resolves when an address of the peer is known to answer, or all are known not to, or after a while. */
  settled(peer: PeerRecord): Promise<void> {
    const check = this.#checks.get(peer);
    if (check === undefined || (peer.reachable?.length ?? 0) > 0) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, limits.DIAL_BACK_WAIT_MS);
      check.waiting.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  /** Dials no more; whoever waits goes on. */
  close(): void {
    this.#abort.abort();
    this.#queue.length = 0;
    for (const check of this.#checks.values()) tellAll(check);
    this.#checks.clear();
  }

  #isAsked({ addresses, observedHost }: PeerRecord): boolean {
    return this.#options.plainToo && addresses.some(({ host }) => host !== observedHost);
  }

  #dialDue(peer: PeerRecord, nowMs: number): void {
    const expected = expectedOf(peer);
    const fromLoopback = isLoopback(peer.observedHost);
    for (const address of peer.addresses) {
      const text = formatAddress(address);
      const proof = peer.proofs.get(text);
      if (this.#checks.get(peer)?.pending.has(text) === true) continue;
      if (proof !== undefined && nowMs < againAtMs(proof, address, peer)) continue;
      if (!mayBeDialled(address.host, fromLoopback)) this.#found(peer, address, false, nowMs);
      else if (expected !== undefined && this.#mayDialNow(peer, address, nowMs)) {
        this.#pendingOf(peer).add(text);
        this.#queue.push({ peer, address, expected, fromLoopback });
      }
    }
    this.#plan(peer, nowMs);
    this.#pump();
  }

  /** The connection's own address is dialled whenever it is asked for; to others, strangers can make us go only so often. */
  #mayDialNow({ observedHost }: PeerRecord, { host }: Address, nowMs: number): boolean {
    if (this.#abort.signal.aborted || this.#queue.length >= limits.DIAL_BACK_QUEUE_MAX) return false;
    if (host === observedHost) return true;
    return this.#callers.take(reporterGroup(observedHost), nowMs) && this.#targets.take(reporterGroup(host), nowMs);
  }

  #pump(): void {
    while (this.#running < this.#dialsMax) {
      const job = this.#queue.shift();
      if (job === undefined) return;
      this.#running++;
      void this.#dial(job);
    }
  }

  async #dial({ peer, address, expected, fromLoopback }: Job): Promise<void> {
    const text = formatAddress(address);
    const isWanted = (): boolean => peer.addresses.some((one) => formatAddress(one) === text);
    if (isWanted() && peer.lease !== undefined) {
      const signal = AbortSignal.any([this.#abort.signal, AbortSignal.timeout(limits.DIAL_BACK_TIMEOUT_MS)]);
      const mayDial = (ip: string): boolean => mayBeDialled(ip, fromLoopback);
      const ok = await this.#options.probe(address, expected, mayDial, signal);
      if (!this.#abort.signal.aborted && isWanted()) this.#found(peer, address, ok, this.#options.now());
    }
    this.#running--;
    this.#done(peer, text);
    this.#pump();
  }

  #found(peer: PeerRecord, address: Address, ok: boolean, atMs: number): void {
    this.counts[ok ? 'answered' : 'silent']++;
    const text = formatAddress(address);
    const failures = ok ? 0 : (peer.proofs.get(text)?.failures ?? 0) + 1;
    peer.proofs.set(text, { ok, atMs, failures });
    if (this.#apply(peer)) this.#options.onChange(peer);
    this.#plan(peer, atMs);
  }

  #done(peer: PeerRecord, text: string): void {
    const check = this.#checks.get(peer);
    if (check === undefined) return;
    check.pending.delete(text);
    if (check.pending.size === 0) this.#checks.delete(peer);
    if (check.pending.size === 0 || (peer.reachable?.length ?? 0) > 0) tellAll(check);
  }

  #pendingOf(peer: PeerRecord): Set<string> {
    let check = this.#checks.get(peer);
    if (check === undefined) {
      check = { pending: new Set(), waiting: [] };
      this.#checks.set(peer, check);
    }
    return check.pending;
  }

  /** Those of its addresses that answered, in its own order. Says whether that is another answer than before. */
  #apply(peer: PeerRecord): boolean {
    const before = peer.reachable;
    peer.reachable = peer.addresses.filter((address) => peer.proofs.get(formatAddress(address))?.ok === true);
    const { reachable } = peer;
    return before?.length !== reachable.length || !reachable.every((address, index) => address === before[index]);
  }

  #plan(peer: PeerRecord, nowMs: number): void {
    let dueMs = Number.POSITIVE_INFINITY;
    for (const address of peer.addresses) {
      const proof = peer.proofs.get(formatAddress(address));
      dueMs = Math.min(dueMs, proof === undefined ? nowMs + limits.RENEW_MS : againAtMs(proof, address, peer));
    }
    peer.dialBackDueMs = dueMs;
  }
}

const BUDGET = {
  burst: limits.DIAL_BACK_FOREIGN_BURST,
  perSecond: limits.DIAL_BACK_FOREIGN_PER_SECOND,
  keysMax: limits.DIAL_BACK_KEYS_MAX,
} as const;

/**
 * What answered is not asked again until it is announced anew, but a name may come to mean another address. What is silent is asked ever
 * more rarely where dials are counted: were it not, peers that nobody can reach would use up what others behind the same address need.
 */
function againAtMs({ ok, atMs, failures }: Proof, { host }: Address, { observedHost }: PeerRecord): number {
  if (!ok) {
    if (host === observedHost) return atMs + limits.DIAL_BACK_RETRY_MS;
    return atMs + Math.min(limits.DIAL_BACK_RETRY_MS * 2 ** (failures - 1), limits.DIAL_BACK_RETRY_MAX_MS);
  }
  return isName(host) ? atMs + limits.DIAL_BACK_NAME_MS : Number.POSITIVE_INFINITY;
}

/** Undefined: it has nothing yet by which it could be known. */
function expectedOf(peer: PeerRecord): Expected | undefined {
  if (peer.dialects.includes('native')) return { kind: 'native', peerId: peer.peerId };
  for (const { rangeName, content } of peer.holdings.values()) {
    const name = rangeName || content.entries.at(-1)?.name;
    if (name !== undefined && content.size > 0)
      return { kind: 'range', name, byteCount: Math.min(content.size, PROOF_BYTES) };
  }
  return undefined;
}

/** Of a file in the range dialect. */
const PROOF_BYTES = 16;

function tellAll(check: Check): void {
  for (const tell of check.waiting.splice(0)) tell();
}
