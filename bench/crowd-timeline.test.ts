import { expect, test } from 'vitest';
import { timelineOf, type TrafficSample } from './crowd-timeline.ts';

const MB = 1e6;

/** A source that starts after 1 s and sends each of two leechers half of 10 MB at 1 MB/s in turns; they exchange the rest at once. */
const samples: TrafficSample[] = Array.from({ length: 61 }, (_none, index) => {
  const seconds = index / 4;
  const moved = Math.min(10, Math.max(0, seconds - 1)) * MB;
  return { seconds, sentBytes: [moved, moved / 2, moved / 2], receivedBytes: [0, moved, moved] };
});

test('moments and used links are read from the bytes on them', () => {
  const timeline = timelineOf(samples, { size: 10 * MB, bytesPerSecond: MB, endSeconds: 12 });
  expect(timeline.firstByteSeconds).toEqual([1.25, 1.25]);
  expect(timeline.firstCopySeconds).toBe(11);
  expect(timeline.sourceUplinkUsed).toBeCloseTo(1);
  expect(timeline.downlinksUsed).toBeCloseTo(9.75 / 10.75);
  expect(timeline.lastByteSeconds).toBe(11);
  expect(timeline.sentOverNeeded).toBeCloseTo(1);
});
