import { readFile } from 'node:fs/promises';
import { request } from 'node:https';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { connect } from 'node:tls';
import { expect, test } from 'vitest';
import { sha256OfFile } from '../support/contents.ts';
import { askRaw } from '../support/raw-range.ts';
import { createWorld, doneOf, type World } from '../support/world.ts';

const SIZE = 5 * 1024 * 1024;

/** The one command that makes all certificates, as a person would give it. */
async function certificates(world: World, folder: string, ...names: string[]): Promise<(name: string) => string> {
  const made = world.run(['cert', 'node', ...names, '--dir', join(world.folder, folder)]);
  expect((await made.ended()).code).toBe(0);
  return (name) => join(world.folder, folder, name);
}

const encrypted = (folder: string): string[] => ['--port', '0', '--store', 'memory', '--tls', folder];

test('an encrypted swarm takes two commands, and lets in only who has a certificate of it', async (context) => {
  const world = await createWorld(context);
  const certs = await certificates(world, 'certs', 'tracker.lan', 'alice', 'bob');
  const others = await certificates(world, 'others', 'mallory');
  const tracker = await world.tracker(encrypted(certs('tracker.lan')));
  expect(tracker.url).toMatch(/^https:/u);
  const file = await world.file('secret.bin', SIZE, 92);
  const share = await world.share(tracker, file.paths, ['--tls', certs('alice')]);
  const done = await doneOf(world.get(tracker, 'secret.bin', ['-o', `${world.folder}/got/`, '--tls', certs('bob')]));
  expect(await sha256OfFile(done.path)).toBe(file.sha256);
  expect(done.peers.map(({ peer }) => peer)).toEqual([share.peer]);

  // the descriptor of the same tracker, by its URL; certificates named by the environment
  const url = `${tracker.url}/torrents/secret.bin.json`;
  const again = world.get(tracker, url, ['-o', `${world.folder}/again/`], { env: { SHOAL_TLS: certs('bob') } });
  expect((await doneOf(again)).content).toBe(done.content);

  const strangers: [flags: string[], says: RegExp][] = [
    [[], /not by the authority of this swarm/u],
    [['--tls', others('mallory')], /not by the authority of this swarm/u],
    [['--tls-ca', join(certs('bob'), 'ca.pem')], /only those who show a certificate by its authority/u],
    [['--tracker', tracker.url.replace('https', 'http')], /takes https only/u],
  ];
  for (const [flags, says] of strangers) {
    const refused = world.get(tracker, 'secret.bin', ['-o', `${world.folder}/no/`, ...flags]);
    expect((await refused.ended()).code).toBe(7);
    expect(await refused.event('error')).toMatchObject({ code: 'not-allowed', exit: 7 });
    expect(refused.stderr).toMatch(says);
  }

  // clear text gets nothing out of a node, whatever dialect; the same request over TLS does
  expect(await askRaw(share.address, 'secret.bin:0:16\n')).toHaveLength(0);
  const [host = '', port = ''] = share.address.split(':');
  const read = (name: string): Promise<Buffer> => readFile(join(certs('bob'), name));
  const keys = { cert: await read('cert.pem'), key: await read('key.pem'), ca: await read('ca.pem') };
  const socket = connect({ host, port: Number(port), ...keys });
  socket.write('secret.bin:0:16\n');
  const original = (await readFile(file.paths[0] ?? '')).subarray(0, 16);
  expect(Buffer.concat(await socket.toArray())).toEqual(original);

  // REST by any client that has a certificate
  const answer = await new Promise<string>((resolve, reject) => {
    const call = request(`${tracker.url}/files`, keys, (response) => resolve(text(response)));
    call.once('error', reject).end();
  });
  expect(JSON.parse(answer)).toMatchObject([{ name: 'secret.bin', size: SIZE }]);
});

test('peers of an encrypted swarm and others refuse each other with a sentence, and that is exit code 7', async (context) => {
  const world = await createWorld(context);
  const certs = await certificates(world, 'certs', 'alice');
  const others = await certificates(world, 'others', 'mallory');
  const tracker = await world.tracker();
  const file = await world.file('here.bin', SIZE, 93);
  const open = await world.share(tracker, file.paths);
  const closed = await world.share(tracker, file.paths, ['--tls', certs('alice'), '--data', await world.dir('data')]);
  const { content } = await doneOf(world.get(tracker, 'here.bin', ['-o', `${world.folder}/got/`]));
  await tracker.process.end();
  const cases: [from: string, flags: string[], says: RegExp][] = [
    [open.address, ['--tls', certs('alice')], /does not speak TLS/u],
    [closed.address, [], /takes TLS only/u],
    [closed.address, ['--tls', others('mallory')], /not by the authority of this swarm/u],
  ];
  for (const [from, flags, says] of cases) {
    const where = ['-o', `${world.folder}/no/`, '--from', from, '--stall-timeout', '2'];
    const refused = world.get(tracker, content, [...where, ...flags]);
    expect((await refused.ended()).code).toBe(7);
    expect(refused.stderr).toMatch(says);
  }
});
