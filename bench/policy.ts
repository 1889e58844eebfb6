/**
 * `npm run bench:policy`: what the policy costs by itself, with the most chunks a content has by default and many sources. The picker is measured with 500 sources; a
 * swarm with as many neighbours as it takes, which is fewer. No sockets, no bytes: what is left is the processor's price of deciding.
 */
import { Bitfield } from '../src/content/bitfield.ts';
import { parseCount } from '../src/cli/rates.ts';
import { CHUNK_COUNT_DEFAULT_MAX, CONNECTIONS_PER_CONTENT_MAX } from '../src/limits.ts';
import { ChunkPicker } from '../src/swarm/chunk-picker.ts';
import type { SwarmAction, SwarmFact } from '../src/swarm/facts.ts';
import { createRandom } from '../src/swarm/random.ts';
import { Swarm } from '../src/swarm/swarm.ts';
import { describeMachine, machineLine } from './machine.ts';
import { COMMON, readOptions } from './options.ts';
import { renderMarkdown } from './table.ts';
import { runBenchmark } from './workplace.ts';

interface Cost {
  readonly what: string;
  readonly events: number;
  readonly nanoseconds: number;
}

const KiB = 1024;
const CHUNK_BYTES = 256 * KiB;
const FRAGMENTS = 4;
const random = createRandom(7);

await runBenchmark(async () => {
  const values = readOptions('policy', {
    chunks: { value: 'N', default: String(CHUNK_COUNT_DEFAULT_MAX), about: 'chunks of the content' },
    sources: { value: 'N', default: '500', about: 'sources the picker counts' },
    json: COMMON.json,
  });
  if (values === undefined) return;
  const chunkCount = parseCount(values.chunks);
  const sourceCount = parseCount(values.sources);
  const machine = describeMachine();
  // the first round is not counted: code is compiled in it
  measure(Math.min(chunkCount, 4_096), Math.min(sourceCount, 50));
  const costs = measure(chunkCount, sourceCount);
  if (values.json) {
    process.stdout.write(`${JSON.stringify({ machine, chunkCount, sourceCount, costs }, null, 2)}\n`);
    return;
  }
  const table = renderMarkdown(costs, [
    { title: 'event', value: ({ what }) => what },
    { title: 'measured', align: 'right', value: ({ events }) => String(events) },
    { title: 'microseconds each', align: 'right', value: ({ nanoseconds }) => (nanoseconds / 1000).toFixed(2) },
  ]);
  process.stdout.write(`${machineLine(machine)}\n\n${table}\n`);
});

function measure(chunkCount: number, sourceCount: number): readonly Cost[] {
  return [...measurePicker(chunkCount, sourceCount), ...measureSwarm(chunkCount)];
}

function timed(what: string, events: number, run: () => void): Cost {
  const startMs = performance.now();
  run();
  return { what, events, nanoseconds: ((performance.now() - startMs) * 1e6) / Math.max(1, events) };
}

/** A map with this share of the chunks, at random. */
function mapOf(chunkCount: number, share: number): Bitfield {
  const map = new Bitfield(chunkCount);
  for (let chunk = 0; chunk < chunkCount; chunk++) if (random.next() < share) map.add(chunk);
  return map;
}

function measurePicker(chunkCount: number, sourceCount: number): readonly Cost[] {
  const picker = new ChunkPicker(new Bitfield(chunkCount), random);
  const maps = Array.from({ length: sourceCount }, () => mapOf(chunkCount, 0.5));
  const some = Array.from({ length: 200_000 }, () => random.below(chunkCount));
  const bits = maps.reduce((sum, map) => sum + map.count, 0);
  const picks = (share: number): Cost => {
    const theirs = Array.from({ length: 16 }, () => mapOf(chunkCount, share));
    return timed(`picker: pick, the source has ${100 * share} % of what is missing`, 2_000, () => {
      for (let turn = 0; turn < 2_000; turn++) picker.pickRarest(theirs[turn % 16] as Bitfield);
    });
  };
  return [
    timed(`picker: one chunk of a joining source's map (${sourceCount} sources with half of all)`, bits, () => {
      for (const map of maps) for (const chunk of map) picker.raise(chunk);
    }),
    timed('picker: a source gains a chunk', some.length, () => {
      for (const chunk of some) picker.raise(chunk);
    }),
    timed('picker: a source loses a chunk', some.length, () => {
      for (const chunk of some) picker.lower(chunk);
    }),
    timed('picker: a chunk is requested, and missing again', 20_000, () => {
      for (const chunk of some.slice(0, 20_000)) {
        picker.leave(chunk);
        picker.enter(chunk);
      }
    }),
    ...[0.9, 0.3, 0.02, 0.001].map(picks),
    timed(`picker: one chunk of a leaving source's map`, bits, () => {
      for (const map of maps) for (const chunk of map) picker.lower(chunk);
    }),
  ];
}

/** A swarm that fetches from and gives to its neighbours; every kind of fact is timed by itself. */
function measureSwarm(chunkCount: number): readonly Cost[] {
  const swarm = new Swarm(
    {
      ownKey: 'f'.repeat(32),
      size: chunkCount * CHUNK_BYTES,
      chunkSize: CHUNK_BYTES,
      have: new Bitfield(chunkCount),
      seed: 7,
      order: 'rarest',
      single: false,
      upload: true,
      downBytesPerSecond: Number.POSITIVE_INFINITY,
      upBytesPerSecond: Number.POSITIVE_INFINITY,
    },
    0,
  );
  const spent = new Map<string, { events: number; ms: number }>();
  let nowMs = 0;
  /** Tells all facts of a kind at once, so that the clock is read twice and not for each. */
  const tell = (what: string, facts: readonly SwarmFact[]): SwarmAction[] => {
    const actions: SwarmAction[] = [];
    const startMs = performance.now();
    for (const fact of facts) actions.push(...swarm.step(nowMs, fact));
    const entry = spent.get(what) ?? { events: 0, ms: 0 };
    spent.set(what, { events: entry.events + facts.length, ms: entry.ms + performance.now() - startMs });
    return actions;
  };
  const links = Array.from({ length: CONNECTIONS_PER_CONTENT_MAX }, (_, at) => at + 1);
  const maps = links.map(() => mapOf(chunkCount, 0.5));
  tell(
    'a connection is made',
    links.map((link) => ({
      type: 'linked' as const,
      link,
      key: link.toString(16).padStart(32, '0'),
      address: `198.51.100.${link}:9000`,
      outbound: false,
    })),
  );
  tell(
    'a map with half of all chunks comes',
    links.map((link, at) => {
      const bytes = (maps[at] as Bitfield).toBytes();
      return { type: 'message' as const, link, message: { type: 'bitfield' as const, chunkCount, bytes } };
    }),
  );
  let grants: { link: number; grantId: number }[] = [];
  const takeGrants = (actions: readonly SwarmAction[]): void => {
    for (const action of actions)
      if (action.type === 'send' && action.message.type === 'grant')
        grants.push({ link: action.link, grantId: action.message.grantId });
  };
  const held: number[] = [];
  for (let turn = 0; turn < 300; turn++) {
    nowMs += 20;
    const haves = links.map((link) => {
      const chunkIndexes = [random.below(chunkCount)];
      return { type: 'message' as const, link, message: { type: 'have' as const, chunkIndexes } };
    });
    takeGrants(tell('a neighbour has one more chunk', haves));
    const granted = links.map((link) => {
      const message = { type: 'grant' as const, grantId: turn, etaMs: 0, suggestions: [] };
      return { type: 'message' as const, link, message };
    });
    const answers = tell('a grant is answered', granted);
    takeGrants(answers);
    const requests = answers.flatMap((action) =>
      action.type === 'send' && action.message.type === 'request' ? [{ link: action.link, ...action.message }] : [],
    );
    const fragments: SwarmFact[] = [];
    for (const { link, requestId } of requests)
      for (let at = 0; at < FRAGMENTS; at++)
        fragments.push({ type: 'fragment', link, requestId, byteCount: CHUNK_BYTES / FRAGMENTS });
    nowMs += 20;
    takeGrants(tell('a fragment comes', fragments));
    takeGrants(
      tell(
        'a digest is right',
        requests.map(({ link, requestId }) => ({ type: 'verified' as const, link, requestId, ok: true })),
      ),
    );
    const written = requests.map(({ link, requestId }) => ({ type: 'written' as const, link, requestId, ok: true }));
    takeGrants(tell('a chunk is written, and all are told', written));
    held.push(...requests.map(({ chunkIndex }) => chunkIndex));
    // those we granted something take one of the chunks we have
    const asked = grants.map(({ link, grantId }) => {
      const chunkIndex = held[random.below(held.length)] as number;
      const message = { type: 'request' as const, grantId, requestId: (turn * 64 + grantId) % 0x10000, chunkIndex };
      return { type: 'message' as const, link, message };
    });
    grants = [];
    let asks = tell('a neighbour uses a grant', asked);
    for (let rounds = 0; rounds < 64; rounds++) {
      takeGrants(asks);
      const starts = asks.filter((action) => action.type === 'start-send');
      if (starts.length === 0) break;
      const left = starts.flatMap(({ link, requestId }) =>
        Array.from({ length: FRAGMENTS }, (_, at) => {
          const byteCount = CHUNK_BYTES / FRAGMENTS;
          return { type: 'sent' as const, link, requestId, byteCount, last: at === FRAGMENTS - 1 };
        }),
      );
      asks = tell('a fragment has left', left);
    }
    takeGrants(tell('time passes', [{ type: 'tick' }]));
  }
  const costs = [...spent].map(([what, { events, ms }]) => {
    return { what: `swarm: ${what}`, events, nanoseconds: (ms * 1e6) / Math.max(1, events) };
  });
  return costs;
}
