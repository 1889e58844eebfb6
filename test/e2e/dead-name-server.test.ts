/** A name server that takes questions and answers none, on a network that is only the test's. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { eventually } from '../support/deadline.ts';
import { NAMESPACES, twoMachines } from '../support/namespaces.ts';
import { need } from '../support/system-packages.ts';
import { createWorld } from '../support/world.ts';

/** Prints that it listens, then a line for each question. */
const SILENT_SERVER = `
const socket = require('node:dgram').createSocket('udp4');
socket.on('message', () => console.log('asked'));
socket.bind(53, () => console.log('listens'));`;

test('a name server that does not answer holds up nobody who wants to stop', async (context) => {
  need(context, NAMESPACES);
  const [there, here] = await twoMachines(context);
  const { folder } = await createWorld(context);
  const nodeThere = await there.launcher(join(folder, 'there'), process.execPath);
  const server = spawn(nodeThere, ['-e', SILENT_SERVER], { stdio: ['ignore', 'pipe', 'inherit'] });
  context.onTestFinished(async () => {
    server.kill();
    if (server.exitCode === null && server.signalCode === null) await once(server, 'exit');
  });
  let told = '';
  server.stdout.setEncoding('utf8').on('data', (text: string) => (told += text));
  await eventually(() => told.includes('listens'), 'the name server listens');

  // its answer would be waited for far longer than a process may take to end
  await writeFile(join(folder, 'resolv.conf'), `nameserver ${there.address}\noptions timeout:30 attempts:3\n`);
  const shoalHere = await here.launcher(join(folder, 'here'));
  const launcher = join(folder, 'unnamed');
  const line = `mount --bind '${join(folder, 'resolv.conf')}' /etc/resolv.conf && exec '${shoalHere}' "$@"`;
  await writeFile(launcher, `#!/bin/sh\nexec unshare --mount sh -c '${line.replaceAll("'", `'\\''`)}' sh "$@"\n`);
  await chmod(launcher, 0o755);
  const world = await createWorld(context, { launcher });
  const { paths } = await world.file('big.bin', 100_000, 62);
  const share = world.run(['share', ...paths, '--json', '--tracker', 'http://tracker.example:9000']);
  await eventually(() => told.includes('asked'), 'it asks where its tracker is');
  expect(await share.end('SIGINT')).toEqual({ code: 0, signal: null });
});
