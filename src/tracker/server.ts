/**
 * A running tracker: opens the store, puts both frontends on one port, sweeps now and then, and closes in bounded time. The one
 * place of this folder that looks at the clock.
 */
import { createContextValues } from '@connectrpc/connect';
import { fastifyConnectPlugin } from '@connectrpc/connect-fastify';
import { connectNodeAdapter } from '@connectrpc/connect-node';
import Fastify, { LogController, type FastifyBaseLogger, type FastifyError, type FastifyInstance } from 'fastify';
import { hash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ShoalError, systemErrorCode } from '../errors.ts';
import * as limits from '../limits.ts';
import { createLog, type Logger } from '../log.ts';
import { OPEN_ACCESS, privateAccess, type Access } from './access.ts';
import { formatAddress, observedHostOf } from './addresses.ts';
import type { AddressProbe } from './dial-back.ts';
import { docsRoutes } from './frontends/docs.ts';
import { refuseWhileClosing } from './frontends/drain.ts';
import { guardRest, guardRpc } from './frontends/guard.ts';
import { hotCalls } from './frontends/hot-calls.ts';
import { createHotConnections } from './frontends/hot-connection.ts';
import { countCalls, createMetrics, type Metrics } from './frontends/metrics.ts';
import { installErrorHandlers, refuseBrokenRequest, connectionRefusal, sendError } from './frontends/rest-errors.ts';
import { callerOf } from './frontends/rest-request.ts';
import { restRoutes } from './frontends/rest.ts';
import { callIdKey, callIdOf, tellCallIds, tellRpcCallId } from './frontends/call-id.ts';
import { callerKey, rpcRoutes } from './frontends/rpc.ts';
import { createOnePort, type OnePort, type OnePortOptions } from './one-port.ts';
import { createRegistry, type Registry } from './registry.ts';
import { createMemoryStore } from './store/memory.ts';
import { openSqliteStore } from './store/sqlite.ts';
import type { TrackerStore } from './store/store.ts';

export interface TrackerOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  readonly store: 'sqlite' | 'memory' | 'valkey';
  /** Of the valkey store: any nodes of one server or cluster. */
  readonly storeUrls?: readonly string[] | undefined;
  /** Of the valkey store: replicas that have to have a publish before it is acknowledged. */
  readonly storeReplicas?: number | 'auto' | undefined;
  /** Folder of the sqlite store; made when it is missing. */
  readonly dataDir?: string | undefined;
  readonly log?: Logger | undefined;
  /** Makes the tracker private: calls have to carry it, or the part of it that reads (contract/token.ts). */
  readonly token?: string | undefined;
  /** With a certificate the tracker takes TLS only; with an authority too, only from those who have a certificate by it. */
  readonly tls?: OnePortOptions['tls'];
  /** Finds out whether peers answer where they say; undefined: what they announce is named as it is. */
  readonly probe?: AddressProbe | undefined;
  /** Shorter leases, for tests. */
  readonly leaseMs?: number | undefined;
  /** A volunteer that is away for so long is gone for good. */
  readonly replicaGoneMs?: number | undefined;
  /** Whether peers may tell each other of peers. Default true. */
  readonly peerExchange?: boolean | undefined;
}

export interface Tracker {
  /** Base URL under which this machine reaches it. */
  readonly url: string;
  readonly port: number;
  /**
   * Tells those who watch, refuses new calls, lets running ones finish for a bounded time, writes what waits, and frees port and store.
   * Safe to call twice.
   */
  close(): Promise<void>;
}

/** Resolves when the tracker takes calls. Throws a ShoalError that says what is in the way. */
export async function startTracker(options: TrackerOptions): Promise<Tracker> {
  const { host, port, log = createLog({ name: 'tracker' }) } = options;
  const now = createClock();
  const store = await openStore(options);
  const closing = new AbortController();
  let app: FastifyInstance | undefined;
  let front: OnePort | undefined;
  let registry: Registry;
  let address: AddressInfo;
  try {
    registry = await createRegistry({
      store,
      now,
      sha256: (bytes) => hash('sha256', bytes, 'buffer'),
      probe: options.probe,
      replicaGoneMs: options.replicaGoneMs,
      isPrivate: options.token !== undefined || options.tls?.ca !== undefined,
      ...(options.leaseMs === undefined ? {} : { leaseMs: options.leaseMs }),
    });
    const access = options.token === undefined ? OPEN_ACCESS : privateAccess(options.token, log);
    const { peerExchange } = options;
    const metrics = createMetrics(registry, now);
    const parts = { registry, now, log, access, metrics, closing: closing.signal, peerExchange };
    app = await createTrackerApp(parts);
    await app.ready();
    front = createOnePort({ ...listenersOf(app, parts), tls: options.tls });
    address = await front.listen(host, port);
  } catch (error) {
    await app?.close();
    await store.close();
    throw listenProblem(error, host, port);
  }
  const stopSweeping = sweepNowAndThen(registry, log);
  const stopExchanging = registry.isShared ? exchangeAllTheTime(registry, log) : () => {};
  const running = { app, front };

  const close = async (): Promise<void> => {
    stopSweeping();
    stopExchanging();
    closing.abort();
    try {
      await running.front.close(limits.TRACKER_CLOSE_TIMEOUT_MS);
      await running.app.close();
      await registry.close();
    } finally {
      await store.close();
    }
  };
  let closed: Promise<void> | undefined;
  const url = urlOf(address, options.tls === undefined ? 'http' : 'https');
  return { url, port: address.port, close: () => (closed ??= close()) };
}

interface AppParts {
  readonly registry: Registry;
  readonly now: () => number;
  readonly log: Logger;
  readonly access?: Access | undefined;
  readonly metrics?: Metrics;
  readonly closing: AbortSignal;
  readonly peerExchange?: boolean | undefined;
}

/** The RPC, the same however it comes. */
function rpcOf({ registry, log, access = OPEN_ACCESS, closing, peerExchange = true }: AppParts) {
  return {
    routes: rpcRoutes({ registry, log, peerExchange, closing }),
    interceptors: [tellRpcCallId, guardRpc(access)],
    readMaxBytes: limits.CALL_BODY_BYTES_MAX,
  };
}

/** What answers on the one port: the app over HTTP/1.1; over HTTP/2 the RPC, and the app for everything else. */
function listenersOf(
  app: FastifyInstance,
  parts: AppParts & { readonly metrics: Metrics },
): Omit<OnePortOptions, 'tls'> {
  const { registry, metrics, access = OPEN_ACCESS } = parts;
  const http1 = refuseWhileClosing((request, response) => app.routing(request, response), parts.closing);
  const hot = createHotConnections({ calls: hotCalls(registry), metrics, access });
  const http2 = connectNodeAdapter({
    ...rpcOf(parts),
    contextValues: ({ socket, headers }) =>
      createContextValues()
        .set(callerKey, { observedHost: observedHostOf(socket.remoteAddress) })
        .set(callIdKey, callIdOf(headers)),
    fallback: (request, response) => http1(request as IncomingMessage, response as ServerResponse),
  });
  return { http1, hot, http2, onBroken: refuseBrokenRequest, refusal: connectionRefusal };
}

/** Both frontends on one Fastify instance, not yet listening. */
export async function createTrackerApp(parts: AppParts): Promise<FastifyInstance> {
  const { registry, now, log, access = OPEN_ACCESS, closing, metrics = createMetrics(registry, now) } = parts;
  const logger: FastifyBaseLogger = log; // without its own levels' types, which would colour every type of the instance
  const app = Fastify({
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'callId' }),
    genReqId: ({ headers }) => callIdOf(headers),
    bodyLimit: limits.CALL_BODY_BYTES_MAX,
    routerOptions: { maxParamLength: 4 * limits.NAME_BYTES_MAX },
    ajv: { customOptions: { coerceTypes: false, removeAdditional: false } },
    // answers are made by our own typed code: compiling writers for them would only delay the start
    schemaController: { compilersFactory: { buildSerializer: () => () => JSON.stringify } },
    frameworkErrors: (error: FastifyError, request, reply) => void sendError(error, request, reply),
  });
  tellCallIds(app);
  installErrorHandlers(app);
  guardRest(app, access);
  countCalls(app, metrics);
  const rest = { registry, metrics, closing };
  await app.register(restRoutes, rest);
  await app.register(docsRoutes, { describe: (docs) => docs.register(restRoutes, { ...rest, isDescribed: true }) });
  await app.register(fastifyConnectPlugin, {
    ...rpcOf(parts),
    contextValues: (request) => createContextValues().set(callerKey, callerOf(request)).set(callIdKey, request.id),
  });
  return app;
}

async function openStore(options: TrackerOptions): Promise<TrackerStore> {
  if (options.store === 'memory') return createMemoryStore();
  if (options.store === 'valkey') {
    const { openValkeyStore } = await import('./store/valkey.ts'); // its client is loaded only where it is used
    return openValkeyStore({ urls: options.storeUrls ?? [], replicas: options.storeReplicas });
  }
  if (options.dataDir === undefined || options.dataDir === '')
    throw new ShoalError('usage', 'the sqlite store needs a folder: give one with --data');
  return openSqliteStore({ dataDir: options.dataDir });
}

/** The wall clock, but never going back: leases and event ids count on that. */
function createClock(): () => number {
  let last = 0;
  return () => (last = Math.max(last, Date.now()));
}

function sweepNowAndThen(registry: Registry, log: Logger): () => void {
  let stopped = false;
  let failing = false;
  let timer: NodeJS.Timeout | undefined;
  const sweep = async (): Promise<void> => {
    let more = false;
    try {
      more = await registry.sweep();
      failing = false;
    } catch (error) {
      if (!failing) log.error({ err: error }, 'the store refuses writes; trying again until it takes them');
      failing = true;
    }
    // what is left comes right after the calls that wait
    if (!stopped) timer = setTimeout(() => void sweep(), more ? 0 : limits.TRACKER_SWEEP_MS).unref();
  };
  timer = setTimeout(() => void sweep(), limits.TRACKER_SWEEP_MS).unref();
  return () => {
    stopped = true;
    clearTimeout(timer);
  };
}

function exchangeAllTheTime(registry: Registry, log: Logger): () => void {
  let stopped = false;
  let failing = false;
  let timer: NodeJS.Timeout | undefined;
  const exchange = async (): Promise<void> => {
    try {
      await registry.exchange();
      if (failing) log.warn('the shared store answers again');
      failing = false;
    } catch (error) {
      if (!failing) log.error({ err: error }, 'the shared store does not answer; trying again until it does');
      failing = true;
    }
    if (!stopped) timer = setTimeout(() => void exchange(), limits.TRACKER_EXCHANGE_MS).unref();
  };
  void exchange();
  return () => {
    stopped = true;
    clearTimeout(timer);
  };
}

function urlOf({ address, port }: AddressInfo, scheme: 'http' | 'https'): string {
  const everywhere = address === '0.0.0.0' || address === '::';
  return `${scheme}://${formatAddress({ host: everywhere ? '127.0.0.1' : address, port })}`;
}

function listenProblem(error: unknown, host: string, port: number): ShoalError {
  if (error instanceof ShoalError) return error;
  const where = formatAddress({ host, port });
  switch (systemErrorCode(error)) {
    case 'EADDRINUSE':
      return new ShoalError('conflict', `${where} is in use already, perhaps by another tracker`, {
        cause: error,
        hint: 'give another port with --port, or 0 for any free one',
      });
    case 'EACCES':
      return new ShoalError('not-allowed', `this user may not listen on ${where}`, {
        cause: error,
        hint: 'give a port above 1023 with --port',
      });
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return new ShoalError('usage', `${host} is not an address of this machine`, {
        cause: error,
        hint: 'give another --host',
      });
    default:
      return ShoalError.from(error);
  }
}
