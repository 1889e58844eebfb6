/**
 * The tracker as peers see it: to who asks it names some of those alive, of twice as many drawn at random the ones with the fewest
 * links, so that the graph comes out nearly regular; and one or two complete peers, never only such.
 */
import type { Candidate } from '../src/swarm/facts.ts';
import type { Random } from '../src/swarm/random.ts';
import { candidateOf, type SimPeer } from './sim-peer.ts';

const SOURCES_MAX = 25;
const COMPLETE_MAX = 2;
/** Of those named, about so many are dialled. */
const DIALLED_SHARE = 0.5;

export class SimTracker {
  readonly #random: Random;
  readonly #sources: number;
  readonly #peers: SimPeer[] = [];
  /** How often each has been named: links that will be, while all join in one moment. */
  readonly #named = new Map<SimPeer, number>();
  readonly #placeOf = new Map<SimPeer, number>();

  /** @param degree links a peer is to have; fewer sources are named to get fewer. */
  constructor(random: Random, degree: number | undefined) {
    this.#random = random;
    this.#sources = Math.min(SOURCES_MAX, degree ?? SOURCES_MAX);
  }

  joined(peer: SimPeer): void {
    this.#placeOf.set(peer, this.#peers.length);
    this.#peers.push(peer);
  }

  left(peer: SimPeer): void {
    const place = this.#placeOf.get(peer);
    const last = this.#peers.pop();
    if (place === undefined || last === undefined) return;
    this.#placeOf.delete(peer);
    this.#named.delete(peer);
    if (last === peer) return;
    this.#peers[place] = last;
    this.#placeOf.set(last, place);
  }

  locate(asker: SimPeer): Candidate[] {
    const drawn = new Set<SimPeer>();
    const wanted = Math.min(2 * this.#sources, this.#peers.length - 1);
    for (let tries = 0; drawn.size < wanted && tries < 8 * wanted; tries++) {
      const peer = this.#peers[this.#random.below(this.#peers.length)] as SimPeer;
      if (peer !== asker && peer.alive) drawn.add(peer);
    }
    const linksOf = (peer: SimPeer): number => Math.max(peer.links.size, DIALLED_SHARE * (this.#named.get(peer) ?? 0));
    const byLinks = [...drawn].toSorted((a, b) => linksOf(a) - linksOf(b));
    const complete = byLinks.filter(({ swarm }) => swarm.isComplete);
    const fetching = byLinks.filter(({ swarm }) => !swarm.isComplete);
    // never only complete ones while there are others, and all of them when there is nobody else
    const few =
      fetching.length > 0 ? complete.slice(0, Math.max(COMPLETE_MAX, this.#sources - fetching.length)) : complete;
    const sources = [...few, ...fetching].slice(0, this.#sources);
    for (const peer of sources) this.#named.set(peer, (this.#named.get(peer) ?? 0) + 1);
    return sources.map(candidateOf);
  }
}
