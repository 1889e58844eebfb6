/**
 * `npm run bench:resume`: what a kill -9 in the middle costs. A download of 2 GiB is killed when half of it is there and started again:
 * which bytes came twice, and how long after the start of the process the first new byte of the file came. Everything passes a relay
 * that counts.
 */
import { rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { humanBytes } from '../src/cli/human.ts';
import { parseCount, parseSize } from '../src/cli/rates.ts';
import { IN_FLIGHT_BYTES_MAX } from '../src/limits.ts';
import { checkContent, createBenchFile } from './bench-file.ts';
import { openRelay, type CountingRelay } from './counting-relay.ts';
import { describeMachine, machineLine } from './machine.ts';
import { COMMON, readOptions } from './options.ts';
import { SHOAL_COMMAND, startShoalSwarm } from './shoal-peers.ts';
import { summarize, summaryText } from './statistics.ts';
import { numberOf, textOf } from './system.ts';
import { note, runBenchmark, withWorkplace } from './workplace.ts';

interface Run {
  /** What had come when it was killed, what the next start found, and what had to come again. */
  readonly cameBytes: number;
  readonly keptBytes: number;
  readonly againBytes: number;
  readonly secondsToFirstByte: number;
}

/** Of frames around the fragments (20 bytes for 64 KiB), messages and the manifest: less than this share of what passes. */
const OVERHEAD_SHARE = 0.002;

await runBenchmark(async () => {
  const values = readOptions('resume', {
    runs: { ...COMMON.runs, default: '3' },
    size: { value: 'SIZE', default: '2GiB', about: 'of the file' },
    rate: { value: 'RATE', default: '400M', about: 'limit of the download that is killed' },
    dir: COMMON.dir,
    json: COMMON.json,
  });
  if (values === undefined) return;
  const machine = describeMachine();
  const size = parseSize(values.size);
  const runs = await withWorkplace(resolve(values.dir), async (place) => {
    const { path, processes } = place;
    note(`making a file of ${humanBytes(size)}`);
    const file = await createBenchFile(join(path, 'files'), 'large.bin', size);
    const { sources } = await startShoalSwarm(place, [join(path, 'files')]);
    const content = textOf((await sources[0]?.event('shared'))?.event ?? {}, 'content');
    const address = textOf((await sources[0]?.event('listening'))?.event ?? {}, 'address');
    const relay = await openRelay(address);
    const all: Run[] = [];
    try {
      for (let run = 1; run <= parseCount(values.runs); run++) {
        note(`run ${run} of ${values.runs}`);
        const out = join(path, `out-${run}`);
        // without a tracker: the relay is all there is to fetch from
        const nowhere = ['--tracker', 'http://127.0.0.1:1', '--listen', '127.0.0.1:0'];
        const args = ['get', content, '-o', join(out, file.name), '--json', ...nowhere, '--from', relay.address];
        relay.take();
        const first = processes.start('the download that is killed', SHOAL_COMMAND, [
          ...args,
          '--limit-down',
          values.rate,
        ]);
        const half = Promise.withResolvers<void>();
        first.watch(({ event }) => {
          if (event['event'] === 'progress' && numberOf(event, 'bytes') >= size / 2) half.resolve();
        });
        await half.promise;
        first.signal('SIGKILL');
        const cameBytes = bytesOf(relay);
        await first.stop();
        relay.take();
        const second = processes.start('the download that goes on', SHOAL_COMMAND, args);
        const done = (await second.event('done')).event;
        const passed = relay.take();
        await second.ended();
        await checkContent(file, textOf(done, 'path'));
        const keptBytes = numberOf(done, 'resumedBytes');
        const manifestBytes = 64 * 1024;
        let sum = 0;
        const firstByte = passed.find(({ byteCount }) => (sum += byteCount) > manifestBytes);
        all.push({
          cameBytes,
          keptBytes,
          againBytes: Math.max(0, Math.round(cameBytes * (1 - OVERHEAD_SHARE)) - keptBytes),
          secondsToFirstByte: ((firstByte?.atMs ?? Number.NaN) - second.startedAtMs) / 1000,
        });
        await rm(out, { recursive: true, force: true });
      }
    } finally {
      relay.close();
    }
    return all;
  });
  if (values.json) {
    process.stdout.write(`${JSON.stringify({ machine, runs }, null, 2)}\n`);
    return;
  }
  const mebi = (pick: (run: Run) => number): string =>
    summaryText(summarize(runs.map((run) => pick(run) / 2 ** 20)), 1);
  process.stdout.write(
    [
      machineLine(machine),
      `medians of ${values.runs} (min-max) at ${values.rate}`,
      `came before the kill: ${mebi(({ cameBytes }) => cameBytes)} MiB of ${humanBytes(size)}`,
      `kept:                 ${mebi(({ keptBytes }) => keptBytes)} MiB`,
      `fetched again:        ${mebi(({ againBytes }) => againBytes)} MiB (the in-flight window is at most ${humanBytes(IN_FLIGHT_BYTES_MAX)})`,
      `first byte after:     ${summaryText(summarize(runs.map(({ secondsToFirstByte }) => secondsToFirstByte)), 2)} s from the start of the process\n`,
    ].join('\n'),
  );
});

function bytesOf(relay: CountingRelay): number {
  return relay.take().reduce((sum, { byteCount }) => sum + byteCount, 0);
}
