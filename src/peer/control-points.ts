/**
 * The control sockets of one node: opened when it begins to share or to fetch, closed with it. A node that cannot have one works all
 * the same, so nothing here fails: it is logged.
 */
import { ShoalError } from '../errors.ts';
import { dataDirectoryPlace, isBelowHome, recordControl, removeControl, runPlace } from './control-place.ts';
import { serveControl, type ControlHost, type ControlServer } from './control-server.ts';

export interface ControlPointsOptions {
  readonly host: ControlHost;
  readonly peerId: string;
  /** Undefined: none are opened. */
  readonly home: string | undefined;
}

export class ControlPoints {
  readonly #options: ControlPointsOptions;
  #shared: Promise<void> | undefined;
  #plain: Promise<void> | undefined;
  readonly #servers: ControlServer[] = [];
  /** A record below the data home of a socket that is elsewhere. */
  #recorded = false;
  #closed = false;

  constructor(options: ControlPointsOptions) {
    this.#options = options;
  }

  /** The node has this data directory now; its lock is held. Resolves when it can be asked. */
  openShared(dataDir: string): Promise<void> {
    this.#shared ??= this.#open('warn', async (home) => {
      const server = await this.#serve(dataDirectoryPlace(dataDir));
      if (isBelowHome(home, dataDir)) return;
      // the other place is this node's own record then, so it is left to the socket that may be there already
      if (this.#plain !== undefined) return;
      await recordControl(runPlace(home, this.#options.peerId), server.address);
      this.#recorded = true;
    });
    return this.#shared;
  }

  /** The node fetches; if it has no data directory, it is found among those that run. */
  openPlain(): Promise<void> {
    if (this.#shared !== undefined) return this.#shared;
    this.#plain ??= this.#open('debug', async (home) => void (await this.#serve(runPlace(home, this.#options.peerId))));
    return this.#plain;
  }

  /** Call it before the node's own work is ended: callers then hear the true reason. */
  async close(): Promise<void> {
    this.#closed = true;
    const closing = this.#servers.map((server) => server.close());
    await Promise.all([this.#shared, this.#plain]);
    await Promise.all([...closing, ...this.#servers.map((server) => server.close())]);
    const { home, peerId } = this.#options;
    if (this.#recorded && home !== undefined) await removeControl(runPlace(home, peerId));
  }

  async #serve(place: Parameters<typeof serveControl>[1]): Promise<ControlServer> {
    const server = await serveControl(this.#options.host, place);
    this.#servers.push(server);
    return server;
  }

  async #open(level: 'warn' | 'debug', open: (home: string) => Promise<void>): Promise<void> {
    const { home } = this.#options;
    if (home === undefined || this.#closed) return;
    try {
      await open(home);
    } catch (error) {
      const { createLog } = await import('../log.ts');
      const problem = ShoalError.from(error).message;
      createLog({ name: 'peer' })[level](`this node has no control socket, so \`shoal status\` misses it: ${problem}`);
    }
  }
}
