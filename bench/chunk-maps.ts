/**
 * `node bench/chunk-maps.ts`: what the map of a peer's chunks takes: its bits as they are, the lengths of its runs (varints, in turns of
 * what is missing and what is there), and its bits compressed by zlib, for what peers have in practice; and what a map takes in memory.
 */
import { deflateRawSync } from 'node:zlib';
import { Bitfield } from '../src/content/bitfield.ts';
import { createRandom } from '../src/swarm/random.ts';
import { renderMarkdown } from './table.ts';

const COUNTS = [512, 4_096, 16_384, 65_536];
/** What in-order readers keep under way, and so the width of the ragged edge of what they have. */
const WINDOW = 32;

const random = createRandom(1);

function mapOf(chunkCount: number, has: (index: number) => boolean): Bitfield {
  const map = new Bitfield(chunkCount);
  for (let index = 0; index < chunkCount; index++) if (has(index)) map.add(index);
  return map;
}

/** Rarest first chooses among equals by chance: what a peer has looks random. */
const scattered = (share: number) => (chunkCount: number) => mapOf(chunkCount, () => random.next() < share);

const PATTERNS: readonly (readonly [string, (chunkCount: number) => Bitfield])[] = [
  ['none', scattered(0)],
  ['all', scattered(1)],
  [
    'in order, half',
    (count) => mapOf(count, (index) => index < count / 2 || (index < count / 2 + WINDOW && random.next() < 0.5)),
  ],
  [
    'resumed: three ranges',
    (count) => mapOf(count, (index) => index % (count / 4) < count / 8 && index < (count * 3) / 4),
  ],
  ...[0.01, 0.05, 0.1, 0.25, 0.5, 0.9, 0.95, 0.99].map(
    (share) => [`rarest first, ${Math.round(share * 100)} %`, scattered(share)] as const,
  ),
];

function runsBytes(map: Bitfield): number {
  let bytes = 0;
  let run = 0;
  let had = false;
  const end = (): void => {
    for (let rest = run; rest > 0x7f; rest >>>= 7) bytes++;
    bytes++;
    run = 0;
  };
  for (let index = 0; index < map.chunkCount; index++) {
    if (map.has(index) !== had) {
      end();
      had = !had;
    }
    run++;
  }
  if (had) end(); // what is missing at the end need not be said
  return bytes;
}

interface Row {
  readonly what: string;
  readonly sizes: readonly { readonly raw: number; readonly runs: number; readonly zlib: number }[];
}

const rows = PATTERNS.map(([what, make]): Row => ({
  what,
  sizes: COUNTS.map((count) => {
    const map = make(count);
    const raw = map.toBytes();
    return { raw: raw.length, runs: runsBytes(map), zlib: deflateRawSync(raw).length };
  }),
}));
process.stdout.write(
  `${renderMarkdown(rows, [
    { title: 'bytes: bits / runs / zlib', value: ({ what }) => what },
    ...COUNTS.map((count, index) => ({
      title: `${count} chunks`,
      align: 'right' as const,
      value: ({ sizes }: Row): string => {
        const { raw = 0, runs = 0, zlib = 0 } = sizes[index] ?? {};
        return `${raw} / ${runs} / ${zlib}`;
      },
    })),
  ])}\n\n`,
);

const settledBytes = (): number => {
  globalThis.gc?.();
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
};
if (globalThis.gc === undefined) process.stdout.write('memory: run with node --expose-gc\n');
else
  for (const count of COUNTS) {
    const maps: Bitfield[] = Array.from({ length: 5_000 });
    const before = settledBytes();
    for (let index = 0; index < maps.length; index++) maps[index] = new Bitfield(count);
    const bytes = (settledBytes() - before) / maps.length;
    process.stdout.write(`${count} chunks: ${bytes.toFixed(0)} bytes of memory a map, ${count / 8} of them bits\n`);
  }
const took = (work: () => void): number => {
  const startedAtMs = performance.now();
  for (let turn = 0; turn < 200; turn++) work();
  return (performance.now() - startedAtMs) * 5;
};
const half = scattered(0.5)(4_096);
const bits = half.toBytes();
for (const work of [() => void deflateRawSync(bits), () => void half.toBytes()]) took(work);
process.stdout.write(
  `4096 chunks, half of them by chance: zlib takes ${took(() => void deflateRawSync(bits)).toFixed(0)} µs a map, a copy ${took(() => void half.toBytes()).toFixed(1)} µs\n`,
);
