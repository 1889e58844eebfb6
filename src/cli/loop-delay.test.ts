import { expect, it } from 'vitest';
import { watchLoopDelay } from './loop-delay.ts';

it('the delay of the main thread is measured only when asked for, and a blocked thread shows', async () => {
  expect(watchLoopDelay({})).toBeUndefined();
  const stop = watchLoopDelay({ SHOAL_LOOP_DELAY: '1' });
  // a first tick of the histogram, then a turn of 50 ms
  await new Promise((resolve) => setTimeout(resolve, 20));
  for (const end = performance.now() + 50; performance.now() < end;);
  await new Promise((resolve) => setTimeout(resolve, 20));
  const delay = stop?.();
  // a thread that was busy for 50 ms cannot have been on time
  expect(delay?.maxMs).toBeGreaterThan(10);
  expect(delay?.p99Ms).toBeLessThanOrEqual(delay?.maxMs ?? 0);
});
