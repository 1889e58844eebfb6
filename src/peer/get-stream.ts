/** A download to standard output: its partial file in a temporary folder, and the contiguous beginning written out as it grows. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import type { Bitfield } from '../content/bitfield.ts';
import { chunkBytes, type ChunkLayout } from '../content/chunk-layout.ts';
import { baseName, type EntryName } from '../content/entry-name.ts';
import { ShoalError } from '../errors.ts';

export interface TemporaryTarget {
  readonly path: string;
  remove(): Promise<void>;
}

export async function temporaryTarget(name: EntryName): Promise<TemporaryTarget> {
  const folder = await mkdtemp(join(tmpdir(), 'shoal-'));
  return {
    path: join(folder, baseName(name).slice(0, 60)),
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}

export interface StreamedChunks {
  readonly have: Pick<Bitfield, 'has'>;
  read(chunkIndex: number, into: Uint8Array): Promise<unknown>;
}

export interface InOrderStream {
  /** More chunks may be there. */
  advance(): void;
  /** Resolves when every byte has been handed over, or after `stop`; rejects when the output is closed or the signal aborts meanwhile. */
  readonly written: Promise<void>;
  stop(): void;
}

/** Writes chunk after chunk to `output`, each as soon as it and all before it are there, at the pace the output takes them. */
export function streamInOrder(
  chunks: StreamedChunks,
  layout: ChunkLayout,
  output: Writable,
  signal: AbortSignal,
): InOrderStream {
  let wake = nothing;
  let stopped = false;
  const run = async (): Promise<void> => {
    const buffer = Buffer.allocUnsafe(layout.chunkSize);
    for (let chunkIndex = 0; chunkIndex < layout.chunkCount; chunkIndex++) {
      while (!chunks.have.has(chunkIndex)) {
        if (stopped || signal.aborted) return;
        const { promise, resolve } = Promise.withResolvers<void>();
        wake = resolve;
        await promise;
      }
      const bytes = buffer.subarray(0, chunkBytes(layout, chunkIndex));
      await chunks.read(chunkIndex, bytes);
      await writeAll(output, bytes, signal);
    }
  };
  return {
    advance: () => wake(),
    written: run(),
    stop: () => {
      stopped = true;
      wake();
    },
  };
}

function nothing(): void {}

/** Resolves when the output has taken the bytes, so that the buffer may be used again; an output that takes none does not outlive the signal. */
function writeAll(output: Writable, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void =>
      reject(new ShoalError('cancelled', 'interrupted before everything was written to standard output'));
    if (signal.aborted) {
      onAbort();
      return;
    }
    signal.addEventListener('abort', onAbort, { once: true });
    output.write(bytes, (error) => {
      signal.removeEventListener('abort', onAbort);
      if (error === null || error === undefined) resolve();
      else
        reject(
          new ShoalError('cancelled', 'standard output was closed before everything was written', { cause: error }),
        );
    });
  });
}
