import { expect, test } from 'vitest';
import { SHELL_COMPLETIONS_MAX } from '../../limits.ts';
import { trackerEntry } from '../fixtures.ts';
import { namesAtTracker } from './names-at-tracker.ts';

/** A tracker with these names, a few of them on each page. */
function trackerWith(
  names: readonly string[],
  rows = 2,
): { listFiles: Parameters<typeof namesAtTracker>[0]['listFiles']; pages: () => number } {
  let pages = 0;
  return {
    pages: () => pages,
    listFiles: ({ query = '', after = '' } = {}, signal) => {
      signal?.throwIfAborted();
      pages++;
      const matching = names.filter((name) => name.includes(query) && name > after).toSorted();
      const page = matching.slice(0, rows);
      const nextAfter = matching.length > rows ? (page.at(-1) ?? '') : '';
      return Promise.resolve({ entries: page.map((name) => trackerEntry({ name })), nextAfter });
    },
  };
}

test('names that only contain the word do not crowd out those that begin with it', async () => {
  const tracker = trackerWith(['a-big', 'b-big', 'c-big', 'big.bin', 'big two.bin']);
  expect(await namesAtTracker(tracker, 'big')).toEqual(['big two.bin', 'big.bin']);
});

test('there is an end to pages and to names', async () => {
  const tracker = trackerWith(
    Array.from({ length: 10_000 }, (_, index) => `n${10_000 + index}`),
    30,
  );
  expect(await namesAtTracker(tracker, 'n')).toHaveLength(SHELL_COMPLETIONS_MAX);
  expect(tracker.pages()).toBeLessThan(10);
});

test('when the time is over, what was found is the answer, and no answer is none', async () => {
  const tracker = trackerWith(['n1', 'n2', 'n3', 'n4']);
  const late = new AbortController();
  const slow: typeof tracker = {
    ...tracker,
    async listFiles(query, signal) {
      const page = await tracker.listFiles(query, signal);
      late.abort();
      return page;
    },
  };
  expect(await namesAtTracker(slow, 'n', late.signal)).toEqual(['n1', 'n2']);
  expect(await namesAtTracker(slow, 'n', late.signal)).toEqual([]);
});
