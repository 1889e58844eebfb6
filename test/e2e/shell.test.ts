import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { sha256OfFile } from '../support/contents.ts';
import { eventually } from '../support/deadline.ts';
import { restGet, type PeerRow } from '../support/rest.ts';
import { openTerminal } from '../support/terminal.ts';
import { createWorld } from '../support/world.ts';

test('the shell in a terminal: connect, list, complete, download both ways, publish, look, leave', async (context) => {
  const world = await createWorld(context);
  const tracker = await world.tracker();
  const file = await world.file('big file.bin', 6_000_000, 91, ['peer-1', 'peer-2']);
  await world.file('mine.bin', 200_000, 92, ['own']);
  for (const path of file.paths) await world.share(tracker, [path]);
  const { hostname, port } = new URL(tracker.url);

  const shell = await openTerminal(context, world, ['shell']);
  await shell.shows(/help lists the commands.*\nshoal>$/u);
  await shell.type(`connect ${hostname} ${port}`, 'Enter');
  await shell.shows(/connected to .* as [0-9a-f]{12} on /u);
  await shell.completes('list_f', /shoal> list_file$/u);
  await shell.type('', 'Enter');
  await shell.shows(/shoal> list_file\nNAME .*\nbig file\.bin +5\.72 MiB +2 +0 .*\nshoal>$/u);
  await shell.type('list_peers', 'Enter');
  const peers = await shell.shows(/SPEAKS[\s\S]*\nshoal>$/u);
  expect(peers.match(/ online /gu)).toHaveLength(3);

  await shell.completes('download bi', /download big\\ file\.bin$/u);
  await shell.type('one/', 'Enter');
  const single = await shell.shows(/big file\.bin verified\n.*served from now on\nshoal>$/u);
  // how far away it is may not be known yet when all is done
  expect(single.match(/✔ \d+ chunks? .* from 127\.0\.0\.1:\d+ in /gu)).toHaveLength(1);
  expect(await sha256OfFile(join(world.folder, 'one', file.name))).toBe(file.sha256);

  await shell.completes('publish own/mi', /publish own\/mine\.bin$/u);
  await shell.type('', 'Enter');
  await shell.shows(/published mine\.bin \(195 KiB\), sha256 [0-9a-f]{64}\nshoal>$/u);
  await shell.type('show', 'Enter');
  await shell.shows(/shoal> show\nmine\.bin \(195 KiB\)\nbig file\.bin \(5\.72 MiB of 5\.72 MiB, seeding\)\nshoal>$/u);
  await shell.type('getip', 'Enter');
  await shell.shows(/shoal> getip\n127\.0\.0\.1:\d+/u);
  await shell.type('status', 'Enter');
  await shell.shows(/tracker +http:.*\(connected\)/u);

  await shell.type('nonsense', 'Enter');
  await shell.shows(/there is no command nonsense\n.*\nshoal>$/u);
  await shell.type('half a line', 'C-c');
  await shell.shows(/half a line\^C\nshoal>$/u);
  await shell.type('', 'Up', 'Up', 'Enter');
  await shell.shows(/\(connected\)[\s\S]*shoal> status[\s\S]*\(connected\)/u);
  await shell.type('exit', 'Enter');
  expect(await shell.ended()).toBe(0);

  const history = await readFile(join(world.folder, 'home-of-terminal', 'shell-history'), 'utf8');
  expect(history.split('\n')[0]).toBe(`connect ${hostname} ${port}`);
  const online = ((await restGet(tracker.url, '/peers')).json as PeerRow[]).filter(({ state }) => state === 'online');
  expect(online).toHaveLength(2);
});

test('a tracker started in the shell is one for others, and Ctrl+C gives up a download, not the shell', async (context) => {
  const world = await createWorld(context);
  const shell = await openTerminal(context, world, ['shell']);
  await shell.type('start 127.0.0.1 0', 'Enter');
  const [, url = ''] = /tracker at (http:\S+)\n/u.exec(await shell.shows(/tracker at http:\S+\n/u)) ?? [];
  const file = await world.file('slow.bin', 8_000_000, 93);
  await world.share({ url, process: world.run(['--version']) }, file.paths, ['--limit-up', '200k']);
  await shell.type('list_file', 'Enter');
  await shell.shows(/slow\.bin +7\.63 MiB/u);

  await shell.type('download_adv slow.bin', 'Enter');
  await eventually(async () => /slow\.bin .* \d+ %/u.test(await shell.screen()), 'a bar');
  await shell.type('', 'C-c');
  await shell.shows(/was interrupted[\s\S]*\nshoal>$/u);
  await shell.type('', 'C-d');
  expect(await shell.ended()).toBe(0);
  await expect(fetch(`${url}/healthz`)).rejects.toThrow();
});
