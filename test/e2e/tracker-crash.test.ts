import { expect, test } from 'vitest';
import { crashTracker } from '../support/tracker-crashes.ts';
import { createWorld } from '../support/world.ts';

test('a tracker killed in the middle of writes starts again with all it promised and nothing half-written', async (context) => {
  const world = await createWorld(context);
  const { acknowledged, found } = await crashTracker(world, 5, 2026);
  expect(acknowledged).toBeGreaterThan(0);
  expect(found).toBeGreaterThanOrEqual(acknowledged);
});
