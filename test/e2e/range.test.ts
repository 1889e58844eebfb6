import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { seededBytes } from '../support/contents.ts';
import { askRaw, startRangePeer } from '../support/raw-range.ts';
import { restPost } from '../support/rest.ts';
import { createWorld, doneOf } from '../support/world.ts';

const SIZE = 300_000;

test('a line name:start:end is answered by exactly those bytes, however it is sent', async (context) => {
  const world = await createWorld(context);
  const tracker = await world.tracker();
  const file = await world.file('notes: день 1.txt', SIZE, 3);
  const content = await readFile(file.paths[0] ?? '');
  const { address } = await world.share(tracker, file.paths);

  const line = `${file.name}:0:1000`;
  const wanted = content.subarray(0, 1000);
  const answers = await Promise.all([
    askRaw(address, line),
    askRaw(address, `${line}\n`),
    askRaw(address, `${line}\r\n`),
    askRaw(address, line, { halfClose: true }),
    askRaw(address, `${line}\n`, { halfClose: true }),
  ]);
  for (const answer of answers) expect(answer).toEqual(wanted);

  expect(await askRaw(address, `${file.name}:${SIZE - 1}:${SIZE}\n`)).toEqual(content.subarray(SIZE - 1));
  expect(await askRaw(address, `${file.name}:0:${SIZE}\n`)).toEqual(content);
  expect(await askRaw(address, `${file.name}:500:500\n`)).toEqual(Buffer.alloc(0));
});

test('a request that is none is closed without a byte and harms nothing', async (context) => {
  const world = await createWorld(context);
  const tracker = await world.tracker();
  const file = await world.file('plain.bin', SIZE, 4);
  const { address, process: share } = await world.share(tracker, file.paths);

  const bad = [
    'plain.bin:10:5\n',
    `plain.bin:0:${SIZE + 1}\n`,
    `plain.bin:${SIZE}:${SIZE + 1}\n`,
    'plain.bin:0:9007199254740993\n',
    'plain.bin:-1:5\n',
    'plain.bin:0\n',
    'plain.bin\n',
    ':0:10\n',
    '\n',
    '../plain.bin:0:10\n',
    '../../../../etc/passwd:0:10\n',
    '/etc/passwd:0:10\n',
    `${file.paths[0]}:0:10\n`,
    'shared/../plain.bin:0:10\n',
    'plain.bin\0:0:10\n',
    'other.bin:0:10\n',
    `${'x'.repeat(20_000)}:0:10\n`,
    new Uint8Array([0xff, 0xfe, 0x3a, 0x30, 0x3a, 0x31, 0x0a]),
  ];
  const answers = await Promise.all(bad.map((request) => askRaw(address, request)));
  for (const [index, answer] of answers.entries())
    expect(answer.length, `the answer to ${JSON.stringify(String(bad[index]).slice(0, 60))}`).toBe(0);

  expect(share.exit).toBeUndefined();
  expect((await askRaw(address, 'plain.bin:0:10\n')).length).toBe(10);
  const done = await doneOf(world.get(tracker, 'plain.bin', ['-o', `${world.folder}/`]));
  expect(done.sha256).toBe(file.sha256);
});

test('a peer that speaks only the range dialect is a source, and the whole is verified', async (context) => {
  const world = await createWorld(context);
  const tracker = await world.tracker();
  const content = seededBytes(3_000_000, 5);
  const sha256 = createHash('sha256').update(content).digest('hex');
  const peer = await startRangePeer((_name, start, end) => content.subarray(start, end));
  context.onTestFinished(() => peer.close());
  const files = [{ name: 'old client.bin', size: content.length, sha256 }];
  const announced = await restPost(tracker.url, '/announce', { ip: peer.host, port: peer.port, files });
  expect(announced.text).toBe('{"ok":true}');

  const get = world.get(tracker, 'old client.bin', ['-o', `${world.folder}/`, '--sha256', sha256]);
  const done = await doneOf(get);
  expect((await get.ended()).code).toBe(0);
  expect(done).toMatchObject({ size: content.length, sha256, content: '' });
  expect(done.peers).toHaveLength(1);
  expect(done.peers[0]).toMatchObject({ address: peer.address, peer: '', bytes: content.length });
  expect(await readFile(join(world.folder, 'old client.bin'))).toEqual(content);
  expect(peer.requests.length).toBeGreaterThan(1);
});

test('wrong bytes of such a peer are found out at the end: exit 5, and nothing is left that looks like the file', async (context) => {
  const world = await createWorld(context);
  const tracker = await world.tracker();
  const content = seededBytes(500_000, 6);
  const sha256 = createHash('sha256').update(content).digest('hex');
  const peer = await startRangePeer((_name, start, end) => {
    const bytes = Buffer.from(content.subarray(start, end));
    if (start === 0) bytes[7] = (bytes[7] ?? 0) ^ 1;
    return bytes;
  });
  context.onTestFinished(() => peer.close());
  const files = [{ name: 'bad.bin', size: content.length, sha256 }];
  await restPost(tracker.url, '/announce', { ip: peer.host, port: peer.port, files });

  const get = world.get(tracker, 'bad.bin', ['-o', `${world.folder}/`]);
  expect((await get.ended()).code).toBe(5);
  expect(await get.event('error')).toMatchObject({ code: 'integrity', exit: 5 });
  expect(existsSync(join(world.folder, 'bad.bin'))).toBe(false);
  expect(existsSync(join(world.folder, 'bad.bin.part'))).toBe(false);
});
