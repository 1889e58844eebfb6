import { expect, test } from 'vitest';
import { alternate } from './alternate.ts';

test('systems take turns, and the first round is not counted', async () => {
  const order: string[] = [];
  const results = await alternate(['a', 'b'], 2, ({ system, round, counted }) => {
    order.push(`${system}${round}${counted ? '' : ' warm-up'}`);
    return Promise.resolve(`${system}${round}`);
  });
  expect(order).toEqual(['a0 warm-up', 'b0 warm-up', 'a1', 'b1', 'a2', 'b2']);
  expect(results).toEqual(['a1', 'b1', 'a2', 'b2']);
});
