/**
 * The native frontend: connections that speak the framed protocol, dialled or accepted, and their place in a session. What the
 * messages mean is the swarm's business; here they only change hands, and manifests are answered from what is at hand.
 */
import { contentIdFromBytes, toHex, type ContentId } from '../../content/digest.ts';
import { parseManifest, type Manifest } from '../../content/manifest.ts';
import { ShoalError } from '../../errors.ts';
import {
  GRANTS_PER_LINK_MAX,
  HANDSHAKE_TIMEOUT_MS,
  IN_FLIGHT_BYTES_MAX,
  MANIFEST_BYTES_MAX,
  MANIFEST_PART_BYTES_MAX,
} from '../../limits.ts';
import { formatAddress, parseAddress, type Address } from '../../net/address.ts';
import type { ConnectionEnd } from '../../net/connection-end.ts';
import type { ConnectionSet } from '../../net/connection-set.ts';
import { dial } from '../../net/dial.ts';
import type { FramedConnection, PeerMessage } from '../../net/framed-connection.ts';
import { acceptHandshake, createHello, dialHandshake, NO_CONTENT, probeHandshake } from '../../net/handshake.ts';
import type { Arrival } from '../../net/listener.ts';
import type { PeerTls } from '../../net/peer-tls.ts';
import type { SwarmKeys } from '../../net/swarm-key.ts';
import type { CloseReason, SwarmMessage } from '../../swarm/facts.ts';
import type { IncomingFragment } from '../../swarm/requests.ts';
import { sha256 } from '../../storage/digest-chunk.ts';
import { FEATURE_LARGE_FRAGMENTS, FEATURE_PACE } from '../../wire/frame.ts';
import { createGoodbye } from '../../wire/goodbye.ts';
import type { HelloMessage } from '../../wire/messages.ts';
import type { ContentSession } from '../content-session.ts';
import type { LinkEvents, PeerLink } from '../peer-link.ts';
import { fragmentBytesMax } from './fragment-size.ts';
import { decodePeers, encodePeers } from './peer-addresses.ts';

/** What the frontend may ask of the node. */
export interface NativeHost {
  readonly peerId: Uint8Array;
  readonly connections: ConnectionSet;
  /** What we prove, and what the other side has to. */
  readonly swarmKeys: SwarmKeys;
  /** Of an encrypted swarm. */
  readonly tls?: PeerTls | undefined;
  /** Port on which we accept, for others to dial back. */
  listenPort(): number;
  /** The session of a content we have or fetch; made if need be. Undefined: we have nothing of it. */
  sessionOf(contentId: ContentId): ContentSession | undefined;
  /** The manifest of a content we take part in; undefined for contents without one. */
  manifestOf(contentId: ContentId): Manifest | undefined;
}

/** A framed connection in the part of a session's link. */
class NativeLink implements PeerLink {
  readonly key: string;
  readonly address: string;
  readonly listensAt: string | undefined;
  readonly paces: boolean;
  readonly #connection: FramedConnection;
  readonly #features: number;

  constructor(connection: FramedConnection, remote: HelloMessage, address: string) {
    this.#connection = connection;
    this.key = toHex(remote.peerId);
    this.address = address;
    this.listensAt = listenAddress(connection, remote, address);
    this.paces = (remote.features & FEATURE_PACE) !== 0;
    this.#features = remote.features;
  }

  get fragmentBytesMax(): number {
    return fragmentBytesMax(this.#features, this.#connection.isFast);
  }

  get unsentBytes(): number {
    return this.#connection.canSendFragment ? this.#connection.unsentBytes : Number.POSITIVE_INFINITY;
  }

  send(message: SwarmMessage): void {
    if (message.type === 'pex') this.#connection.send(encodePeers(message));
    else this.#connection.send(message);
  }

  sendFragment(fragment: IncomingFragment, bytes: Uint8Array, flushed: () => void): void {
    this.#connection.sendFragment(fragment, bytes, flushed);
  }

  close(reason: CloseReason, text: string): void {
    this.#connection.close(createGoodbye(reason, text));
  }
}

export class NativeFrontend {
  readonly #host: NativeHost;

  constructor(host: NativeHost) {
    this.#host = host;
  }

  /** Takes in an accepted connection. What goes wrong with it concerns nobody else. */
  async accept(connection: FramedConnection, arrival: Arrival): Promise<void> {
    let session: ContentSession | undefined;
    const outcome = await acceptHandshake(connection, {
      accept: (hello) => {
        const contentId = contentIdFromBytes(hello.contentId);
        if (contentId === NO_CONTENT)
          return { hello: this.#hello(contentId, false), swarmKey: this.#host.swarmKeys(contentId) };
        session = this.#host.sessionOf(contentId);
        if (session === undefined) return { refuse: createGoodbye('unknown-content', 'this node does not have it') };
        return { hello: this.#hello(contentId, session.swarm.isComplete), swarmKey: this.#host.swarmKeys(contentId) };
      },
    }).catch((error: unknown) => ({ type: 'failed' as const, error }));
    if (outcome.type !== 'linked') return;
    if (session === undefined) {
      // it wanted to know who is here, and has proved more than it had to
      connection.close(createGoodbye('leaving'));
      return;
    }
    arrival.proven();
    const { host } = connection.remoteAddress;
    const port = outcome.remote.listenPort === 0 ? connection.remoteAddress.port : outcome.remote.listenPort;
    this.#join(session, connection, outcome.remote, formatAddress({ host, port }), undefined);
  }

  /** Dials the addresses in turn and joins the session with the first that answers. Rejects with the last failure. */
  async dial(
    session: ContentSession,
    contentId: ContentId,
    addresses: readonly string[],
    dialledKey: string,
    signal: AbortSignal,
  ): Promise<void> {
    let failure = new ShoalError('peer-gone', `${dialledKey} has no address`);
    for (const text of addresses) {
      try {
        const address = parseAddress(text);
        const { connection, remote } = await this.#shake(address, contentId, session.swarm.isComplete, signal);
        this.#join(session, connection, remote, formatAddress(address), dialledKey);
        return;
      } catch (error) {
        failure = ShoalError.from(error);
        if (signal.aborted) break;
      }
    }
    throw failure;
  }

  /** Whether the peer with this id answers at an address and holds the key of the content's swarm. It takes no part of it. */
  async probe(contentId: ContentId, addressText: string, key: string, signal: AbortSignal): Promise<boolean> {
    try {
      const connection = await dial({
        ...parseAddress(addressText),
        connections: this.#host.connections,
        tls: this.#host.tls,
        signal,
      });
      const outcome = await probeHandshake(connection, {
        hello: this.#hello(contentId, false),
        swarmKey: this.#host.swarmKeys(contentId),
        timeoutMs: HANDSHAKE_TIMEOUT_MS,
        signal,
      });
      connection.destroy();
      return outcome.type === 'linked' && toHex(outcome.remote.peerId) === key;
    } catch {
      // whatever it was that answered, it was not that peer
      return false;
    }
  }

  /** Asks one peer for a manifest, on a connection of its own; self-verifying, so it does not matter whom we ask. */
  async fetchManifest(addressText: string, contentId: ContentId, signal: AbortSignal): Promise<Manifest> {
    const address = parseAddress(addressText);
    const { connection } = await this.#shake(address, contentId, false, signal);
    try {
      return parseManifest(await receiveManifest(connection, signal), sha256, contentId);
    } finally {
      connection.close(createGoodbye('leaving', 'only the manifest was wanted'));
    }
  }

  async #shake(
    address: Address,
    contentId: ContentId,
    complete: boolean,
    signal: AbortSignal,
  ): Promise<{ connection: FramedConnection; remote: HelloMessage }> {
    const { connections, tls } = this.#host;
    const connection = await dial({ ...address, connections, tls, signal });
    const outcome = await dialHandshake(connection, {
      hello: this.#hello(contentId, complete),
      swarmKey: this.#host.swarmKeys(contentId),
      timeoutMs: HANDSHAKE_TIMEOUT_MS,
      signal,
    });
    if (outcome.type === 'linked') return { connection, remote: outcome.remote };
    throw new ShoalError(
      outcome.goodbye.reason === 'not-allowed' ? 'not-allowed' : 'peer-gone',
      `${formatAddress(address)} refused: ${outcome.goodbye.reason} ${outcome.goodbye.text}`.trimEnd(),
    );
  }

  #hello(contentId: ContentId, complete: boolean): HelloMessage {
    return createHello({
      contentId,
      complete,
      uploadDisabled: false,
      listenPort: this.#host.listenPort(),
      features: FEATURE_PACE | FEATURE_LARGE_FRAGMENTS,
      peerId: this.#host.peerId,
      inFlightBytesMax: IN_FLIGHT_BYTES_MAX,
      grantsMax: GRANTS_PER_LINK_MAX,
    });
  }

  #join(
    session: ContentSession,
    connection: FramedConnection,
    remote: HelloMessage,
    address: string,
    dialledKey: string | undefined,
  ): void {
    const link = new NativeLink(connection, remote, address);
    const contentId = contentIdFromBytes(remote.contentId);
    const events: LinkEvents = session.linked(link, { outbound: dialledKey !== undefined, dialledKey });
    connection.start({
      message: (message) => this.#onMessage(connection, contentId, events, message),
      fragment: (header) => events.fragment(header),
      fragmentEnd: (header) => events.fragmentEnd(header),
      writable: () => events.writable(),
      rtt: (rttMs) => events.rtt(rttMs),
      closed: (end) => events.closed(end.type === 'violated', closeReason(end)),
    });
  }

  #onMessage(connection: FramedConnection, contentId: ContentId, events: LinkEvents, message: PeerMessage): void {
    switch (message.type) {
      case 'manifest-request':
        this.#sendManifestPart(connection, contentId, message.offset);
        return;
      case 'manifest-part':
        throw new ShoalError('protocol', 'a part of a manifest that nobody asked for');
      case 'pex':
        events.message(decodePeers(message));
        return;
      default:
        events.message(message);
    }
  }

  #sendManifestPart(connection: FramedConnection, contentId: ContentId, offset: number): void {
    const manifest = this.#host.manifestOf(contentId);
    if (manifest === undefined || offset >= manifest.bytes.length) {
      throw new ShoalError('protocol', `a part of the manifest at ${offset} that does not exist`);
    }
    const bytes = manifest.bytes.subarray(offset, offset + MANIFEST_PART_BYTES_MAX);
    connection.send({ type: 'manifest-part', offset, totalBytes: manifest.bytes.length, bytes });
  }
}

/** Where the other side listens, as an address that can be passed on: the one we dialled, or its own host and the port it names. */
function listenAddress(connection: FramedConnection, remote: HelloMessage, address: string): string | undefined {
  const { host } = connection.remoteAddress;
  if (connection.outbound) return formatAddress({ host, port: parseAddress(address).port });
  return remote.listenPort === 0 ? undefined : formatAddress({ host, port: remote.listenPort });
}

/** Why the other side has closed the connection, in the words of the swarm. */
function closeReason(end: ConnectionEnd): CloseReason | undefined {
  if (end.type !== 'closed-there') return undefined;
  const reason = end.goodbye?.reason;
  return reason === 'unknown-content' || reason === 'not-allowed' ? 'useless' : reason;
}

/** Gathers a manifest part by part. The size another side names is checked before anything is allocated. */
function receiveManifest(connection: FramedConnection, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
  return new Promise((resolve, reject) => {
    let bytes: Uint8Array<ArrayBuffer> | undefined;
    let received = 0;
    const onAbort = (): void => reject(new ShoalError('cancelled', 'fetching the manifest was cancelled'));
    signal.addEventListener('abort', onAbort, { once: true });
    const ask = (): void => connection.send({ type: 'manifest-request', offset: received });
    connection.start({
      message: (message) => {
        if (message.type !== 'manifest-part') return;
        if (message.totalBytes > MANIFEST_BYTES_MAX || message.offset !== received || message.bytes.length === 0) {
          throw new ShoalError('protocol', 'a part of the manifest that does not continue it');
        }
        bytes ??= new Uint8Array(message.totalBytes);
        if (message.totalBytes !== bytes.length || received + message.bytes.length > bytes.length) {
          throw new ShoalError('protocol', 'a part of the manifest that does not fit it');
        }
        bytes.set(message.bytes, received);
        received += message.bytes.length;
        if (received < bytes.length) ask();
        else resolve(bytes);
      },
      fragment: () => undefined,
      fragmentEnd: () => undefined,
      closed: (end) => {
        signal.removeEventListener('abort', onAbort);
        reject(
          end.type === 'violated' || end.type === 'failed'
            ? end.error
            : new ShoalError('peer-gone', 'the peer left before its manifest was here'),
        );
      },
    });
    ask();
  });
}
