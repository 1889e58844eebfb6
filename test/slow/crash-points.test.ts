/**
 * A download that is killed outright, again and again, at moments nobody chose: what was reported as verified and written is there
 * at the next start, nothing else is trusted, and the file is right in the end.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createRandom } from '../../src/swarm/random.ts';
import { sha256OfFile } from '../support/contents.ts';
import type { ShoalProcess } from '../support/processes.ts';
import { createWorld, doneOf } from '../support/world.ts';

const MiB = 1024 * 1024;
const SIZE = 96 * MiB;
/** `SHOAL_CRASHES` and `SHOAL_SEED` ask for other crowds of accidents. */
const CRASHES = Number(process.env['SHOAL_CRASHES'] ?? 100);
const SEED = Number(process.env['SHOAL_SEED'] ?? 2026);
/** Of a download's life, from before its first byte to past its last. */
const LIFE_MS_MAX = 1_400;

/** What it has said is verified and written, so far; undefined before its first word. */
function reportedBytes(get: ShoalProcess): number | undefined {
  const said = get.events.findLast(({ event }) => event.event === 'progress')?.event['bytes'];
  return said === undefined ? undefined : Number(said);
}

test(`a get that is killed at ${CRASHES} random moments never yields a wrong byte`, async (context) => {
  const random = createRandom(SEED);
  const world = await createWorld(context);
  const tracker = await world.tracker();
  const file = await world.file('fragile.bin', SIZE, 44);
  await world.share(tracker, file.paths, ['--limit-up', '120M']);
  const path = join(world.folder, 'fragile.bin');
  const flags = ['-o', `${world.folder}/`];
  const story: string[] = [];

  let crashes = 0;
  let midTransfer = 0;
  let promised = 0;
  while (crashes < CRASHES) {
    const get = world.get(tracker, 'fragile.bin', flags);
    const killAfterMs = random.next() * LIFE_MS_MAX;
    const ended = await Promise.race([get.ended().then(() => true), pause(killAfterMs).then(() => false)]);
    if (!ended) {
      await get.end('SIGKILL');
      crashes++;
    }
    const [first] = get.events.filter(({ event }) => event.event === 'progress');
    const about = `seed ${SEED}, crash ${crashes} after ${Math.round(killAfterMs)} ms; before: ${story.slice(-3).join(' | ')}`;
    if (first !== undefined && !existsSync(path))
      expect(Number(first.event['bytes']), `${about}: less is left than was promised`).toBeGreaterThanOrEqual(promised);
    const reported = reportedBytes(get);
    story.push(`${Math.round(killAfterMs)} ms: ${reported ?? 'nothing'}`);
    if (reported !== undefined) promised = Math.max(promised, reported);
    if (!ended && promised > 0 && promised < SIZE) midTransfer++;
    if (!existsSync(path)) continue;
    expect(await sha256OfFile(path), about).toBe(file.sha256);
    await Promise.all([path, `${path}.part`, `${path}.journal`].map((one) => rm(one, { force: true })));
    promised = 0;
  }
  const done = await doneOf(world.get(tracker, 'fragile.bin', flags));
  expect(done.resumedBytes).toBeGreaterThanOrEqual(promised);
  expect(await sha256OfFile(path)).toBe(file.sha256);
  process.stdout.write(`${crashes} kills, ${midTransfer} of them with the file there in part\n`);
  // a run whose kills all fall outside of transfers would prove nothing
  expect(midTransfer).toBeGreaterThan(CRASHES / 10);
});
