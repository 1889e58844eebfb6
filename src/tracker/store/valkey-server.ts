/**
 * Which server of those named is spoken to: a cluster's nodes, each for its slots, or of single servers the one that is a primary at the
 * moment. When that one is gone or takes no writes any more, the others are tried, so that a replica that was promoted is found.
 */
import { AbstractConnector, Cluster, Redis } from 'iovalkey';
import { createConnection, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { ShoalError } from '../../errors.ts';
import * as limits from '../../limits.ts';

export type Server = Redis | Cluster;

interface StoreNode {
  readonly host: string;
  readonly port: number;
  readonly username?: string;
  readonly password?: string;
  readonly tls?: object;
}

/** Throws a ShoalError when none of them answers. */
export async function connectTo(urls: readonly string[]): Promise<Server> {
  const nodes = urls.map(parseUrl);
  let cause: unknown;
  for (const node of nodes) {
    const options = {
      ...node,
      connectTimeout: limits.STORE_CALL_TIMEOUT_MS,
      commandTimeout: limits.STORE_CALL_TIMEOUT_MS,
      maxRetriesPerRequest: 1,
      retryStrategy: (attempt: number) => Math.min(50 * attempt, 500),
    };
    const one = new Redis({ ...options, lazyConnect: true, retryStrategy: () => null });
    one.on('error', (error) => (cause = error));
    try {
      await one.connect();
      const isCluster = /cluster_enabled:1/u.test(await one.info('cluster'));
      one.disconnect();
      const { host: _host, port: _port, ...redisOptions } = options;
      return withoutNoise(
        isCluster
          ? new Cluster(nodes.slice(), {
              redisOptions,
              slotsRefreshTimeout: limits.STORE_CALL_TIMEOUT_MS,
              clusterRetryStrategy: (attempt: number) => Math.min(50 * attempt, 500),
            })
          : new Redis({ ...options, Connector: primaryAmong(nodes), reconnectOnError: hasLostItsRank }),
      );
    } catch (error) {
      cause = error;
      one.disconnect();
    }
  }
  throw storeProblem(cause, urls);
}

/** Another connection to the same. */
export function anotherConnection(server: Server): Server {
  return withoutNoise(server.duplicate());
}

/** What a caller of the store is told: never a password. */
export function storeProblem(error: unknown, urls: readonly string[]): ShoalError {
  if (error instanceof ShoalError) return error;
  const where = urls.map((url) => url.replace(/\/\/[^@/]*@/u, '//')).join(', ');
  const why = error instanceof Error ? error.message : String(error);
  return new ShoalError('disk', `cannot use the store at ${where}: ${why}`, { cause: error });
}

function withoutNoise(server: Server): Server {
  server.on('error', () => {}); // every call that it fails says so itself
  return server;
}

/** A primary that was made a replica refuses writes over connections it still has: look for the primary anew. */
function hasLostItsRank({ message }: Error): boolean {
  return message.startsWith('READONLY');
}

/** Each attempt to connect takes the next node; one that is no primary is left again. */
function primaryAmong(nodes: readonly StoreNode[]) {
  return class extends AbstractConnector {
    #next = 0;

    constructor(_options: unknown) {
      super(limits.STORE_CALL_TIMEOUT_MS);
    }

    override check({ role }: { role?: string }): boolean {
      const isPrimary = role === undefined || role === 'master';
      if (isPrimary) this.#next += nodes.length - 1; // should it be lost: this one first
      return isPrimary;
    }

    override async connect(): Promise<Socket> {
      const { host, port, tls } = nodes[this.#next++ % nodes.length] as StoreNode;
      this.connecting = true;
      const socket = tls === undefined ? createConnection({ host, port }) : connectTls({ host, port, ...tls });
      this.stream = socket;
      socket.once('error', (error) => (this.firstError = error));
      return socket;
    }
  };
}

function parseUrl(text: string): StoreNode {
  const url = URL.parse(text);
  if (url === null || !/^(redis|valkey)s?:$/u.test(url.protocol) || url.hostname === '')
    throw new ShoalError('usage', `${JSON.stringify(text)} is not the URL of a store`, {
      hint: 'it looks like valkey://127.0.0.1:6379',
    });
  return {
    host: url.hostname.replace(/^\[|\]$/gu, ''),
    port: Number(url.port || 6379),
    ...(url.username === '' ? {} : { username: decodeURIComponent(url.username) }),
    ...(url.password === '' ? {} : { password: decodeURIComponent(url.password) }),
    ...(/^(?:rediss|valkeys):$/u.test(url.protocol) ? { tls: {} } : {}),
  };
}
