import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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

/** To the letter of the document, but for the name. */
const PRINTED = `{
  "file_name": "file.txt", // Nombre del archivo (Metadata)
  "total_pieces": 2, // Numero de piezas en las que se divide el arhcivo
  "pieces": [
    {
      "number": 1, // Indice de la pieza
      "hash": "abcd1234" // Hash asociado con la pieza
    },
    {
      "number": 2,
      "hash": "efgh5678"
    }
  ]
}`;

describe('a descriptor', () => {
  test('may have comments, as the fifth document prints it', async () => {
    expect(await parseWanted(await serve(200, PRINTED))).toEqual({ kind: 'name', name: 'file.txt' });
    const texts = String.raw`{"note": "http://x // \" // ", "content": "${ID}" // the "note
    }`;
    expect(await parseWanted(await serve(200, texts))).toEqual({ kind: 'content', contentId: ID });
  });

  test('may be a file that is named by a path', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'shoal-wanted-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    await writeFile(join(folder, 'x.json'), JSON.stringify({ file_name: 'x', content: ID }));
    expect(await parseWanted(join(folder, 'x.json'))).toEqual({ kind: 'content', contentId: ID });
    await expect(parseWanted(join(folder, 'y.json'))).rejects.toMatchObject({ code: 'no-such-name' });
    await mkdir(join(folder, 'z.json'));
    await expect(parseWanted(join(folder, 'z.json'))).rejects.toMatchObject({ code: 'usage' });
    expect(await parseWanted('x.json')).toEqual({ kind: 'name', name: 'x.json' });
  });

  test('names its content', async () => {
    const url = await serve(200, JSON.stringify({ file_name: 'x', total_pieces: 1, pieces: [], content: ID }));
    expect(await parseWanted(url)).toEqual({ kind: 'content', contentId: ID });
  });

  test('of the plain kind names its file', async () => {
    const url = await serve(200, JSON.stringify({ file_name: 'x.bin', total_pieces: 1, pieces: [] }));
    expect(await parseWanted(url)).toEqual({ kind: 'name', name: 'x.bin' });
  });

  test('gives the digests of its pieces, in order, where they are SHA-256', async () => {
    const piece = (number: number, hash: string) => ({ number, hash });
    const wanted = async (...pieces: unknown[]) =>
      await parseWanted(await serve(200, JSON.stringify({ file_name: 'x', total_pieces: pieces.length, pieces })));
    const [one, two] = ['a1'.repeat(32), 'b2'.repeat(32)] as const;
    expect(await wanted(piece(2, two), piece(1, one.toUpperCase()))).toMatchObject({ pieces: [one, two] });
    for (const pieces of [[piece(1, 'abcd1234')], [piece(1, one), piece(1, two)], [piece(2, one)], [null], ['x']])
      expect(await wanted(...pieces)).toEqual({ kind: 'name', name: 'x' });
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
