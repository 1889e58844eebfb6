import { describe, expect, it } from 'vitest';
import { createRandom } from './random.ts';
import { SharedLink } from './shared-link.ts';

/** Feeds `rates` (bytes a second of each source) for every half second. */
function feed(link: SharedLink, rounds: number, rates: (round: number) => readonly number[]): void {
  const received = [0, 0, 0];
  for (let round = 0; round < rounds; round++) {
    rates(round).forEach((rate, index) => (received[index] = (received[index] ?? 0) + rate / 2));
    link.sample(
      round * 500,
      received.map((receivedBytes, index) => ({ link: index, receivedBytes })),
    );
  }
}

describe('SharedLink', () => {
  it('knows a link that sources share by what one gains when another loses', () => {
    const link = new SharedLink();
    const random = createRandom(1);
    feed(link, 20, () => {
      const [a, b] = [0.1 + 0.4 * random.next(), 0.1 + 0.4 * random.next()];
      return [a * 3e6, b * 3e6, (1 - a - b) * 3e6];
    });
    expect(link.isShared).toBe(true);
  });

  it('does not take steady sources for it, nor such that vary each by itself', () => {
    const steady = new SharedLink();
    feed(steady, 20, () => [1e6, 1.02e6, 0.98e6]);
    expect(steady.isShared).toBe(false);
    const random = createRandom(2);
    const independent = new SharedLink();
    feed(independent, 20, () => [1e6 * random.next(), 1e6 * random.next(), 1e6 * random.next()]);
    expect(independent.isShared).toBe(false);
  });

  it('says nothing of one source, or of a moment', () => {
    const one = new SharedLink();
    for (let round = 0; round < 30; round++) one.sample(round * 500, [{ link: 1, receivedBytes: (round % 3) * 1e6 }]);
    expect(one.isShared).toBe(false);
    const short = new SharedLink();
    feed(short, 8, (round) => [round % 2 === 0 ? 1e6 : 2e6, round % 2 === 0 ? 2e6 : 1e6, 1e6]);
    expect(short.isShared).toBe(false);
  });
});
