import { expect, test } from 'vitest';
import { createMetrics } from './metrics.ts';
import { createBench } from '../test-fixtures.ts';

test('a histogram counts every call once and in the right bucket', async () => {
  const { registry, clock } = await createBench();
  const metrics = createMetrics(registry, () => clock.nowMs);
  for (const milliseconds of [0.1, 3, 20, 90_000]) metrics.called('GET', '/files', 200, milliseconds);
  const lines = metrics.text().split('\n');
  const bucket = (le: string): string => `shoal_tracker_call_seconds_bucket{route="/files",le="${le}"}`;
  for (const expected of ['0.00025', '0.001', '0.005', '0.02', '10', '+Inf'].map(
    (le, index) => `${bucket(le)} ${[1, 1, 2, 3, 3, 4][index]}`,
  ))
    expect(lines).toContain(expected);
  expect(lines).toContain('shoal_tracker_call_seconds_count{route="/files"} 4');
});
