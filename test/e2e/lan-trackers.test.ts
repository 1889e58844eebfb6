/** Zero configuration: a tracker is found by whoever was told of none, on a network that is only the test's. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { eventually } from '../support/deadline.ts';
import { NAMESPACES, twoMachines } from '../support/namespaces.ts';
import { need } from '../support/system-packages.ts';
import { createWorld, doneOf } from '../support/world.ts';

const MDNS = { env: { SHOAL_MDNS: 'on' } };

test('a tracker on another machine is found by its announcement, used, and missed when it has gone', async (context) => {
  need(context, NAMESPACES);
  const [there, here] = await twoMachines(context);
  const folder = await createWorld(context);
  const serving = await createWorld(context, { launcher: await there.launcher(join(folder.folder, 'there')) });
  const asking = await createWorld(context, { launcher: await here.launcher(join(folder.folder, 'here')) });

  const nothing = asking.run(['ls'], MDNS);
  expect(await nothing.ended()).toMatchObject({ code: 6 });
  expect(nothing.stderr).toContain('none announces itself on this network');

  const tracker = serving.run(['tracker', '--json', '--port', '0', '--store', 'memory'], MDNS);
  const { port } = new URL(String((await tracker.event('listening'))['url']));
  const url = `http://${there.address}:${port}`;
  const file = await serving.file('found.bin', 400_000, 61);
  await serving.share({ url, process: tracker }, file.paths, ['--listen', '0.0.0.0:0']);

  const get = asking.run(['get', file.name, '--json'], MDNS);
  expect(await doneOf(get)).toMatchObject({ sha256: file.sha256 });
  expect(get.stderr).toContain(`no tracker was named; found ${url} (`);
  // the files travelled between the machines, at an address that nobody named
  expect((await doneOf(get)).peers.map(({ address }) => address.replace(/:\d+$/u, ''))).toEqual([there.address]);

  const quiet = asking.run(['ls', '--no-mdns'], MDNS);
  expect(await quiet.ended()).toMatchObject({ code: 6 });
  expect(quiet.stderr).not.toContain('found');

  await tracker.end();
  const after = asking.run(['ls'], MDNS);
  expect(await after.ended()).toMatchObject({ code: 6 });
});

test('a node that runs before the tracker does finds it when it comes', async (context) => {
  need(context, NAMESPACES);
  const [there, here] = await twoMachines(context);
  const folder = await createWorld(context);
  const serving = await createWorld(context, { launcher: await there.launcher(join(folder.folder, 'there')) });
  const sharing = await createWorld(context, { launcher: await here.launcher(join(folder.folder, 'here')) });
  const file = await sharing.file('early.bin', 400_000, 62);
  const share = sharing.run(['share', '--json', '--listen', '0.0.0.0:0', ...file.paths], MDNS);
  await share.event('listening'); // it has chosen: there was none

  const tracker = serving.run(['tracker', '--json', '--port', '0', '--store', 'memory'], MDNS);
  const { port } = new URL(String((await tracker.event('listening'))['url']));
  const found = `found http://${there.address}:${port} (`;
  await eventually(() => share.stderr.includes(found), 'it found the tracker that came');
  await eventually(async () => {
    const ls = serving.run(['ls', '--json', '--tracker', `http://127.0.0.1:${port}`]);
    await ls.ended();
    return ls.stdout.includes(file.name);
  }, 'the tracker knows of it');
  const get = serving.run(['get', file.name, '--json', '--tracker', `http://127.0.0.1:${port}`]);
  expect(await doneOf(get)).toMatchObject({ sha256: file.sha256 });
});

test('a private tracker, and one that is told to be quiet', async (context) => {
  need(context, NAMESPACES);
  const [there, here] = await twoMachines(context);
  const folder = await createWorld(context);
  const serving = await createWorld(context, { launcher: await there.launcher(join(folder.folder, 'there')) });
  const asking = await createWorld(context, { launcher: await here.launcher(join(folder.folder, 'here')) });
  const flags = ['--port', '0', '--store', 'memory'];
  const quiet = serving.run(['tracker', '--json', '--no-mdns', ...flags], MDNS);
  await quiet.event('listening');
  const token = serving.run(['token'], MDNS);
  await token.ended();
  const [secret = ''] = /\S{20,}/u.exec(token.stdout.toString()) ?? [];
  const closed = serving.run(['tracker', '--json', ...flags], { env: { SHOAL_MDNS: 'on', SHOAL_TOKEN: secret } });
  const { port } = new URL(String((await closed.event('listening'))['url']));
  const ls = asking.run(['ls'], MDNS);
  await eventually(() => ls.exit !== undefined, 'it has ended');
  expect(ls.stderr).toContain(`http://${there.address}:${port} (`);
  expect(ls.stderr).toContain('is private: it takes --tracker, and a token or a certificate');
});

test('of two trackers and a private one, an open one is used, the other named, and the private one left alone', async (context) => {
  need(context, NAMESPACES);
  const [there, here] = await twoMachines(context);
  const folder = await createWorld(context);
  const serving = await createWorld(context, { launcher: await there.launcher(join(folder.folder, 'there')) });
  const asking = await createWorld(context, { launcher: await here.launcher(join(folder.folder, 'here')) });
  const start = async (env: Readonly<Record<string, string>> = {}): Promise<string> => {
    const flags = ['tracker', '--json', '--port', '0', '--store', 'memory'];
    const tracker = serving.run(flags, { env: { SHOAL_MDNS: 'on', ...env } });
    return `http://${there.address}:${new URL(String((await tracker.event('listening'))['url'])).port}`;
  };
  const token = serving.run(['token'], MDNS);
  await token.ended();
  const [secret = ''] = /\S{20,}/u.exec(token.stdout.toString()) ?? [];
  const hidden = await start({ SHOAL_TOKEN: secret });
  const open = [await start(), await start()];

  await eventually(async () => {
    const ls = asking.run(['ls'], MDNS);
    expect(await ls.ended()).toMatchObject({ code: 0 });
    const [, used = ''] =
      /^shoal: no tracker was named; found (\S+) \(.*\) on this network and use it$/mu.exec(ls.stderr) ?? [];
    const [, other = ''] = /^shoal: --tracker chooses another: (\S+) \([^)]*\)$/mu.exec(ls.stderr) ?? [];
    expect(ls.stderr).not.toContain(hidden);
    expect(open).toContain(used);
    // the second may be heard a moment later than the first
    return other !== '' && [used, other].toSorted().join() === open.toSorted().join();
  }, 'both are told of');
});
