/** A relay between two peers that notes when how many bytes pass: what a limit looks like from outside, frames included. */
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

export interface Passed {
  /** On the clock of `performance.now()`. */
  readonly atMs: number;
  readonly byteCount: number;
}

export interface CountingRelay {
  /** `host:port` to dial in place of the target. */
  readonly address: string;
  /** What came from the target since the last call. */
  take(): readonly Passed[];
  close(): void;
}

/** Relays connections to `target` (`host:port`), on loopback. */
export async function openRelay(target: string): Promise<CountingRelay> {
  const colon = target.lastIndexOf(':');
  const sockets = new Set<Socket>();
  let passed: Passed[] = [];
  const server = createServer((near) => {
    const far = connect({ host: target.slice(0, colon), port: Number(target.slice(colon + 1)), noDelay: true });
    near.setNoDelay(true);
    for (const socket of [near, far]) {
      sockets.add(socket);
      // the end of one is the end of the other
      socket.on('error', () => undefined);
      socket.on('close', () => {
        sockets.delete(socket);
        near.destroy();
        far.destroy();
      });
    }
    far.on('data', (bytes: Buffer) => passed.push({ atMs: performance.now(), byteCount: bytes.length }));
    far.pipe(near);
    near.pipe(far);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    take() {
      const taken = passed;
      passed = [];
      return taken;
    },
    close() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

/** Bytes a second between two moments. */
export function meanRate(passed: readonly Passed[], fromMs: number, untilMs: number): number {
  let sum = 0;
  for (const { atMs, byteCount } of passed) if (atMs >= fromMs && atMs < untilMs) sum += byteCount;
  return (sum * 1000) / (untilMs - fromMs);
}

/** The most bytes in any window of this length between two moments. */
export function mostWithin(passed: readonly Passed[], fromMs: number, untilMs: number, windowMs: number): number {
  let most = 0;
  let sum = 0;
  let first = 0;
  const seen = passed.filter(({ atMs }) => atMs >= fromMs && atMs < untilMs);
  for (const { atMs, byteCount } of seen) {
    sum += byteCount;
    while ((seen[first]?.atMs ?? 0) <= atMs - windowMs) sum -= seen[first++]?.byteCount ?? 0;
    most = Math.max(most, sum);
  }
  return most;
}
