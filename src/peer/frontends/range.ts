/**
 * The range dialect: a line `filename:start:end` (end exclusive, the last two colons split it, newline optional) answered by
 * exactly those raw bytes and a close. A bad request is closed without a byte.
 */
import type { Socket } from 'node:net';
import {
  RANGE_CONNECTIONS_MAX,
  RANGE_LINE_BYTES_MAX,
  RANGE_LINE_SILENCE_MS,
  RANGE_STALL_TIMEOUT_MS,
} from '../../limits.ts';
import { entryNameProblem, parseEntryName, type EntryName } from '../../content/entry-name.ts';

export interface RangeRequest {
  readonly name: EntryName;
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
}

/** Reads a request line without its newline; undefined for anything that is not one. */
export function parseRangeRequest(line: string): RangeRequest | undefined {
  const match = /^(.*):(\d{1,16}):(\d{1,16})$/su.exec(line);
  if (match === null) return undefined;
  const [, name = '', startText = '', endText = ''] = match;
  const start = Number(startText);
  const end = Number(endText);
  if (!Number.isSafeInteger(start) || !Number.isSafeInteger(end) || start > end) return undefined;
  return entryNameProblem(name) === undefined ? { name: parseEntryName(name), start, end } : undefined;
}

/** A shared file as this frontend sees it. */
export interface RangeReadable {
  readonly size: number;
  /** Fills `into` from `offset`; the caller stays inside the size. */
  read(offset: number, into: Uint8Array): Promise<void>;
}

export interface RangeFrontendOptions {
  /** The shared file of this name, or undefined. */
  readonly open: (name: EntryName) => Promise<RangeReadable | undefined>;
  /** Resolves when the upload limit lets `byteCount` more go. */
  readonly reserve: (byteCount: number) => Promise<void>;
  /** How many to ask for at a time, at most. */
  readonly pieceBytes: () => number;
  readonly onSent?: (byteCount: number) => void;
}

const BLOCK_BYTES = 256 * 1024;

/** Serves range connections; `serve` takes a socket and the bytes that were read from it while its dialect was found out. */
export class RangeFrontend {
  readonly #options: RangeFrontendOptions;
  readonly #sockets = new Set<Socket>();

  constructor(options: RangeFrontendOptions) {
    this.#options = options;
  }

  get connectionCount(): number {
    return this.#sockets.size;
  }

  serve(socket: Socket, head: Uint8Array): void {
    if (this.#sockets.size >= RANGE_CONNECTIONS_MAX) {
      socket.destroy();
      return;
    }
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    socket.setTimeout(RANGE_STALL_TIMEOUT_MS, () => socket.destroy());
    void this.#answer(socket, head).catch(() => socket.destroy());
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async #answer(socket: Socket, head: Uint8Array): Promise<void> {
    const line = await readLine(socket, head);
    const request = line === undefined ? undefined : parseRangeRequest(line);
    const file = request === undefined ? undefined : await this.#options.open(request.name);
    if (request === undefined || file === undefined || request.end > file.size) {
      socket.destroy();
      return;
    }
    await this.#sendBytes(socket, file, request.start, request.end);
    socket.end();
  }

  async #sendBytes(socket: Socket, file: RangeReadable, start: number, end: number): Promise<void> {
    for (let offset = start; offset < end;) {
      const block = Buffer.allocUnsafe(Math.min(BLOCK_BYTES, end - offset));
      await file.read(offset, block);
      offset += block.length;
      for (let at = 0; at < block.length;) {
        const piece = block.subarray(at, at + this.#options.pieceBytes());
        await this.#options.reserve(piece.length);
        if (socket.destroyed) return;
        const hasRoom = socket.write(piece);
        this.#options.onSent?.(piece.length);
        at += piece.length;
        if (!hasRoom) await drained(socket);
      }
    }
  }
}

/** Resolves when the socket takes more, or is gone. */
function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      socket.off('drain', done);
      socket.off('close', done);
      resolve();
    };
    socket.on('drain', done);
    socket.on('close', done);
  });
}

/**
 * The request line: up to a newline, the end of the stream, or a moment of silence (the founding clients send no newline and wait).
 * Undefined when it is too long, not UTF-8, or the connection ends without one.
 */
function readLine(socket: Socket, head: Uint8Array): Promise<string | undefined> {
  return new Promise((resolve) => {
    let bytes = Buffer.from(head);
    let silence: NodeJS.Timeout | undefined;
    const finish = (line: Buffer | undefined): void => {
      clearTimeout(silence);
      socket.off('data', onData);
      socket.off('end', onEnd);
      socket.off('close', onClose);
      resolve(line === undefined ? undefined : decode(line));
    };
    const look = (): void => {
      const newline = bytes.indexOf(0x0a);
      if (newline >= 0) finish(bytes.subarray(0, bytes[newline - 1] === 0x0d ? newline - 1 : newline));
      else if (bytes.length > RANGE_LINE_BYTES_MAX) finish(undefined);
      else {
        clearTimeout(silence);
        if (bytes.length > 0) silence = setTimeout(() => finish(bytes), RANGE_LINE_SILENCE_MS);
      }
    };
    const onData = (more: Buffer): void => {
      bytes = Buffer.concat([bytes, more]);
      look();
    };
    const onEnd = (): void => finish(bytes.length > 0 ? bytes : undefined);
    const onClose = (): void => finish(undefined);
    socket.on('data', onData);
    socket.on('end', onEnd);
    socket.on('close', onClose);
    socket.resume();
    look();
  });
}

function decode(line: Buffer): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(line);
  } catch {
    return undefined;
  }
}
