import { describe, expect, test } from 'vitest';
import { clusterUnderTest, failOver, pairUnderTest } from '../support/store-failovers.ts';
import { need, REDIS_SERVER } from '../support/system-packages.ts';
import { createWorld } from '../support/world.ts';

/** `SHOAL_CRASHES` and `SHOAL_SEED` ask for other crowds of accidents; `SHOAL_STORE_REPLICAS=0` shows what is lost without waiting. */
const kills = Number(process.env['SHOAL_CRASHES'] ?? 20);
const seed = Number(process.env['SHOAL_SEED'] ?? 2026);
const flags = ['--store-replicas', process.env['SHOAL_STORE_REPLICAS'] ?? 'auto'];

describe.each([
  ['a server with a replica', pairUnderTest],
  ['a cluster with replicas', clusterUnderTest],
])('%s', (what, start) => {
  test(`${kills} primaries killed at random moments of publishing take nothing with them that was acknowledged`, async (context) => {
    need(context, REDIS_SERVER);
    const store = await start(context);
    const world = await createWorld(context);
    const story = await failOver(world, store, { kills, seed, flags });
    const { acknowledged, refused, lost } = story;
    process.stdout.write(
      `${what}: ${kills} kills, ${acknowledged} acknowledged, ${refused} refused, ${lost.length} lost\n`,
    );
    expect(acknowledged).toBeGreaterThan(kills);
    expect(lost).toEqual([]);
  });
});
