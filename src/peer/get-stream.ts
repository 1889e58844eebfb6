/** Writes chunks to an output in order, while they come in any. */
import type { Writable } from 'node:stream';
import type { Bitfield } from '../content/bitfield.ts';
import { chunkBytes, type ChunkLayout } from '../content/chunk-layout.ts';
import { ShoalError } from '../errors.ts';

export interface StreamedChunks {
  readonly have: Pick<Bitfield, 'has'>;
  read(chunkIndex: number, into: Uint8Array): Promise<unknown>;
}

export interface InOrderStream {
  /** More chunks may be there. */
  advance(): void;
  /** No more chunks will come: `written` rejects with this when one is missing. */
  fail(error: unknown): void;
  /** Resolves when every byte has been handed over; rejects when the output is closed or the signal aborts meanwhile. */
  readonly written: Promise<void>;
}

/**
 * Writes chunk after chunk to `output`, each as soon as it and all before it are there, at the pace the output takes them. Holds one chunk
 * in memory. `onWritten` is told of each that has been handed over; the bytes are used again after it.
 */
export function streamInOrder(
  chunks: StreamedChunks,
  layout: ChunkLayout,
  output: Writable,
  signal: AbortSignal,
  onWritten: (chunkIndex: number, bytes: Uint8Array) => void = nothing,
): InOrderStream {
  let wake = nothing;
  let failure: { readonly error: unknown } | undefined;
  const onAbort = (): void => wake();
  const run = async (): Promise<void> => {
    const buffer = Buffer.allocUnsafe(Math.min(layout.chunkSize, layout.size));
    for (let chunkIndex = 0; chunkIndex < layout.chunkCount; chunkIndex++) {
      while (!chunks.have.has(chunkIndex)) {
        if (failure !== undefined) throw failure.error;
        if (signal.aborted) throw interruptedError();
        const { promise, resolve } = Promise.withResolvers<void>();
        wake = resolve;
        await promise;
      }
      const bytes = buffer.subarray(0, chunkBytes(layout, chunkIndex));
      await chunks.read(chunkIndex, bytes);
      await writeAll(output, bytes, signal);
      onWritten(chunkIndex, bytes);
    }
  };
  signal.addEventListener('abort', onAbort, { once: true });
  const written = run().finally(() => signal.removeEventListener('abort', onAbort));
  written.catch(nothing); // whoever waits for it hears of it
  return {
    advance: () => wake(),
    fail: (error) => {
      failure ??= { error };
      wake();
    },
    written,
  };
}

function nothing(): void {}

function interruptedError(): ShoalError {
  return new ShoalError('cancelled', 'interrupted before everything was written to standard output');
}

/** Resolves when the output has taken the bytes, so that the buffer may be used again; an output that takes none does not outlive the signal. */
function writeAll(output: Writable, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(interruptedError());
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
