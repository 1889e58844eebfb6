import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { restGet } from '../support/rest.ts';
import { need, OPENSSL, PROTOC, PROTOC_GRPC, PYTHON_GRPC } from '../support/system-packages.ts';
import { createWorld, type World } from '../support/world.ts';

const run = promisify(execFile);
const PROTO = fileURLToPath(new URL('../../proto', import.meta.url));
const CLIENT = fileURLToPath(new URL('../support/grpc_client.py', import.meta.url));

/** Code for Python, generated from the contract by the usual tools. */
async function generate(world: World): Promise<string> {
  const folder = await world.dir('generated');
  const plugin = (await run('sh', ['-c', 'command -v grpc_python_plugin'])).stdout.trim();
  const outputs = [
    `--python_out=${folder}`,
    `--grpc_python_out=${folder}`,
    `--plugin=protoc-gen-grpc_python=${plugin}`,
  ];
  await run('protoc', [`-I${PROTO}`, ...outputs, 'shoal/v1/tracker.proto']);
  return folder;
}

test('a gRPC client in Python lists, publishes, locates and watches, on the port of the REST calls', async (context) => {
  need(context, PYTHON_GRPC, PROTOC, PROTOC_GRPC);
  const world = await createWorld(context);
  // its peer is one in name only
  const tracker = await world.tracker(['--port', '0', '--store', 'memory', '--no-dial-back']);
  const { host } = new URL(tracker.url);

  const { stdout } = await run('/usr/bin/python3', [CLIENT, await generate(world), host]);
  const saw = JSON.parse(stdout) as Record<string, unknown> & { contentId: string };
  expect(saw).toMatchObject({
    observedHost: '127.0.0.1',
    published: [{ name: 'from-python.bin', problem: '' }],
    listed: [{ name: 'from-python.bin', size: 179_200, content: saw.contentId }],
    manifestIsOurs: true,
    sources: [['127.0.0.1:4711']],
    complete: [true],
    renewed: true,
    chosen: { online: [expect.stringMatching(/^grpc-python/u)], offline: [], volunteers: [] },
    leftTypes: ['watching', 'peer-left'],
    refused: { code: 'NOT_FOUND', details: 'this tracker has no entry "nothing"', shoal: 'no-such-name' },
  });
  expect(saw['events']).toEqual(
    expect.arrayContaining([
      { type: 'peer-joined', data: expect.objectContaining({ agent: expect.stringMatching(/^grpc-python/u) }) },
      { type: 'entry-published', data: expect.objectContaining({ name: 'from-python.bin', content: saw.contentId }) },
    ]),
  );
  // it has left: REST on the same port says so
  expect((await restGet(tracker.url, '/files')).json).toEqual([]);
  expect((await restGet(tracker.url, '/files?all=true')).json).toMatchObject([{ name: 'from-python.bin' }]);
});

test('with a certificate the port takes gRPC and REST over TLS, and no clear text', async (context) => {
  need(context, PYTHON_GRPC, PROTOC, PROTOC_GRPC, OPENSSL);
  const world = await createWorld(context);
  const folder = await world.dir('tls');
  const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-days', '2'];
  await run('openssl', ['req', '-x509', '-nodes', ...kind, ...subject, '-keyout', key, '-out', cert]);
  const flags = ['--port', '0', '--store', 'memory', '--tls-cert', cert, '--tls-key', key];
  const tracker = await world.tracker(flags);
  expect(tracker.url).toMatch(/^https:/u);
  const { host, port } = new URL(tracker.url);

  const { stdout } = await run('/usr/bin/python3', [CLIENT, await generate(world), `localhost:${port}`, cert]);
  expect(JSON.parse(stdout)).toMatchObject({ manifestIsOurs: true, refused: { code: 'NOT_FOUND' } });

  const secure = world.run(['ls', '--json', '--tracker', tracker.url], { env: { NODE_EXTRA_CA_CERTS: cert } });
  expect(await secure.ended()).toMatchObject({ code: 0 });
  const untrusting = world.run(['ls', '--json', '--tracker', tracker.url]);
  expect(await untrusting.ended()).toMatchObject({ code: 7 });
  const clear = world.run(['ls', '--json', '--tracker', `http://${host}`]);
  expect(await clear.ended()).toMatchObject({ code: 7 });
});
