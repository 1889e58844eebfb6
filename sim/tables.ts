/** The tables of the plan's data plane, row by row: what was varied, what its first simulator showed, and how to have the shipped policy show it. */

export interface TableRow {
  readonly what: string;
  /** Last finish over the bound in the prototype; undefined: it has no figure for this. */
  readonly prototype?: number;
  /** As `npm run sim` takes them, beside the table's own. */
  readonly options: string;
  /** Limits of the program that are other in this row. */
  readonly limits?: Readonly<Record<string, number>>;
  /** Takes minutes. */
  readonly isLarge?: boolean;
}

export interface Table {
  readonly name: string;
  readonly options: string;
  readonly rows: readonly TableRow[];
}

const BASE = '--peers 300 --chunks 256';
const row = (what: string, prototype: number | undefined, options: string, limits?: TableRow['limits']): TableRow => ({
  what,
  options,
  ...(prototype === undefined ? {} : { prototype }),
  ...(limits === undefined ? {} : { limits }),
});
const large = (what: string, prototype: number, options: string, limits?: TableRow['limits']): TableRow => ({
  ...row(what, prototype, options, limits),
  isLarge: true,
});
const degree = (links: number): TableRow['limits'] => ({
  CONNECTIONS_PER_CONTENT_TARGET: links,
  CONNECTIONS_OUTBOUND_TARGET: Math.ceil(links / 2),
  CONNECTIONS_PER_CONTENT_MAX: 2 * links,
});
/** No second source is ever sooner by so much. */
const NO_ENDGAME = { ENDGAME_GAIN_MIN_MS: 1e9 };
/** No sends beyond those that slow start calls for by arithmetic. */
const NO_SPARE = { SPARE_SENDS: 0 };

export const TABLES: readonly Table[] = [
  {
    name: 'chunks',
    options: '',
    rows: [
      row('16 peers, 256 chunks', 1.032, '--peers 16 --chunks 256'),
      row('64 peers, 256 chunks', 1.054, '--peers 64 --chunks 256'),
      row('256 peers, 256 chunks', 1.072, '--peers 256 --chunks 256'),
      large('1,000 peers, 256 chunks', 1.088, '--peers 1000 --chunks 256'),
      large('10,000 peers, 256 chunks', 1.114, '--peers 10000 --chunks 256'),
      row('64 peers, 512 chunks', 1.027, '--peers 64 --chunks 512'),
      row('250 peers, 512 chunks', 1.036, '--peers 250 --chunks 512'),
      large('1,000 peers, 512 chunks', 1.044, '--peers 1000 --chunks 512'),
      row('16 peers, 1,024 chunks', 1.008, '--peers 16 --chunks 1024'),
      row('64 peers, 1,024 chunks', 1.014, '--peers 64 --chunks 1024'),
      large('256 peers, 1,024 chunks', 1.019, '--peers 256 --chunks 1024'),
      large('1,000 peers, 64 MiB in 64', 1.29, '--peers 1000 --chunks 64 --chunk-size 1MiB'),
      large('1,000 peers, 64 MiB in 128', 1.158, '--peers 1000 --chunks 128 --chunk-size 512KiB'),
    ],
  },
  {
    name: 'round trip',
    options: BASE,
    rows: [
      row('1 ms', 1.062, '--rtt 1'),
      row('20 ms', 1.067, '--rtt 20'),
      row('40 ms', 1.074, '--rtt 40'),
      row('80 ms', 1.094, '--rtt 80'),
      row('150 ms', 1.117, '--rtt 150'),
      row('300 ms', 1.159, '--rtt 300'),
    ],
  },
  {
    name: 'seeder',
    options: BASE,
    rows: [
      row('a quarter of a peer', 1.016, '--seeder-up 625k'),
      row('half of a peer', 1.03, '--seeder-up 1.25M'),
      row('twice a peer', 1.047, '--seeder-up 5M'),
      row('ten peers', 1.048, '--seeder-up 25M'),
      row('four of a quarter, with ranks', 1.087, '--seeders 4 --seeder-up 2.5M'),
      row('four of a quarter, without', 1.22, '--seeders 4 --seeder-up 2.5M --unranked'),
    ],
  },
  {
    name: 'downlink',
    options: BASE,
    rows: [
      row('like the uplink', 1.137, '--down 2.5M'),
      row('like the uplink, control first', 1.137, '--down 2.5M --control-first'),
      row('1.25 times', 1.101, '--down 3.125M'),
      row('twice', 1.078, '--down 5M'),
      row('four times', 1.076, '--down 10M'),
    ],
  },
  {
    name: 'end-game',
    options: BASE,
    rows: [
      row('5 % at a tenth', 1.077, '--slow 0.05'),
      row('5 % at a tenth, without it', 1.136, '--slow 0.05', NO_ENDGAME),
      row('20 % at a tenth', 1.094, '--slow 0.2'),
      row('20 % at a tenth, without it', 1.142, '--slow 0.2', NO_ENDGAME),
      row('5 % at a hundredth', 1.088, '--slow 0.05 --slow-factor 0.01'),
      row('5 % at a hundredth, without it', 1.572, '--slow 0.05 --slow-factor 0.01', NO_ENDGAME),
    ],
  },
  {
    name: 'deaths',
    options: BASE,
    rows: [row('5 %', 1.084, '--dying 0.05'), row('20 %', 1.103, '--dying 0.2'), row('40 %', 1.134, '--dying 0.4')],
  },
  {
    name: 'order',
    options: BASE,
    rows: [row('everybody reads in order', 1.231, '--sequential')],
  },
  {
    name: 'verifying',
    options: BASE,
    rows: [
      row('0.5 ms', 1.072, '--verify 0.5'),
      row('20 ms', 1.077, '--verify 20'),
      row('100 ms', 1.091, '--verify 100'),
    ],
  },
  {
    name: 'have delay',
    options: BASE,
    rows: [20, 50, 100, 250, 500].map((ms, at) =>
      row(`${ms} ms`, [1.072, 1.077, 1.078, 1.091, 1.105][at], '', { HAVE_COALESCE_MS: ms }),
    ),
  },
  {
    name: 'degree',
    options: '--peers 1000 --chunks 256',
    rows: [4, 8, 12, 16, 20].map((links, at) =>
      large(`${links} links`, [1.18, 1.105, 1.097, 1.09, 1.089][at] as number, '', degree(links)),
    ),
  },
  {
    name: 'slots',
    options: BASE,
    rows: [
      row('with spare sends', 1.072, ''),
      row('without', undefined, '', NO_SPARE),
      row('slow start, with spare sends', undefined, '--slow-start'),
      row('slow start, without', undefined, '--slow-start', NO_SPARE),
    ],
  },
];
