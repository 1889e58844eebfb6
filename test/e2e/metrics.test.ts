/** What a tracker and two nodes say of a transfer to Prometheus. */
import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { eventually } from '../support/deadline.ts';
import { isThere, PROMTOOL } from '../support/system-packages.ts';
import { createWorld, doneOf } from '../support/world.ts';

async function scrape(url: string): Promise<string> {
  const answer = await fetch(url);
  expect(answer.status).toBe(200);
  expect(answer.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
  return answer.text();
}

function valueOf(text: string, series: string): number {
  const line = text.split('\n').find((one) => one.startsWith(`${series} `));
  if (line === undefined) throw new Error(`no ${series} in\n${text}`);
  return Number(line.slice(series.length + 1));
}

test('a transfer is seen in the figures of both nodes and of the tracker', async (context) => {
  const world = await createWorld(context);
  const tracker = await world.tracker();
  const size = 3_000_000;
  const file = await world.file('seen.bin', size, 77);
  const shared = await world.share(tracker, [file.paths[0] ?? ''], ['--metrics', '0']);
  const source = String((await shared.process.event('metrics'))['url']);
  expect(source).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/metrics$/u);
  const got = world.get(tracker, file.name, ['-o', `${await world.dir('got')}/`, '--seed', '--metrics', '127.0.0.1:0']);
  const sink = String((await got.event('metrics'))['url']);
  await doneOf(got);

  const received = await scrape(sink);
  const chunks = valueOf(received, 'shoal_peer_chunks_total{verdict="verified"}');
  expect(chunks).toBeGreaterThan(10);
  for (const [series, value] of [
    ['shoal_peer_kept_bytes_total', size],
    ['shoal_peer_received_bytes_total', size + valueOf(received, 'shoal_peer_wasted_bytes_total')],
    ['shoal_peer_chunks_total{verdict="rejected"}', 0],
    ['shoal_peer_chunk_seconds_count', chunks],
    ['shoal_peer_hash_seconds_count', chunks],
    ['shoal_peer_write_seconds_count', chunks],
    ['shoal_peer_contents{state="fetching"}', 0],
    ['shoal_peer_limit_bytes_per_second{direction="up"}', Number.NaN],
    ['shoal_peer_bans_total{offence="integrity"}', 0],
  ] as const)
    expect(valueOf(received, series), series).toBe(value);
  const sent = await eventually(async () => {
    const text = await scrape(source);
    return valueOf(text, 'shoal_peer_sent_bytes_total{dialect="native"}') >= size ? text : undefined;
  }, 'all of it has been sent');
  expect(valueOf(sent, 'shoal_peer_registered')).toBe(1);
  expect(valueOf(sent, 'shoal_peer_shared_files')).toBe(1);
  const seen = await eventually(async () => {
    const text = await scrape(`${tracker.url}/metrics`);
    return valueOf(text, 'shoal_tracker_swarm_members{role="seeder"}') === 2 ? text : undefined;
  }, 'the tracker knows that both have it');
  expect(valueOf(seen, 'shoal_tracker_swarms{state="complete"}')).toBe(1);
  expect(valueOf(seen, 'shoal_tracker_swarms_by_rarest_chunk{copies="2"}')).toBe(1);
  expect(valueOf(seen, 'shoal_tracker_events_total{type="content-complete"}')).toBe(1);

  for (const text of [received, sent, seen]) {
    expect(text).not.toContain(file.name);
    expect(text).not.toContain(file.sha256);
    if (!isThere(PROMTOOL)) continue;
    const { status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], { input: text, encoding: 'utf8' });
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: '', stderr: '' });
  }
  const elsewhere = sink.replace('/metrics', '/');
  expect((await fetch(elsewhere)).status).toBe(404);
  expect((await fetch(sink, { method: 'POST' })).status).toBe(405);

  const port = new URL(sink).port;
  const second = world.run(['share', '--json', '--tracker', tracker.url, '--metrics', port, file.paths[0] ?? '']);
  expect((await second.ended()).code).toBe(2);
});
