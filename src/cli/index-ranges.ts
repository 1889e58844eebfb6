/** Index lists as people write them: `3, 7-9, 12`. Pure. */

/** `indexes` ascending; after `rangesMax` ranges the others are counted. */
export function indexRanges(indexes: readonly number[], rangesMax: number): string {
  const ranges: string[] = [];
  let told = 0;
  for (let from = 0; from < indexes.length && ranges.length < rangesMax;) {
    let to = from;
    while (to + 1 < indexes.length && indexes[to + 1] === (indexes[to] ?? 0) + 1) to++;
    ranges.push(from === to ? `${indexes[from]}` : `${indexes[from]}-${indexes[to]}`);
    told += to - from + 1;
    from = to + 1;
  }
  const rest = indexes.length - told;
  return ranges.join(', ') + (rest > 0 ? ` and ${rest} more` : '');
}
