/**
 * Which volunteers are to keep which chunks of one content, and which they need not keep any longer. A pure rule: the same view gives
 * the same plan in every tracker and at every time, so trackers that share a store do not fight, and an order said twice is one order.
 *
 * Who keeps a chunk is decided by a draw that is the same everywhere: every volunteer has a number for every chunk, and the highest
 * numbers keep it (rendezvous hashing). So copies spread evenly over those with room, one that comes or goes moves nothing but its own
 * share, and what is kept already counts before anything is drawn. Copies of a chunk go to different hosts while there are any.
 *
 * A copy counts when a volunteer that can be reached says that it has it. What a volunteer had that is away, and may come back, is not
 * made anew; but it is no reason to let go of another copy either.
 */
import type { Bitfield } from '../content/bitfield.ts';
import { chunkBytes, type ChunkLayout } from '../content/chunk-layout.ts';
import { REPLICA_CANDIDATES_MAX, REPLICA_ORDER_CHUNKS_MAX } from '../limits.ts';

export interface PlanVolunteer {
  readonly key: string;
  /** Of its first address; copies are spread over hosts. */
  readonly host: string;
  /** What it has of the content; null: all of it, undefined: nothing. */
  readonly chunks: Bitfield | null | undefined;
  /** Whether its copies count: not those of one that wants to be rid of some. */
  readonly counts: boolean;
  /** Whether it has them as replicas only, and may be told to drop some. */
  readonly mayDrop: boolean;
  /** Bytes it takes besides what it has; 0: none. */
  readonly freeBytes: number;
}

export interface PlanInput {
  /** Names the content in the draw. */
  readonly key: string;
  readonly layout: ChunkLayout;
  /** Copies of every chunk that there are to be. */
  readonly goal: number;
  /** Those that can be reached. */
  readonly volunteers: readonly PlanVolunteer[];
  /** What those had that are away, and not for good yet. */
  readonly away: readonly (Bitfield | null)[];
  /** Online peers that have a chunk, whoever they are: one without any cannot be copied. */
  readonly sourceCount: (chunkIndex: number) => number;
  /** Whether what is too much may go. */
  readonly mayTrim: boolean;
}

export interface PlanOrder {
  /** Chunks to fetch and keep, rarest first. */
  readonly hold: number[];
  readonly drop: number[];
  /** Bytes of `hold`. */
  holdBytes: number;
  /** Copies that there are of the first chunk of `hold`; Infinity without one. */
  rarity: number;
}

export interface ReplicaPlan {
  /** By volunteer; at most REPLICA_ORDER_CHUNKS_MAX chunks each way for one. */
  readonly orders: ReadonlyMap<string, PlanOrder>;
  /** Copies that count of the chunk that has the fewest. */
  readonly reached: number;
  /** Chunks that have fewer than the goal. */
  readonly missing: number;
  /** Of those: chunks for which there are not enough volunteers with room. */
  readonly unplaced: number;
  /** Whether there are copies beyond the goal. */
  readonly surplus: boolean;
}

interface Drawn {
  readonly volunteer: PlanVolunteer;
  readonly seed: number;
  freeBytes: number;
}

export function planReplicas(input: PlanInput): ReplicaPlan {
  const { layout, goal } = input;
  const { chunkCount } = layout;
  const all = input.volunteers.map((volunteer) => ({
    volunteer,
    seed: hashText(`${input.key}/${volunteer.key}`),
    freeBytes: volunteer.freeBytes,
  }));
  const holders = all.filter(({ volunteer }) => volunteer.chunks !== undefined);
  const counting = holders.filter(({ volunteer }) => volunteer.counts);
  const copies = countCopies(
    counting.map(({ volunteer }) => volunteer.chunks ?? null),
    chunkCount,
  );
  const expected = countCopies(input.away, chunkCount);
  const orders = new Map<string, PlanOrder>();
  const orderOf = ({ volunteer }: Drawn): PlanOrder => {
    let order = orders.get(volunteer.key);
    if (order === undefined) {
      order = { hold: [], drop: [], holdBytes: 0, rarity: Number.POSITIVE_INFINITY };
      orders.set(volunteer.key, order);
    }
    return order;
  };

  let reached = chunkCount === 0 ? goal : Number.POSITIVE_INFINITY;
  let missing = 0;
  for (const count of copies) {
    if (count < reached) reached = count;
    if (count < goal) missing++;
  }
  const unplaced = hold(input, all, copies, expected, orderOf);
  const surplus = drop(input, holders, copies, orderOf);
  return { orders, reached, missing, unplaced, surplus };
}

/** Gives chunks that have too few copies to those with the highest numbers among who has room. Says how many found too few. */
function hold(
  { layout, goal, sourceCount }: PlanInput,
  all: readonly Drawn[],
  copies: Uint16Array,
  expected: Uint16Array,
  orderOf: (drawn: Drawn) => PlanOrder,
): number {
  const wanting = rarestFirst(copies, expected, goal, sourceCount);
  if (wanting.length === 0) return 0;
  const candidates = drawCandidates(all, layout.chunkSize);
  let unplaced = 0;
  let full = 0;
  for (const chunk of wanting) {
    if (full === candidates.length && full > 0) break; // the rest comes with later orders
    const byteCount = chunkBytes(layout, chunk);
    const need = goal - (copies[chunk] as number) - (expected[chunk] as number);
    const hosts = new Set<string>();
    for (const { volunteer } of all) if (volunteer.counts && has(volunteer, chunk)) hosts.add(volunteer.host);
    const free = candidates.filter((one) => one.freeBytes >= byteCount && !has(one.volunteer, chunk));
    const chosen = choose(free, chunk, need, hosts);
    if (chosen.length < need) unplaced++;
    for (const one of chosen) {
      const order = orderOf(one);
      one.freeBytes -= byteCount;
      if (order.hold.length >= REPLICA_ORDER_CHUNKS_MAX) continue;
      if (order.hold.length === 0) order.rarity = copies[chunk] as number;
      order.hold.push(chunk);
      order.holdBytes += byteCount;
      if (order.hold.length === REPLICA_ORDER_CHUNKS_MAX) full++;
    }
  }
  return unplaced;
}

/** Lets go of what is beyond the goal, from those with the lowest numbers. Says whether there is any. */
function drop(
  { goal, mayTrim }: PlanInput,
  holders: readonly Drawn[],
  copies: Uint16Array,
  orderOf: (drawn: Drawn) => PlanOrder,
): boolean {
  if (!holders.some(({ volunteer }) => volunteer.mayDrop)) return false;
  let surplus = false;
  for (let chunk = 0; chunk < copies.length; chunk++) {
    // only copies that count are a reason to let go of another
    if ((copies[chunk] as number) < goal) continue;
    const having = holders.filter(({ volunteer }) => has(volunteer, chunk));
    if (having.length <= goal) continue;
    const counting = having.filter(({ volunteer }) => volunteer.counts);
    const staying = counting.filter(({ volunteer }) => !volunteer.mayDrop);
    const hosts = new Set(staying.map(({ volunteer }) => volunteer.host));
    const others = counting.filter(({ volunteer }) => volunteer.mayDrop);
    const kept = new Set([...staying, ...choose(others, chunk, goal - staying.length, hosts)]);
    for (const one of having) {
      if (kept.has(one) || !one.volunteer.mayDrop) continue;
      surplus = true;
      if (!mayTrim) return true;
      const { drop: dropped } = orderOf(one);
      if (dropped.length < REPLICA_ORDER_CHUNKS_MAX) dropped.push(chunk);
    }
  }
  return surplus;
}

/** The highest numbers for this chunk: first on hosts that have no copy, then on any. */
function choose(from: readonly Drawn[], chunk: number, count: number, hosts: ReadonlySet<string>): readonly Drawn[] {
  if (count <= 0) return [];
  const ranked = from.toSorted(
    (a, b) => numberOf(b, chunk) - numberOf(a, chunk) || (a.volunteer.key < b.volunteer.key ? -1 : 1),
  );
  const taken = new Set(hosts);
  const chosen = new Set<Drawn>();
  for (const one of ranked) {
    if (chosen.size === count) break;
    if (taken.has(one.volunteer.host)) continue;
    taken.add(one.volunteer.host);
    chosen.add(one);
  }
  for (const one of ranked) {
    if (chosen.size === count) break;
    chosen.add(one);
  }
  return [...chosen];
}

/** Among very many volunteers, those that the draw gives to the content: its copies lie on a bounded number of them. */
function drawCandidates(all: readonly Drawn[], chunkSize: number): readonly Drawn[] {
  const free = all.filter(({ freeBytes, volunteer }) => volunteer.counts && freeBytes > 0);
  if (free.length <= REPLICA_CANDIDATES_MAX) return free;
  const roomy = free.filter(({ freeBytes }) => freeBytes >= chunkSize);
  return roomy
    .toSorted((a, b) => b.seed - a.seed || (a.volunteer.key < b.volunteer.key ? -1 : 1))
    .slice(0, REPLICA_CANDIDATES_MAX);
}

/** Chunks with too few copies that somebody has: fewest copies first, then fewest sources. A counting sort: there may be a million. */
function rarestFirst(
  copies: Uint16Array,
  expected: Uint16Array,
  goal: number,
  sourceCount: (chunkIndex: number) => number,
): readonly number[] {
  const classes: number[][] = [];
  for (let chunk = 0; chunk < copies.length; chunk++) {
    const count = copies[chunk] as number;
    if (count + (expected[chunk] as number) >= goal) continue;
    const sources = sourceCount(chunk);
    if (sources > 0) (classes[count * SOURCE_CLASSES + Math.min(sources, SOURCE_CLASSES - 1)] ??= []).push(chunk);
  }
  return classes.flat();
}

/** Chunks with this many sources, or more, are alike. */
const SOURCE_CLASSES = 64;

function countCopies(maps: readonly (Bitfield | null)[], chunkCount: number): Uint16Array {
  const counts = new Uint16Array(chunkCount);
  let everywhere = 0;
  for (const chunks of maps) {
    if (chunks === null) everywhere++;
    else for (const chunk of chunks) counts[chunk] = (counts[chunk] as number) + 1;
  }
  if (everywhere > 0)
    for (let chunk = 0; chunk < chunkCount; chunk++) counts[chunk] = (counts[chunk] as number) + everywhere;
  return counts;
}

function has({ chunks }: PlanVolunteer, chunk: number): boolean {
  return chunks === null || (chunks?.has(chunk) ?? false);
}

/** The volunteer's number for a chunk. */
function numberOf({ seed }: Drawn, chunk: number): number {
  return mix(seed ^ Math.imul(chunk + 1, 0x9e37_79b1));
}

/** FNV-1a over the code units. */
function hashText(text: string): number {
  let hash = 0x811c_9dc5;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x0100_0193);
  return mix(hash);
}

/** The finalizer of MurmurHash3: every bit of the answer hangs on every bit of the question. */
function mix(value: number): number {
  let mixed = value;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85eb_ca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2_ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
