/** Opens a connection to a peer, with TLS or without: bytes flow, nobody has said which peer they are yet. */
import { once } from 'node:events';
import { ShoalError, systemErrorCode } from '../errors.ts';
import * as limits from '../limits.ts';
import { formatAddress, type Address } from './address.ts';
import type { ConnectionSet } from './connection-set.ts';
import { FramedConnection } from './framed-connection.ts';
import type { PeerTls } from './peer-tls.ts';
import { socketError } from './socket-error.ts';
import { KEEPALIVE_DELAY_MS } from './socket-options.ts';
import { connectReader } from './socket-reader.ts';

export interface DialOptions extends Address {
  readonly connections: ConnectionSet;
  /** Undefined: in clear text. */
  readonly tls?: PeerTls | undefined;
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Connects; `host` may be a name, whose addresses of both families are tried. The connection is in `connections` and reads nothing
 * until its handshake begins. Rejects with `peer-gone`, `limit`, `cancelled`, or `not-allowed` when the two do not agree on TLS.
 */
export async function dial(options: DialOptions): Promise<FramedConnection> {
  const { host, port, connections, tls } = options;
  const timeoutMs = options.timeoutMs ?? limits.DIAL_TIMEOUT_MS;
  const what = `cannot connect to ${formatAddress({ host, port })}`;
  const { signal: given } = options;
  if (given?.aborted === true) throw cancelled(what, given.reason);
  if (connections.isFull)
    throw new ShoalError('limit', `${what}: this node has ${connections.connectionsMax} connections already`);
  const leavePlace = connections.takePlace();
  const timeout = AbortSignal.timeout(timeoutMs);
  const signal = given === undefined ? timeout : AbortSignal.any([given, timeout]);
  try {
    const where = {
      host,
      port,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEPALIVE_DELAY_MS,
      autoSelectFamily: true,
      allowHalfOpen: true,
    };
    const reader = tls === undefined ? connectReader(where) : tls.connectReader(where);
    // an error between two listeners is followed by `close`, which the connection sees
    reader.socket.on('error', () => undefined);
    try {
      await once(reader.socket, tls === undefined ? 'connect' : 'secureConnect', { signal });
    } catch (error) {
      reader.socket.destroy();
      throw error;
    }
    const connection = new FramedConnection({ reader, outbound: true, clock: connections.clock });
    connections.add(connection);
    return connection;
  } catch (error) {
    if (given !== undefined && isAborted(given)) throw cancelled(what, given.reason);
    if (timeout.aborted)
      throw new ShoalError('peer-gone', `${what}: no answer within ${timeoutMs} ms`, { cause: error });
    if (tls !== undefined && systemErrorCode(error) === 'ECONNRESET')
      throw new ShoalError('peer-gone', `${what}: it hung up before TLS was agreed; perhaps it speaks without`, {
        cause: error,
      });
    throw socketError(what, error);
  } finally {
    leavePlace();
  }
}

function cancelled(what: string, reason: unknown): ShoalError {
  return new ShoalError('cancelled', `${what}: it was cancelled`, { cause: reason });
}

/** A call, because the compiler does not see that time has passed. */
function isAborted(signal: AbortSignal): boolean {
  return signal.aborted;
}
