/**
 * The virtual network: hosts with an uplink and a downlink, and between them ordered streams with a latency. An uplink serves its
 * streams in turn, 64 KiB at a time; a downlink takes what arrives in order. Control messages cost their bytes, overtake whatever
 * has not been handed to the stream, and nothing else. Bytes are counted, never moved.
 *
 * A fragment is handed to a stream when the uplink is free for it; with `kernelBytes` a host behaves like one with socket buffers:
 * a stream takes fragments until so many bytes wait in it, says at once that they are sent, and control messages queue behind them.
 */
import { FRAGMENT_BYTES_MAX, RATE_BURST_MS, RATE_PIECE_BYTES_MIN, RATE_PIECE_MS } from '../src/limits.ts';
import type { SwarmMessage } from '../src/swarm/facts.ts';
import { TcpWindow } from './tcp-window.ts';

export interface NetworkOptions {
  /** Model TCP's slow start and its restart after idle. */
  readonly slowStart: boolean;
  /** Bytes a stream may hold that have not left the host; 0: none, the host decides as late as can be. */
  readonly kernelBytes: number;
  /** Count TCP/IP and Ethernet headers as bytes on the link. */
  readonly headers: boolean;
  /** Messages pass chunks that wait in front of the receiver's downlink, as where flows are queued fairly. */
  readonly controlFirst: boolean;
  /** Most bytes TCP may have on its way in one direction. */
  readonly windowBytesMax: number;
}

export const NETWORK_DEFAULTS: NetworkOptions = {
  slowStart: false,
  kernelBytes: 0,
  headers: false,
  controlFirst: false,
  windowBytesMax: 4 * 1024 * 1024,
};

/** A chunk on its way out. */
export interface SimSend {
  readonly stream: Stream;
  readonly requestId: number;
  readonly chunkIndex: number;
  readonly byteCount: number;
  readonly wrong: boolean;
  /** Bytes handed to the stream. */
  offset: number;
  stopped: boolean;
}

/** A fragment that arrives whole. */
export interface SimFragment {
  readonly type: 'fragment';
  readonly stream: Stream;
  readonly send: SimSend;
  readonly offset: number;
  readonly byteCount: number;
}

interface Item {
  readonly message: SwarmMessage | undefined;
  readonly fragment: SimFragment | undefined;
  leftBytes: number;
}

/** One direction of a connection. `link` is the sender's name for it, `farLink` the receiver's. */
export interface Stream {
  /** What the receiver asked for, in bytes a microsecond; Infinity: any rate. */
  paceRate: number;
  /** When it may be handed more. */
  paceFreeAtUs: number;
  readonly link: number;
  readonly farLink: number;
  /** The other direction of the same connection. */
  back: Stream | undefined;
  readonly from: Host;
  readonly to: Host;
  readonly latencyUs: number;
  readonly window: TcpWindow | undefined;
  readonly items: Item[];
  /** Bytes of fragments in `items`. */
  dataBytes: number;
  /** Nothing arrives before what was sent earlier. */
  arrivesAtUs: number;
  open: boolean;
  /** The sender's end has been told that it is closed. */
  closed: boolean;
}

export interface Host {
  readonly index: number;
  /** Bytes a microsecond. */
  upRate: number;
  downRate: number;
  readonly latencyUs: number;
  readonly sends: SimSend[];
  /** Streams with something to send, in turn. */
  readonly ring: Stream[];
  busy: boolean;
  /** The piece on the uplink. */
  readonly serving: { stream: Stream | undefined; item: Item | undefined };
  wakeAtUs: number;
  upFreeAtUs: number;
  downFreeAtUs: number;
  /** Time the uplink has spent on fragments. */
  busyUs: number;
  controlBytes: number;
  dataBytes: number;
}

export function createHost(index: number, upBytesPerSecond: number, downBytesPerSecond: number, rttMs: number): Host {
  return {
    index,
    upRate: upBytesPerSecond / 1e6,
    downRate: downBytesPerSecond / 1e6,
    latencyUs: Math.round(rttMs * 250),
    sends: [],
    ring: [],
    busy: false,
    serving: { stream: undefined, item: undefined },
    wakeAtUs: Number.POSITIVE_INFINITY,
    upFreeAtUs: 0,
    downFreeAtUs: 0,
    busyUs: 0,
    controlBytes: 0,
    dataBytes: 0,
  };
}

/** What the network asks of the world around it. */
export interface NetworkEvents {
  nowUs(): number;
  /** Call `departed` at this time. */
  departAt(atUs: number, host: Host): void;
  /** Call `pump` at this time. */
  wakeAt(atUs: number, host: Host): void;
  arriveAt(atUs: number, stream: Stream, what: SwarmMessage | SimFragment): void;
  /** The same message on several streams of one host. */
  arriveOnAllAt(atUs: number, streams: readonly Stream[], message: SwarmMessage): void;
  /** A fragment has been taken off the host's hands. */
  sent(fragment: SimFragment): void;
}

const FRAME_OVERHEAD_BYTES = 20;
/** A message to many that arrives within this everywhere arrives at once: an event less for each. */
const TOGETHER_US = 500;
/** Ethernet, IP and TCP with time stamps, for a packet and as a share of full packets. */
const PACKET_HEADER_BYTES = 66;
const PACKET_HEADER_SHARE = PACKET_HEADER_BYTES / 1448;

export class Network {
  readonly #options: NetworkOptions;
  readonly #events: NetworkEvents;

  constructor(options: NetworkOptions, events: NetworkEvents) {
    this.#options = options;
    this.#events = events;
  }

  createStream(from: Host, to: Host, link: number, farLink: number): Stream {
    const latencyUs = from.latencyUs + to.latencyUs;
    const window = this.#options.slowStart ? new TcpWindow(2 * latencyUs, this.#options.windowBytesMax) : undefined;
    return {
      paceRate: Number.POSITIVE_INFINITY,
      paceFreeAtUs: 0,
      link,
      farLink,
      back: undefined,
      from,
      to,
      latencyUs,
      window,
      items: [],
      dataBytes: 0,
      arrivesAtUs: 0,
      open: true,
      closed: false,
    };
  }

  /** How long a byte written now would take to the other side: queues on the host, the path, queues before the receiver. */
  delayUs(stream: Stream): number {
    const nowUs = this.#events.nowUs();
    const waiting = stream.items.reduce((sum, item) => sum + item.leftBytes, 0);
    return waiting / stream.from.upRate + stream.latencyUs + Math.max(0, stream.to.downFreeAtUs - nowUs);
  }

  message(stream: Stream, message: SwarmMessage): void {
    const byteCount = this.#bytesOf(message);
    const atUs = this.#passMessage(stream, message, byteCount, this.#events.nowUs());
    if (atUs === undefined) return;
    stream.arrivesAtUs = atUs;
    this.#events.arriveAt(atUs, stream, message);
  }

  /** One message on many streams of a host. What would arrive within a moment arrives in one event. */
  broadcast(streams: readonly Stream[], message: SwarmMessage): void {
    const byteCount = this.#bytesOf(message);
    const nowUs = this.#events.nowUs();
    const together: Stream[] = [];
    let earliestUs = 0;
    let latestUs = 0;
    for (const stream of streams) {
      const atUs = this.#passMessage(stream, message, byteCount, nowUs);
      if (atUs === undefined) continue;
      if (together.length === 0) earliestUs = atUs;
      if (Math.abs(atUs - earliestUs) > TOGETHER_US) {
        stream.arrivesAtUs = atUs;
        this.#events.arriveAt(atUs, stream, message);
        continue;
      }
      together.push(stream);
      latestUs = Math.max(latestUs, atUs);
    }
    for (const stream of together) stream.arrivesAtUs = latestUs;
    if (together.length > 0) this.#events.arriveOnAllAt(latestUs, together, message);
  }

  #bytesOf(message: SwarmMessage): number {
    return messageBytes(message) + (this.#options.headers ? PACKET_HEADER_BYTES : 0);
  }

  /** When a message will have arrived; undefined when it has to queue behind others of its stream. */
  #passMessage(stream: Stream, message: SwarmMessage, byteCount: number, nowUs: number): number | undefined {
    const host = stream.from;
    host.controlBytes += byteCount;
    if (stream.items.length > 0 && (this.#options.kernelBytes > 0 || !this.#isLeavingWhole(stream))) {
      this.#push(stream, { message, fragment: undefined, leftBytes: byteCount });
      this.pump(host);
      return undefined;
    }
    const costUs = byteCount / host.upRate;
    host.upFreeAtUs = Math.max(host.upFreeAtUs, nowUs) + costUs;
    const inUs = this.#options.controlFirst
      ? nowUs + costUs + stream.latencyUs + byteCount / stream.to.downRate
      : this.#occupyDownlink(stream, byteCount, nowUs, nowUs + costUs);
    return Math.max(inUs, stream.arrivesAtUs);
  }

  start(send: SimSend): void {
    send.stream.from.sends.push(send);
    this.pump(send.stream.from);
  }

  /** Stops a send whose bytes are not all handed over; whether there was such a one. */
  stop(host: Host, link: number, requestId: number): boolean {
    const at = host.sends.findIndex((send) => send.stream.link === link && send.requestId === requestId);
    if (at < 0) return false;
    host.sends.splice(at, 1);
    return true;
  }

  pace(stream: Stream, bytesPerSecond: number): void {
    stream.paceRate = bytesPerSecond / 1e6;
    stream.paceFreeAtUs = Math.min(stream.paceFreeAtUs, this.#events.nowUs() + RATE_PIECE_MS * 1000);
    this.pump(stream.from);
  }

  close(stream: Stream): void {
    stream.open = false;
    const { sends, ring } = stream.from;
    for (let at = sends.length - 1; at >= 0; at--) if (sends[at]?.stream === stream) sends.splice(at, 1);
    const at = ring.indexOf(stream);
    if (at >= 0) ring.splice(at, 1);
    // a piece on the uplink leaves all the same
    stream.items.length = 0;
  }

  /** Puts the next piece on the uplink, if it is free and a stream may send. */
  pump(host: Host): void {
    if (host.busy) return;
    const nowUs = this.#events.nowUs();
    let wakeUs = this.#feed(host);
    for (let tries = host.ring.length; tries > 0; tries--) {
      const stream = host.ring.shift() as Stream;
      const item = stream.items[0];
      if (item === undefined) continue;
      let bytes = Math.min(item.leftBytes, FRAGMENT_BYTES_MAX + FRAME_OVERHEAD_BYTES);
      if (stream.window !== undefined) {
        const room = stream.window.roomBytes(nowUs);
        if (room < Math.min(bytes, 1448)) {
          host.ring.push(stream);
          wakeUs = Math.min(wakeUs, stream.window.nextAckUs());
          continue;
        }
        bytes = Math.min(bytes, room);
      }
      item.leftBytes -= bytes;
      const onLink = item.fragment !== undefined && this.#options.headers ? bytes * (1 + PACKET_HEADER_SHARE) : bytes;
      const startUs = Math.max(nowUs, host.upFreeAtUs);
      const departUs = startUs + onLink / host.upRate;
      host.upFreeAtUs = departUs;
      host.busy = true;
      if (item.fragment !== undefined) host.busyUs += departUs - startUs;
      stream.window?.sent(bytes, departUs);
      host.serving.stream = stream;
      host.serving.item = item;
      if (item.leftBytes === 0)
        this.#arrive(stream, item.message ?? (item.fragment as SimFragment), onLink, startUs, departUs);
      else this.#occupyDownlink(stream, onLink, startUs, departUs);
      host.ring.push(stream);
      this.#events.departAt(departUs, host);
      return;
    }
    // other streams may have room while these wait: `sends` of theirs are fed as well
    if (wakeUs < host.wakeAtUs || host.wakeAtUs <= nowUs) {
      host.wakeAtUs = wakeUs;
      if (wakeUs !== Number.POSITIVE_INFINITY) this.#events.wakeAt(wakeUs, host);
    }
  }

  /** The piece on the uplink has left. */
  departed(host: Host): void {
    const { stream, item } = host.serving;
    host.serving.stream = undefined;
    host.serving.item = undefined;
    host.busy = false;
    if (stream !== undefined && item !== undefined && item.leftBytes === 0) {
      if (stream.items[0] === item) stream.items.shift();
      if (stream.items.length === 0) {
        const at = host.ring.indexOf(stream);
        if (at >= 0) host.ring.splice(at, 1);
      }
      const { fragment } = item;
      if (fragment !== undefined) {
        stream.dataBytes -= fragment.byteCount;
        host.dataBytes += fragment.byteCount;
        if (this.#options.kernelBytes === 0 && stream.open) this.#events.sent(fragment);
      }
    }
    this.pump(host);
  }

  /**
   * Hands fragments to the streams, of the oldest send first: chunks that are whole one after the other can be passed on sooner than
   * chunks that come side by side. A younger send gets its turn while the stream of an older one takes nothing.
   *
   * @returns when a stream that is held back by its pace may go on.
   */
  #feed(host: Host): number {
    const { sends } = host;
    const nowUs = this.#events.nowUs();
    let wakeUs = Number.POSITIVE_INFINITY;
    for (let at = 0; at < sends.length;) {
      const send = sends[at] as SimSend;
      const { stream } = send;
      if (stream.paceFreeAtUs > nowUs) {
        wakeUs = Math.min(wakeUs, stream.paceFreeAtUs);
        at++;
        continue;
      }
      const byteCount = Math.min(pieceBytes(stream), send.byteCount - send.offset);
      if (stream.dataBytes > 0 && stream.dataBytes >= this.#options.kernelBytes) {
        at++;
        continue;
      }
      const fragment: SimFragment = { type: 'fragment', stream, send, offset: send.offset, byteCount };
      send.offset += byteCount;
      stream.dataBytes += byteCount;
      if (stream.paceRate !== Number.POSITIVE_INFINITY)
        stream.paceFreeAtUs = Math.max(stream.paceFreeAtUs, nowUs - RATE_BURST_MS * 1000) + byteCount / stream.paceRate;
      if (send.offset === send.byteCount) sends.splice(at, 1);
      this.#push(stream, { message: undefined, fragment, leftBytes: byteCount + FRAME_OVERHEAD_BYTES });
      if (this.#options.kernelBytes > 0) this.#events.sent(fragment);
      // decided as late as can be: one fragment for an uplink that is free, unless TCP holds its stream back
      else if (stream.window === undefined || stream.window.roomBytes(nowUs) >= 1448) return wakeUs;
    }
    return wakeUs;
  }

  /** All that waits in the stream is on the uplink already. */
  #isLeavingWhole(stream: Stream): boolean {
    const { serving } = stream.from;
    return stream.items.length === 1 && serving.stream === stream && serving.item?.leftBytes === 0;
  }

  #push(stream: Stream, item: Item): void {
    if (!stream.from.ring.includes(stream)) stream.from.ring.push(stream);
    stream.items.push(item);
  }

  #arrive(stream: Stream, what: SwarmMessage | SimFragment, bytes: number, startUs: number, departUs: number): void {
    const atUs = Math.max(this.#occupyDownlink(stream, bytes, startUs, departUs), stream.arrivesAtUs);
    stream.arrivesAtUs = atUs;
    this.#events.arriveAt(atUs, stream, what);
  }

  /** When the last byte is in: the downlink takes bytes as they come, not only when all have left. */
  #occupyDownlink(stream: Stream, bytes: number, startUs: number, departUs: number): number {
    const { to, latencyUs } = stream;
    const endUs = Math.max(departUs + latencyUs, Math.max(to.downFreeAtUs, startUs + latencyUs) + bytes / to.downRate);
    to.downFreeAtUs = Math.max(to.downFreeAtUs, startUs + latencyUs) + bytes / to.downRate;
    return endUs;
  }
}

/** What a sender hands over at a time. */
function pieceBytes({ paceRate }: Stream): number {
  return Math.min(FRAGMENT_BYTES_MAX, Math.max(RATE_PIECE_BYTES_MIN, Math.floor(paceRate * RATE_PIECE_MS * 1000)));
}

/** Bytes of a message on the wire, its frame header included. */
export function messageBytes(message: SwarmMessage): number {
  switch (message.type) {
    case 'bitfield':
      return 12 + message.bytes.length;
    case 'have':
    case 'lost':
      return 10 + 4 * message.chunkIndexes.length;
    case 'grant':
      return 14 + 4 * message.suggestions.length;
    case 'request':
      return 16;
    case 'decline':
    case 'interest':
    case 'pace':
      return 12;
    case 'cancel':
      return 10;
    case 'reject':
      return 14;
    case 'pex':
      return 10 + 34 * message.added.length + 16 * message.dropped.length;
    default:
      return 8;
  }
}
