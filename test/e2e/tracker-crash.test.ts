import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { eventually } from '../support/deadline.ts';
import { restGet } from '../support/rest.ts';
import { checkFile, crashTracker } from '../support/tracker-crashes.ts';
import { createWorld } from '../support/world.ts';

test('a tracker killed in the middle of writes starts again with all it promised and nothing half-written', async (context) => {
  const world = await createWorld(context);
  const { acknowledged, found } = await crashTracker(world, 5, 2026);
  expect(acknowledged).toBeGreaterThan(0);
  expect(found).toBeGreaterThanOrEqual(acknowledged);
});

test('a node whose tracker is killed in the middle of its publishing repeats it by itself', async (context) => {
  const world = await createWorld(context);
  const data = await world.dir('data');
  const folder = await world.dir('many');
  const count = 6_000;
  for (let number = 0; number < count; number++) await writeFile(join(folder, `${number}.txt`), `file ${number}`);
  const tracker = await world.tracker(['--port', '0', '--data', data]);
  const { port } = new URL(tracker.url);
  const share = world.run(['share', folder, '--json', '--tracker', tracker.url, '--listen', '127.0.0.1:0']);
  await eventually(
    async () => ((await restGet(tracker.url, '/files?limit=1')).json as object[]).length > 0,
    'some are known',
  );
  tracker.process.kill('SIGKILL');
  await tracker.process.ended();
  expect(share.events.some(({ event: { event } }) => event === 'ready')).toBe(false);
  checkFile(join(data, 'tracker.sqlite'));

  const again = await world.tracker(['--port', port, '--data', data]);
  await share.event('ready');
  const rows = (await restGet(again.url, '/files?limit=10000')).json as { name: string; seeders: number }[];
  expect(rows.filter(({ seeders }) => seeders === 1)).toHaveLength(count);
});
