/** Figures of the tracker in the Prometheus text format. Counts calls by route, never by what a caller wrote. */
import type { FastifyInstance } from 'fastify';
import type { Registry } from '../registry.ts';

export interface Metrics {
  /** Notes an answered call. */
  called(method: string, route: string, status: number, milliseconds: number): void;
  text(): string;
}

/** Counts every call that passes through the app. */
export function countCalls(app: FastifyInstance, metrics: Metrics): void {
  app.addHook('onResponse', (request, reply, done) => {
    metrics.called(request.method, request.routeOptions.url ?? 'none', reply.statusCode, reply.elapsedTime);
    done();
  });
}

/** Upper bounds in seconds: from what a call costs to what a caller notices. */
const BUCKETS = [0.000_25, 0.001, 0.005, 0.02, 0.1, 0.5, 2, 10] as const;

class Histogram {
  readonly #counts = new Float64Array(BUCKETS.length + 1);
  #sum = 0;

  observe(seconds: number): void {
    const at = BUCKETS.findIndex((bound) => seconds <= bound);
    const index = at < 0 ? BUCKETS.length : at;
    this.#counts[index] = (this.#counts[index] as number) + 1;
    this.#sum += seconds;
  }

  lines(name: string, route: string): string[] {
    let total = 0;
    const lines = [...BUCKETS, Number.POSITIVE_INFINITY].map((bound, index) => {
      total += this.#counts[index] as number;
      return `${name}_bucket{route="${route}",le="${bound === Number.POSITIVE_INFINITY ? '+Inf' : bound}"} ${total}`;
    });
    return [...lines, `${name}_sum{route="${route}"} ${this.#sum}`, `${name}_count{route="${route}"} ${total}`];
  }
}

export function createMetrics(registry: Registry, now: () => number): Metrics {
  const startedAtMs = now();
  const calls = new Map<string, number>();
  const durations = new Map<string, Histogram>();
  const called = (method: string, route: string, status: number, milliseconds: number): void => {
    const labels = `method="${method}",route="${route}",status="${status}"`;
    calls.set(labels, (calls.get(labels) ?? 0) + 1);
    let histogram = durations.get(route);
    if (histogram === undefined) durations.set(route, (histogram = new Histogram()));
    histogram.observe(milliseconds / 1_000);
  };
  return {
    called,
    text() {
      const figures = registry.figures();
      const lines: string[] = [];
      const family = (
        name: string,
        type: 'gauge' | 'counter',
        help: string,
        samples: readonly (readonly [string, number])[],
      ) => {
        lines.push(`# HELP shoal_tracker_${name} ${help}`, `# TYPE shoal_tracker_${name} ${type}`);
        for (const [labels, value] of samples)
          lines.push(`shoal_tracker_${name}${labels === '' ? '' : `{${labels}}`} ${value}`);
      };
      family('peers', 'gauge', 'Peers by state.', [
        ['state="online"', figures.peersOnline],
        ['state="offline"', figures.peersOffline],
      ]);
      family('peers_banned', 'gauge', 'Peers online that several others have reported.', one(figures.peersBanned));
      family('entries', 'gauge', 'Entries in the catalogue.', one(figures.entries));
      family('contents', 'gauge', 'Contents in the catalogue.', one(figures.contents));
      family('holdings', 'gauge', 'Pairs of an online peer and a content it has chunks of.', one(figures.holdings));
      family('event_subscribers', 'gauge', 'Readers of the event stream.', one(figures.eventSubscribers));
      family('writes_pending', 'gauge', 'Changes that wait for the store.', one(figures.writesPending));
      family('bytes_total', 'counter', 'Bytes between peers, as they report them.', [
        ['direction="up"', figures.bytesUp],
        ['direction="down"', figures.bytesDown],
      ]);
      family('dial_backs_total', 'counter', 'Announced addresses that were dialled, by whether their peer answered.', [
        ['answered="yes"', figures.dialBacksAnswered],
        ['answered="no"', figures.dialBacksSilent],
      ]);
      const { replicas } = figures;
      family('volunteers', 'gauge', 'Peers online that offer space for replicas.', one(replicas.volunteers));
      family('volunteer_bytes', 'gauge', 'Space that volunteers offer, and use, for replicas.', [
        ['kind="offered"', replicas.offeredBytes],
        ['kind="used"', replicas.usedBytes],
      ]);
      family('replicated_contents', 'gauge', 'Contents that ask for replicas, by whether every chunk has them.', [
        ['state="reached"', replicas.contentsReached],
        ['state="short"', replicas.contentsShort],
      ]);
      family(
        'replica_chunks_missing',
        'gauge',
        'Chunks that have fewer replicas than asked for.',
        one(replicas.chunksMissing),
      );
      family('calls_total', 'counter', 'Calls answered.', [...calls]);
      lines.push('# HELP shoal_tracker_call_seconds Time from a call to its answer.');
      lines.push('# TYPE shoal_tracker_call_seconds histogram');
      for (const [route, histogram] of durations) lines.push(...histogram.lines('shoal_tracker_call_seconds', route));
      family('resident_memory_bytes', 'gauge', 'Memory of the process.', one(process.memoryUsage.rss()));
      family('uptime_seconds', 'gauge', 'Time since the start.', one((now() - startedAtMs) / 1_000));
      return `${lines.join('\n')}\n`;
    },
  };
}

function one(value: number): readonly (readonly [string, number])[] {
  return [['', value]];
}
