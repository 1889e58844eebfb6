/** `npm run sim`: one run of a swarm in the virtual world, and what it shows. */
import { parseArgs } from 'node:util';
import { parseRate, parseSize } from '../src/cli/rates.ts';
import { ShoalError } from '../src/errors.ts';
import { MACHINE } from './machine.ts';
import { runAndReport, type RunReport } from './report.ts';
import { SCENARIO_DEFAULTS, worldOf, type Scenario } from './scenario.ts';

const HELP = `usage: npm run sim -- [options]     runs the shipped policy in a virtual world and prints what it shows

  --peers N --seeders N          leechers and complete peers (1000, 1)
  --chunks N --chunk-size SIZE   the content (512 of 256KiB)
  --up RATE --down RATE          of every peer (2.5M, 400 times the uplink)
  --seeder-up RATE               of all seeders together (each has --up)
  --classes                      uplinks of a half, one and four times --up in equal numbers
  --rtt MS --verify MS           round trip of every path, time to verify a chunk (40, 1)
  --degree N                     links that the tracker aims at (20 by the limits of the program)
  --slow-start                   model TCP's slow start and its restart after idle
  --kernel SIZE --headers        socket buffers of the hosts; packet headers count
  --control-first                messages pass what waits in front of the receiver's downlink
  --slow SHARE --slow-factor F   so many leechers have so much of --up (0, 0.1)
  --stalled SHARE                take requests and never send
  --dying SHARE --resets         vanish at random moments, without a packet or with a reset
  --liars SHARE --lies SHARE     send wrong chunks, so many of theirs (0, 1)
  --late SHARE                   join while the others are at it
  --arrival flash|staggered|poisson --arrival-ms MS
  --seeder-leaves                as soon as every chunk exists a second time
  --tracker-ends MS              from then on the tracker answers nobody
  --sequential                   everybody fetches in order
  --unranked                     seeders do not learn their rank
  --seed N --runs N              runs have the seeds N, N+1, ... (7, 1)
  --json                         a JSON document for each run
Exit code 1: a run did not finish or took a wrong chunk for right.
`;

const { values } = parseArgs({
  options: {
    peers: { type: 'string' },
    seeders: { type: 'string' },
    chunks: { type: 'string' },
    'chunk-size': { type: 'string' },
    up: { type: 'string' },
    down: { type: 'string' },
    'seeder-up': { type: 'string' },
    classes: { type: 'boolean', default: false },
    rtt: { type: 'string' },
    verify: { type: 'string' },
    degree: { type: 'string' },
    'slow-start': { type: 'boolean', default: false },
    kernel: { type: 'string' },
    headers: { type: 'boolean', default: false },
    'control-first': { type: 'boolean', default: false },
    slow: { type: 'string' },
    'slow-factor': { type: 'string' },
    stalled: { type: 'string' },
    dying: { type: 'string' },
    resets: { type: 'boolean', default: false },
    liars: { type: 'string' },
    lies: { type: 'string' },
    late: { type: 'string' },
    arrival: { type: 'string', default: 'flash' },
    'arrival-ms': { type: 'string' },
    'seeder-leaves': { type: 'boolean', default: false },
    'tracker-ends': { type: 'string' },
    sequential: { type: 'boolean', default: false },
    unranked: { type: 'boolean', default: false },
    seed: { type: 'string' },
    runs: { type: 'string', default: '1' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
});

const number = (text: string | undefined, otherwise: number): number => {
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (text.trim() === '' || Number.isNaN(value) || value < 0) throw new ShoalError('usage', `${text} is not a number`);
  return value;
};

function scenarioOf(seed: number): Scenario {
  const one = SCENARIO_DEFAULTS;
  const arrival = values.arrival;
  if (arrival !== 'flash' && arrival !== 'staggered' && arrival !== 'poisson')
    throw new ShoalError('usage', `--arrival ${arrival}: flash, staggered or poisson`);
  return {
    peers: number(values.peers, one.peers),
    seeders: number(values.seeders, one.seeders),
    seed,
    chunks: number(values.chunks, one.chunks),
    chunkSize: values['chunk-size'] === undefined ? one.chunkSize : parseSize(values['chunk-size']),
    up: values.up === undefined ? one.up : parseRate(values.up),
    down: values.down === undefined ? one.down : parseRate(values.down),
    seederUp: values['seeder-up'] === undefined ? one.seederUp : parseRate(values['seeder-up']),
    rttMs: number(values.rtt, one.rttMs),
    degree: values.degree === undefined ? undefined : number(values.degree, 20),
    slowStart: values['slow-start'],
    kernelBytes: values.kernel === undefined ? 0 : parseSize(values.kernel),
    headers: values.headers,
    controlFirst: values['control-first'],
    verifyMs: number(values.verify, one.verifyMs),
    slowShare: number(values.slow, 0),
    slowFactor: number(values['slow-factor'], one.slowFactor),
    stalledShare: number(values.stalled, 0),
    dyingShare: number(values.dying, 0),
    silentDeaths: !values.resets,
    liarShare: number(values.liars, 0),
    lies: number(values.lies, 1),
    lateShare: number(values.late, 0),
    classes: values.classes,
    arrival,
    arrivalMs: number(values['arrival-ms'], one.arrivalMs),
    seederLeaves: values['seeder-leaves'],
    unranked: values.unranked,
    trackerEndsAtMs: number(values['tracker-ends'], Number.POSITIVE_INFINITY),
    order: values.sequential ? 'in-order' : 'rarest',
  };
}

if (values.help) {
  process.stdout.write(HELP);
} else {
  const firstSeed = number(values.seed, SCENARIO_DEFAULTS.seed);
  for (let run = 0; run < number(values.runs, 1); run++) {
    const seed = firstSeed + run;
    try {
      const report = runAndReport(worldOf(scenarioOf(seed)), MACHINE);
      process.stdout.write(values.json ? `${JSON.stringify(report)}\n` : `${textOf(report)}\n`);
      if (!report.finished || report.acceptedWrong > 0) fail(seed, 'not everybody has every chunk');
    } catch (error) {
      fail(seed, error instanceof Error ? (error.stack ?? error.message) : String(error));
    }
  }
}

function fail(seed: number, what: string): void {
  const options = process.argv.slice(2).filter((one, at, all) => {
    const isSeedOrRuns = (text: string | undefined): boolean => text === '--seed' || text === '--runs';
    return !isSeedOrRuns(one) && !isSeedOrRuns(all[at - 1]);
  });
  process.stderr.write(`seed ${seed}: ${what}\nagain with: npm run sim -- ${[...options, '--seed', seed].join(' ')}\n`);
  process.exitCode = 1;
}

function textOf(report: RunReport): string {
  const share = (value: number): string => `${(100 * value).toFixed(2)} %`;
  const ratio = (value: number): string => value.toFixed(3);
  const { uplinks, wasted, degree } = report;
  const rows: [string, string][] = [
    ['seed, event hash', `${report.seed}, ${report.hash}`],
    [
      'finish over the bound',
      `last ${ratio(report.last)}, p95 ${ratio(report.p95)}, p50 ${ratio(report.p50)}, mean ${ratio(report.mean)} (bound ${report.boundSeconds.toFixed(2)} s)`,
    ],
    [
      'last over the discrete optimum',
      `${ratio(report.lastOverDiscrete)} (which is ${ratio(report.discreteFactor)} of the bound)`,
    ],
    [
      'first copy',
      `${ratio(report.firstCopy)} of the seeders' time for one; sent twice before it: ${share(report.seederDuplicates)}`,
    ],
    [
      'uplinks',
      `busy ${share(uplinks.busy)}; idle: start ${share(uplinks.startup)}, nobody interested ${share(uplinks.noInterest)}, stalled ${share(uplinks.stalled)}, end ${share(uplinks.endgame)}`,
    ],
    [
      'busy by twentieths',
      `${uplinks.busyByTwentieth.map((one) => Math.round(100 * one)).join(' ')} % (of the bound; the last go beyond it)`,
    ],
    [
      'wasted bytes',
      `${share(wasted.all)}: late ${share(wasted.late)}, cancelled ${share(wasted.cancelled)}, corrupt ${share(wasted.corrupt)}`,
    ],
    [
      'messages',
      `declines ${report.declinesPerChunk.toFixed(3)} a chunk, control ${share(report.controlShare)} of the data`,
    ],
    [
      'fairness, graph',
      `Jain ${ratio(report.jainUp)}; links ${degree.min}-${degree.max}, mean ${degree.mean.toFixed(1)}, diameter ${degree.diameter}; links and finish ${report.linksAndFinish.toFixed(2)}`,
    ],
    [
      'faults',
      `${report.liarsBanned} of ${report.liars} liars banned, ${report.acceptedWrong} wrong chunks accepted; a stalled source is given up after ${report.replaceStalledMs === null ? '-' : `${Math.round(report.replaceStalledMs)} ms`}`,
    ],
    [
      'simulator',
      `${report.events} events, ${report.virtualSeconds.toFixed(1)} s in ${report.realSeconds.toFixed(1)} s (${report.cpuSeconds.toFixed(1)} s of processors), ${Math.round(report.eventsPerSecond / 1000)} k events/s, ${Math.round(report.memoryMiB)} MiB`,
    ],
  ];
  return rows.map(([name, text]) => `${`${name}:`.padEnd(32)}${text}`).join('\n');
}
