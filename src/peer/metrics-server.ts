/**
 * A node's figures in the text format of Prometheus, and the server they are scraped from. Labels come from closed lists only, never
 * from names or contents, so that a node with a million files has as many lines as one with a single file.
 */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { PrometheusText } from '../contract/prometheus-text.ts';
import { ShoalError, systemErrorCode } from '../errors.ts';
import * as limits from '../limits.ts';
import { formatAddress } from '../net/address.ts';
import type { NodeCounters, NodeFigures } from './node-metrics.ts';

export function nodeMetricsText(
  counters: NodeCounters,
  figures: NodeFigures,
  process_: { readonly residentBytes: number; readonly uptimeSeconds: number; readonly loopDelay: LoopDelayFigures },
): string {
  const text = new PrometheusText('shoal_peer_');
  text.counter('sent_bytes_total', 'File bytes sent, by dialect.', [
    ['dialect="native"', figures.sentBytes.native],
    ['dialect="range"', figures.sentBytes.range],
  ]);
  text.counter('received_bytes_total', 'File bytes received, wasted ones included.', figures.receivedBytes);
  text.counter('kept_bytes_total', 'File bytes received, verified and in their place.', counters.keptBytes);
  text.counter('wasted_bytes_total', 'File bytes received for nothing: wrong, late or twice.', figures.wastedBytes);
  text.counter('chunks_total', 'Chunks received, by whether they were what they should be.', [
    ['verdict="verified"', counters.chunksVerified],
    ['verdict="rejected"', counters.chunksRejected],
  ]);
  text.histogram('chunk_seconds', 'Time from the first byte of a chunk to its place on the disk.', [
    ['', counters.chunkSeconds],
  ]);
  text.histogram('hash_seconds', 'Time from a whole chunk to its digest, waiting included.', [
    ['', counters.hashSeconds],
  ]);
  text.histogram('write_seconds', 'Time to write a chunk, waiting included.', [['', counters.writeSeconds]]);
  text.counter(
    'write_failures_total',
    'Chunks that the disk did not take; they are written again.',
    counters.writesFailed,
  );
  text.gauge('connections', 'Connections with other peers, those without a handshake included.', figures.connections);
  text.gauge('links', 'Peers that take part in one of our contents, once for each content.', figures.links);
  text.gauge('contents', 'Contents with an open session, by what the node does with them.', [
    ['state="fetching"', figures.contents.fetching],
    ['state="serving"', figures.contents.serving],
  ]);
  text.gauge('requests', 'Chunks on their way in, by where they are.', [
    ['state="awaited"', figures.requests.awaited],
    ['state="checking"', figures.requests.checking],
  ]);
  text.gauge('uploads', 'Chunks on their way out: being sent, promised, and waiting for a slot.', [
    ['state="sending"', figures.uploads.sending],
    ['state="granted"', figures.uploads.granted],
    ['state="queued"', figures.uploads.queued],
  ]);
  text.counter(
    'bans_total',
    'Peers that this node has banned, by offence.',
    Object.entries(counters.bans).map(([offence, count]) => [`offence="${offence}"`, count] as const),
  );
  text.gauge('shared_files', 'Files of the library.', figures.sharedFiles);
  text.gauge('shared_bytes', 'Bytes of the library.', figures.sharedBytes);
  text.gauge('limit_bytes_per_second', 'Rate limits; +Inf without one.', [
    ['direction="up"', figures.limits.up],
    ['direction="down"', figures.limits.down],
  ]);
  text.gauge(
    'registered',
    'Whether a tracker has this node, as far as the last call tells.',
    figures.isRegistered ? 1 : 0,
  );
  if (figures.volunteer !== undefined)
    text.gauge('volunteer_bytes', 'Space for replicas, offered and used.', [
      ['kind="offered"', figures.volunteer.offeredBytes],
      ['kind="used"', figures.volunteer.usedBytes],
    ]);
  text.gauge('event_loop_delay_seconds', 'How late the main thread was since the last scrape.', [
    ['at="p50"', process_.loopDelay.p50Seconds],
    ['at="p99"', process_.loopDelay.p99Seconds],
    ['at="max"', process_.loopDelay.maxSeconds],
  ]);
  text.gauge('resident_memory_bytes', 'Memory of the process.', process_.residentBytes);
  text.gauge('uptime_seconds', 'Time since the start of the process.', process_.uptimeSeconds);
  return text.toString();
}

interface LoopDelayFigures {
  readonly p50Seconds: number;
  readonly p99Seconds: number;
  readonly maxSeconds: number;
}

export interface MetricsServer {
  /** `http://host:port/metrics`. */
  readonly url: string;
  close(): Promise<void>;
}

/** Serves the figures on a port of its own, to whoever reaches it. Throws `usage` where it cannot listen. */
export async function serveMetrics(
  at: { readonly host: string; readonly port: number },
  textOf: (process_: Parameters<typeof nodeMetricsText>[2]) => string,
): Promise<MetricsServer> {
  const { createServer } = await import('node:http');
  const delay = monitorEventLoopDelay({ resolution: LOOP_RESOLUTION_MS });
  delay.enable();
  const loopDelay = (): LoopDelayFigures => {
    const beyond = (nanoseconds: number): number =>
      Number.isFinite(nanoseconds) ? Math.max(0, nanoseconds / 1e9 - LOOP_RESOLUTION_MS / 1e3) : 0;
    const seen = {
      p50Seconds: beyond(delay.percentile(50)),
      p99Seconds: beyond(delay.percentile(99)),
      maxSeconds: beyond(delay.max),
    };
    delay.reset();
    return seen;
  };
  const server = createServer({ requestTimeout: limits.METRICS_REQUEST_MS }, ({ method, url = '' }, response) => {
    if (url.split('?', 1)[0] !== '/metrics') response.writeHead(404).end('there is /metrics\n');
    else if (method !== 'GET' && method !== 'HEAD') response.writeHead(405, { allow: 'GET, HEAD' }).end();
    else {
      const uptimeSeconds = process.uptime();
      const text = textOf({ residentBytes: process.memoryUsage.rss(), uptimeSeconds, loopDelay: loopDelay() });
      response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' }).end(text);
    }
  });
  server.maxConnections = limits.METRICS_CONNECTIONS_MAX;
  try {
    server.listen(at);
    await once(server, 'listening');
  } catch (error) {
    delay.disable();
    const why = systemErrorCode(error) === 'EADDRINUSE' ? 'it is in use already' : ShoalError.from(error).message;
    throw new ShoalError('usage', `the figures cannot be served on ${formatAddress(at)}: ${why}`, {
      cause: error,
      hint: 'give another port with --metrics, or 0 for any free one',
    });
  }
  // whoever only watches keeps no process alive
  server.unref();
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://${formatAddress({ host: at.host, port })}/metrics`,
    async close() {
      delay.disable();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** A finer timer would cost a processor that sleeps more than it tells. */
const LOOP_RESOLUTION_MS = 10;
