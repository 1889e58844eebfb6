import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import { sha256OfFile } from '../support/contents.ts';
import { within } from '../support/deadline.ts';
import { createWorld, doneOf } from '../support/world.ts';

const MiB = 1024 * 1024;
const SIZE = 64 * MiB;
const HOSTILE = 1_100;
/** What a node may hold, whatever it moves; see the design. */
const RESIDENT_BYTES_MAX = 300e6;

/** What strangers send: nothing, half a hello, a frame that names a huge length, noise, half a request, the start of TLS. */
const OPENINGS: readonly (() => Uint8Array)[] = [
  () => new Uint8Array(0),
  () => Uint8Array.of(0, 0, 0, 84, 1, 0, 0, 0, 0x53),
  () => Uint8Array.of(0, 0xff, 0xff, 0xff, 0x12, 0, 0, 0),
  () => randomBytes(2_000),
  () => Buffer.from('GET / HTTP/1.1\r\nhost:'),
  () => Buffer.from('x'.repeat(10_000)),
  () => Uint8Array.of(0x16, 3, 1, 2, 0, 1),
];

async function residentBytes(pid: number): Promise<number> {
  if (process.platform !== 'linux') return 0;
  return Number(/^VmHWM:\s+(\d+) kB$/mu.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;
}

test(`a transfer goes on beside ${HOSTILE} hostile connections, and memory stays bounded`, async (context) => {
  const world = await createWorld(context);
  const tracker = await world.tracker();
  const file = await world.file('wanted.bin', SIZE, 62);
  const share = await world.share(tracker, file.paths, ['--limit-up', '24M']);
  const [host = '', port = ''] = share.address.split(':');

  const sockets = new Set<Socket>();
  context.onTestFinished(() => {
    attack.abort();
    for (const socket of sockets) socket.destroy();
  });
  let opened = 0;
  const attack = new AbortController();
  const enough = Promise.withResolvers<void>();
  /** One of many strangers: as soon as one connection is closed, the next is there. */
  const harass = async (number: number): Promise<void> => {
    for (let turn = 0; !attack.signal.aborted; turn++) {
      const socket = connect({ host, port: Number(port) });
      sockets.add(socket);
      socket.on('error', () => socket.destroy()).resume();
      socket.once('connect', () => {
        if (++opened === HOSTILE) enough.resolve();
        const opening = OPENINGS[(number + turn) % OPENINGS.length]?.() ?? new Uint8Array(0);
        if (opening.length > 0) socket.write(opening);
      });
      await new Promise<void>((resolve) => socket.once('close', () => resolve()));
      sockets.delete(socket);
    }
  };
  const strangers = Array.from({ length: 100 }, (_, number) => harass(number));

  const get = world.get(tracker, 'wanted.bin', ['-o', `${world.folder}/got/`]);
  const done = await doneOf(get, 60_000);
  await within(enough.promise, 30_000, () => `${HOSTILE} hostile connections, of which there were ${opened}`);
  attack.abort();
  for (const socket of sockets) socket.destroy();
  await Promise.all(strangers);

  expect(await sha256OfFile(done.path)).toBe(file.sha256);
  expect(opened).toBeGreaterThanOrEqual(HOSTILE);
  const resident = await residentBytes(share.process.pid);
  process.stdout.write(`${opened} hostile connections, at most ${(resident / 1e6).toFixed(0)} MB resident\n`);
  expect(resident).toBeLessThan(RESIDENT_BYTES_MAX);
  // it still serves newcomers
  const again = await doneOf(world.get(tracker, 'wanted.bin', ['-o', `${world.folder}/again/`, '--limit-down', '1G']));
  expect(again.sha256).toBe(file.sha256);
});
