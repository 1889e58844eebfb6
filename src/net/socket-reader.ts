/**
 * How bytes come out of a socket. Sockets that we dial read into one memory shared by all of this thread: no allocation for a
 * packet, half the CPU time of 'data' events. Node offers that only at connect; accepted sockets use 'data'. Payloads are read to
 * their place directly where that is possible (direct-read.ts).
 */
import { connect, type Socket, type TcpNetConnectOpts } from 'node:net';
import { createDirectReader, type ByteSink, type DirectReader } from './direct-read.ts';

export type { ByteSink } from './direct-read.ts';

export interface SocketReader {
  readonly socket: Socket;
  /** Begins to read, or goes on after the sink said stop. */
  resume(sink: ByteSink): void;
}

/** Measured from 64 KiB to 256 KiB: each doubling moves two percent more on a busy machine; it is one buffer for all sockets. */
const SHARED_READ_BYTES = 262_144;
/** What Node reads at most at a time for 'data'. */
const NODE_READ_BYTES = 65_536;
/** With direct reads Node's own have to find the next header only; what else they bring is copied. */
const SMALL_READ_BYTES = 16_384;

let direct: DirectReader | undefined | 'untried' = 'untried';
let sharedMemory: Uint8Array | undefined;

function directReader(): DirectReader | undefined {
  if (direct === 'untried') direct = createDirectReader();
  return direct;
}

/** `isFull`: Node's read filled what it was given, so there may be more. On a slow link there seldom is, and asking costs a call. */
function takeAll(socket: Socket, sink: ByteSink, bytes: Uint8Array, byteCount: number, isFull: boolean): boolean {
  if (!sink.take(bytes, byteCount)) return false;
  if (!isFull) return true;
  const reader = directReader();
  return reader === undefined || reader.read(socket, sink);
}

/** A socket that is being connected. Nothing is read before `resume`. */
export function connectReader(options: TcpNetConnectOpts): SocketReader {
  let sink: ByteSink | undefined;
  sharedMemory ??= new Uint8Array(directReader() === undefined ? SHARED_READ_BYTES : SMALL_READ_BYTES);
  const socket: Socket = connect({
    ...options,
    onread: {
      buffer: sharedMemory,
      callback: (byteCount, bytes) =>
        sink === undefined || takeAll(socket, sink, bytes, byteCount, byteCount === bytes.length),
    },
  });
  socket.pause();
  return {
    socket,
    resume: (next) => {
      sink = next;
      socket.resume();
    },
  };
}

/** A socket that was accepted, paused. */
export function acceptedReader(socket: Socket): SocketReader {
  let sink: ByteSink | undefined;
  const onData = (bytes: Buffer): void => {
    if (sink !== undefined && !takeAll(socket, sink, bytes, bytes.length, bytes.length >= NODE_READ_BYTES))
      socket.pause();
  };
  return {
    socket,
    resume: (next) => {
      if (sink === undefined) socket.on('data', onData);
      sink = next;
      socket.resume();
    },
  };
}
