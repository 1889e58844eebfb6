/** A relay to a port of loopback that can keep back what comes from there, as a network does that has become slow. */
import { createConnection, createServer, type AddressInfo, type Socket } from 'node:net';

export interface HeldRelay {
  readonly port: number;
  /** What the target sends from now on is not passed on. */
  hold(): void;
  /** Passes on what was held, and all that follows. */
  release(): void;
  /** Cuts all connections: what was held is lost. */
  cut(): void;
  close(): Promise<void>;
}

export async function openHeldRelay(targetPort: number): Promise<HeldRelay> {
  let isHeld = false;
  const sockets = new Set<Socket>();
  const targets = new Set<Socket>();
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  const server = createServer((inner) => {
    const target = createConnection(targetPort, '127.0.0.1');
    for (const [socket, other] of [
      [inner, target],
      [target, inner],
    ] as const) {
      sockets.add(socket);
      socket.on('error', () => {}); // either end may be killed
      socket.on('data', (bytes) => other.write(bytes));
      socket.on('close', () => {
        sockets.delete(socket);
        targets.delete(socket);
        other.destroy();
      });
    }
    targets.add(target);
    if (isHeld) target.pause();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    hold() {
      isHeld = true;
      for (const target of targets) target.pause();
    },
    release() {
      isHeld = false;
      for (const target of targets) target.resume();
    },
    cut,
    async close() {
      cut();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
