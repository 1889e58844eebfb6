/**
 * One tracker and two on the same Valkey, with the same load: renewals of as many peers over as many connections, all at one tracker or
 * half at each. First as fast as they go; then at a rate that one of them takes with ease, where the processor time that each tracker
 * needs says what two could do where every process has a core of its own.
 */
import { describeMachine } from '../machine.ts';
import { summarize, summaryText } from '../statistics.ts';
import { renderMarkdown } from '../table.ts';
import { note, type Workplace } from '../workplace.ts';
import { loadOnce, loadTogether } from './load-run.ts';
import { startRedis, startShoalTracker, type Server } from './servers.ts';

const PEERS = 5_000;
const CONNECTIONS = 64;

interface Shared {
  readonly trackers: number;
  readonly isPaced: boolean;
  readonly perSecond: number;
  readonly p99Ms: number;
  /** Processor time a second, of the busiest tracker and of the store. */
  readonly trackerLoad: number;
  readonly storeLoad: number;
}

export async function measureTwoTrackers(
  place: Workplace,
  { seconds, runs }: { readonly seconds: string; readonly runs: number },
): Promise<string> {
  const store = await startRedis(place);
  const flags = ['--store', `valkey://127.0.0.1:${store.port}`, '--no-dial-back'];
  const [first, second] = [await startShoalTracker(place, 'a', flags), await startShoalTracker(place, 'b', flags)];
  let isPublished = false;
  const measure = async (trackers: readonly Server[], rate: number): Promise<Shared> => {
    const share = (whole: number): string => String(Math.floor(whole / trackers.length));
    const loads = trackers.map((server, index) => ({
      server,
      flags: {
        ...{ what: 'renew', seconds, peers: share(PEERS), first: String((index * PEERS) / trackers.length) },
        ...{ connections: share(CONNECTIONS), rate: share(rate) },
      },
    }));
    // the first of all publishes what the others only have
    if (!isPublished) await loadOnce(place, first, 'renew', { peers: '1', seconds: '0.1' });
    isPublished = true;
    const published = loads.map(({ server, flags: load }) => ({
      server,
      flags: { ...load, published: true as const },
    }));
    const { runs: done, besideCores } = await loadTogether(place, published, store.process);
    return {
      trackers: trackers.length,
      isPaced: rate > 0,
      perSecond: done.reduce((sum, { perSecond }) => sum + perSecond, 0),
      p99Ms: Math.max(...done.map(({ p99Ms }) => p99Ms)),
      trackerLoad: Math.max(...done.map(({ perSecond, cpuMicroseconds }) => (perSecond * cpuMicroseconds) / 1e6)),
      storeLoad: besideCores,
    };
  };

  const all: Shared[] = [];
  for (let run = 1; run <= runs; run++) {
    note(`run ${run}: as fast as they go`);
    const one = await measure([first], 0);
    all.push(one, await measure([first, second], 0));
    note(`run ${run}: at a third of what one does`);
    const rate = Math.floor(one.perSecond / 3);
    all.push(await measure([first], rate), await measure([first, second], rate));
  }
  await Promise.all([first, second, store].map(({ process }) => process.stop()));

  const rows = [...Map.groupBy(all, ({ trackers, isPaced }) => `${isPaced}/${trackers}`).values()];
  const of = (pick: (one: Shared) => number, digits: number) => (group: readonly Shared[]) =>
    summaryText(summarize(group.map(pick)), digits);
  const table = renderMarkdown(rows, [
    {
      title: 'trackers',
      value: ([one]) =>
        `${one?.trackers}${one?.isPaced === true ? ', at a third of what one does' : ', as fast as they go'}`,
    },
    { title: 'renewals a second', align: 'right', value: of(({ perSecond }) => perSecond, 0) },
    { title: 'p99 ms', align: 'right', value: of(({ p99Ms }) => p99Ms, 2) },
    { title: 'cores, the busier tracker', align: 'right', value: of(({ trackerLoad }) => trackerLoad, 2) },
    { title: 'cores, the store', align: 'right', value: of(({ storeLoad }) => storeLoad, 2) },
  ]);
  const medianOf = (trackers: number, isPaced: boolean, pick: (one: Shared) => number): number =>
    summarize(all.filter((one) => one.trackers === trackers && one.isPaced === isPaced).map(pick)).median;
  const ratio = medianOf(2, false, ({ perSecond }) => perSecond) / medianOf(1, false, ({ perSecond }) => perSecond);
  const load = ({ trackerLoad, perSecond }: Shared): number => trackerLoad / perSecond;
  const room = (isPaced: boolean): string => (medianOf(1, isPaced, load) / medianOf(2, isPaced, load)).toFixed(2);
  return [
    `One tracker and two on one Valkey (redis-server), the same load; ${describeMachine().cores} cores for trackers, store and generators\n`,
    `${table}\n`,
    `two do ${ratio.toFixed(2)} times what one does, on these cores;`,
    `for as many renewals one uses ${room(false)} times the processor time of the busier of two, as fast as they go,`,
    `and ${room(true)} times at a third of that: what two could do with a core each`,
  ].join('\n');
}
