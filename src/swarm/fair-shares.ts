/** How much of something each of several gets: in proportion to their weights, but what one cannot use goes to the others. */
export interface Claim {
  readonly weight: number;
  /** More than this it cannot use; Infinity: whatever there is. */
  readonly most: number;
}

/** @returns a share for each claim, in their order, and what nobody can use. */
export function fairShares(
  total: number,
  claims: readonly Claim[],
): { readonly shares: readonly number[]; readonly left: number } {
  const shares = claims.map(() => 0);
  let left = total;
  let open = claims.map((_, at) => at);
  while (open.length > 0 && left > 0) {
    const perWeight = left / open.reduce((sum, at) => sum + (claims[at] as Claim).weight, 0);
    const content = open.filter((at) => (claims[at] as Claim).most <= perWeight * (claims[at] as Claim).weight);
    // when nobody has enough with an even share, everybody gets one
    const served = content.length > 0 ? content : open;
    for (const at of served) {
      const { most, weight } = claims[at] as Claim;
      shares[at] = Math.min(most, perWeight * weight);
      left -= shares[at];
    }
    open = content.length > 0 ? open.filter((at) => !content.includes(at)) : [];
  }
  return { shares, left: Math.max(0, left) };
}
