import { expect, test } from 'vitest';
import { sha256OfFile } from '../support/contents.ts';
import { createWorld, doneOf } from '../support/world.ts';

const SIZE = 2 * 1024 * 1024;

test('IPv6 and host names do where IPv4 does', async (context) => {
  const world = await createWorld(context);
  // no --host and no --listen: all addresses of both families
  const started = world.run(['tracker', '--json', '--port', '0', '--store', 'memory']);
  const { port } = new URL(String((await started.event('listening'))['url']));
  const file = await world.file('six.bin', SIZE, 95);
  const share = world.run(['share', '--json', '--tracker', `http://[::1]:${port}`, ...file.paths]);
  const address = String((await share.event('listening'))['address']);
  const peerPort = address.slice(address.lastIndexOf(':') + 1);
  await share.event('ready');
  const want = async (target: string, ...flags: string[]) => {
    const done = await doneOf(world.run(['get', 'six.bin', '--json', '-o', `${world.folder}/${target}/`, ...flags]));
    expect(await sha256OfFile(done.path)).toBe(file.sha256);
    return done;
  };
  const six = await want('six', '--tracker', `http://[::1]:${port}`);
  expect(six.peers.map(({ address: from }) => from)).toEqual([`[::1]:${peerPort}`]);
  await want('name', '--tracker', `http://localhost:${port}`);
  await want('four', '--tracker', `http://127.0.0.1:${port}`);

  // without a tracker, by the peer's address alone
  await share.end();
  const again = world.run([
    'share',
    '--json',
    '--tracker',
    `http://[::1]:${port}`,
    '--listen',
    '[::1]:0',
    ...file.paths,
  ]);
  const there = String((await again.event('listening'))['address']);
  expect(there).toMatch(/^\[::1\]:\d+$/u);
  await again.event('ready');
  await started.end();
  const from = world.run([
    'get',
    six.content,
    '--json',
    '-o',
    `${world.folder}/from/`,
    '--tracker',
    'http://[::1]:9',
    '--from',
    there,
  ]);
  expect((await doneOf(from)).peers.map(({ address: source }) => source)).toEqual([there]);
});

test('a peer is named where it answers: by a name it advertises, and not where it does not', async (context) => {
  const world = await createWorld(context);
  const tracker = await world.tracker();
  const file = await world.file('here.bin', SIZE, 96, ['one', 'two', 'three']);
  const [one = '', two = '', three = ''] = file.paths;
  const named = async () => {
    const peers = world.run(['info', 'here.bin', '--json', '--tracker', tracker.url]);
    expect((await peers.ended()).code).toBe(0);
    const { sources } = JSON.parse(peers.stdout.toString()) as { sources: { addresses: string[] }[] };
    return sources.map(({ addresses }) => addresses);
  };
  const good = await world.share(tracker, [one], ['--advertise', 'localhost']);
  const port = good.address.split(':')[1] ?? '';
  expect(await named()).toEqual([[`localhost:${port}`]]);

  // a port where another peer is, or nobody: told at once, and nobody is sent there
  for (const [path, advertised] of [
    [two, `127.0.0.1:${port}`],
    [three, '127.0.0.1:9'],
  ] as const) {
    const lost = await world.share(tracker, [path], ['--advertise', advertised]);
    expect(await lost.process.event('unreachable')).toMatchObject({ addresses: [advertised] });
  }
  expect(await named()).toEqual([[`localhost:${port}`]]);
  const done = await doneOf(world.get(tracker, 'here.bin', ['-o', `${world.folder}/got/`]));
  expect(done.peers.map(({ peer }) => peer)).toEqual([good.peer]);
});

test('a tracker that is told so names what peers announce as it is', async (context) => {
  const world = await createWorld(context);
  const tracker = await world.tracker(['--port', '0', '--store', 'memory', '--no-dial-back']);
  const file = await world.file('here.bin', SIZE, 97);
  const share = await world.share(tracker, file.paths, ['--advertise', '127.0.0.1:9']);
  const info = world.run(['info', 'here.bin', '--json', '--tracker', tracker.url]);
  expect((await info.ended()).code).toBe(0);
  expect(JSON.parse(info.stdout.toString())).toMatchObject({ sources: [{ addresses: ['127.0.0.1:9'] }] });
  expect(share.process.events.filter(({ event }) => event.event === 'unreachable')).toEqual([]);
});
