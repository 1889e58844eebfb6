import { spawn } from 'node:child_process';
import { mkdir, open, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createChunkLayout, chunkBytes, chunkOffset } from '../content/chunk-layout.ts';
import { manifestOf, seededBytes, seededRandom, withTempFolder } from './fixtures.ts';
import { replayJournal } from './journal-codec.ts';
import { openPartialFile, type PartialFileOptions } from './partial-file.ts';

const CHUNK = 16_384;
const content = seededBytes(24 * CHUNK - 77, 5);
const layout = createChunkLayout(content.length, CHUNK);
const identity = new Uint8Array(32).fill(3);
const chunkOf = (index: number): Uint8Array<ArrayBuffer> =>
  content.subarray(chunkOffset(layout, index), chunkOffset(layout, index) + chunkBytes(layout, index));

/** What a disk was told for one file: writes, and how many of them a sync has made durable. */
interface DiskLog {
  readonly writes: { readonly position: number; readonly bytes: Uint8Array }[];
  durableCount: number;
}

/** Opens real files, and remembers for each what a power loss could leave of it. */
function createDisk(): {
  readonly openFile: NonNullable<PartialFileOptions['openFile']>;
  logOf(suffix: string): DiskLog;
} {
  const logs = new Map<string, DiskLog>();
  return {
    async openFile(path, flags, mode) {
      const handle = await open(path, flags, mode);
      const log: DiskLog = { writes: [], durableCount: 0 };
      // A rewritten journal takes the place of the old one by a rename, which the code makes durable.
      logs.set(path.endsWith('.part') ? '.part' : '.journal', log);
      const write = handle.write.bind(handle) as (
        ...given: unknown[]
      ) => Promise<{ bytesWritten: number; buffer: Uint8Array }>;
      handle.write = (async (bytes: Uint8Array, offset: number, byteCount: number, position: number) => {
        const result = await write(bytes, offset, byteCount, position);
        log.writes.push({ position, bytes: bytes.slice(offset, offset + result.bytesWritten) });
        return result;
      }) as unknown as typeof handle.write;
      for (const name of ['sync', 'datasync'] as const) {
        const sync = handle[name].bind(handle);
        handle[name] = async () => {
          const durableCount = log.writes.length;
          await sync();
          log.durableCount = Math.max(log.durableCount, durableCount);
        };
      }
      return handle;
    },
    logOf: (suffix) => logs.get(suffix) ?? { writes: [], durableCount: 0 },
  };
}

/** What is on the disk after a power loss: all that was synced, and of the rest whatever the dice say. */
function afterPowerLoss(
  log: DiskLog,
  size: number,
  options: { readonly keepsOrder: boolean; readonly random: () => number },
): Uint8Array {
  const { random } = options;
  const image = new Uint8Array(Math.max(size, ...log.writes.map(({ position, bytes }) => position + bytes.length)));
  let end = size;
  const last = options.keepsOrder
    ? log.durableCount + Math.floor(random() * (log.writes.length - log.durableCount + 1))
    : Infinity;
  for (const [at, { position, bytes }] of log.writes.entries()) {
    let kept = bytes;
    if (at >= log.durableCount) {
      if (at > last || (!options.keepsOrder && random() < 0.4)) continue;
      if (random() < 0.3) kept = bytes.subarray(0, Math.floor(random() * bytes.length));
    }
    image.set(kept, position);
    end = Math.max(end, position + kept.length);
  }
  return image.subarray(0, end);
}

describe('a partial file after a power loss', () => {
  it('trusts no chunk whose data is wrong, whatever the disk kept of what was not synced', async () => {
    let trustedCount = 0;
    for (let seed = 1; seed <= 25; seed++) {
      await withTempFolder(async (folder) => {
        const random = seededRandom(seed);
        const disk = createDisk();
        const targetPath = join(folder, 'before', 'x');
        const common = { layout, identity, reserveBytes: 0 };
        const syncBytes = CHUNK * (1 + Math.floor(random() * 6));
        const file = await openPartialFile({ ...common, targetPath, syncBytes, openFile: disk.openFile });
        const images: { readonly part: Uint8Array; readonly journal: Uint8Array }[] = [];
        for (let step = 0; step < 60; step++) {
          const index = Math.floor(random() * layout.chunkCount);
          if (random() < 0.1) await file.withdraw(index);
          else await Promise.all([file.write(index, chunkOf(index)), random() < 0.3 ? nextTurn() : undefined]);
          if (random() < 0.15) {
            const part = afterPowerLoss(disk.logOf('.part'), layout.size, { keepsOrder: false, random });
            const journal = afterPowerLoss(disk.logOf('.journal'), 0, { keepsOrder: random() < 0.5, random });
            images.push({
              part: part.slice(),
              journal: journal.slice(0, random() < 0.2 ? Math.floor(random() * journal.length) : undefined),
            });
          }
        }
        await file.close();
        for (const [at, image] of images.entries()) {
          const after = join(folder, `after-${at}`, 'x');
          await mkdir(join(folder, `after-${at}`));
          await writeFile(`${after}.part`, image.part);
          await writeFile(`${after}.journal`, image.journal);
          // No check of anything: what is trusted here is trusted by the journal alone.
          const resumed = await openPartialFile({ ...common, targetPath: after, bootId: new Uint8Array(8).fill(9) });
          for (const index of resumed.have.clone()) {
            trustedCount++;
            const start = chunkOffset(layout, index);
            const bytes = image.part.subarray(start, start + chunkBytes(layout, index));
            expect(Buffer.compare(bytes, chunkOf(index)), `seed=${seed} image=${at} chunk=${index}`).toBe(0);
          }
          await resumed.close();
        }
      });
    }
    // Or the test proves nothing.
    expect(trustedCount).toBeGreaterThan(300);
  }, 60_000);
});

describe('a partial file after kill -9', () => {
  it(
    'keeps every chunk that its journal names, and nothing wrong',
    () =>
      withTempFolder(async (folder) => {
        const targetPath = join(folder, 'x');
        const manifest = manifestOf(content, CHUNK);
        const input = join(folder, 'input');
        await writeFile(input, content);
        // Writes a chunk for every byte on its standard input.
        const script = `
        import { readFileSync } from 'node:fs';
        import { openPartialFile } from ${JSON.stringify(new URL('./partial-file.ts', import.meta.url).href)};
        const content = readFileSync(${JSON.stringify(input)});
        const layout = { size: ${layout.size}, chunkSize: ${CHUNK}, chunkCount: ${layout.chunkCount} };
        const file = await openPartialFile({ targetPath: ${JSON.stringify(targetPath)}, layout, identity: Buffer.alloc(32, 3), syncBytes: ${2 * CHUNK} });
        for await (const bytes of process.stdin) {
          for (const _ of bytes) {
            const index = file.have.firstMissing();
            await file.write(index, content.subarray(index * ${CHUNK}, (index + 1) * ${CHUNK}));
          }
        }`;
        const recordedCount = async (): Promise<number> => {
          const bytes = await readFile(`${targetPath}.journal`).catch(() => new Uint8Array(0));
          const replay = replayJournal(bytes, { identity, layout });
          return replay === undefined ? 0 : replay.durable.count + replay.recent.count;
        };
        let keptCount = 0;
        // Five chunks a round of which three are awaited: it is killed in the middle, and never runs out of chunks.
        for (let round = 0; round < 4; round++) {
          const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
            stdio: ['pipe', 'inherit', 'inherit'],
          });
          const exited = new Promise((resolve) => child.once('exit', resolve));
          let seenCount = 0;
          try {
            child.stdin.write('.....');
            await expect
              .poll(async () => (seenCount = await recordedCount()), { timeout: 20_000, interval: 2 })
              .toBeGreaterThanOrEqual(keptCount + 3);
          } finally {
            child.kill('SIGKILL');
            await exited;
          }
          const bytes = await readFile(`${targetPath}.part`);
          const file = await openPartialFile({ targetPath, layout, identity });
          expect(file.have.count).toBeGreaterThanOrEqual(seenCount);
          for (const index of file.have.clone())
            expect(Buffer.compare(bytes.subarray(index * CHUNK, (index + 1) * CHUNK), chunkOf(index))).toBe(0);
          keptCount = file.have.count;
          await file.close();
        }
        const file = await openPartialFile({ targetPath, layout, identity });
        for (let index = file.have.firstMissing(); index >= 0; index = file.have.firstMissing(index))
          await file.write(index, chunkOf(index));
        const whole = new Uint8Array(await readFile(await file.finish()));
        expect(manifestOf(whole, CHUNK).contentId).toBe(manifest.contentId);
      }),
    60_000,
  );
});

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
