/** Figures of the tracker in the Prometheus text format. Counts calls by route, never by what a caller wrote. */
import type { FastifyInstance } from 'fastify';
import type { Registry } from '../registry.ts';

export interface Metrics {
  /** Notes an answered call. */
  called(method: string, route: string, status: number): void;
  text(): string;
}

/** Counts every call that passes through the app. */
export function countCalls(app: FastifyInstance, metrics: Metrics): void {
  app.addHook('onResponse', (request, reply, done) => {
    metrics.called(request.method, request.routeOptions.url ?? 'none', reply.statusCode);
    done();
  });
}

export function createMetrics(registry: Registry, now: () => number): Metrics {
  const startedAtMs = now();
  const calls = new Map<string, number>();
  const called = (method: string, route: string, status: number): void => {
    const labels = `method="${method}",route="${route}",status="${status}"`;
    calls.set(labels, (calls.get(labels) ?? 0) + 1);
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
      family('entries', 'gauge', 'Entries in the catalogue.', one(figures.entries));
      family('contents', 'gauge', 'Contents in the catalogue.', one(figures.contents));
      family('holdings', 'gauge', 'Pairs of an online peer and a content it has chunks of.', one(figures.holdings));
      family('event_subscribers', 'gauge', 'Readers of the event stream.', one(figures.eventSubscribers));
      family('writes_pending', 'gauge', 'Changes that wait for the store.', one(figures.writesPending));
      family('bytes_total', 'counter', 'Bytes between peers, as they report them.', [
        ['direction="up"', figures.bytesUp],
        ['direction="down"', figures.bytesDown],
      ]);
      family('calls_total', 'counter', 'Calls answered.', [...calls]);
      family('resident_memory_bytes', 'gauge', 'Memory of the process.', one(process.memoryUsage.rss()));
      family('uptime_seconds', 'gauge', 'Time since the start.', one((now() - startedAtMs) / 1_000));
      return `${lines.join('\n')}\n`;
    },
  };
}

function one(value: number): readonly (readonly [string, number])[] {
  return [['', value]];
}
