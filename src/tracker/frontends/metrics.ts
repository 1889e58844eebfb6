/** Figures of the tracker in the Prometheus text format. Counts calls by route, never by what a caller wrote. */
import type { FastifyInstance } from 'fastify';
import { Histogram, PrometheusText } from '../../contract/prometheus-text.ts';
import type { Registry, RegistryFigures } from '../registry.ts';
import { RAREST_COPIES_MAX, SWARM_STATES } from '../swarm-health.ts';

export interface Metrics {
  /** Notes an answered call. */
  called(method: string, route: string, status: number, milliseconds: number): void;
  /** The same, for answers that are all of this kind. */
  counter(method: string, route: string, status: number): (milliseconds: number) => void;
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
const CALL_SECONDS = [0.000_25, 0.001, 0.005, 0.02, 0.1, 0.5, 2, 10] as const;

export function createMetrics(registry: Registry, now: () => number): Metrics {
  const startedAtMs = now();
  const counts = new Map<string, Map<string, { count: number }>>();
  const durations = new Map<string, Histogram>();
  const countOf = (method: string, route: string, status: number): { count: number } => {
    let ofRoute = counts.get(route);
    if (ofRoute === undefined) counts.set(route, (ofRoute = new Map()));
    const outcome = `method="${method}",status="${status}"`;
    let counted = ofRoute.get(outcome);
    if (counted === undefined) ofRoute.set(outcome, (counted = { count: 0 }));
    return counted;
  };
  const durationsOf = (route: string): Histogram => {
    let histogram = durations.get(route);
    if (histogram === undefined) durations.set(route, (histogram = new Histogram(CALL_SECONDS)));
    return histogram;
  };
  return {
    called(method, route, status, milliseconds) {
      countOf(method, route, status).count++;
      durationsOf(route).observe(milliseconds / 1_000);
    },
    counter(method, route, status) {
      let counted: { count: number } | undefined;
      let histogram: Histogram | undefined;
      return (milliseconds) => {
        // a call that never came is not listed
        (counted ??= countOf(method, route, status)).count++;
        (histogram ??= durationsOf(route)).observe(milliseconds / 1_000);
      };
    },
    text() {
      const text = new PrometheusText('shoal_tracker_');
      registryFamilies(text, registry.figures());
      const calls = [...counts].flatMap(([route, ofRoute]) =>
        [...ofRoute].map(([outcome, { count }]) => [outcome.replace(',', `,route="${route}",`), count] as const),
      );
      text.counter('calls_total', 'Calls answered.', calls);
      const times = [...durations].map(([route, histogram]) => [`route="${route}"`, histogram] as const);
      text.histogram('call_seconds', 'Time from a call to its answer.', times);
      text.gauge('resident_memory_bytes', 'Memory of the process.', process.memoryUsage.rss());
      text.gauge('uptime_seconds', 'Time since the start.', (now() - startedAtMs) / 1_000);
      return text.toString();
    },
  };
}

function registryFamilies(text: PrometheusText, figures: RegistryFigures): void {
  text.gauge('peers', 'Peers by state.', [
    ['state="online"', figures.peersOnline],
    ['state="offline"', figures.peersOffline],
  ]);
  text.gauge('peers_banned', 'Peers online that several others have reported.', figures.peersBanned);
  text.gauge('entries', 'Entries in the catalogue.', figures.entries);
  text.gauge('contents', 'Contents in the catalogue.', figures.contents);
  text.gauge('holdings', 'Pairs of an online peer and a content it has chunks of.', figures.holdings);
  swarmFamilies(text, figures);
  text.counter(
    'events_total',
    'Events since the start, by type.',
    figures.events.map(([type, count]) => [`type="${type}"`, count] as const),
  );
  text.gauge('event_subscribers', 'Readers of the event stream.', figures.eventSubscribers);
  text.gauge('writes_pending', 'Changes that wait for the store.', figures.writesPending);
  text.counter('store_writes_total', 'Batches to a primary of the shared store, by who has confirmed to have them.', [
    ['confirmed="replicas"', figures.store?.writes.byReplicas ?? 0],
    ['confirmed="primary"', figures.store?.writes.byPrimary ?? 0],
    ['confirmed="too-few"', figures.store?.writes.unconfirmed ?? 0],
  ]);
  text.gauge(
    'store_replicas',
    'Replicas of that primary of the shared store that has the fewest.',
    figures.store?.replicasLinked ?? 0,
  );
  text.counter('bytes_total', 'Bytes between peers, as they report them.', [
    ['direction="up"', figures.bytesUp],
    ['direction="down"', figures.bytesDown],
  ]);
  text.counter('dial_backs_total', 'Announced addresses that were dialled, by whether their peer answered.', [
    ['answered="yes"', figures.dialBacksAnswered],
    ['answered="no"', figures.dialBacksSilent],
  ]);
  const { replicas } = figures;
  text.gauge('volunteers', 'Peers online that offer space for replicas.', replicas.volunteers);
  text.gauge('volunteer_bytes', 'Space that volunteers offer, and use, for replicas.', [
    ['kind="offered"', replicas.offeredBytes],
    ['kind="used"', replicas.usedBytes],
  ]);
  text.gauge('replicated_contents', 'Contents that ask for replicas, by whether every chunk has them.', [
    ['state="reached"', replicas.contentsReached],
    ['state="short"', replicas.contentsShort],
  ]);
  text.gauge('replica_chunks_missing', 'Chunks that have fewer replicas than asked for.', replicas.chunksMissing);
}

function swarmFamilies(text: PrometheusText, { swarms, contents }: RegistryFigures): void {
  const alive = swarms.byState.reduce((sum, count) => sum + count, 0);
  text.gauge(
    'swarms',
    'Contents by what is there: somebody has all of it, every chunk is somewhere, some chunk is nowhere, nobody has any.',
    [
      ...SWARM_STATES.map((state, index) => [`state="${state}"`, swarms.byState[index] ?? 0] as const),
      ['state="gone"', contents - alive] as const,
    ],
  );
  text.gauge(
    'swarm_members',
    'Pairs of an online peer and a content, by whether it has all of it, fetches it, or only keeps some chunks as replicas.',
    [
      ['role="seeder"', swarms.seeders],
      ['role="leecher"', swarms.leechers],
      ['role="volunteer"', swarms.volunteers],
    ],
  );
  text.gauge(
    'swarms_by_rarest_chunk',
    `Contents that somebody takes part in, by how many peers have their rarest chunk; ${RAREST_COPIES_MAX}: so many or more.`,
    swarms.byRarestCopies.map((count, copies) => [`copies="${copies}"`, count] as const),
  );
  text.gauge('scarce_chunks', 'Chunks of these contents that nobody has, and that only one peer has.', [
    ['copies="0"', swarms.chunksAbsent],
    ['copies="1"', swarms.chunksSingle],
  ]);
}
