import { expect, test } from 'vitest';
import { restGet, restPost } from '../support/rest.ts';
import { createWorld } from '../support/world.ts';

const SHA256 = 'ab'.repeat(32);
const ADDRESS = { ip: '192.0.2.10', port: 7001 };
const FILE = { name: 'KTMT báo cáo.pdf', size: 102_400, sha256: SHA256 };

test('the four calls answer to the letter', async (context) => {
  const world = await createWorld(context);
  const { url } = await world.tracker();

  expect(await restGet(url, '/files')).toMatchObject({ status: 200, text: '[]' });

  const announced = await restPost(url, '/announce', { ...ADDRESS, files: [FILE] });
  expect(announced).toMatchObject({ status: 200, text: '{"ok":true}' });

  const files = await restGet(url, '/files');
  expect(files.status).toBe(200);
  expect(files.json).toEqual([expect.objectContaining(FILE)]);
  expect(files.text.startsWith(`[{"name":${JSON.stringify(FILE.name)},"size":102400,"sha256":"${SHA256}"`)).toBe(true);

  const path = `/file/${encodeURIComponent(FILE.name)}`;
  const file = await restGet(url, path);
  expect(file.status).toBe(200);
  expect(file.json).toMatchObject({ file: FILE, peers: [ADDRESS] });
  expect(file.text.startsWith(`{"file":{"name":${JSON.stringify(FILE.name)},"size":102400,"sha256":"${SHA256}"`)).toBe(
    true,
  );
  expect(file.text).toContain('"peers":[{"ip":"192.0.2.10","port":7001');

  // somebody who has announced nothing yet, and then has fetched the file
  const other = { ip: '192.0.2.20', port: 7002 };
  const stranger = await restPost(url, '/complete', { peer_ip: other.ip, port: other.port, name: FILE.name });
  expect(stranger.status).toBe(404);
  expect(stranger.json).toMatchObject({ error: { code: 'unknown-peer', message: expect.any(String) } });
  await restPost(url, '/announce', { ...other, files: [] });
  const completed = await restPost(url, '/complete', { peer_ip: other.ip, port: other.port, name: FILE.name });
  expect(completed).toMatchObject({ status: 200, text: '{"ok":true}' });
  const both = (await restGet(url, path)).json as { peers: { ip: string; port: number }[] };
  expect(both.peers.map(({ ip }) => ip).toSorted()).toEqual([ADDRESS.ip, other.ip]);

  // an announcement says all there is: what it does not name is gone
  expect((await restPost(url, '/announce', { ...ADDRESS, files: [] })).text).toBe('{"ok":true}');
  const left = (await restGet(url, path)).json as { peers: { ip: string }[] };
  expect(left.peers.map(({ ip }) => ip)).toEqual([other.ip]);

  const unknown = await restGet(url, '/file/nothing.bin');
  expect(unknown.status).toBe(404);
  expect(unknown.json).toMatchObject({ error: { code: 'no-such-name' } });
});

test('bad calls are refused with a sentence, and nothing of the process shows', async (context) => {
  const world = await createWorld(context);
  const tracker = await world.tracker();
  const { url } = tracker;
  const announce = (body: unknown) => restPost(url, '/announce', body);
  const refused = await Promise.all([
    announce('{'),
    announce(''),
    announce('[]'),
    announce('"text"'),
    announce({}),
    announce({ ...ADDRESS, files: 'all' }),
    announce({ ...ADDRESS, port: 0, files: [] }),
    announce({ ...ADDRESS, port: 70_000, files: [] }),
    announce({ ip: 'not an address!', port: 1, files: [] }),
    announce({ ...ADDRESS, files: [{ ...FILE, size: -1 }] }),
    announce({ ...ADDRESS, files: [{ ...FILE, size: 1e300 }] }),
    announce({ ...ADDRESS, files: [{ ...FILE, name: '../../etc/passwd' }] }),
    announce({ ...ADDRESS, files: [{ ...FILE, name: '/etc/passwd' }] }),
    announce({ ...ADDRESS, files: [{ ...FILE, name: 'a\0b' }] }),
    announce({ ...ADDRESS, files: [{ ...FILE, sha256: '' }] }),
    announce(`{"ip":"192.0.2.1","port":1,"files":${'['.repeat(100_000)}`),
    announce({ ...ADDRESS, files: [{ ...FILE, name: 'x'.repeat(5 * 1024 * 1024) }] }),
    restPost(url, '/complete', {}),
    restPost(url, '/complete', { peer_ip: ADDRESS.ip, port: ADDRESS.port, name: '../x' }),
    restGet(url, '/file/%ff'),
    restGet(url, '/file/..%2f..%2fetc%2fpasswd'),
    restGet(url, '/files?limit=many'),
    restGet(url, '/nowhere'),
    restGet(url, '/announce'),
  ]);
  for (const { status, text, json } of refused) {
    expect(status, text).toBeGreaterThanOrEqual(400);
    expect(status, text).toBeLessThan(500);
    expect(json, text).toMatchObject({
      error: { code: expect.any(String), message: expect.stringMatching(/\w+ \w+/u) },
    });
    expect(text).not.toMatch(/\n\s+at |node_modules|\.ts:|\/src\/|file:\/\//u);
    expect(text).not.toContain(world.folder);
    expect(text.length).toBeLessThan(2_000);
  }
  expect(refused.find(({ text }) => text.includes('larger than'))?.status).toBe(413);

  expect((await restGet(url, '/files')).text).toBe('[]');
  expect(tracker.process.exit).toBeUndefined();
});
