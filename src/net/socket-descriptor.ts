/** The system's number of a socket, for native calls. Node has no public way to it: the private one is used here and nowhere else. */
import type { Socket } from 'node:net';

/** Undefined when the socket is closed, when its bytes are not those of the connection (TLS), or when this Node keeps it elsewhere. */
export function descriptorOf(socket: Socket): number | undefined {
  if (socket.destroyed || socket.connecting || 'encrypted' in socket) return undefined;
  const { _handle: handle } = socket as unknown as { readonly _handle?: { readonly fd?: unknown } | null };
  const descriptor = handle?.fd;
  return typeof descriptor === 'number' && descriptor >= 0 ? descriptor : undefined;
}
