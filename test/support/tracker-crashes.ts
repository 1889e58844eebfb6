/**
 * A tracker that is killed outright while several peers publish, again and again, at moments nobody chose. After each start everything
 * that was acknowledged is there, and nothing is there in part: every entry has its content, every content its manifest.
 */
import { DatabaseSync } from 'node:sqlite';
import { hash } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { expect } from 'vitest';
import { createChunkLayout } from '../../src/content/chunk-layout.ts';
import type { ContentId } from '../../src/content/digest.ts';
import { createManifest, type Manifest } from '../../src/content/manifest.ts';
import { createTrackerClient, type TrackerClient } from '../../src/peer/tracker-client.ts';
import { createRandom, type Random } from '../../src/swarm/random.ts';
import type { StartedTracker, World } from './world.ts';

const PUBLISHERS = 4;
/** Of a tracker's life, from its first call to well into its work. */
const LIFE_MS_MAX = 300;
const sha256 = (bytes: Uint8Array): Uint8Array<ArrayBuffer> => new Uint8Array(hash('sha256', bytes, 'buffer'));

export interface CrashStory {
  readonly crashes: number;
  /** Publications the tracker acknowledged, over all its lives, and entries that were found at the end. */
  readonly acknowledged: number;
  readonly found: number;
}

export async function crashTracker(world: World, crashes: number, seed: number): Promise<CrashStory> {
  const random = createRandom(seed);
  const data = await world.dir('tracker');
  const start = (): Promise<StartedTracker> => world.tracker(['--port', '0', '--data', data]);
  const acknowledged = new Map<string, ContentId>();
  let published = 0;
  for (let crash = 0; crash < crashes; crash++) {
    const tracker = await start();
    const client = createTrackerClient({ urls: [tracker.url], timeoutMs: 2_000 });
    try {
      const story = `seed ${seed}, crash ${crash}`;
      await checkCatalogue(client, acknowledged, random, story);
      const killed = new AbortController();
      const publishers = Array.from({ length: PUBLISHERS }, () =>
        publishOn(client, random, killed.signal, () => ++published, acknowledged),
      );
      await pause(random.next() * LIFE_MS_MAX);
      tracker.process.kill('SIGKILL');
      await tracker.process.ended();
      killed.abort();
      await Promise.all(publishers);
    } finally {
      client.close();
    }
    checkFile(join(data, 'tracker.sqlite'));
  }
  const tracker = await start();
  const client = createTrackerClient({ urls: [tracker.url] });
  try {
    const found = await checkCatalogue(client, acknowledged, random, `seed ${seed}, at the end`);
    return { crashes, acknowledged: acknowledged.size, found };
  } finally {
    client.close();
  }
}

/** One peer that publishes as fast as the tracker answers, until it is no more. */
async function publishOn(
  client: TrackerClient,
  random: Random,
  killed: AbortSignal,
  next: () => number,
  acknowledged: Map<string, ContentId>,
): Promise<void> {
  const peerId = Array.from({ length: 4 }, () => random.below(0x1_0000_0000).toString(16).padStart(8, '0')).join('');
  try {
    await client.register({
      peerId,
      addresses: [{ host: '127.0.0.1', port: 9 }],
      dialects: ['native'],
      agent: 'crash',
      holdings: [],
    });
    while (!killed.aborted) {
      const batch = Array.from({ length: 1 + random.below(8) }, () => {
        const number = next();
        return { name: `file ${number}`, manifest: manifestOf(number, 2 + random.below(400)) };
      });
      const results = await client.publish(peerId, batch);
      results.forEach((result, index) => {
        const item = batch[index];
        if (result.problem === undefined && item !== undefined) acknowledged.set(item.name, item.manifest.contentId);
      });
    }
  } catch {
    // it was killed in the middle of a call: nobody was promised anything
  }
}

/** All that was promised is there; a sample of what is there is whole. Answers how many entries there are. */
async function checkCatalogue(
  client: TrackerClient,
  acknowledged: ReadonlyMap<string, ContentId>,
  random: Random,
  story: string,
): Promise<number> {
  const listed = new Map<string, string>();
  for (let after = ''; ;) {
    const page = await client.listFiles({ after, includeOffline: true });
    for (const { name, contentId } of page.entries) listed.set(name, contentId);
    if (page.nextAfter === '') break;
    after = page.nextAfter;
  }
  const lost = [...acknowledged].filter(([name, contentId]) => listed.get(name) !== contentId);
  expect(lost, story).toEqual([]);
  const names = [...listed];
  for (let draw = 0; draw < Math.min(20, names.length); draw++) {
    const [name, contentId] = names[random.below(names.length)] ?? ['', ''];
    // the client checks that the bytes hash to the contentId
    const manifest = await client.manifest(contentId as ContentId);
    expect(manifest.contentId, `${story}: the manifest of ${name}`).toBe(contentId);
  }
  return listed.size;
}

/** As the dead process left it: whole, and nothing in it in part. */
export function checkFile(path: string): void {
  const database = new DatabaseSync(path);
  try {
    const count = (sql: string): number => Number(Object.values(database.prepare(sql).get() ?? {})[0]);
    expect(Object.values(database.prepare('PRAGMA integrity_check').get() ?? {})).toEqual(['ok']);
    expect(count('SELECT count(*) FROM entries WHERE content_key NOT IN (SELECT key FROM contents)')).toBe(0);
    expect(count('SELECT count(*) FROM contents WHERE key NOT IN (SELECT content_key FROM entries)')).toBe(0);
    // the manifest of a single chunk follows from its content and is not kept
    const unread = 'SELECT count(*) FROM contents WHERE chunk_count > 1 AND content_id NOT IN';
    expect(count(`${unread} (SELECT content_id FROM manifests)`)).toBe(0);
  } finally {
    database.close();
  }
}

function manifestOf(seed: number, chunkCount: number): Manifest {
  const layout = createChunkLayout(chunkCount * 65_536, 65_536);
  const digests = new Uint8Array(chunkCount * 32);
  for (let index = 0; index < chunkCount; index++)
    digests.set(sha256(new TextEncoder().encode(`${seed}/${index}`)), index * 32);
  return createManifest(layout, sha256(new TextEncoder().encode(`${seed}`)), digests, sha256);
}
