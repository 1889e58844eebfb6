/** What real nodes say of why things wait: in progress events, in status, and chunk by chunk. */
import { expect, test } from 'vitest';
import { createWorld, type World } from '../support/world.ts';
import type { ShoalProcess } from '../support/processes.ts';

interface Progress {
  readonly bytes: number;
  readonly total: number;
  readonly bottleneck: string | null;
  readonly reasons: Readonly<Record<string, number>>;
}

/** The progress from its first quarter to its end, without the last word. */
function middle(get: ShoalProcess): Progress[] {
  const all = get.events
    .map(({ event }) => event)
    .filter(({ event }) => event === 'progress')
    .map((event) => event as unknown as Progress);
  return all.filter(({ bytes, total }) => bytes > total / 4 && bytes < total);
}

// side by side: one waits for limits, the other for a source that is gone

/** What was said most. */
function mostly(said: readonly (string | null)[]): string | null {
  const counts = new Map<string | null, number>();
  for (const one of said) counts.set(one, (counts.get(one) ?? 0) + 1);
  return [...counts].toSorted(([, a], [, b]) => b - a)[0]?.[0] ?? null;
}

async function asked(world: World, home: string, args: readonly string[]): Promise<unknown> {
  const process = world.run([...args, '--json'], { home });
  expect(await process.ended()).toEqual({ code: 0, signal: null });
  return JSON.parse(process.stdout.toString());
}

test.concurrent('a download held up by its own limit says rate-limit; by a slow source, source; and so do status and its chunks', async (context) => {
  const world = await createWorld(context);
  const home = await world.dir('home');
  const tracker = await world.tracker();
  const file = await world.file('explained.bin', 24 * 1024 * 1024, 5);
  const share = await world.share(tracker, file.paths, [], { home });

  const get = world.get(tracker, file.name, ['-o', `${await world.dir('a')}/`, '--limit-down', '4M'], { home });
  await get.eventWhere(({ event, bytes }) => event === 'progress' && Number(bytes) > file.size / 3, 'a third is there');
  const nodes = (await asked(world, home, ['status'])) as {
    readonly limitDown: number | null;
    readonly transfers: readonly { readonly bottleneck: string | null; readonly state: string }[];
  }[];
  const fetching = nodes.find(({ limitDown }) => limitDown === 4_000_000);
  expect(fetching?.transfers[0]).toMatchObject({ state: 'fetching', bottleneck: 'rate-limit' });
  const chunks = (await asked(world, home, ['status', '--chunks', file.name])) as {
    readonly missingCount: number;
    readonly ranges: readonly { readonly first: number; readonly last: number; readonly reason: string | null }[];
  }[];
  const [transfer] = chunks;
  expect(chunks).toHaveLength(1);
  expect(transfer?.ranges.reduce((sum, { first, last }) => sum + last - first + 1, 0)).toBe(transfer?.missingCount);
  expect(transfer?.ranges.map(({ reason }) => reason)).toContain('rate-limit');
  expect((await get.ended(60_000)).code).toBe(0);
  expect(mostly(middle(get).map(({ bottleneck }) => bottleneck))).toBe('rate-limit');
  for (const { bytes, total, reasons } of middle(get)) {
    const waiting = Object.values(reasons).reduce((sum, count) => sum + count, 0);
    // what is not counted is coming: a few chunks at a time
    expect(waiting * 65_536).toBeGreaterThanOrEqual(total - bytes - 64 * 65_536);
  }

  // the limit of the running source is changed: now the source is what the next one waits for
  await asked(world, home, ['limit', '--up', '4M', '--node', share.address]);
  const next = world.get(tracker, file.name, ['-o', `${await world.dir('b')}/`], { home });
  await next.eventWhere(
    ({ event, bytes }) => event === 'progress' && Number(bytes) > file.size / 3,
    'a third is there',
  );
  const sources = (await asked(world, home, ['status'])) as {
    readonly limitUp: number | null;
    readonly transfers: readonly { readonly bottleneck: string | null }[];
  }[];
  expect(sources.find(({ limitUp }) => limitUp === 4_000_000)?.transfers[0]?.bottleneck).toBe('rate-limit');
  expect((await next.ended(60_000)).code).toBe(0);
  expect(mostly(middle(next).map(({ bottleneck }) => bottleneck))).toBe('source');
});

test.concurrent('chunks that nobody has are said to have no source', async (context) => {
  const world = await createWorld(context);
  const home = await world.dir('home');
  const tracker = await world.tracker();
  const file = await world.file('gone.bin', 64 * 1024 * 1024, 6);
  const share = await world.share(tracker, file.paths, ['--limit-up', '20M'], { home });
  const get = world.get(tracker, file.name, ['-o', `${await world.dir('a')}/`, '--stall-timeout', '4'], { home });
  await get.eventWhere(({ event, bytes }) => event === 'progress' && Number(bytes) > 0, 'something is there');
  share.process.kill('SIGKILL');
  const stalled = await get.eventWhere(
    ({ event, stalled: why }) => event === 'progress' && why === 'no-source',
    'it stalls',
  );
  expect(Object.keys(stalled['reasons'] as object)).toEqual(['no-source']);
  expect((await get.ended(60_000)).code).toBe(4);
});
