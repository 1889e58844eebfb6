import { expect, test } from 'vitest';
import { crashTracker } from '../support/tracker-crashes.ts';
import { createWorld } from '../support/world.ts';

/** `SHOAL_CRASHES` and `SHOAL_SEED` ask for other crowds of accidents. */
const CRASHES = Number(process.env['SHOAL_CRASHES'] ?? 100);
const SEED = Number(process.env['SHOAL_SEED'] ?? 2026);

test(`a tracker killed at ${CRASHES} random moments of publishing loses nothing it promised and has nothing in part`, async (context) => {
  const world = await createWorld(context);
  const { acknowledged, found } = await crashTracker(world, CRASHES, SEED);
  process.stdout.write(`${CRASHES} kills, ${acknowledged} publications acknowledged, ${found} entries found\n`);
  expect(acknowledged).toBeGreaterThan(CRASHES);
  expect(found).toBeGreaterThanOrEqual(acknowledged);
});
