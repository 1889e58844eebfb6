/**
 * One download to standard output: chunks go out in order, each as soon as it and all before it are there and verified. Nothing has a name
 * on the disk, and what is kept there is bounded (stream-window.ts): chunks that have gone out are served to others while there is room.
 * The digest of the whole is that of what was handed over.
 */
import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import type { Writable } from 'node:stream';
import { chunkBytes } from '../content/chunk-layout.ts';
import { sha256HexFromBytes } from '../content/digest.ts';
import { ShoalError } from '../errors.ts';
import { STREAM_WINDOW_BYTES } from '../limits.ts';
import { openStreamWindow, type StreamWindow } from '../storage/stream-window.ts';
import { NO_WHOLE_DIGEST } from '../storage/whole-digest.ts';
import type { GetOptions, GetResult } from './api.ts';
import type { FoundContent } from './find-content.ts';
import { tally, type GetHost } from './get-job.ts';
import { streamInOrder, type InOrderStream } from './get-stream.ts';
import { ProgressMeter } from './progress.ts';
import { Transfer, whyOf } from './transfer.ts';

export interface StreamGet {
  readonly found: FoundContent;
  readonly startedAtMs: number;
  readonly signal: AbortSignal;
  readonly output: Writable;
  /** Default STREAM_WINDOW_BYTES. */
  readonly windowBytes?: number | undefined;
}

/** Rejects with `cancelled` when the reader goes away, `integrity` when what was written is not what was asked for. */
export async function runStreamGet(host: GetHost, options: GetOptions, job: StreamGet): Promise<GetResult> {
  const { wanted, located, liars } = job.found;
  const { layout, manifest, name } = wanted;
  const window = await openStreamWindow({
    layout,
    folder: tmpdir(),
    bytesMax: job.windowBytes ?? STREAM_WINDOW_BYTES,
    writer: (descriptor, bytes, position) => host.writeChunk(descriptor, bytes, position),
  });
  const progress = new ProgressMeter(name, layout.size, 0, host.clock, job.startedAtMs);
  let transfer: Transfer | undefined;
  try {
    const digest = createHash('sha256');
    const stream: InOrderStream = streamInOrder(window, layout, job.output, job.signal, (chunkIndex, bytes) => {
      digest.update(bytes);
      if (transfer !== undefined) moveOn(window, transfer, stream, chunkIndex);
    });
    transfer = new Transfer(host, {
      wanted,
      located,
      liars,
      get: options,
      signal: job.signal,
      partial: window,
      whole: NO_WHOLE_DIGEST,
      progress,
      chunks: window.wanted,
      onGained: (chunkIndex) => {
        progress.gained(chunkBytes(layout, chunkIndex));
        stream.advance();
      },
    });
    failWith(transfer, stream);
    await stream.written;
    const sha256 = sha256HexFromBytes(digest.digest());
    for (const expected of [wanted.sha256, options.expectedSha256]) {
      if (expected === undefined || expected === sha256) continue;
      throw new ShoalError('integrity', `${name} was written whole but has the SHA-256 ${sha256}, not ${expected}`, {
        hint: 'whatever read it has read something else than was asked for',
      });
    }
    const { seconds } = progress;
    const peers = transfer.session.sources.map(tally);
    options.onProgress?.(progress.now(0, null, whyOf(undefined)));
    return {
      name,
      path: '-',
      size: layout.size,
      sha256,
      content: manifest?.contentId ?? '',
      seconds,
      bytesPerSecond: seconds > 0 ? Math.round(layout.size / seconds) : 0,
      resumedBytes: 0,
      peers,
    };
  } finally {
    transfer?.stop();
    if (transfer !== undefined) await host.abandon(wanted, transfer.session);
    await window.close();
  }
}

/** The reader has taken a chunk: others may have its place. */
function moveOn(window: StreamWindow, transfer: Transfer, stream: InOrderStream, chunkIndex: number): void {
  const move = window.passed(chunkIndex);
  if (move === undefined) return;
  for (const dropped of move.dropped) transfer.session.drop(dropped);
  transfer.want(move.wanted);
  failWith(transfer, stream);
}

/** What has come goes out before the failure of the rest ends it. */
function failWith(transfer: Transfer, stream: InOrderStream): void {
  transfer.arrived().catch((error: unknown) => stream.fail(error));
}
