/**
 * Which sources to name to a peer that asks. All when they fit; else a rotated window, so that everybody is named about equally
 * often, from which those with few links are taken (the power of two choices keeps the graph near-regular). One or two complete
 * peers always come, never only complete ones while there are others, and the rarest chunks are covered.
 */
import { LOCATE_LOOKED_AT_MAX } from '../limits.ts';
import type { Holding, PeerRecord } from './records.ts';

/** Complete peers named when there are enough others. */
const COMPLETE_WANTED = 2;
/** Rarest chunks that are looked after when no complete peer covers everything anyway. */
const RAREST_LOOKED_AFTER = 8;
/** Members looked at for each that would do, where some cannot be named; and as many as it takes until one can. */
const LOOKED_AT_FACTOR = 4;

/** What of a content's swarm is chosen from. */
export interface SwarmMembers {
  readonly complete: readonly Holding[];
  readonly partial: readonly Holding[];
  readonly version: number;
  nextTurn(): number;
  rarestChunks(limit: number, from: number): readonly number[];
}

export interface ChoiceOptions {
  readonly limit: number;
  /** The peer that asks; left out. */
  readonly asking: PeerRecord | undefined;
  /** Whether it can be named to whoever asks. */
  readonly canUse: (holding: Holding) => boolean;
}

export function chooseSources(swarm: SwarmMembers, options: ChoiceOptions): readonly Holding[] {
  const { limit, asking } = options;
  const isOther = (holding: Holding): boolean => holding.peer !== asking && options.canUse(holding);
  const turn = swarm.nextTurn();
  const asksFrom = (list: readonly Holding[]): number =>
    asking !== undefined && list.some((h) => h.peer === asking) ? 1 : 0;
  if (swarm.complete.length + swarm.partial.length <= limit + 1) {
    const all = [...swarm.complete, ...swarm.partial].filter(isOther);
    if (all.length <= limit) return all;
  }
  // beyond the limit one more or less in the counts does not matter, unless the list is that short
  const completeCount = swarm.complete.length - (swarm.complete.length <= limit ? asksFrom(swarm.complete) : 0);
  const partialCount = swarm.partial.length - (swarm.partial.length <= limit ? asksFrom(swarm.partial) : 0);
  const atLeast = Math.min(completeCount, limit >= 3 ? COMPLETE_WANTED : 1);
  const completeWanted = Math.min(completeCount, Math.max(atLeast, limit - partialCount));
  const complete = pick(swarm.complete, completeWanted, turn, isOther);
  const chosen = [...complete, ...pick(swarm.partial, limit - complete.length, turn, isOther)];
  // complete peers that cannot be named to whoever asks cover nothing for it
  if (complete.length === 0) coverRarest(swarm, chosen, turn, isOther);
  return chosen;
}

/**
 * Those that became members, or complete, after a version: what a peer that was told of the swarm then does not know yet. Undefined when
 * that cannot be said in one answer: too many are new, or there are too many members to look through.
 */
export function newSources(
  swarm: SwarmMembers,
  sinceVersion: number,
  options: ChoiceOptions,
): readonly Holding[] | undefined {
  if (sinceVersion > swarm.version || swarm.complete.length + swarm.partial.length > LOCATE_LOOKED_AT_MAX)
    return undefined;
  const isNew = (holding: Holding): boolean =>
    holding.joinedVersion > sinceVersion && holding.peer !== options.asking && options.canUse(holding);
  const found = [...swarm.complete.filter(isNew), ...swarm.partial.filter(isNew)];
  return found.length <= options.limit ? found : undefined;
}

/** `count` members with the fewest links out of a window of twice as many, which moves on by `count` each turn. */
function pick(
  list: readonly Holding[],
  count: number,
  turn: number,
  isOther: (holding: Holding) => boolean,
): Holding[] {
  if (count <= 0 || list.length === 0) return [];
  const start = (turn * count) % list.length;
  const window: Holding[] = [];
  // as long as all can be used that is all that is looked at; where some cannot, others are looked for, within a bound
  const isEnough = (step: number): boolean =>
    window.length >=
    (step >= LOOKED_AT_FACTOR * (2 * count + 1) ? 1 : step > 2 * count ? count : Number.POSITIVE_INFINITY);
  const lookedAtMax = Math.min(list.length, LOCATE_LOOKED_AT_MAX);
  for (let step = 0; step < lookedAtMax && !isEnough(step); step++) {
    const holding = list[(start + step) % list.length] as Holding;
    if (isOther(holding)) window.push(holding);
  }
  return window.toSorted((a, b) => a.links - b.links).slice(0, count);
}

/** Makes sure that somebody with each of the rarest chunks is among the chosen, in place of those with the most links. */
function coverRarest(
  swarm: SwarmMembers,
  chosen: Holding[],
  turn: number,
  isOther: (holding: Holding) => boolean,
): void {
  const kept = new Set<Holding>();
  for (const chunkIndex of swarm.rarestChunks(RAREST_LOOKED_AFTER, turn)) {
    const has = (holding: Holding): boolean => holding.chunks?.has(chunkIndex) ?? true;
    const already = chosen.find(has);
    if (already !== undefined) {
      kept.add(already);
      continue;
    }
    const start = turn % swarm.partial.length;
    let holder: Holding | undefined;
    for (let step = 0; step < swarm.partial.length && holder === undefined; step++) {
      const candidate = swarm.partial[(start + step) % swarm.partial.length] as Holding;
      if (has(candidate) && isOther(candidate)) holder = candidate;
    }
    const replaced = chosen.findLastIndex((holding) => !kept.has(holding));
    if (holder === undefined || replaced < 0) continue;
    chosen[replaced] = holder;
    kept.add(holder);
  }
}
