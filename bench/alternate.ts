/** The order of runs that every benchmark here keeps: systems in turns, so that a slow minute of the machine falls on all of them. */

export interface Turn<S> {
  readonly system: S;
  /** 0: the warm-up, not counted; it pays for memory and disk the machine hands out for the first time. */
  readonly round: number;
  readonly counted: boolean;
}

/** One uncounted round, then `runCount` counted ones: A B C, A B C, ... Returns the counted results in the order of the runs. */
export async function alternate<S, R>(
  systems: readonly S[],
  runCount: number,
  runOnce: (turn: Turn<S>) => Promise<R>,
): Promise<readonly R[]> {
  const results: R[] = [];
  for (let round = 0; round <= runCount; round++) {
    for (const system of systems) {
      const result = await runOnce({ system, round, counted: round > 0 });
      if (round > 0) results.push(result);
    }
  }
  return results;
}
