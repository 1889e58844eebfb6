import { randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { writeSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { createChunkLayout } from '../content/chunk-layout.ts';
import { withTempFolder } from './fixtures.ts';
import { openStreamWindow, type StreamWindow } from './stream-window.ts';

const CHUNK = 16 * 1024;
const COUNT = 100;
const layout = createChunkLayout(COUNT * CHUNK - 5, CHUNK);
const bytes = randomBytes(layout.size);
const chunkOf = (index: number): Buffer => bytes.subarray(index * CHUNK, (index + 1) * CHUNK);

const writer = async (descriptor: number, data: Uint8Array, position: number): Promise<void> => {
  expect(position).toBeLessThan(20 * CHUNK);
  expect(writeSync(descriptor, data, 0, data.length, position)).toBe(data.length);
};

function withWindow(use: (window: StreamWindow, folder: string) => Promise<void>): Promise<void> {
  return withTempFolder(async (folder) => {
    const window = await openStreamWindow({ layout, folder, bytesMax: 20 * CHUNK, writer });
    try {
      await use(window, folder);
    } finally {
      await window.close();
    }
  });
}

describe('a stream window', () => {
  it('has no name, and no more places than it may', () =>
    withWindow(async (window, folder) => {
      expect(await readdir(folder)).toEqual([]);
      expect([...window.wanted]).toEqual(Array.from({ length: 20 }, (_, index) => index));
      await expect(window.write(20, chunkOf(20))).rejects.toMatchObject({ code: 'bug' });
      await window.write(19, chunkOf(19));
      const into = new Uint8Array(CHUNK);
      expect(await window.read(19, into)).toBe(CHUNK);
      expect(chunkOf(19).equals(into)).toBe(true);
      await expect(window.read(3, into)).rejects.toMatchObject({ code: 'conflict' });
    }));

  it('gives places away behind its reader, by halves, and gives all bytes', () =>
    withWindow(async (window) => {
      const dropped: number[] = [];
      let wanted = [...window.wanted];
      let moves = 0;
      const into = new Uint8Array(CHUNK);
      for (let index = 0; index < COUNT; index++) {
        for (const one of wanted.toReversed()) await window.write(one, chunkOf(one));
        wanted = [];
        const byteCount = await window.read(index, into);
        expect(chunkOf(index).equals(into.subarray(0, byteCount))).toBe(true);
        const move = window.passed(index);
        if (move === undefined) continue;
        moves++;
        dropped.push(...move.dropped);
        wanted = [...move.wanted];
      }
      expect(dropped).toEqual(Array.from({ length: COUNT - 20 }, (_, index) => index));
      expect(window.have.count).toBe(20);
      expect(moves).toBe(8);
    }));

  it('does not give the bytes of another chunk for one whose place was given away while it was read', () =>
    withWindow(async (window) => {
      for (let index = 0; index < 20; index++) await window.write(index, chunkOf(index));
      const reading = window.read(0, new Uint8Array(CHUNK));
      expect(window.passed(9)?.dropped).toContain(0);
      await expect(reading).rejects.toMatchObject({ code: 'conflict' });
    }));

  it('keeps a content that fits as long as it is open', () =>
    withTempFolder(async (folder) => {
      const window = await openStreamWindow({ layout, folder, bytesMax: layout.size * 2, writer: async () => {} });
      expect(window.wanted.isFull).toBe(true);
      for (let index = 0; index < COUNT; index++) expect(window.passed(index)).toBeUndefined();
      await window.close();
      await window.close();
    }));
});
