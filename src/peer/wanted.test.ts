import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { parseWanted } from './wanted.ts';

const ID = 'c1'.repeat(32);

test('64 hex digits are a contentId, in either case', async () => {
  expect(await parseWanted(ID)).toEqual({ kind: 'content', contentId: ID });
  expect(await parseWanted(ID.toUpperCase())).toEqual({ kind: 'content', contentId: ID });
});

test('a name is itself, with the @hex it may carry, in NFC', async () => {
  expect(await parseWanted('big.bin')).toEqual({ kind: 'name', name: 'big.bin' });
  expect(await parseWanted('big.bin@3fa9')).toEqual({ kind: 'name', name: 'big.bin@3fa9' });
  expect(await parseWanted('mail@home')).toEqual({ kind: 'name', name: 'mail@home' });
  expect(await parseWanted('e\u0301t\u00e9')).toEqual({ kind: 'name', name: '\u00e9t\u00e9' });
});

test.each(['', '../x', '/etc/passwd', 'a\0b', '../x@3fa9'])('%j is refused', async (what) => {
  await expect(parseWanted(what)).rejects.toMatchObject({ code: 'usage' });
});

async function serve(status: number, body: string): Promise<string> {
  const server = createServer((_request, response) => response.writeHead(status).end(body));
  server.listen({ host: '127.0.0.1', port: 0 });
  await once(server, 'listening');
  onTestFinished(async () => {
    server.close();
    server.closeAllConnections();
    await once(server, 'close');
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/torrents/x.json`;
}

describe('a descriptor', () => {
  test('names its content', async () => {
    const url = await serve(200, JSON.stringify({ file_name: 'x', total_pieces: 1, pieces: [], content: ID }));
    expect(await parseWanted(url)).toEqual({ kind: 'content', contentId: ID });
  });

  test('of the plain kind names its file', async () => {
    const url = await serve(200, JSON.stringify({ file_name: 'x.bin', total_pieces: 1, pieces: [] }));
    expect(await parseWanted(url)).toEqual({ kind: 'name', name: 'x.bin' });
  });

  test.each([
    ['not JSON', 200, 'hello', 'usage'],
    ['no object', 200, '7', 'usage'],
    ['without a file', 200, '{}', 'usage'],
    ['with a name that climbs', 200, '{"file_name":"../x"}', 'usage'],
    ['that is not there', 404, 'gone', 'no-such-name'],
    ['of a broken server', 500, '', 'tracker-unreachable'],
  ])('%s is refused', async (_what, status, body, code) => {
    await expect(parseWanted(await serve(status, body))).rejects.toMatchObject({ code });
  });

  test('of a server that does not answer is unreachable, and an end that was asked for ends the wait', async () => {
    await expect(parseWanted('http://127.0.0.1:1/x.json')).rejects.toMatchObject({ code: 'tracker-unreachable' });
    const silent = createServer(() => undefined).listen({ host: '127.0.0.1', port: 0 });
    await once(silent, 'listening');
    const abort = new AbortController();
    const wanted = parseWanted(`http://127.0.0.1:${(silent.address() as AddressInfo).port}/x.json`, abort.signal);
    abort.abort();
    await expect(wanted).rejects.toMatchObject({ code: 'cancelled' });
    silent.close();
    silent.closeAllConnections();
  });
});
